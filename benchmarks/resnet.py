"""Steps of a large network on a GPU with each way to mix, in turns within one fit."""

import importlib
import logging
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.timing import Row, rows_of
from lightning_mixup import CutMix, ManifoldMixup, Mixup

CLASSES = 1000
LIMIT = 1.0
"""Percent that mixing may add to a step."""

Take = Callable[[nn.Module, Tensor, Any], Tensor]


def plain(network: nn.Module, x: Tensor, y: Any) -> Tensor:  # noqa: ANN401
    """The loss of a step that knows nothing of mixing."""
    return F.cross_entropy(network(x), y)


def by_hand(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mixup as the paper's code writes it into the step."""
    lam, index = float(np.random.default_rng().beta(1.0, 1.0)), torch.randperm(len(x), device=x.device)
    logits = network(lam * x + (1 - lam) * x[index])
    return lam * F.cross_entropy(logits, y) + (1 - lam) * F.cross_entropy(logits, y[index])


class Way(NamedTuple):
    """One way to mix: a callback, or a step of its own."""

    callback: Callback | None = None
    take: Take = plain
    ours: bool = False


def rows(shape: Sequence[int] = (128, 3, 224, 224), seconds: float = 35.0) -> Iterator[Row]:
    """A step of ResNet-50 under bf16 autocast with each way to mix, and what each adds to a plain one."""
    models = importlib.import_module("torchvision.models")
    network = models.resnet50(num_classes=CLASSES)
    found, missing = ways()
    yield from compare(f"ResNet-50, {tuple(shape)}, bf16 autocast, channels_last", network, shape, found, seconds)
    yield from (Row("ResNet-50", name, note=reason) for name, reason in missing.items())


def ways() -> tuple[dict[str, Way], dict[str, str]]:
    """All ways to mix; and why one is missing."""
    found = {
        "plain": Way(),
        "plain again": Way(),
        "Mixup": Way(Mixup(1.0, seed=0), ours=True),
        "Mixup, per sample": Way(Mixup(1.0, per_sample=True, seed=0), ours=True),
        "CutMix": Way(CutMix(1.0, seed=0), ours=True),
        "CutMix, per sample": Way(CutMix(1.0, per_sample=True, seed=0), ours=True),
        "ManifoldMixup": Way(ManifoldMixup(1.0, seed=0), ours=True),
        "Mixup by hand": Way(take=by_hand),
    }
    missing = {}
    for library, build in {"torchvision": _torchvision, "timm": _timm}.items():
        try:
            found.update({f"{library} {name}": Way(take=_through(mix)) for name, mix in build().items()})
        except (ImportError, RuntimeError) as error:
            missing[library] = f"not compared: {type(error).__name__}: {error}".splitlines()[0][:100]
    return found, missing


def _through(mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Take:
    return lambda network, x, y: plain(network, *mix(x, y))


def _torchvision() -> dict[str, Any]:
    v2 = importlib.import_module("torchvision.transforms.v2")
    return {"mixup": v2.MixUp(num_classes=CLASSES), "cutmix": v2.CutMix(num_classes=CLASSES)}


def _timm() -> dict[str, Any]:
    mix = importlib.import_module("timm.data.mixup").Mixup
    return {
        "mixup": mix(mixup_alpha=1.0, cutmix_alpha=0.0, num_classes=CLASSES),
        "cutmix": mix(mixup_alpha=0.0, cutmix_alpha=1.0, num_classes=CLASSES),
    }


def compare(
    case: str, network: nn.Module, shape: Sequence[int], found: Mapping[str, Way], seconds: float
) -> Iterator[Row]:
    """Time of a step in every way, then what it adds to a plain one in percent, paired round by round.

    Args:
        case: What is measured, for the report.
        network: Takes a batch of that shape, and tells ``CLASSES`` classes apart.
        shape: Of a batch.
        found: The ways to mix; the first is the plain step.
        seconds: How long to measure. The round that is then going on is finished.

    Yields:
        Two rows for every way. Those in percent have a 95 % interval of the median in the place of quartiles.
    """
    measured = step_times(network, shape, found, seconds)
    first = next(iter(found))
    yield from rows_of(f"{case}: a step", measured, (first,))
    base = np.array(measured.pop(first))
    rng = np.random.default_rng(0)
    for name, values in measured.items():
        extra = 100 * (np.array(values) / base - 1)
        medians = np.median(rng.choice(extra, (1000, len(extra))), axis=1)
        low, high = np.quantile(medians, (0.025, 0.975))
        median = float(np.median(extra))
        verdicts = {f"at most {LIMIT:g} %": median <= LIMIT} if found[name].ours else {}
        title = f"{case}: added to a plain step, with 95 % intervals of {len(extra)} rounds"
        yield Row(title, name, median, float(low), float(high), "%", verdicts=verdicts)


def step_times(
    network: nn.Module, shape: Sequence[int], found: Mapping[str, Way], seconds: float
) -> dict[str, list[float]]:
    """Seconds of a step in every way, round by round. See `compare`."""
    cuda = torch.cuda.is_available()
    turns = Turns(found, seconds)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="gpu" if cuda else "cpu",
            devices=1,
            precision="bf16-mixed",
            benchmark=True,
            max_epochs=1,
            callbacks=[turns],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = Module(network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        trainer.fit(module, DataLoader(Batches(turns, shape, "cuda" if cuda else "cpu"), batch_size=None))
    return turns.seconds()


class Module(LightningModule):
    """Takes a step as it is told.

    Args:
        network: To be trained.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.take: Take = plain

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401, D102
        return self.take(self.network, *batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class Batches(IterableDataset[Any]):
    """Fresh copies of one batch, which lies on the device, for as long as there are turns.

    Args:
        turns: Knows when it is enough.
        shape: Of the batch.
        device: Where it lies.
    """

    def __init__(self, turns: "Turns", shape: Sequence[int], device: str) -> None:
        x = torch.randn(*shape, device=device)
        self.turns, self.x = turns, x.to(memory_format=torch.channels_last)
        self.y = torch.randint(CLASSES, (len(x),), device=device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while not self.turns.done:
            yield self.x.clone(), self.y.clone()


class Turns(Callback):
    """Lets ways to mix take turns, each attached as in a fit of its own for a few steps.

    Nobody waits for the device: it notes the time by itself at the ends of a turn, as it comes there.

    Args:
        ways: The contenders.
        seconds: How long they compete.
        block: Steps of a turn. The first is not counted, for it meets the caches of another.
    """

    def __init__(self, ways: Mapping[str, Way], seconds: float, block: int = 6) -> None:
        self.ways, self.limit, self.block = ways, seconds, block
        self.done = False
        self.rounds = -1  # the first one warms up
        self.order: list[str] = []
        self.name, self.steps, self.start = "", 0, 0.0
        self.marks: list[tuple[str, Any, Any]] = []
        self.begun: Any = None
        self.random = random.Random(0)

    def seconds(self) -> dict[str, list[float]]:
        """Mean time of a step in every turn of every way."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found: dict[str, list[float]] = {name: [] for name in self.ways}
        for name, start, end in self.marks:
            taken = end - start if isinstance(end, float) else start.elapsed_time(end) / 1000
            found[name].append(taken / (self.block - 1))
        return {name: values[1:] for name, values in found.items()}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        self._begin(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:  # noqa: ANN401, D102
        if self.done:
            return
        self.steps += 1
        if self.steps == 1:
            self.begun = _mark()
        elif self.steps == self.block:
            self.marks.append((self.name, self.begun, _mark()))
            if (callback := self.ways[self.name].callback) is not None:
                callback.teardown(trainer, pl_module, "fit")
            self._begin(trainer, pl_module)

    def _begin(self, trainer: Trainer, pl_module: Any) -> None:  # noqa: ANN401
        if not self.order:
            self.rounds += 1
            if self.rounds == 1:
                self.start = time.perf_counter()
            elif self.rounds > 2 and time.perf_counter() - self.start > self.limit:
                self.done = True
                trainer.callbacks = [self]  # type: ignore[attr-defined]
                return
            self.order = self.random.sample(list(self.ways), len(self.ways))
        self.name, self.steps = self.order.pop(), 0
        callback, pl_module.take, _ = self.ways[self.name]
        trainer.callbacks = [self] if callback is None else [callback, self]  # type: ignore[attr-defined]
        if callback is not None:
            callback.setup(trainer, pl_module, "fit")
            callback.on_fit_start(trainer, pl_module)
            callback.on_train_start(trainer, pl_module)


def _mark() -> Any:  # noqa: ANN401
    if not torch.cuda.is_available():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event
