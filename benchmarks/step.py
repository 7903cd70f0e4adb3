"""Whole training steps of a Trainer, with and without each callback."""

import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.timing import Row, Target, rows_of
from lightning_mixup import CutMix, ManifoldMixup, Mixup
from lightning_mixup.classifier import Classifier
from lightning_mixup.models import SmallResNet
from lightning_mixup.models.resnet import ResidualBlock

CALLBACKS: dict[str, Callable[[], Callback | None]] = {
    "no callback": lambda: None,
    "Mixup": Mixup,
    "Mixup, per sample": partial(Mixup, per_sample=True),
    "CutMix": CutMix,
    "CutMix, per sample": partial(CutMix, per_sample=True),
    "ManifoldMixup": ManifoldMixup,
}


def rows() -> Iterator[Row]:
    digits = partial(SmallResNet, num_classes=10, input_shape=(1, 8, 8))
    yield from compare("digits model, (64, 1, 8, 8)", digits, (64, 1, 8, 8), steps=80, rounds=9, limit=3.0)
    yield from compare("ResNet-18, (32, 3, 32, 32)", resnet18, (32, 3, 32, 32), steps=5, rounds=3)
    # So small a network leaves nothing to see but the callback's own work.
    yield from host_time((64, 1, 8, 8), steps=150, rounds=9)
    if torch.cuda.is_available():
        from torchvision.models import resnet50

        shape = (256, 3, 224, 224)
        options = {"precision": "bf16-true", "memory_format": torch.channels_last}
        yield from compare("ResNet-50, (256, 3, 224, 224) bf16", resnet50, shape, 20, 5, limit=1.0, **options)
    else:
        yield Row("ResNet-50, (256, 3, 224, 224) bf16", "all callbacks", note="not run: no CUDA device")


def compare(
    case: str,
    build: Callable[[], nn.Module],
    shape: tuple[int, ...],
    steps: int,
    rounds: int,
    limit: float | None = None,
    **options: Any,  # noqa: ANN401
) -> Iterator[Row]:
    """Time of a step, then what each callback adds to it in percent, round by round."""
    seconds = step_times(lambda: _classifier(build()), shape, steps, rounds, **options)
    yield from rows_of(f"{case}: a step", seconds, ("no callback",))
    plain = seconds.pop("no callback")
    extra = {name: [100 * (a / b - 1) for a, b in zip(values, plain, strict=True)] for name, values in seconds.items()}
    targets = {} if limit is None else {name: [Target(limit)] for name in extra}
    yield from rows_of(f"{case}: overhead", extra, (), targets, unit="%")


def host_time(shape: tuple[int, ...], steps: int, rounds: int) -> Iterator[Row]:
    """Seconds that each callback adds to the step of a network that takes none: drawing, mixing, the mixed loss."""
    seconds = step_times(lambda: Bare(shape), shape, steps, rounds)
    plain = seconds.pop("no callback")
    extra = {name: [a - b for a, b in zip(values, plain, strict=True)] for name, values in seconds.items()}
    targets = {name: [Target(150e-6)] for name in extra}
    yield from rows_of(f"one linear layer, {shape}: added to a step", extra, (), targets)


def step_times(
    build: Callable[[], LightningModule],
    shape: tuple[int, ...],
    steps: int,
    rounds: int,
    precision: Any = "32-true",  # noqa: ANN401
    memory_format: torch.memory_format = torch.contiguous_format,
) -> dict[str, list[float]]:
    """Median seconds of a step of each callback in each round."""
    images = torch.randn(8 * shape[0], *shape[1:]).contiguous(memory_format=memory_format)
    loader = DataLoader(TensorDataset(images, torch.randint(10, (len(images),))), batch_size=shape[0], drop_last=True)
    seconds: dict[str, list[float]] = {name: [] for name in CALLBACKS}
    quiet = logging.getLogger("lightning.pytorch")
    quiet.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(rounds):
            for name, callback in CALLBACKS.items():
                clock = _Clock()
                trainer = Trainer(
                    max_steps=steps,
                    callbacks=[each for each in (callback(), clock) if each is not None],
                    precision=precision,
                    logger=False,
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                )
                module = build().to(memory_format=memory_format)
                trainer.fit(module, loader)
                seconds[name].append(clock.step())
    return seconds


class _Clock(Callback):
    """Time from one batch to the next, once training has warmed up."""

    def __init__(self) -> None:
        self.ticks: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ticks.append(time.perf_counter())

    def step(self) -> float:
        steps = [after - before for before, after in zip(self.ticks, self.ticks[1:], strict=False)]
        return statistics.median(steps[len(steps) // 4 :])


class Bare(LightningModule):
    """One linear layer.

    Args:
        shape: Of a batch of images.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape[1:]).numel(), 10), nn.Identity())

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:  # noqa: ANN401, D102
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _classifier(network: nn.Module) -> LightningModule:
    return Classifier(network, partial(torch.optim.SGD, lr=0.01), num_classes=10)


def resnet18() -> nn.Module:
    """The ResNet-18 of CIFAR: eight residual blocks, no pooling before them."""
    stem = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
    stages = [
        nn.Sequential(ResidualBlock(width // 2 if stride == 2 else width, width, stride), ResidualBlock(width, width))
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2))
    ]
    return nn.Sequential(stem, *stages, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)))
