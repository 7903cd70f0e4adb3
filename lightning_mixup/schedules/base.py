"""Values that change in the course of training.

A schedule is an immutable function of training progress, 0 at the first batch and 1 after the last, so that a recipe
survives a change of its length. Times can also be stated in epochs or steps; ``Schedule.bind`` turns them into
progress once the length of training is known.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from itertools import pairwise
from numbers import Real
from operator import add, mul, sub
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args

Unit: TypeAlias = Literal["progress", "epochs", "steps"]
_T = TypeVar("_T")

# Progress within a part of training is a quotient of differences; its rounding must not delay what begins there.
_ROUNDING = 1e-9
_OPERATORS: dict[str, Callable[[float, float], float]] = {"+": add, "-": sub, "*": mul}


# No dataclasses: where Hydra finds one in a list, it takes it for a configuration of its own, and rebuilds it.
class Schedule(ABC):
    """Base of all schedules. A subclass implements ``at`` and keeps its arguments as attributes of their names.

    Schedules and numbers can be added, subtracted and multiplied. Schedules are equal if their arguments are.

    Examples:
        >>> schedule = 0.5 * Cosine(start=1, end=0)
        >>> schedule(0.0), schedule(0.5), schedule(1.0)
        (0.5, 0.25, 0.0)
        >>> schedule
        0.5 * Cosine(start=1.0, end=0.0)
    """

    unit: Unit = "progress"

    def __call__(self, progress: float) -> float:
        """Value at a moment of training.

        Args:
            progress: Batches done as a share of the batches planned, in [0, 1].

        Returns:
            A plain float.

        Raises:
            ValueError: If progress is outside [0, 1], or if the schedule counts epochs or steps and is not bound.
        """
        if self.unit != "progress":
            raise self._unbound(self.unit)
        if not 0 <= progress <= 1:
            raise ValueError(f"{self!r}: progress must be in [0, 1], got {progress!r}")
        return float(self.at(progress))

    @abstractmethod
    def at(self, progress: float) -> float:
        """Value at ``progress``, which is in [0, 1]."""

    def bind(self, epochs: float | None = None, steps: float | None = None) -> Schedule:
        """Turn all times into progress.

        Args:
            epochs: Length of training in epochs, above 0; None if unknown.
            steps: Length of training in optimizer steps, above 0; None if unknown.

        Returns:
            A schedule that can be called.

        Raises:
            ValueError: If training has no length, if it is unknown in both units or in the one that the schedule counts
                in, or if a time lies beyond the end.

        Examples:
            >>> Window(value=0.5, stop=30, unit="epochs").bind(epochs=40)
            Window(value=0.5, stop=0.75)
        """
        if epochs is None and steps is None:
            raise self._unknown_length("")
        if not all(length is None or length > 0 for length in (epochs, steps)):
            raise ValueError(f"{self!r}: epochs and steps must be above 0, got {epochs} and {steps}")
        return self._bind(epochs, steps)

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        return self

    def _require(self, name: str, value: object, accepted: bool, what: str) -> None:
        if not accepted:
            raise ValueError(f"{type(self).__name__}: {name} must be {what}, got {value!r}")

    def _number(self, name: str, value: object, what: str = "a finite number") -> float:
        number = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
        self._require(name, value, number, what)
        return float(cast(float, value))

    def _operand(self, name: str, value: object) -> float | Schedule:
        return value if isinstance(value, Schedule) else self._number(name, value, "a finite number or a schedule")

    def _unit(self, unit: Unit) -> Unit:
        self._require("unit", unit, unit in get_args(Unit), f"one of {', '.join(get_args(Unit))}")
        return unit

    def _time(self, name: str, value: object) -> float:
        time = self._number(name, value)
        what = "in [0, 1], or unit 'epochs' or 'steps'" if self.unit == "progress" else "at least 0"
        self._require(name, time, 0 <= time <= self._end, what)
        return time

    def _tuple(self, name: str, values: object, check: Callable[[str, object], _T]) -> tuple[_T, ...]:
        # Hydra hands over a sequence of its own, which is neither immutable nor hashable.
        self._require(name, values, isinstance(values, Sequence) and not isinstance(values, str), "a sequence")
        return tuple(check(name, value) for value in cast(Sequence[object], values))

    def _boundaries(self, values: object, count: int) -> tuple[float, ...]:
        """Times that leave no part of training empty."""
        boundaries = self._tuple("boundaries", values, self._time)
        increasing = all(first < second for first, second in pairwise((0.0, *boundaries, self._end)))
        what = f"{max(count, 0)} increasing times above 0{' and below 1' if self.unit == 'progress' else ''}"
        self._require("boundaries", boundaries, len(boundaries) == count and increasing, what)
        return boundaries

    @property
    def _end(self) -> float:
        return 1.0 if self.unit == "progress" else math.inf

    def _fraction(self, time: float, epochs: float | None, steps: float | None) -> float:
        """A time as progress."""
        if self.unit == "progress":
            return time
        length = epochs if self.unit == "epochs" else steps
        if length is None:
            raise self._unknown_length(f" in {self.unit}")
        if time / length > 1 + _ROUNDING:
            raise ValueError(
                f"{self!r} reaches beyond the end of training, which lasts {length:g} {self.unit}; "
                "train longer, or state its times as progress in [0, 1]"
            )
        return _clip(time / length)

    def _fractions(self, times: Sequence[float], epochs: float | None, steps: float | None) -> tuple[float, ...]:
        """Boundaries as progress."""
        fractions = tuple(self._fraction(time, epochs, steps) for time in times)
        if fractions and fractions[-1] == 1:
            raise ValueError(f"{self!r} ends where its last part begins; leave that out, or train longer")
        return fractions

    def _unbound(self, unit: str) -> ValueError:
        return ValueError(f"{self!r} counts {unit}; say how many there are: schedule.bind({unit}=...)")

    def _unknown_length(self, where: str) -> ValueError:
        return ValueError(
            f"{self!r} needs the length of training{where}, which is unknown. Give the Trainer max_epochs or "
            "max_steps, and limit_train_batches if the data set has no length; or pass a number instead"
        )

    def __setattr__(self, name: str, value: object) -> None:
        if name in vars(self):
            raise AttributeError(f"{self!r} is immutable; make another one")
        super().__setattr__(name, value)

    def _arguments(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def __repr__(self) -> str:
        defaults = {name: parameter.default for name, parameter in signature(type(self)).parameters.items()}
        given = [f"{name}={value!r}" for name, value in self._arguments().items() if value != defaults[name]]
        return f"{type(self).__name__}({', '.join(given)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and type(self) is type(other) and self._arguments() == other._arguments()

    def __hash__(self) -> int:
        return hash((type(self), *self._arguments().values()))

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
        value = schedule(moment / 1000)
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

    def __init__(self, value: float) -> None:
        self.value = self._number("value", value)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.value

    def bind(self, epochs: float | None = None, steps: float | None = None) -> Schedule:
        """Itself: for a constant, training need not have a known length."""
        return self


class Linear(Schedule):
    """Along a straight line.

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
    """Along half a cosine, level at both ends.

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
    """One constant after the other.

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

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return self.values[bisect_right(self.boundaries, progress + _ROUNDING)]

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        return Step(self.values, self._fractions(self.boundaries, epochs, steps))


