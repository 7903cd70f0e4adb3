"""Trainers that take their steps in turns, so that two ways to train can be compared step by step.

Each way has a Trainer of its own in a greenlet, which gives way whenever it fetches a batch. What slows the machine
down then slows all ways alike, and differences are paired. Steps of others in between keep the caches cold, as large
networks and other work do; longer turns, as in `benchmarks.alone`, keep them warm.
"""

import contextlib
import logging
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.timing import Row
from lightning_mixup.callbacks.drawing import AHEAD

try:
    from greenlet import getcurrent, greenlet
except ModuleNotFoundError:
    raise ModuleNotFoundError('steps in turns need greenlet: pip install -c constraints.txt -e ".[test]"') from None

Batch = tuple[Tensor, Tensor]
Build = Callable[[], tuple[LightningModule, list[Callback]]]
WARM = 20
"""Steps at the start that are not counted."""
CYCLE = AHEAD
"""Steps after which the same is done again: draws are made for so many at once."""


def step_times(
    ways: Mapping[str, Build],
    batch: Batch,
    steps: int,
    turn: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Seconds of every step of every way; turns with the same index were taken one after the other.

    Args:
        ways: Build a module and its callbacks.
        batch: What every step is trained on.
        steps: Number of steps that are counted.
        turn: How many of them a way takes before the next one's turn.
        clock: Tells the time in seconds.

    Returns:
        An array of ``(steps,)`` for every way.
    """
    hub, warm = getcurrent(), max(WARM, turn)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    trainings = []
    with quiet():
        for way, build in ways.items():
            source = Source(batch, steps + warm, seconds[way], clock, hub.switch, turn)
            training = greenlet(partial(_train, build, source))
            training.switch()  # up to the first batch
            trainings.append(training)
        order = random.Random(0)
        while alive := [training for training in trainings if not training.dead]:
            for training in order.sample(alive, len(alive)):
                training.switch()
    return {way: np.array(values[warm:]) for way, values in seconds.items()}


class Source(IterableDataset[Batch]):
    """Fresh copies of one batch. Notes how long it takes from one to the request for the next.

    Args:
        batch: What is copied.
        steps: How many copies there are.
        seconds: Where the times are appended.
        clock: Tells the time in seconds.
        wait: Called before every turn; its time is not counted.
        turn: How many copies are a turn.
    """

    def __init__(
        self,
        batch: Batch,
        steps: int,
        seconds: list[float],
        clock: Callable[[], float],
        wait: Callable[[], object] = lambda: None,
        turn: int = 1,
    ) -> None:
        self.batch, self.steps, self.seconds, self.clock = batch, steps, seconds, clock
        self.wait, self.turn = wait, turn

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.steps):
            x, y = (entry.clone() for entry in self.batch)
            if step % self.turn == 0:
                self.wait()
            start = self.clock()
            yield x, y
            self.seconds.append(self.clock() - start)


def _train(build: Build, source: Source) -> None:
    module, callbacks = build()
    fit(module, callbacks, source)


def fit(module: LightningModule, callbacks: list[Callback], source: Source) -> None:
    """Train on the CPU without anything that is not needed."""
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(source, batch_size=None))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let Lightning say nothing. Around all Trainers: what they change in turns they would give back in disorder."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def in_cycles(seconds: np.ndarray) -> np.ndarray:
    """Seconds of steps, ``(steps,)``, as an array of ``(cycles, CYCLE)``, without a last cycle that is not whole."""
    return seconds[: len(seconds) // CYCLE * CYCLE].reshape(-1, CYCLE)


def typical(values: np.ndarray) -> float:
    """The mean, over the steps of a cycle, of medians: what every 16th step does counts, what disturbs one does not.

    Args:
        values: Shape ``(cycles, CYCLE)``; of ``(n,)`` it is the median.
    """
    return float(np.median(values, axis=0).mean())


def difference(case: str, name: str, values: np.ndarray, base: np.ndarray, unit: str = "s") -> Row:
    """What is typical of paired differences, with its 95 % interval by bootstrap, as a row of the report."""
    extra = values - base
    return Row(case, name, typical(extra), *interval(extra), unit)


def interval(values: np.ndarray) -> tuple[float, float]:
    """A 95 % interval of what is typical, by bootstrap."""
    chosen = np.random.default_rng(0).integers(len(values), size=(500, len(values)))
    low, high = np.quantile([typical(values[rows]) for rows in chosen], (0.025, 0.975))
    return float(low), float(high)
