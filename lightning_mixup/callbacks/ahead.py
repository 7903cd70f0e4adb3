"""Draws for step after step, several of them made at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.drawing import Method
from lightning_mixup.functional.sampling import Stream


class Ahead:
    """The draws of one process in one run.

    Where steps follow each other and differ in their numbers alone, several draws are made at once: most of the time
    goes into fetching the code that makes the first of them into the processor's caches. Each is the draw of its own
    step all the same.

    Args:
        method: Draws, and tells by its ``foresight`` for how many steps at once.
        seed: Seed of the run.
        rank: Rank of the process.

    Attributes:
        rank: As above.
    """

    def __init__(self, method: Method, seed: int, rank: int) -> None:
        self.rank = rank
        self._method = method
        self._stream = Stream(seed, rank)
        self.renew()

    def renew(self) -> None:
        """Forget what was made for later steps, whose batches will have another structure."""
        self._ready: Mapping[int, Draw] = {}
        self._last: int | None = None

    def draw(self, step: int, *batch: Any) -> Draw:  # noqa: ANN401
        """The draw of a step.

        Args:
            step: Its number since the start of training.
            batch: What `Method.draw` wants to know of its batch.
        """
        if step not in self._ready:
            # One alone at first, and where steps are taken in another order.
            count = self._method.foresight if step - 1 == self._last else 1
            draw, at = self._method.draw, self._stream.at
            self._ready = {later: draw(at(later), *batch) for later in range(step, step + count)}
        self._last = step
        return self._ready[step]
