"""CutMix: regions of other images, labels by area."""

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.options import Options
from lightning_mixup.functional import Box, cutmix, sample_box, sample_lam
from lightning_mixup.functional.boxes import cut_dims, map_dims
from lightning_mixup.schedules import Schedule


class CutMix(MixCallback):
    """Paste a region of one image into another and weigh the labels by area (Yun et al., ICCV 2019).

    Works on inputs ``(B, C, *spatial)``. A series ``(B, C, L)`` gets an interval, an image a box, and a clip or volume
    ``(B, C, T, H, W)`` a box of height and width through all of its frames or slices. ``lam`` is the share of pixels
    that are really the original's, after rounding and clipping at the border. Published: alpha 1, and prob 0.5 on
    CIFAR, 1 on ImageNet.

    Args:
        alpha: Strength, at least 0: intended areas are drawn from Beta(alpha, alpha). 0 mixes nothing. A number or a
            ``Schedule``.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. A number or a ``Schedule``.
        dims: Dimensions that are cut, counted from 0 for the batch, or from -1 for the last. None takes those after
            the channels, of more than two the last two. A series with time first, ``(B, T, F)``, ``(B, T, 1)`` or
            ``(B, T)``, needs ``dims=1``.
        **options: What all methods share, see ``Options``.

    Raises:
        TypeError: If an option has a name that does not exist.
        ValueError: If an argument is not accepted.

    Examples:
        >>> CutMix(alpha=1.0, prob=0.5)
        CutMix(prob=0.5)
    """

    by_shapes = True

    def __init__(
        self,
        alpha: float | Schedule = 1.0,
        prob: float | Schedule = 1.0,
        *,
        dims: int | Sequence[int] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(prob, **options)
        self.alpha = self.scheduled("alpha", alpha)
        self.dims = take_dims(self, dims)

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs without the dimensions that are cut, or of different extents there."""
        check_spatial(self, inputs, self.dims)

    def decide(
        self, rng: np.random.Generator, count: int | None, inputs: Sequence[Tensor], values: Mapping[str, float]
    ) -> Draw:
        """Draw the box, whose real area is the weight. See `Method.decide`."""
        shape = inputs[0].shape
        dims = cut_dims(len(shape), self.dims)
        lam = sample_lam(rng, values["alpha"], count)
        return Paste(sample_box(rng, lam, [shape[dim] for dim in dims]), shape, dims)

    def tallies(self) -> tuple[str, ...]:
        """See `Method.tallies`."""
        return ("pasted_area",)


class Paste(Draw):
    """A region of every sample shows its partner.

    Args:
        box: The region.
        shape: Shape of the input that it was drawn for.
        dims: Its dimensions in there.
    """

    def __init__(self, box: Box, shape: Sequence[int], dims: Sequence[int]) -> None:
        super().__init__(box.lam)
        self.box = box
        self.shape, self.dims = tuple(shape), tuple(dims)

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """See `Draw.mix`."""
        return self.paste(x, self.box, self.dims, key, inplace=self.method.inplace)

    def mix_mask(self, mask: Tensor, key: Key) -> Tensor | None:
        """Cut the mask with the image, at its own resolution: every pixel keeps a label of its own."""
        dims = map_dims(mask.ndim, len(self.shape), self.dims)
        if dims is None:
            return None
        box = self.box.scaled([self.shape[dim] for dim in self.dims], [mask.shape[dim] for dim in dims])
        return self.paste(mask, box, dims, key, mask=True)

    def paste(
        self, x: Tensor, box: Box, dims: Sequence[int], key: Key, *, mask: bool = False, inplace: bool = False
    ) -> Tensor:
        """Show the partner in a region.

        Args:
            x: Input or mask.
            box: The region at its resolution.
            dims: Its dimensions.
            key: Where it is in the batch.
            mask: Whether it is a mask, whose numbers must not be averaged.
            inplace: Whether it is overwritten.

        Returns:
            The mixed input or mask.
        """
        return cutmix(x, box, self.shift, dims=dims, inplace=inplace, memory=self.memory.get(key))

    def only(self, rows: NDArray[np.bool_]) -> Draw:
        """See `Draw.only`."""
        return type(self)(self.box.only(rows), self.shape, self.dims)

    def outline(self, row: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """See `Draw.outline`."""
        low, high = (np.atleast_2d(np.asarray(corner)) for corner in (self.box.low, self.box.high))
        row = row if len(low) > 1 else 0
        if low.shape[1] != 2 or not (high[row] > low[row]).all():
            return None
        (top, left), (bottom, right) = low[row].tolist(), high[row].tolist()
        return (top, left), (bottom, right)

    def tally(self, lam: NDArray[np.float32]) -> dict[str, float]:
        """Count the pasted share of the pixels."""
        return {"pasted_area": float(np.sum(1 - lam))}


def take_dims(method: MixCallback, dims: int | Sequence[int] | None) -> int | tuple[int, ...] | None:
    """Check an argument ``dims``, and make it a value that can be compared."""
    found = dims if dims is None or isinstance(dims, int) else tuple(dims)
    numbers = () if found is None else (found,) if isinstance(found, int) else found
    whole = all(isinstance(dim, int) and not isinstance(dim, bool) for dim in numbers)
    fits = found is None or (whole and len(numbers) > 0 and 0 not in numbers)
    method._require("dims", dims, fits, "None, a dimension other than 0, or a sequence of them")
    return found


def check_spatial(method: MixCallback, inputs: Sequence[Tensor], dims: int | Sequence[int] | None) -> None:
    """Refuse inputs that a region cannot be pasted into.

    Args:
        method: The callback.
        inputs: Its inputs.
        dims: Its argument.

    Raises:
        MisconfigurationException: If an input lacks the dimensions, if they differ in their extents, or if a series
            looks as if time came first.
    """
    shapes = {key: tuple(x.shape) for key, x in zip(method.input_key, inputs, strict=False)}
    try:
        sizes = {tuple(x.shape[dim] for dim in cut_dims(x.ndim, dims)) for x in inputs}
    except ValueError as error:
        raise method._error(f"{error}; inputs are of shape {shapes}") from None
    if not inputs or len(sizes) > 1 or () in sizes:
        raise method._error(
            f"inputs must be (B, C, *spatial), all of one spatial size, got {shapes}; features without spatial "
            "dimensions can be mixed by Mixup, and a series (B, T) is cut along time by dims=1"
        )
    size = sizes.pop()
    if dims is None and len(size) == 1 and size[0] < inputs[0].shape[1]:
        raise method._error(
            f"inputs of shape {shapes} are series (B, C, L) with more channels than steps, or time comes first; "
            "say which dimension is cut: dims=1 for (B, T, F), dims=2 for (B, C, L)"
        )
    if all(extent == 1 for extent in size):
        raise method._error(
            f"inputs of shape {shapes} have one place to cut, so that nothing could ever be pasted; say which "
            "dimensions are cut: dims=..."
        )
