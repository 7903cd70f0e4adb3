"""Fair races: contenders take turns, so that a machine that slows down slows all of them."""

import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import Timer

Contender = Callable[[], object]


@dataclass(frozen=True)
class Target:
    """What a row is to reach: at most ``limit``, times another row if ``against`` names one."""

    limit: float
    against: str | None = None


@dataclass
class Row:
    """One line of the report.

    Attributes:
        case: What was measured on: shape, dtype, network.
        name: What was measured.
        median: The median of all repeats, in ``unit``; None if it was not measured, and then ``note`` says why.
        low: First quartile.
        high: Third quartile.
        unit: ``"s"``, ``"B"``, ``"%"`` or none.
        ratios: Median times that of other rows, each the median of the ratios within one round.
        verdicts: Every target in words, and whether it is met.
        note: A remark.
    """

    case: str
    name: str
    median: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = "s"
    ratios: dict[str, float] = field(default_factory=dict)
    verdicts: dict[str, bool] = field(default_factory=dict)
    note: str = ""

    @property
    def disturbed(self) -> bool:
        """Whether other work of the machine shows in a time: its quartiles are further apart than half of it."""
        if not self.ratios or self.median is None or self.low is None or self.high is None:
            return False
        return self.high - self.low > self.median / 2


def race(
    case: str,
    contenders: Mapping[str, Contender],
    against: Sequence[str] = (),
    targets: Mapping[str, Sequence[Target]] | None = None,
    *,
    rounds: int = 31,
    turn: float = 0.005,
) -> Iterator[Row]:
    """Time contenders in turns.

    Args:
        case: See ``Row``.
        contenders: Functions without arguments. Of a CUDA function the device's time is measured.
        against: Contenders that all others are compared with.
        targets: What some contenders are to reach.
        rounds: Turns of every contender.
        turn: How long a turn lasts at least, in seconds; short functions are repeated.

    Yields:
        A row for every contender.
    """
    yield from rows_of(case, take_turns(contenders, rounds, turn), against, targets)


def take_turns(contenders: Mapping[str, Contender], rounds: int = 31, turn: float = 0.005) -> dict[str, list[float]]:
    """Seconds of every contender in every round; see ``race``."""
    _steady_allocator()
    timers = {
        name: Timer("f()", globals={"f": f}, num_threads=torch.get_num_threads()) for name, f in contenders.items()
    }
    repeats = {name: max(1, int(turn / min(timer.timeit(1).mean for _ in range(3)))) for name, timer in timers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            seconds[name].append(timer.timeit(repeats[name]).mean)
    return seconds


def _steady_allocator() -> None:
    """Take blocks of 16 MiB and more from the system each time, and keep smaller ones for the next that asks.

    By itself glibc decides that by what was freed before: a contender would pay for new pages, several times the cost
    of a copy, or not, depending on who ran before it.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        trim_threshold, mmap_threshold = -1, -3
        libc.mallopt(mmap_threshold, 2**24)
        libc.mallopt(trim_threshold, 2**24)


def rows_of(
    case: str,
    rounds: Mapping[str, Sequence[float]],
    against: Sequence[str] = (),
    targets: Mapping[str, Sequence[Target]] | None = None,
    unit: str = "s",
) -> Iterator[Row]:
    """Summarise what was measured of several contenders, round by round."""

    def ratio(name: str, floor: str) -> float:
        return statistics.median(a / b for a, b in zip(rounds[name], rounds[floor], strict=True))

    for name, values in rounds.items():
        low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        row = Row(case, name, median, low, high, unit, {floor: ratio(name, floor) for floor in against})
        for target in (targets or {}).get(name, ()):
            value = ratio(name, target.against) if target.against else median
            row.verdicts[_words(target, unit)] = value <= target.limit
        yield row


def _words(target: Target, unit: str) -> str:
    if target.against is None:
        return f"at most {quantity(target.limit, unit)}"
    if target.limit < 0.5:
        return f"{target.against} at least {1 / target.limit:.3g}x slower"
    return f"at most {target.limit:.3g}x {target.against}"


def quantity(value: float, unit: str) -> str:
    """A number as people read it."""
    if unit == "s":
        return f"{value * 1e6:.1f} us" if value < 1e-3 else f"{value * 1e3:.2f} ms" if value < 1 else f"{value:.2f} s"
    if unit == "B":
        return f"{value:.0f} B" if value < 1e4 else f"{value / 1e6:.2f} MB"
    return f"{value:.2f} {unit}".strip()


def peak_memory(f: Contender) -> int:
    """Bytes that tensors take at most while a function runs, beyond those that were there."""
    f()
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        f()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        f()
    taken, peak = 0, 0
    # profiler.events() gives allocations to the operators that made them, and so loses their order.
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            taken += event.nbytes()
            peak = max(peak, taken)
    return peak


def process_time(*arguments: str, env: Mapping[str, str] | None = None) -> float:
    """Seconds from the start of a Python process to its end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=env)
    return time.perf_counter() - start