class Warmup(Schedule):
    """Linearly from zero into a value, or into another schedule, which goes its own way meanwhile.

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
        value = _value(self.value, progress)
        return value * (progress / self.until) if progress < self.until else value

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        return Warmup(_bound(self.value, epochs, steps), self._fraction(self.until, epochs, steps))


class Window(Schedule):
    """A value, or another schedule, for a part of training, and zero before and after.

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

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        now = progress + _ROUNDING
        return _value(self.value, progress) if self.start <= now and (self.stop is None or now < self.stop) else 0.0

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        stop = None if self.stop is None else self._fraction(self.stop, epochs, steps)
        return Window(_bound(self.value, epochs, steps), self._fraction(self.start, epochs, steps), stop)


class Cycle(Schedule):
    """A schedule over and over, each time from its start to its end.

    Args:
        schedule: What is repeated.
        cycles: How many times, at least 1.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
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
        done = min(int(progress * self.cycles + _ROUNDING), self.cycles - 1)
        return self.schedule(_clip(progress * self.cycles - done))

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        return Cycle(_bound(self.schedule, *_part(1 / self.cycles, epochs, steps)), self.cycles)


class Join(Schedule):
    """One schedule after the other, each from its start to its end.

    Continuous where the next one starts at the value with which the one before it ends.

    Args:
        schedules: Schedules, or numbers, at least one.
        boundaries: Where the next one begins, increasing, within training; one fewer than schedules.
        unit: What boundaries count: ``"progress"`` in (0, 1), ``"epochs"`` or ``"steps"``.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
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

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        part = bisect_right(self.boundaries, progress + _ROUNDING)
        start, stop = (0.0, *self.boundaries, 1.0)[part : part + 2]
        return _value(self.schedules[part], _clip((progress - start) / (stop - start)))

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        boundaries = self._fractions(self.boundaries, epochs, steps)
        shares = [stop - start for start, stop in pairwise((0.0, *boundaries, 1.0))]
        schedules = [
            _bound(schedule, *_part(share, epochs, steps))
            for schedule, share in zip(self.schedules, shares, strict=True)
        ]
        return Join(schedules, boundaries)


