"""Whole training steps of a Trainer, with and without each callback."""

import logging
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
from lightning_mixup import CutMix, ManifoldMixup, MixCallback, Mixup, RandomChoice
from lightning_mixup.lab.models import ResNet, SmallResNet
from lightning_mixup.lab.modules.classifier import Classifier

CALLBACKS: dict[str, Callable[[], MixCallback]] = {
    "Mixup": Mixup,
    "Mixup, per sample": partial(Mixup, per_sample=True),
    "CutMix": CutMix,
    "CutMix, per sample": partial(CutMix, per_sample=True),
    "ManifoldMixup": ManifoldMixup,
    "ManifoldMixup, per sample": partial(ManifoldMixup, per_sample=True),
    "RandomChoice": lambda: RandomChoice([Mixup(), CutMix()]),
}


def rows() -> Iterator[Row]:
    shape = (64, 1, 8, 8)
    # So small a network leaves nothing to see but the callback's own work.
    yield from host_time(shape, rounds=100)
    digits = partial(SmallResNet, num_classes=10, input_shape=shape[1:])
    yield from compare("digits model, (64, 1, 8, 8)", digits, shape, rounds=60, limit=3.0)
    resnet18 = partial(ResNet, num_classes=10, input_shape=(3, 32, 32), depth=18)
    yield from compare("ResNet-18, (32, 3, 32, 32)", resnet18, (32, 3, 32, 32), rounds=7, block=3)
    if torch.cuda.is_available():
        from torchvision.models import resnet50

        shape = (256, 3, 224, 224)
        options = {"precision": "bf16-true", "memory_format": torch.channels_last}
        yield from compare("ResNet-50, (256, 3, 224, 224) bf16", resnet50, shape, rounds=15, limit=1.0, **options)
    else:
        yield Row("ResNet-50, (256, 3, 224, 224) bf16", "all callbacks", note="not run: no CUDA device")


def compare(
    case: str,
    build: Callable[[], nn.Module],
    shape: tuple[int, ...],
    rounds: int,
    limit: float | None = None,
    **options: Any,  # noqa: ANN401
) -> Iterator[Row]:
    """Time of a step, then what each callback adds to it in percent, round by round."""
    seconds = step_times(
        Classifier(build(), partial(torch.optim.SGD, lr=0.01), num_classes=10), shape, rounds, **options
    )
    yield from rows_of(f"{case}: a step", seconds, ("no callback",))
    plain = seconds.pop("no callback")
    extra = {name: [100 * (a / b - 1) for a, b in zip(values, plain, strict=True)] for name, values in seconds.items()}
    targets = {} if limit is None else {name: [Target(limit)] for name in CALLBACKS}
    yield from rows_of(f"{case}: overhead", extra, (), targets, unit="%")


def host_time(shape: tuple[int, ...], rounds: int) -> Iterator[Row]:
    """Seconds that each callback adds to the step of a network that takes none: drawing, mixing, the mixed loss."""
    seconds = step_times(Bare(shape), shape, rounds)
    case = f"one linear layer, {shape}"
    yield from rows_of(f"{case}: a step", seconds, ("no callback",))
    plain = seconds.pop("no callback")
    extra = {name: [a - b for a, b in zip(values, plain, strict=True)] for name, values in seconds.items()}
    targets = {name: [Target(150e-6)] for name in CALLBACKS}
    yield from rows_of(f"{case}: added to a step", extra, (), targets)


def step_times(
    module: LightningModule,
    shape: tuple[int, ...],
    rounds: int,
    block: int = 6,
    precision: Any = "32-true",  # noqa: ANN401
    memory_format: torch.memory_format = torch.contiguous_format,
) -> dict[str, list[float]]:
    """Seconds of a step with each callback in each round. All take turns within one fit, a few steps each."""
    images = torch.randn(8 * shape[0], *shape[1:]).contiguous(memory_format=memory_format)
    loader = DataLoader(TensorDataset(images, torch.randint(10, (len(images),))), batch_size=shape[0], drop_last=True)
    turns = Turns({"no callback": None, "a callback that does nothing": Idle(), **_callbacks()}, rounds, block)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=-1,
            callbacks=[turns],
            precision=precision,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module.to(memory_format=memory_format), loader)
    return turns.seconds


def _callbacks() -> dict[str, Callback]:
    callbacks = {name: build() for name, build in CALLBACKS.items()}
    for callback in callbacks.values():
        callback.seed = 0  # or each would say which one it has chosen
    return callbacks


class Turns(Callback):
    """Lets callbacks take turns in one fit, each attached as in a fit of its own for a few steps.

    Args:
        callbacks: The contenders; None is no callback.
        rounds: Turns of each.
        block: Steps of a turn. The first is not counted, for it meets the caches of another.
    """

    def __init__(self, callbacks: dict[str, Callback | None], rounds: int, block: int) -> None:
        self.callbacks = callbacks
        self.turns = iter([name for _ in range(rounds + 1) for name in callbacks])
        self.block = block
        self.seconds: dict[str, list[float]] = {name: [] for name in callbacks}
        self.name = ""
        self.steps = 0
        self.start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        self._begin(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:  # noqa: ANN401, D102
        self.steps += 1
        if self.steps == 1:
            self.start = _now()
        elif self.steps == self.block:
            self.seconds[self.name].append((_now() - self.start) / (self.block - 1))
            if (callback := self.callbacks[self.name]) is not None:
                callback.teardown(trainer, pl_module, "fit")
            self._begin(trainer, pl_module)

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        try:
            self.name, self.steps = next(self.turns), 0
        except StopIteration:
            trainer.should_stop = True
            # The first round has warmed up.
            self.seconds = {name: values[1:] for name, values in self.seconds.items()}
            return
        callback = self.callbacks[self.name]
        trainer.callbacks = [self] if callback is None else [callback, self]  # type: ignore[attr-defined]
        if callback is not None:
            callback.setup(trainer, pl_module, "fit")
            callback.on_fit_start(trainer, pl_module)
            callback.on_train_start(trainer, pl_module)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Idle(Callback):
    """Has the hooks that ours have: what Lightning takes to call them is nothing that we could save."""

    def on_train_batch_start(self, *_: Any) -> None: ...  # noqa: ANN401, D102

    def on_train_batch_end(self, *_: Any) -> None: ...  # noqa: ANN401, D102


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
