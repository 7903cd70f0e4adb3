"""Where training stands: what a schedule is asked about."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Unit: TypeAlias = Literal["progress", "epochs", "steps"]

# Moments are sums and quotients; their rounding must not delay what begins there.
ROUNDING = 1e-9


class Moment(NamedTuple):
    """A moment of training on three clocks, and where they stand at its end. None is what is not known.

    Attributes:
        progress: Share of training that is done, in [0, 1].
        epoch: Epochs that are done; 2.5 is the middle of the third.
        step: Optimizer steps that are done.
        epochs: Length of training in epochs.
        steps: Length of training in optimizer steps.

    Examples:
        >>> Moment(0.5, epoch=10, step=1000, epochs=20, steps=2000).part("epochs", 5, 15)
        Moment(progress=0.5, epoch=5, step=500.0, epochs=10, steps=1000.0)
    """

    progress: float | None = None
    epoch: float | None = None
    step: float | None = None
    epochs: float | None = None
    steps: float | None = None

    def now(self, unit: Unit) -> float | None:
        """The time on one of the clocks."""
        return self.progress if unit == "progress" else self.epoch if unit == "epochs" else self.step

    def length(self, unit: Unit) -> float | None:
        """The length of training on one of the clocks; for progress 1, unless training has no known length."""
        if unit == "progress":
            return None if self.progress is None else 1.0
        return self.epochs if unit == "epochs" else self.steps

    def part(self, unit: Unit, start: float, stop: float | None) -> Moment:
        """The same moment within a part of training, as if the part were all of it.

        Args:
            unit: The clock on which the part begins and ends.
            start: When it begins.
            stop: When it ends; None if unknown.

        Returns:
            A moment whose clocks stand at 0 at the beginning of the part. Those that cannot be converted are None.
        """
        length, now = self.length(unit), self.now(unit)
        span = None if stop is None else stop - start
        progress = None if now is None or span is None else min(max((now - start) / span, 0.0), 1.0)
        begin = 0.0 if start == 0 else None if length is None else start / length
        share = None if length is None or span is None else span / length
        clocks: list[float | None] = []
        for clock, time, end in (("epochs", self.epoch, self.epochs), ("steps", self.step, self.steps)):
            if clock == unit:
                clocks += [None if time is None else max(time - start, 0), span]
                continue
            before = 0.0 if begin == 0 else None if begin is None or end is None else begin * end
            clocks.append(None if time is None or before is None else max(time - before, 0.0))
            clocks.append(None if share is None or end is None else share * end)
        epoch, epochs, step, steps = clocks
        return Moment(progress, epoch, step, epochs, steps)
