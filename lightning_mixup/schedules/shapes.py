"""Schedules that stand alone: constants, lines, steps and functions."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial

from lightning_mixup.schedules.base import Schedule, steady
from lightning_mixup.schedules.moment import ROUNDING, Moment, Unit


def as_schedule(value: float | Schedule | Callable[[float], float], name: str = "value") -> Schedule:
    """The schedule that a number, a schedule or a function of progress stands for.

    Args:
        value: A number is a constant; any other function than a schedule is called with progress in [0, 1].
        name: What to call it in an error.

    Returns:
        A schedule; ``value`` itself if it is one.

    Raises:
        ValueError: If it is none of these.

    Examples:
        >>> as_schedule(0.2), as_schedule(math.sqrt)(0.25)
        (Constant(value=0.2), 0.5)
    """
    if isinstance(value, Schedule):
        return value
    if callable(value):
        return Function(value)
    try:
        return Constant(value)
    except ValueError:
        accepted = "a finite number, a schedule or a function of progress"
        raise ValueError(f"{name} must be {accepted}, got {value!r}") from None


def check_range(name: str, schedule: Schedule, low: float, high: float) -> None:
    """Refuse a schedule that leaves a range at one of 1,001 equidistant moments.

    Args:
        name: What the schedule is for, such as ``"prob"``.
        schedule: A schedule that is bound, or counts in progress.
        low: Least accepted value.
        high: Greatest accepted value; infinity accepts all finite ones.

    Raises:
        ValueError: If a value is out of range; the message tells it and its time.

    Examples:
        >>> check_range("prob", Linear(start=0.5, end=2.0), 0, 1)
        Traceback (most recent call last):
        ValueError: prob must stay in [0, 1], but Linear(start=0.5, end=2.0) is 1.001 at progress 0.334
    """
    for moment in range(1001):
        value = schedule._probe(moment / 1000)
        if not (low <= value <= high and math.isfinite(value)):
            raise ValueError(
                f"{name} must stay in [{low:g}, {high:g}], but {schedule!r} is {value:.4g} at progress {moment / 1000}"
            )


class Constant(Schedule):
    """The same value from start to end.

    Args:
        value: The value.

    Raises:
        ValueError: If it is no finite number.

    Examples:
        >>> Constant(0.2)(0.7)
        0.2
    """

    by_epoch = True

    def __init__(self, value: float) -> None:
        self.value = self._number("value", value)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value

    def check(self, end: Moment) -> None:
        """A constant suits every length of training, and an unknown one."""


class Linear(Schedule):
    """A straight line between two values.

    Args:
        start: Value at progress 0.
        end: Value at progress 1.

    Raises:
        ValueError: If one of them is no finite number.

    Examples:
        >>> schedule = Linear(start=1.0, end=0.2)
        >>> schedule(0.0), schedule(0.5), schedule(1.0)
        (1.0, 0.6, 0.2)
    """

    def __init__(self, start: float, end: float) -> None:
        self.start = self._number("start", start)
        self.end = self._number("end", end)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return _between(self.start, self.end, progress)


class Cosine(Schedule):
    """Half a cosine between two values, flat at both ends.

    Args:
        start: Value at progress 0.
        end: Value at progress 1.

    Raises:
        ValueError: If one of them is no finite number.

    Examples:
        >>> schedule = Cosine(start=1.0, end=0.0)
        >>> schedule(0.0), round(schedule(0.25), 4), schedule(0.5), schedule(1.0)
        (1.0, 0.8536, 0.5, 0.0)
    """

    def __init__(self, start: float, end: float) -> None:
        self.start = self._number("start", start)
        self.end = self._number("end", end)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return _between(self.start, self.end, (1 - math.cos(math.pi * progress)) / 2)


class Step(Schedule):
    """Constants, one after another.

    Args:
        values: The constants, at least one.
        boundaries: Where the next one begins, increasing, within training; one fewer than values.
        unit: What boundaries count: ``"progress"`` in (0, 1), ``"epochs"`` or ``"steps"``.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> schedule = Step(values=[1.0, 0.5, 0.0], boundaries=[0.6, 0.9])
        >>> [schedule(progress) for progress in (0.0, 0.59, 0.6, 0.9, 1.0)]
        [1.0, 1.0, 0.5, 0.0, 0.0]
    """

    def __init__(self, values: Sequence[float], boundaries: Sequence[float], unit: Unit = "progress") -> None:
        self.unit = self._unit(unit)
        self.values = self._tuple("values", values, self._number)
        self.boundaries = self._boundaries(boundaries, len(self.values) - 1)

    @property
    def by_epoch(self) -> bool:  # type: ignore[override]
        """Whether all of its times are whole epochs."""
        return self.unit == "epochs" and steady(0.0, *self.boundaries)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value_at(Moment(progress))

    def value_at(self, moment: Moment) -> float:
        """See ``Schedule.value_at``."""
        return self.values[bisect_right(self.boundaries, self._now(moment) + ROUNDING)]

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        self._check_times(self.boundaries, end, parts=True)


class MixupWithoutHesitation(Schedule):
    """Mix every batch at first, then fewer and fewer of them, in three stages (Yu et al. 2021).

    For ``prob``: every batch is mixed first; then all batches of every other epoch; at last fewer and fewer of them,
    linearly down to none.

    Args:
        value: What holds while everything is mixed.
        boundaries: Where the second stage begins, and the third.
        unit: What boundaries count: ``"progress"`` in (0, 1), ``"epochs"`` or ``"steps"``.
        epochs: Length of training in epochs, of which the even ones are mixed in the second stage, counted from 0.
            None takes that of the Trainer.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> schedule = MixupWithoutHesitation(epochs=20)
        >>> [round(schedule(epoch / 20), 4) for epoch in range(11, 21)]
        [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        value: float = 1.0,
        boundaries: Sequence[float] = (0.6, 0.9),
        unit: Unit = "progress",
        epochs: float | None = None,
    ) -> None:
        self.unit = self._unit(unit)
        self.value = self._number("value", value)
        self.boundaries = self._boundaries(boundaries, 2)
        self.epochs = None if epochs is None else self._number("epochs", epochs)
        self._require("epochs", epochs, epochs is None or epochs > 0, "above 0, or None for those of the Trainer")

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value_at(Moment(progress))

    def value_at(self, moment: Moment) -> float:
        """See ``Schedule.value_at``."""
        now, (second, third) = self._now(moment), self.boundaries
        if now + ROUNDING < second:
            return self.value
        if now + ROUNDING < third:
            return 0.0 if int(self._epoch(moment) + ROUNDING) % 2 else self.value
        end = moment.length(self.unit)
        if end is None:
            raise self._unknown_length(f" in {self.unit}")
        return self.value * min(max((end - now) / (end - third), 0.0), 1.0)

    def _counts(self) -> bool:
        return self.epochs is None or super()._counts()

    def _epoch(self, moment: Moment) -> float:
        if self.epochs is not None and moment.progress is not None:
            return moment.progress * self.epochs
        if moment.epoch is None:
            raise self._unbound("epochs")
        return moment.epoch

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        self._check_times(self.boundaries, end, parts=True)
        if end.length(self.unit) is None:
            raise self._unknown_length(f" in {self.unit}")


class Function(Schedule):
    """Any function of training progress.

    Args:
        function: Called with progress in [0, 1], returns a number. It is pickled by its name, so that only functions
            of a module, and not lambdas, reach the processes of a ``ddp_spawn``.

    Raises:
        ValueError: If it cannot be called.

    Examples:
        >>> Function(math.sqrt)(0.25), Function(math.sqrt)
        (0.5, Function(math.sqrt))
    """

    def __init__(self, function: Callable[[float], float]) -> None:
        self._require("function", function, callable(function), "a function of progress")
        if isinstance(function, partial) and not (function.args or function.keywords):
            function = function.func  # Hydra makes a partial of a function that it is to name
        self.function = function

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.function(progress)

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", None)
        return f"Function({f'{self.function.__module__}.{name}' if name else repr(self.function)})"


def _between(start: float, end: float, share: float) -> float:
    """The weighted mean, kept by force within the bounds that rounding would leave by a bit."""
    return min(max((1 - share) * start + share * end, min(start, end)), max(start, end))
