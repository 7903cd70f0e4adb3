"""Schedules made of other schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lightning_mixup.schedules.base import Schedule, check_value, steady, value
from lightning_mixup.schedules.moment import ROUNDING, Moment, Unit


class Warmup(Schedule):
    """Rise linearly from zero to a value, or to another schedule that is running meanwhile.

    Args:
        value: What is reached.
        until: When it is reached; 0 is at once.
        unit: What ``until`` counts: ``"progress"`` in [0, 1], ``"epochs"`` or ``"steps"``.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> schedule = Warmup(value=0.8, until=0.1)
        >>> schedule(0.0), schedule(0.05), schedule(0.1), schedule(1.0)
        (0.0, 0.4, 0.8, 0.8)
    """

    def __init__(self, value: float | Schedule, until: float, unit: Unit = "progress") -> None:
        self.unit = self._unit(unit)
        self.value = self._operand("value", value)
        self.until = self._time("until", until)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value_at(Moment(progress))

    def value_at(self, moment: Moment) -> float:
        """See ``Schedule.value_at``."""
        now, reached = self._now(moment), value(self.value, moment)
        return reached * (now / self.until) if now < self.until else reached

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        self._check_times([self.until], end)
        check_value(self.value, end)


class Window(Schedule):
    """A value, or another schedule, during a part of training; zero before and after.

    Args:
        value: What holds within.
        start: When it begins.
        stop: When it is over, later than start; None is the end of training.
        unit: What ``start`` and ``stop`` count: ``"progress"`` in [0, 1], ``"epochs"`` or ``"steps"``.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> schedule = Window(value=1.0, stop=0.9)
        >>> schedule(0.0), schedule(0.89), schedule(0.9), schedule(1.0)
        (1.0, 1.0, 0.0, 0.0)
    """

    def __init__(
        self, value: float | Schedule, start: float = 0.0, stop: float | None = None, unit: Unit = "progress"
    ) -> None:
        self.unit = self._unit(unit)
        self.value = self._operand("value", value)
        self.start = self._time("start", start)
        self.stop = None if stop is None else self._time("stop", stop)
        self._require("stop", stop, self.stop is None or self.start < self.stop, f"later than start={self.start:g}")

    @property
    def by_epoch(self) -> bool:  # type: ignore[override]
        """Whether all of its times are whole epochs."""
        return self.unit == "epochs" and steady(self.value, self.start, self.stop)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value_at(Moment(progress))

    def value_at(self, moment: Moment) -> float:
        """See ``Schedule.value_at``."""
        now = self._now(moment) + ROUNDING
        within = self.start <= now and (self.stop is None or now < self.stop)
        return value(self.value, moment) if within else 0.0

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        self._check_times([self.start, self.stop], end)
        check_value(self.value, end)


class Cycle(Schedule):
    """Repeat a schedule, each time from its start to its end.

    Args:
        schedule: What is repeated.
        cycles: How many times, at least 1.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> from lightning_mixup.schedules import Linear
        >>> schedule = Cycle(Linear(start=1.0, end=0.0), cycles=4)
        >>> schedule(0.0), schedule(0.125), schedule(0.25), schedule(1.0)
        (1.0, 0.5, 1.0, 0.0)
    """

    def __init__(self, schedule: Schedule, cycles: int) -> None:
        self._require("schedule", schedule, isinstance(schedule, Schedule), "a schedule")
        whole = isinstance(cycles, int) and not isinstance(cycles, bool) and cycles >= 1
        self._require("cycles", cycles, whole, "a whole number of at least 1")
        self.schedule = schedule
        self.cycles = cycles

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value_at(Moment(progress))

    def value_at(self, moment: Moment) -> float:
        """See ``Schedule.value_at``."""
        now = self._now(moment) * self.cycles
        done = min(int(now + ROUNDING), self.cycles - 1)
        return self.schedule(moment.part("progress", done / self.cycles, (done + 1) / self.cycles))

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        super().check(end)
        self.schedule.check(end.part("progress", 1 - 1 / self.cycles, 1.0))


class Join(Schedule):
    """Schedules one after another, each from its start to its end.

    Continuous where the next one starts at the value with which the one before it ends.

    Args:
        schedules: Schedules, or numbers, at least one.
        boundaries: Where the next one begins, increasing, within training; one fewer than schedules.
        unit: What boundaries count: ``"progress"`` in (0, 1), ``"epochs"`` or ``"steps"``.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> from lightning_mixup.schedules import Cosine, Linear
        >>> schedule = Join([Linear(start=0.0, end=1.0), Cosine(start=1.0, end=0.0)], boundaries=[0.2])
        >>> [round(schedule(progress), 4) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self, schedules: Sequence[float | Schedule], boundaries: Sequence[float], unit: Unit = "progress"
    ) -> None:
        self.unit = self._unit(unit)
        self.schedules = self._tuple("schedules", schedules, self._operand)
        self.boundaries = self._boundaries(boundaries, len(self.schedules) - 1)

    @property
    def by_epoch(self) -> bool:  # type: ignore[override]
        """Whether all of its times are whole epochs."""
        return self.unit == "epochs" and all(steady(schedule, *self.boundaries) for schedule in self.schedules)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value_at(Moment(progress))

    def value_at(self, moment: Moment) -> float:
        """See ``Schedule.value_at``."""
        part = bisect_right(self.boundaries, self._now(moment) + ROUNDING)
        return value(self.schedules[part], moment.part(self.unit, *self._edges(moment)[part : part + 2]))

    def _edges(self, moment: Moment) -> tuple[Any, ...]:
        return (0.0, *self.boundaries, moment.length(self.unit))

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        self._check_times(self.boundaries, end, parts=True)
        for schedule, (start, stop) in zip(self.schedules, pairwise(self._edges(end)), strict=True):
            check_value(schedule, end.part(self.unit, start, stop))
