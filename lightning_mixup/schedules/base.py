"""What all schedules are: immutable functions of a moment of training.

A schedule is asked about training progress, 0 at the first batch and 1 after the last, so that a recipe survives a
change of its length. Times can also be stated in epochs or steps, which are counted, not converted.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from operator import add, mul, sub
from typing import Literal, get_args

from lightning_mixup.schedules.immutable import Value
from lightning_mixup.schedules.moment import ROUNDING, Moment, Unit

_LAST = {"progress": 1.0, "epochs": math.inf, "steps": math.inf}
_OPERATORS: dict[str, Callable[[float, float], float]] = {"+": add, "-": sub, "*": mul}


class Schedule(Value, ABC):
    """Base of all schedules. A subclass implements ``at`` and keeps its arguments as attributes of their names.

    Schedules and numbers can be added, subtracted and multiplied. Schedules are equal if their arguments are.

    Examples:
        >>> from lightning_mixup.schedules import Cosine
        >>> schedule = 0.5 * Cosine(start=1, end=0)
        >>> schedule(0.0), schedule(0.5), schedule(1.0)
        (0.5, 0.25, 0.0)
        >>> schedule
        0.5 * Cosine(start=1.0, end=0.0)
    """

    unit: Unit = "progress"
    by_epoch: bool = False
    """Whether it changes at no other moment than the beginning of an epoch."""

    def __call__(self, when: float | Moment) -> float:
        """Value at a moment of training.

        Args:
            when: Share of training that is done, in [0, 1]; or a moment on all clocks.

        Returns:
            A plain float.

        Raises:
            ValueError: If progress is outside [0, 1], or if the schedule counts on a clock that the moment does not
                have.
        """
        if isinstance(when, Moment):
            return float(self.value_at(when))
        if not 0 <= when <= 1:
            raise ValueError(f"{self!r}: progress must be in [0, 1], got {when!r}")
        return float(self.value_at(Moment(when)))

    @abstractmethod
    def at(self, progress: float) -> float:
        """Value at ``progress``, which is in [0, 1]."""

    def value_at(self, moment: Moment) -> float:
        """Value at a moment; that at its progress, unless a schedule counts on another clock."""
        return self.at(self._now(moment))

    def bind(self, epochs: float | None = None, steps: float | None = None) -> Schedule:
        """Check all times against the length of training, and make a schedule of progress alone.

        Args:
            epochs: Length of training in epochs, above 0; None if unknown.
            steps: Length of training in optimizer steps, above 0; None if unknown.

        Returns:
            A schedule that can be called with progress in [0, 1], or with a moment; itself if it counts neither epochs
            nor steps.

        Raises:
            ValueError: If a time lies beyond the end, or if the schedule needs a length that is unknown.

        Examples:
            >>> from lightning_mixup.schedules import Window
            >>> schedule = Window(value=0.5, stop=30, unit="epochs").bind(epochs=40)
            >>> schedule(0.7), schedule(0.8)
            (0.5, 0.0)
        """
        if not all(length is None or length > 0 for length in (epochs, steps)):
            raise ValueError(f"{self!r}: epochs and steps must be above 0, got {epochs} and {steps}")
        self.check(_planned(1.0, epochs, steps, (math.inf, math.inf)))
        return _Bound(self, epochs, steps) if self._counts() else self

    def check(self, end: Moment) -> None:
        """Raise a ValueError if the schedule cannot be evaluated, or has times beyond the end of training."""
        if end.progress is None:
            raise self._unknown_length("")

    def _check_times(self, times: Sequence[float | None], end: Moment, parts: bool = False) -> None:
        length = end.length(self.unit)
        if length is None:
            if self.unit == "progress":
                raise self._unknown_length("")
            return
        last = max((time for time in times if time is not None), default=0.0)
        if last > length * (1 + ROUNDING):
            raise ValueError(
                f"{self!r} reaches beyond the end of training, which lasts {length:g} {self.unit}; "
                "train longer, or state its times as progress in [0, 1]"
            )
        if parts and times and last >= length * (1 - ROUNDING):
            raise ValueError(f"{self!r} ends where its last part begins; leave that out, or train longer")

    def _now(self, moment: Moment) -> float:
        now = moment.now(self.unit)
        if now is None:
            raise self._unknown_length("") if self.unit == "progress" else self._unbound(self.unit)
        return now

    def _counts(self) -> bool:
        """Whether it, or a schedule within it, counts epochs or steps."""
        return self.unit != "progress" or any(part._counts() for part in self._parts())

    def _parts(self) -> Iterator[Schedule]:
        for argument in self._arguments().values():
            yield from (
                part
                for part in (argument if isinstance(argument, tuple) else (argument,))
                if isinstance(part, Schedule)
            )

    def _probe(self, progress: float) -> float:
        return self(progress)

    def _operand(self, name: str, value: object) -> float | Schedule:
        return value if isinstance(value, Schedule) else self._number(name, value, "a finite number or a schedule")

    def _unit(self, unit: Unit) -> Unit:
        self._require("unit", unit, unit in get_args(Unit), f"one of {', '.join(get_args(Unit))}")
        return unit

    def _time(self, name: str, value: object) -> float:
        time = self._number(name, value)
        what = "in [0, 1], or unit 'epochs' or 'steps'" if self.unit == "progress" else "at least 0"
        self._require(name, time, 0 <= time <= _LAST[self.unit], what)
        return time

    def _boundaries(self, values: object, count: int) -> tuple[float, ...]:
        """Times that leave no part of training empty."""
        boundaries = self._tuple("boundaries", values, self._time)
        increasing = all(first < second for first, second in pairwise((0.0, *boundaries, _LAST[self.unit])))
        what = f"{max(count, 0)} increasing times above 0{' and below 1' if self.unit == 'progress' else ''}"
        self._require("boundaries", boundaries, len(boundaries) == count and increasing, what)
        return boundaries

    def _unbound(self, unit: str) -> ValueError:
        return ValueError(f"{self!r} counts {unit}; say how many there are: schedule.bind({unit}=...)")

    def _unknown_length(self, where: str) -> ValueError:
        return ValueError(
            f"{self!r} needs the length of training{where}, which is unknown. Give the Trainer max_epochs or "
            "max_steps, and limit_train_batches if the data set has no length; or pass a number instead"
        )

    def __add__(self, other: float | Schedule) -> Schedule:
        return Combined(self, "+", other)

    def __radd__(self, other: float) -> Schedule:
        return Combined(other, "+", self)

    def __sub__(self, other: float | Schedule) -> Schedule:
        return Combined(self, "-", other)

    def __rsub__(self, other: float) -> Schedule:
        return Combined(other, "-", self)

    def __mul__(self, other: float | Schedule) -> Schedule:
        return Combined(self, "*", other)

    def __rmul__(self, other: float) -> Schedule:
        return Combined(other, "*", self)


class Combined(Schedule):
    """Two schedules, or a schedule and a number, in one: what ``+``, ``-`` and ``*`` return.

    Args:
        left: First operand.
        operator: ``"+"``, ``"-"`` or ``"*"``.
        right: Second operand.

    Raises:
        ValueError: If an operand is neither a finite number nor a schedule, or the operator another one.

    Examples:
        >>> from lightning_mixup.schedules import Linear
        >>> schedule = Combined(Linear(start=0.0, end=1.0), "*", 0.5)
        >>> schedule, schedule == Linear(start=0.0, end=1.0) * 0.5, schedule(0.5)
        (Linear(start=0.0, end=1.0) * 0.5, True, 0.25)
    """

    def __init__(self, left: float | Schedule, operator: Literal["+", "-", "*"], right: float | Schedule) -> None:
        self._require("operator", operator, operator in _OPERATORS, "one of + - *")
        self.left = self._operand("left", left)
        self.operator = operator
        self.right = self._operand("right", right)

    @property
    def by_epoch(self) -> bool:  # type: ignore[override]
        """Whether both operands are."""
        return steady(self.left) and steady(self.right)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value_at(Moment(progress))

    def value_at(self, moment: Moment) -> float:
        """See ``Schedule.value_at``."""
        return _OPERATORS[self.operator](value(self.left, moment), value(self.right, moment))

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        check_value(self.left, end)
        check_value(self.right, end)

    def __repr__(self) -> str:
        sum_in_product = self.operator == "*" and isinstance(self.left, Combined) and self.left.operator != "*"
        left = f"({self.left!r})" if sum_in_product else repr(self.left)
        right = f"({self.right!r})" if isinstance(self.right, Combined) else repr(self.right)
        return f"{left} {self.operator} {right}"


class _Bound(Schedule):
    """A schedule with the length of training: what `Schedule.bind` returns."""

    def __init__(self, schedule: Schedule, epochs: float | None, steps: float | None) -> None:
        self.schedule = schedule
        self.epochs = epochs
        self.steps = steps
        self.by_epoch = schedule.by_epoch

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.schedule(_planned(progress, self.epochs, self.steps))

    def value_at(self, moment: Moment) -> float:
        """That of the schedule, whose clocks may go otherwise than planned."""
        if moment.epoch is None and moment.step is None:
            return self.at(self._now(moment))
        return self.schedule(moment)

    def check(self, end: Moment) -> None:
        """See ``Schedule.check``."""
        self.schedule.check(end)

    def bind(self, epochs: float | None = None, steps: float | None = None) -> Schedule:
        """The schedule with another length of training."""
        return self.schedule.bind(epochs, steps)

    def _probe(self, progress: float) -> float:
        """Value at a moment that may come; training of unknown length is looked at for a thousand epochs."""
        return self.schedule(_planned(progress, self.epochs, self.steps, (1e3 * progress, 1e6 * progress)))

    def __repr__(self) -> str:
        known = [f"{name}={length:g}" for name, length in (("epochs", self.epochs), ("steps", self.steps)) if length]
        return f"{self.schedule!r}.bind({', '.join(known)})"


def value(operand: float | Schedule, moment: Moment) -> float:
    """Value of a number or a schedule at a moment."""
    return operand(moment) if isinstance(operand, Schedule) else operand


def check_value(operand: float | Schedule, end: Moment) -> None:
    """Check a schedule against the end of training; a number needs none."""
    if isinstance(operand, Schedule):
        operand.check(end)


def steady(operand: float | Schedule, *times: float | None) -> bool:
    """Whether a number or a schedule, and times in epochs, change nothing within an epoch."""
    whole = all(time is None or time == int(time) for time in times)
    return whole and (operand.by_epoch if isinstance(operand, Schedule) else True)


def _planned(
    progress: float,
    epochs: float | None,
    steps: float | None,
    unknown: tuple[float | None, float | None] = (None, None),
) -> Moment:
    """A moment of a training that goes as planned; ``unknown`` says where clocks stand of which the end is unknown."""
    clocks = zip((epochs, steps), unknown, strict=True)
    epoch, step = (time if length is None else progress * length for length, time in clocks)
    return Moment(None if epochs is None and steps is None else progress, epoch, step, epochs, steps)
