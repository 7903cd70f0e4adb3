"""Where the time of a step goes: each part of it within a training, and the same calls in a loop of their own.

In a loop all code and data of a part are in the processor's caches. In a training the network has driven them out since
the last step, and most of the time goes by until they are back.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.step import NETWORKS
from benchmarks.timing import Row
from benchmarks.turns import CYCLE, WARM, Source, fit, in_cycles, quiet
from benchmarks.ways import CLASSES, ways
from lightning_mixup import MixCallback
from lightning_mixup.callbacks import containers, loop
from lightning_mixup.callbacks.drawing import Method
from lightning_mixup.callbacks.loop import Loop
from lightning_mixup.callbacks.mixing import Mixing
from lightning_mixup.functional.sampling import Stream
from lightning_mixup.targets.lockstep import Lockstep

WAYS = ("Mixup", "Mixup, per sample", "CutMix", "CutMix, per sample")
STEPS = 19 * CYCLE
CALLS = 200
# What, whose, by which name, and whether it may be called again and again with the same arguments.
PARTS: tuple[tuple[str, Any, str, bool], ...] = (
    ("before the step", MixCallback, "on_train_batch_start", False),
    ("of it: find inputs and targets", loop, "find", True),
    ("of it: move the generator", Stream, "at", True),
    ("of it: draw weight and partners", Method, "draw", True),
    ("mix and replace", Mixing, "batch", False),
    ("of it: mix inputs and targets", Loop, "mix_found", True),
    ("of it: mix the target alone", Loop, "mix_target", True),
    ("of it: put them into a copy of the batch", containers, "replace_all", True),
    ("settle the loss", Lockstep, "result", True),
    ("after the step", MixCallback, "on_train_batch_end", False),
)


def rows() -> Iterator[Row]:
    """The parts of a step of some ways to mix, on the smallest network and one thread."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for way in WAYS:
            yield from measure(way, "tiny")
    finally:
        torch.set_num_threads(before)


def measure(way: str, network: str, steps: int = STEPS) -> Iterator[Row]:
    """Train once for each part, so that no part's clock runs within another's.

    Args:
        way: Of `benchmarks.ways`.
        network: Of `benchmarks.step`.
        steps: How many are measured, at least two cycles.

    Yields:
        Seconds of a part, and how many times those in a loop they are, of parts that can be called in one.
    """
    known = NETWORKS[network]
    build = ways(known.layers)[0][way].build
    batch = torch.rand(known.shape), torch.randint(CLASSES, known.shape[:1])
    for name, owner, function, again in PARTS:
        plain = getattr(owner, function)
        clock = Clock(plain, WARM + 1 if again else None)
        setattr(owner, function, lambda *args, clock=clock, **kwargs: clock(*args, **kwargs))
        try:
            with quiet():
                fit(*build(known.build), Source(batch, steps + WARM, [], time.perf_counter))
        finally:
            setattr(owner, function, plain)
        seconds = in_cycles(np.array(clock.seconds[WARM:]))
        low, median, high = map(float, np.quantile(seconds, (0.25, 0.5, 0.75), axis=0).mean(axis=1))
        ratios = {} if clock.looped is None else {"that in a loop": median / clock.looped}
        yield Row(f"{way}, {known.name}, {known.shape}, 1 thread", name, median, low, high, ratios=ratios)


class Clock:
    """Calls a function, and notes how long it takes.

    Args:
        function: Any function.
        last: After so many calls the same arguments are taken for a loop; None for no loop.
    """

    def __init__(self, function: Callable[..., Any], last: int | None) -> None:
        self.function, self.last = function, last
        self.seconds: list[float] = []
        self.looped: float | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call it."""
        start = time.perf_counter()
        result = self.function(*args, **kwargs)
        self.seconds.append(time.perf_counter() - start)
        if len(self.seconds) == self.last:
            start = time.perf_counter()
            for _ in range(CALLS):
                self.function(*args, **kwargs)
            self.looped = (time.perf_counter() - start) / CALLS
        return result
