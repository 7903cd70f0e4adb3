"""What many tests need: every mixing method, and a module that remembers what it saw."""

import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import Accuracy

from lightning_mixup import CutMix, MixCallback, Mixup, RandomChoice, RegMixup
from lightning_mixup.callbacks import Draw
from lightning_mixup.callbacks.composite import Composite


def methods() -> list[type[MixCallback]]:
    """Every method there is, found as a reader would find it: by its base class."""
    found, queue = [], [MixCallback]
    while queue:
        queue += (below := queue.pop().__subclasses__())
        found += [method for method in below if method.__module__.startswith("lightning_mixup.")]
    return sorted({method for method in found if not inspect.isabstract(method)}, key=lambda method: method.__name__)


def takes(method: type[MixCallback], argument: str) -> bool:
    """Whether a method, or what it is made of here, has an argument."""
    return argument in inspect.signature(Mixup if issubclass(method, Composite) else method).parameters


def make(method: type[MixCallback], **kwargs: Any) -> MixCallback:
    """A callback with the given arguments, or one made of callbacks that have them."""
    if method is RandomChoice:
        return RandomChoice([Mixup(**kwargs), CutMix(**kwargs)])
    if method is RegMixup:
        return RegMixup(Mixup(**{"alpha": 1.0, **kwargs}))
    strength = {"alpha": 1.0} if takes(method, "alpha") else {}
    return method(**{**strength, **kwargs})


def halves(clean: Tensor, draw: Draw, key: int | str = 1) -> tuple[Tensor, Tensor]:
    """The samples of a step and their partners, of an entry of the clean batch: RegMixup trains on it twice."""
    return draw.pair(clean, key)


def regions(draw: Draw) -> list[Draw]:
    """The draws among those of a batch that show a region of the partner."""
    return [leaf for leaf in draw.leaves() if "pasted_area" in leaf.tally(leaf.mixed())]


class Spy(LightningModule):
    """An ordinary classifier, written without a thought of mixing, which remembers what its steps were given."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.LazyLinear(classes),
        )
        self.net(torch.zeros(2, 1, 8, 8))
        self.accuracy = Accuracy(task="multiclass", num_classes=classes)
        self.seen: dict[str, list[Any]] = {"train": [], "val": [], "test": [], "loss": [], "logits": [], "accuracy": []}

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        logits = self(x)
        loss = F.cross_entropy(logits, y)
        self.seen["train"].append(batch)
        self.seen["logits"].append(logits.detach())
        self.seen["loss"].append(loss.detach())
        self.seen["accuracy"].append(self.accuracy(logits, y))
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["val"].append(batch)
        self.log("val/loss", F.cross_entropy(self(batch[0]), batch[1]))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["test"].append(batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def need_timm() -> None:
    """Skip a test where timm, or torchvision that it imports, cannot be imported."""
    try:
        import timm  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm cannot be imported: {error}")
