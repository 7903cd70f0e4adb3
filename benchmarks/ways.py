"""Ways to mix in a training step: ours, the least possible, other libraries, and by hand."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from benchmarks.floor import Floor
from benchmarks.loss import focal, smoothed
from lightning_mixup import CutMix, FMix, LabelSmoothing, ManifoldMixup, Mixup, RandomChoice, RegMixup, ResizeMix

CLASSES = 10
RNG = np.random.default_rng(0)
Loss = Callable[[Tensor, Any], Tensor]
Mix = Callable[[Tensor, Tensor], tuple[Tensor, Any]]


@dataclass(frozen=True)
class Way:
    """A way to take a step.

    Attributes:
        callback: Builds the callback, if there is one.
        loss: Of the module.
        mix: Another library's way to mix a batch, called before the network.
        step: Takes the whole step instead, as by hand; gives logits and loss.
        logs: Whether the module logs its loss and its accuracy, as most modules do.
        base: The way without mixing that it is compared with.
        peers: Ways that do the same, none of which is to be cheaper.
        floor: The way that shows what is possible.
    """

    callback: Callable[[], Callback] | None = None
    loss: Loss = F.cross_entropy
    mix: Mix | None = None
    step: Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    logs: bool = False
    base: str = "plain"
    peers: tuple[str, ...] = ()
    floor: str = ""

    def build(self, network: Callable[[], nn.Module]) -> tuple[LightningModule, list[Callback]]:
        """A module and its callbacks, with the same first weights for every way."""
        torch.manual_seed(0)
        return Net(network(), self), [] if self.callback is None else [self.callback()]


class Net(LightningModule):
    """A classifier.

    Args:
        network: Maps images to logits.
        way: Says how a step is taken.
    """

    def __init__(self, network: nn.Module, way: Way) -> None:
        super().__init__()
        self.network, self.way = network, way
        if way.logs:
            self.accuracy = MulticlassAccuracy(CLASSES, average="micro", validate_args=False)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401, D102
        x, y = batch
        if self.way.step is not None:
            logits, loss = self.way.step(self.network, x, y)
        else:
            if self.way.mix is not None:
                x, y = self.way.mix(x, y)
            logits = self.network(x)
            loss = self.way.loss(logits, y)
        if self.way.logs:
            self.accuracy(logits, y)
            self.log("train/loss", loss, on_step=False, on_epoch=True)
            self.log("train/accuracy", self.accuracy, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.SGD(self.parameters(), lr=0.01)


def mixup_by_hand(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mixup as the authors' code writes it into the step."""
    lam, index = RNG.beta(1.0, 1.0), torch.randperm(len(x))
    logits = network(lam * x + (1 - lam) * x[index])
    return logits, lam * F.cross_entropy(logits, y) + (1 - lam) * F.cross_entropy(logits, y[index])


