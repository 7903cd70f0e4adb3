"""An application of LightningCLI. The module and the data know nothing of mixing."""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningCLI
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

# Importing the classes lets the command line and YAML name them without their package.
from lightning_mixup import CutMix, ManifoldMixup, Mixup, RandomChoice  # noqa: F401


class Digits(LightningDataModule):
    """Scikit-learn's handwritten digits."""

    def __init__(self, batch_size: int = 64, samples: int = 1500) -> None:
        super().__init__()
        self.batch_size, self.samples = batch_size, samples

    def setup(self, stage: str) -> None:
        images, labels = load_digits(return_X_y=True)
        x = torch.tensor(images.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
        y = torch.tensor(labels)
        self.train_set = TensorDataset(x[: self.samples], y[: self.samples])
        self.val_set = TensorDataset(x[1500:], y[1500:])

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train_set, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val_set, self.batch_size)


class Net(LightningModule):
    """A small network with its own loss and optimizer."""

    def __init__(self, width: int = 16, lr: float = 1e-2) -> None:
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Flatten()),
            nn.Linear(16 * width, 10),
        )

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        x, y = batch
        self.log("val/accuracy", (self.net(x).argmax(1) == y).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.lr)


if __name__ == "__main__":
    LightningCLI(Net, Digits, seed_everything_default=0)