class MixupWithoutHesitation(Schedule):
    """Mixing that gives way to clean batches in three stages (Yu et al. 2021).

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
        if self.epochs is None:
            raise self._unbound("epochs")
        second, third = self.boundaries
        if progress + _ROUNDING < second:
            return self.value
        if progress + _ROUNDING < third:
            epoch = int(progress * self.epochs + _ROUNDING)
            return 0.0 if epoch % 2 else self.value
        return self.value * _clip((1 - progress) / (1 - third))

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        boundaries = self._fractions(self.boundaries, epochs, steps)
        if self.epochs is None and epochs is None:
            raise self._unknown_length(" in epochs")
        return MixupWithoutHesitation(self.value, boundaries, "progress", self.epochs or epochs)


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


class Combined(Schedule):
    """Two schedules, or a schedule and a number, in one: what ``+``, ``-`` and ``*`` return.

    Args:
        left: First operand.
        operator: ``"+"``, ``"-"`` or ``"*"``.
        right: Second operand.

    Raises:
        ValueError: If an operand is neither a finite number nor a schedule, or the operator another one.

    Examples:
        >>> schedule = Combined(Linear(start=0.0, end=1.0), "*", 0.5)
        >>> schedule, schedule == Linear(start=0.0, end=1.0) * 0.5, schedule(0.5)
        (Linear(start=0.0, end=1.0) * 0.5, True, 0.25)
    """

    def __init__(self, left: float | Schedule, operator: Literal["+", "-", "*"], right: float | Schedule) -> None:
        self._require("operator", operator, operator in _OPERATORS, "one of + - *")
        self.left = self._operand("left", left)
        self.operator = operator
        self.right = self._operand("right", right)

    def at(self, progress: float) -> float:
        """See ``Schedule.at``."""
        return _OPERATORS[self.operator](_value(self.left, progress), _value(self.right, progress))

    def _bind(self, epochs: float | None, steps: float | None) -> Schedule:
        return Combined(_bound(self.left, epochs, steps), self.operator, _bound(self.right, epochs, steps))

    def __repr__(self) -> str:
        sum_in_product = self.operator == "*" and isinstance(self.left, Combined) and self.left.operator != "*"
        left = f"({self.left!r})" if sum_in_product else repr(self.left)
        right = f"({self.right!r})" if isinstance(self.right, Combined) else repr(self.right)
        return f"{left} {self.operator} {right}"


def plot(
    schedules: Mapping[str, float | Schedule],
    path: str | Path,
    epochs: float | None = None,
    steps: float | None = None,
) -> None:
    """Draw schedules over the course of training, one below the other.

    Args:
        schedules: Schedules by the names of what they are for.
        path: The picture to write; its suffix decides the format.
        epochs: Length of training in epochs, for schedules that need it; drawn as a second scale.
        steps: Length of training in optimizer steps, for schedules that need it.

    Raises:
        ValueError: If a schedule needs a length that is not given, or has a time beyond it.
    """
    from matplotlib.figure import Figure

    moments = [moment / 2000 for moment in range(2001)]
    figure = Figure(figsize=(7, (0.4 if epochs is None else 0.8) + 1.3 * len(schedules)), layout="constrained")
    axes = figure.subplots(len(schedules), sharex=True, squeeze=False)[:, 0]
    for axis, (name, value) in zip(axes, schedules.items(), strict=True):
        schedule = as_schedule(value)
        bound = schedule if epochs is None and steps is None else schedule.bind(epochs, steps)
        axis.plot(moments, [bound(moment) for moment in moments], color="#3465a4")
        axis.set_title(fill(repr(schedule), 90), loc="left", fontsize=8, color="#777777")
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0)
    axes[-1].set_xlabel("training progress")
    if epochs is not None:
        scale = (lambda progress: progress * epochs), (lambda epoch: epoch / epochs)
        second = axes[0].secondary_xaxis("top", functions=scale)
        second.set_xlabel("epoch")
        second.xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels(axes)
    figure.savefig(path, dpi=110)


def _bound(value: float | Schedule, epochs: float | None, steps: float | None) -> Any:  # noqa: ANN401
    return value.bind(epochs, steps) if isinstance(value, Schedule) else value


def _part(share: float, *lengths: float | None) -> list[float | None]:
    """Length of a part of training."""
    return [None if length is None else share * length for length in lengths]


def _value(value: float | Schedule, progress: float) -> float:
    return value(progress) if isinstance(value, Schedule) else value


def _between(start: float, end: float, share: float) -> float:
    """The weighted mean, kept by force within the bounds that rounding would leave by a bit."""
    return min(max((1 - share) * start + share * end, min(start, end)), max(start, end))


def _clip(progress: float) -> float:
    return min(max(progress, 0.0), 1.0)
