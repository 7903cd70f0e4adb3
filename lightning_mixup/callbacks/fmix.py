"""FMix: regions of any shape of other images, labels by area."""

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.cutmix import check_spatial, take_dims
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.options import Options, is_number
from lightning_mixup.functional import fmix, sample_fmix, sample_lam
from lightning_mixup.functional.boxes import cut_dims, map_dims
from lightning_mixup.functional.fmix import Mask
from lightning_mixup.schedules import Schedule


class FMix(MixCallback):
    """Show another image through a mask cut out of low-frequency noise (Harris et al. 2020).

    As CutMix, with regions of any shape. Works on series, images and, with ``dims=(2, 3, 4)``, volumes. Published:
    alpha 1 and decay 3.

    Args:
        alpha: Strength, at least 0: shares of the original are drawn from Beta(alpha, alpha). 0 mixes nothing. A number
            or a ``Schedule``.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. A number or a ``Schedule``.
        decay: How fast high frequencies fall off, at least 0. The larger it is, the smoother are the edges.
        soft: Share of the pixels on either side of the edge where both images blend into each other, in [0, 0.5].
        dims: Dimensions that are masked, as for ``CutMix``.
        **options: What all methods share, see ``Options``.

    Raises:
        TypeError: If an option has a name that does not exist.
        ValueError: If an argument is not accepted.

    Examples:
        >>> FMix(alpha=1.0, decay=2.5)
        FMix(decay=2.5)
    """

    def __init__(
        self,
        alpha: float | Schedule = 1.0,
        prob: float | Schedule = 1.0,
        *,
        decay: float = 3.0,
        soft: float = 0.0,
        dims: int | Sequence[int] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(prob, **options)
        self.alpha = self.scheduled("alpha", alpha)
        self._require("decay", decay, is_number(decay) and decay >= 0, "a finite number of at least 0")
        self._require("soft", soft, is_number(soft) and 0 <= soft <= 0.5, "a number in [0, 0.5]")
        self.decay = decay
        self.soft = soft
        self.dims = take_dims(self, dims)

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs without the dimensions that are masked, or of different extents there."""
        check_spatial(self, inputs, self.dims)

    def decide(
        self, rng: np.random.Generator, count: int | None, inputs: Sequence[Tensor], values: Mapping[str, float]
    ) -> Draw:
        """Draw the mask, whose real area is the weight. See `Method.decide`."""
        shape = inputs[0].shape
        dims = cut_dims(len(shape), self.dims)
        lam = sample_lam(rng, values["alpha"], count)
        mask = sample_fmix(rng, lam, [shape[dim] for dim in dims], self.decay, self.soft)
        return Masked(mask, shape, dims)

    def tallies(self) -> tuple[str, ...]:
        """See `Method.tallies`."""
        return ("pasted_area",)


class Masked(Draw):
    """Every sample shows its partner inside of a mask.

    Args:
        mask: The mask.
        shape: Shape of the input that it was drawn for.
        dims: Its dimensions in there.
    """

    def __init__(self, mask: Mask, shape: Sequence[int], dims: Sequence[int]) -> None:
        super().__init__(mask.lam)
        self.mask = mask
        self.shape, self.dims = tuple(shape), tuple(dims)

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """See `Draw.mix`."""
        memory = self.memory.get(key)
        return fmix(x, self.mask, self.shift, dims=self.dims, inplace=self.method.inplace, memory=memory)

    def mix_mask(self, mask: Tensor, key: Key) -> Tensor | None:
        """Mask a map over the pixels with the image, at its own resolution. See `Draw.mix_mask`."""
        dims = map_dims(mask.ndim, len(self.shape), self.dims)
        if dims is None:
            return None
        scaled = self.mask.scaled([self.shape[dim] for dim in self.dims], [mask.shape[dim] for dim in dims])
        return fmix(mask, scaled, self.shift, dims=dims, memory=self.memory.get(key))

    def only(self, rows: NDArray[np.bool_]) -> Draw:
        """See `Draw.only`."""
        mask = self.mask if self.mask.per_sample else self.mask.rows(len(rows))
        return Masked(mask.only(rows), self.shape, self.dims)

    def tally(self, lam: NDArray[np.float32]) -> dict[str, float]:
        """Count the pasted share of the pixels."""
        return {"pasted_area": float(np.sum(1 - lam))}
