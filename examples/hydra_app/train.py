"""An application in the usual layout of Lightning and Hydra: every callback is a node of its own, with a name."""

import hydra
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Digits(LightningDataModule):
    """Scikit-learn's handwritten digits."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        images, labels = load_digits(return_X_y=True)
        x = torch.tensor(images.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
        y = torch.tensor(labels)
        self.sets = TensorDataset(x[:1200], y[:1200]), TensorDataset(x[1200:], y[1200:])

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.sets[0], self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.sets[1], self.batch_size)


class Net(LightningModule):
    """A small network with its own loss and optimizer."""

    def __init__(self, width: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Flatten()),
            nn.Linear(16 * width, 10),
        )

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        x, y = batch
        self.log("val/accuracy", (self.net(x).argmax(1) == y).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.lr)


def callbacks(nodes: DictConfig | None) -> list[Callback]:
    """Build every callback of the group that is not null."""
    return [hydra.utils.instantiate(node) for node in (nodes or {}).values() if node is not None]


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float:
    """Train, and return the metric for a sweeper."""
    seed_everything(cfg.seed, workers=True)
    data = hydra.utils.instantiate(cfg.data)
    model = hydra.utils.instantiate(cfg.model)
    trainer: Trainer = hydra.utils.instantiate(cfg.trainer, callbacks=callbacks(cfg.callbacks))
    trainer.fit(model, data)
    print(
        "callbacks:", ", ".join(repr(callback) for callback in trainer.callbacks if "Mix" in repr(callback)) or "none"
    )
    return float(trainer.callback_metrics["val/accuracy"])


if __name__ == "__main__":
    main()
