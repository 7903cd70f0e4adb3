"""Data and a module written without a thought of mixing, or of this library."""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader, TensorDataset


class Rings(LightningDataModule):
    """Points of three rings that blur into each other: which ring is it?"""

    num_classes = 3  # announced, so that nobody has to type it

    def __init__(self, count: int = 100, blur: float = 0.5, seed: int = 0) -> None:
        super().__init__()
        self.count, self.blur, self.seed = count, blur, seed

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.sets = [self._draw(count, generator) for count in (self.count, 500, 2000)]

    def _draw(self, count: int, generator: torch.Generator) -> TensorDataset:
        y = torch.randint(3, (count,), generator=generator)
        angle = 2 * torch.pi * torch.rand(count, generator=generator)
        radius = y + 1 + self.blur * torch.randn(count, generator=generator)
        return TensorDataset(torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), y)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.sets[0], batch_size=50, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.sets[1], batch_size=500)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.sets[2], batch_size=500)


class RingNet(LightningModule):
    """Its own network, loss and optimizer; forward maps inputs to logits, which is all that the judges need."""

    def __init__(self, num_classes: int, hidden: int = 64, lr: float = 1e-2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.first = torch.nn.Sequential(torch.nn.Linear(2, hidden), torch.nn.ReLU())
        self.second = torch.nn.Sequential(torch.nn.Linear(hidden, hidden), torch.nn.ReLU())
        self.head = torch.nn.Linear(hidden, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x)))

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        x, y = batch
        self.log("val_acc", (self(x).argmax(1) == y).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
