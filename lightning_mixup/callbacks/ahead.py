"""Draws for step after step, several of them made at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

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

    def draw(self, step: int, inputs: Sequence[Tensor], *rest: Any) -> Draw:  # noqa: ANN401
        """The draw of a step.

        Args:
            step: Its number since the start of training.
            inputs: The inputs of its batch.
            rest: What else `Method.draw` wants to know of the batch.

        Raises:
            MisconfigurationException: If ``decide`` looks at more than shapes, though the class says otherwise.
        """
        if step not in self._ready:
            count = self._method.foresight
            if count > 1:
                # So that nobody can look at numbers that only this step has.
                inputs = [torch.empty(x.shape, dtype=x.dtype, device="meta") for x in inputs]
                if step - 1 != self._last:  # one alone at first, and where steps are taken in another order
                    count = 1
            self._ready = {later: self._draw(later, inputs, *rest) for later in range(step, step + count)}
        self._last = step
        return self._ready[step]

    def _draw(self, step: int, inputs: Sequence[Tensor], *rest: Any) -> Draw:  # noqa: ANN401
        try:
            return self._method.draw(self._stream.at(step), inputs, *rest)
        except (RuntimeError, TypeError, ValueError) as error:
            if inputs and inputs[0].is_meta and "meta" in str(error):
                raise self._method._error(
                    "decide(...) looks at the values of the inputs, but by_shapes=True says that it needs their shapes "
                    "alone; leave by_shapes out of the class"
                ) from error
            raise
