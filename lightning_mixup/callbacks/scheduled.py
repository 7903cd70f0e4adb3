"""Arguments that may change in the course of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lightning_mixup.callbacks.options import is_number
from lightning_mixup.schedules import Constant, Moment, Schedule, as_schedule, check_range


class Scheduled:
    """Has arguments that are numbers or schedules, and knows their values at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self._own: dict[str, tuple[float | Schedule, float]] = {}
        self._schedules: dict[str, Schedule] = {}
        self._values: Mapping[str, float] | None = None
        self._epoch: int | None = None
        self._now: Mapping[str, float] = {}

    def scheduled(self, name: str, value: Any, high: float = math.inf) -> Any:  # noqa: ANN401
        """Take an argument that may be a schedule; its value at each moment is then in ``draw.values``.

        Args:
            name: Of the argument.
            value: A number in ``[0, high]``, checked at once, or a schedule, checked when the length of training is
                known.
            high: Greatest accepted value.

        Returns:
            The value as it is, to be kept as an attribute.

        Raises:
            ValueError: If the number is out of range.
        """
        if not callable(value):
            what = f"a number in [0, {high:g}], or a schedule"
            if high == math.inf:
                what = "a finite number of at least 0, or a schedule"
            self._require(name.split(".")[0], value, is_number(value) and 0 <= value <= high, what)
        self._own[name] = value, high
        self._follow({**self._schedules, name: as_schedule(value)})
        return value

    @property
    def changes(self) -> bool:
        """Whether an argument changes in the course of training."""
        return self._values is None

    def bind(self, epochs: float | None, steps: float | None) -> None:
        """Tell the schedules how long training is.

        Args:
            epochs: Length of training in epochs; None if unknown.
            steps: Length of training in optimizer steps; None if unknown.

        Raises:
            MisconfigurationException: If a schedule needs a length that is unknown, or leaves its range.
        """
        bound = {}
        # From the arguments: what is bound already belongs to an earlier fit.
        for name, (value, high) in self._own.items():
            try:
                bound[name] = as_schedule(value).bind(epochs, steps)
                check_range(name, bound[name], 0, high)
            except ValueError as error:
                raise self._error(str(error)) from None
        self._follow(bound)

    def values(self, when: float | Moment) -> Mapping[str, float]:
        """The values of all arguments that may be schedules at a moment of training, by their names."""
        if self._values is not None:
            return self._values
        if self._epoch is not None and isinstance(when, Moment) and when.epoch is not None:
            if int(when.epoch) != self._epoch:
                self._epoch, self._now = int(when.epoch), self._at(when)
            return self._now
        return self._at(when)

    def _follow(self, schedules: Mapping[str, Schedule]) -> None:
        self._schedules = dict(schedules)
        constant = all(isinstance(schedule, Constant) for schedule in schedules.values())
        self._values = self._at(0.0) if constant else None
        self._epoch = -1 if all(schedule.by_epoch for schedule in schedules.values()) else None

    def _at(self, when: float | Moment) -> Mapping[str, float]:
        return {name: schedule(when) for name, schedule in self._schedules.items()}

    def _require(self, argument: str, value: object, accepted: bool, what: str) -> None:
        if not accepted:
            raise ValueError(f"{type(self).__name__}: {argument} must be {what}, got {value!r}")

    def _error(self, message: str) -> MisconfigurationException:
        return MisconfigurationException(f"{type(self).__name__}: {message}")
