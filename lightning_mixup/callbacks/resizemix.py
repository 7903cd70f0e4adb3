"""ResizeMix: other images as a whole, made smaller, labels by area."""

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.cutmix import Paste, check_spatial, take_dims
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.options import Options, is_number
from lightning_mixup.callbacks.refusals import require_floats
from lightning_mixup.functional import Box, resizemix, sample_resize
from lightning_mixup.functional.boxes import cut_dims
from lightning_mixup.schedules import Schedule


class ResizeMix(MixCallback):
    """Paste another image as a whole, made smaller (Qin et al. 2020).

    As CutMix, but the pasted region shows all of the partner, so that its label is never without its object. ``lam`` is
    the share of the pixels that stay uncovered. Published: scales of 0.1 to 0.8.

    Args:
        scale: Bounds of the scale, ``0 < low <= high <= 1``, between which it is uniform. It is that of each side.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. A number or a ``Schedule``.
        dims: Dimensions that are resized, as for ``CutMix``.
        **options: What all methods share, see ``Options``.

    Raises:
        TypeError: If an option has a name that does not exist.
        ValueError: If an argument is not accepted.

    Examples:
        >>> ResizeMix(scale=(0.2, 0.5))
        ResizeMix(scale=(0.2, 0.5))
    """

    def __init__(
        self,
        scale: Sequence[float] = (0.1, 0.8),
        prob: float | Schedule = 1.0,
        *,
        dims: int | Sequence[int] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(prob, **options)
        pair = isinstance(scale, Sequence) and len(scale) == 2 and all(map(is_number, scale))
        self._require("scale", scale, pair and 0 < scale[0] <= scale[1] <= 1, "two numbers, 0 < low <= high <= 1")
        self.scale = tuple(scale)
        self.dims = take_dims(self, dims)

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs that cannot be resized."""
        require_floats(self, inputs)
        check_spatial(self, inputs, self.dims)

    def decide(
        self, rng: np.random.Generator, count: int | None, inputs: Sequence[Tensor], values: Mapping[str, float]
    ) -> Draw:
        """Draw the region, whose area is the partner's weight. See `Method.decide`."""
        shape = inputs[0].shape
        dims = cut_dims(len(shape), self.dims)
        low, high = self.scale
        return Resized(sample_resize(rng, low, high, [shape[dim] for dim in dims], count), shape, dims)

    def tallies(self) -> tuple[str, ...]:
        """See `Method.tallies`."""
        return ("pasted_area",)


class Resized(Paste):
    """A region of every sample shows its whole partner."""

    def paste(
        self, x: Tensor, box: Box, dims: Sequence[int], key: Key, *, mask: bool = False, inplace: bool = False
    ) -> Tensor:
        """See `Paste.paste`."""
        memory = self.memory.get(key)
        return resizemix(x, box, self.shift, dims=dims, nearest=mask, inplace=inplace, memory=memory)