def regmixup_by_hand(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """RegMixup as the authors' code writes it into the step: the clean batch and the mixed one in one run."""
    lam, index = RNG.beta(1.0, 1.0), torch.randperm(len(x))
    clean, mixed = network(torch.cat([x, lam * x + (1 - lam) * x[index]])).chunk(2)
    loss = lam * F.cross_entropy(mixed, y) + (1 - lam) * F.cross_entropy(mixed, y[index])
    return clean, F.cross_entropy(clean, y) + loss


def ways(layers: Sequence[str]) -> tuple[dict[str, Way], dict[str, str]]:
    """All ways to take a step, and why another library is missing.

    Args:
        layers: Names of layers of the network for Manifold Mixup.
    """
    mixup_peers = ("Mixup by hand", "timm mixup", "torchvision mixup", "kornia mixup")
    cutmix_peers = ("timm cutmix", "torchvision cutmix", "kornia cutmix")
    # With a seed, or each would say which one it has chosen.
    hidden = partial(ManifoldMixup, 1.0, layers=list(layers), seed=0)
    found = {
        "plain": Way(),
        "plain again": Way(),
        "empty callback": Way(Callback),
        "Mixup": Way(partial(Mixup, 1.0, seed=0), peers=mixup_peers, floor="floor Mixup"),
        "CutMix": Way(partial(CutMix, 1.0, seed=0), peers=cutmix_peers, floor="floor CutMix"),
        "Mixup, per sample": Way(partial(Mixup, 1.0, per_sample=True, seed=0), floor="floor Mixup, per sample"),
        "CutMix, per sample": Way(
            partial(CutMix, 1.0, per_sample=True, seed=0),
            peers=("timm cutmix, per sample", "kornia cutmix, per sample"),
            floor="floor CutMix, per sample",
        ),
        "ManifoldMixup": Way(hidden, floor="floor ManifoldMixup"),
        "FMix": Way(partial(FMix, 1.0, seed=0)),
        "ResizeMix": Way(partial(ResizeMix, seed=0)),
        "RandomChoice": Way(lambda: RandomChoice([Mixup(1.0, seed=0), CutMix(1.0, seed=0)])),
        "RegMixup": Way(lambda: RegMixup(Mixup(1.0, seed=0)), peers=("RegMixup by hand",)),
        "Mixup, soft targets": Way(partial(Mixup, 1.0, targets="soft", num_classes=CLASSES, seed=0), peers=mixup_peers),
        "Mixup, sampled targets": Way(partial(Mixup, 1.0, targets="sampled", seed=0)),
        "LabelSmoothing": Way(partial(LabelSmoothing, 0.1)),
        "plain, logged": Way(logs=True),
        "Mixup, logged": Way(
            partial(Mixup, 1.0, seed=0),
            logs=True,
            base="plain, logged",
            peers=("Mixup by hand, logged",),
            floor="floor Mixup, logged",
        ),
        "CutMix, logged": Way(partial(CutMix, 1.0, seed=0), logs=True, base="plain, logged"),
        "plain, focal loss": Way(loss=focal),
        "Mixup, focal loss": Way(partial(Mixup, 1.0, seed=0), focal, base="plain, focal loss"),
        "plain, smoothing by hand": Way(loss=smoothed),
        "Mixup, smoothing by hand": Way(partial(Mixup, 1.0, seed=0), smoothed, base="plain, smoothing by hand"),
        "floor Mixup": Way(Floor),
        "floor CutMix": Way(partial(Floor, cut=True)),
        "floor Mixup, per sample": Way(partial(Floor, per_sample=True)),
        "floor CutMix, per sample": Way(partial(Floor, cut=True, per_sample=True)),
        "floor Mixup, logged": Way(Floor, logs=True, base="plain, logged"),
        "floor ManifoldMixup": Way(partial(Floor, layers=layers)),
        "Mixup by hand": Way(step=mixup_by_hand),
        "Mixup by hand, logged": Way(step=mixup_by_hand, logs=True, base="plain, logged"),
        "RegMixup by hand": Way(step=regmixup_by_hand),
    }
    missing = {}
    for library, build in {"timm": _timm, "torchvision": _torchvision, "kornia": _kornia}.items():
        try:
            found |= {f"{library} {name}": way for name, way in build().items()}
        except (ImportError, RuntimeError) as error:
            missing[library] = f"not compared: {type(error).__name__}: {error}".splitlines()[0][:100]
    return found, missing


def _timm() -> dict[str, Way]:
    mix = partial(importlib.import_module("timm.data.mixup").Mixup, num_classes=CLASSES, label_smoothing=0.0)
    return {
        "mixup": Way(mix=mix(mixup_alpha=1.0)),
        "cutmix": Way(mix=mix(mixup_alpha=0.0, cutmix_alpha=1.0)),
        "cutmix, per sample": Way(mix=mix(mixup_alpha=0.0, cutmix_alpha=1.0, mode="elem")),
    }


def _torchvision() -> dict[str, Way]:
    v2 = importlib.import_module("torchvision.transforms.v2")
    return {
        "mixup": Way(mix=v2.MixUp(alpha=1.0, num_classes=CLASSES)),
        "cutmix": Way(mix=v2.CutMix(alpha=1.0, num_classes=CLASSES)),
    }


def _kornia() -> dict[str, Way]:
    augmentation = importlib.import_module("kornia.augmentation")
    keys = ["input", "class"]

    def mixed(logits: Tensor, y: Tensor) -> Tensor:
        # Rows of label, partner's label and the partner's share.
        first, second = (F.cross_entropy(logits, y[:, i].long(), reduction="none") for i in (0, 1))
        return torch.lerp(first, second, y[:, 2]).mean()

    def pasted(logits: Tensor, y: Tensor) -> Tensor:
        return mixed(logits, y[0])

    one = augmentation.RandomCutMixV2(p=1.0, same_on_batch=True, data_keys=keys, use_correct_lambda=True)
    each = augmentation.RandomCutMixV2(p=1.0, data_keys=keys, use_correct_lambda=True)
    return {
        "mixup": Way(mix=augmentation.RandomMixUpV2(p=1.0, same_on_batch=True, data_keys=keys), loss=mixed),
        "cutmix": Way(mix=one, loss=pasted),
        "cutmix, per sample": Way(mix=each, loss=pasted),
    }
