"""FMix: masks of any shape, cut out of low-frequency noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.functional.blending import blend
from lightning_mixup.functional.boxes import boxed_dims
from lightning_mixup.functional.sampling import ByValue, Floats


@dataclass(frozen=True, eq=False)
class Mask(ByValue):
    """A region of any shape, or one region for each sample of a batch.

    Attributes:
        inside: Where a sample shows its partner: a boolean array with the D masked dimensions, or of shape
            ``(B, *size)`` for a region per sample. Of a mask with soft edges, the share of the partner in [0, 1].
        lam: Share of the original, in [0, 1]: a float, or an array of shape ``(B,)``.

    Examples:
        >>> mask = Mask(np.array([True, False, False, False]), lam=0.75)
        >>> mask.scaled((4,), (8,)).inside.astype(int), mask.rows(2).lam
        (array([1, 1, 0, 0, 0, 0, 0, 0]), array([0.75, 0.75]))
    """

    inside: NDArray[Any]
    lam: float | Floats

    @property
    def per_sample(self) -> bool:
        """Whether every sample has a region of its own."""
        return isinstance(self.lam, np.ndarray)

    @property
    def size(self) -> tuple[int, ...]:
        """Extent of the masked dimensions."""
        return self.inside.shape[1:] if self.per_sample else self.inside.shape

    def rows(self, batch_size: int) -> Mask:
        """The same with a region for each sample.

        Args:
            batch_size: Number of samples B.

        Returns:
            A mask with arrays of shape ``(B, *size)`` and ``(B,)``.
        """
        return Mask(np.broadcast_to(self.inside, (batch_size, *self.size)), np.broadcast_to(self.lam, batch_size))

    def only(self, rows: NDArray[np.bool_]) -> Mask:
        """The same for some samples, and an empty region with weight 1 for the others.

        Args:
            rows: Which samples keep their region, shape ``(B,)``.

        Returns:
            A mask with arrays of shape ``(B, *size)`` and ``(B,)``.

        Examples:
            >>> Mask(np.array([True, False]), lam=0.5).only(np.array([True, False])).lam
            array([0.5, 1. ])
        """
        kept = rows.reshape(-1, *[1] * len(self.size))
        return Mask(np.multiply(self.inside, kept), np.where(rows, self.lam, 1.0))

    def scaled(self, size: Sequence[int], to: Sequence[int]) -> Mask:
        """The same region at another resolution, for maps that are smaller or larger than the image.

        Args:
            size: Extent of the masked dimensions where the mask was drawn.
            to: Extent of these dimensions where it is wanted.

        Returns:
            The mask with every pixel taken from the nearest one, and its share of the pixels there.

        Raises:
            ValueError: If ``size`` is not that of the mask, or ``to`` has another number of dimensions.
        """
        if not (self.size == tuple(size) and len(size) == len(to)):
            raise ValueError(
                f"Mask.scaled: size must be that of the mask, {self.size}, and to must have as many dimensions, "
                f"got {tuple(size)} and {tuple(to)}"
            )
        if tuple(size) == tuple(to):
            return self
        inside = self.inside
        for axis, (old, new) in enumerate(zip(size, to, strict=True), start=int(self.per_sample)):
            inside = inside.take((np.arange(new) * 2 + 1) * old // (2 * new), axis)
        shown = inside.mean(axis=tuple(range(-len(to), 0)))
        return Mask(inside, 1.0 - shown if self.per_sample else 1.0 - float(shown))


def sample_fmix(
    rng: np.random.Generator, lam: float | Floats, size: Sequence[int], decay: float = 3.0, soft: float = 0.0
) -> Mask:
    """Draw the mask of FMix (Harris et al. 2020).

    White noise is filtered in the Fourier domain: every frequency ``f`` is divided by ``f ** decay``. The result is a
    smooth grey image. Its brightest pixels show the original, and all others show the partner. The number of the
    brightest is ``lam`` times the number of all pixels, rounded to the nearest whole one.

    Args:
        rng: Source of randomness.
        lam: Weight of the original in [0, 1]: a number, or an array of shape ``(B,)`` for a mask per sample.
        size: Extent in pixels of the D masked dimensions: ``(L,)`` for a series, ``(H, W)`` for images, ``(T, H, W)``
            for volumes.
        decay: How fast high frequencies fall off. The larger it is, the smoother are the edges of the mask. The paper
            uses 3.
        soft: Share of the pixels, on either side of the edge, where original and partner blend into each other, in
            [0, 0.5]. The authors' code calls it ``max_soft``. It is limited to ``lam`` and to ``1 - lam``.

    Returns:
        The mask with the weight that it really has.

    Examples:
        >>> mask = sample_fmix(np.random.default_rng(0), lam=0.75, size=(4, 10))
        >>> mask.inside.astype(int), mask.lam
        (array([[0, 0, 1, 1, 1, 0, 0, 0, 0, 0],
               [0, 0, 1, 1, 1, 1, 0, 0, 0, 0],
               [0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
               [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]]), 0.75)
    """
    total = math.prod(size)
    kept = np.floor(np.atleast_1d(lam) * total + 0.5).astype(np.int64)
    grey = _low_frequency_noise(rng, len(kept), size, decay).reshape(len(kept), total)
    inside = np.zeros((len(kept), total), dtype=float if soft else bool)
    for brightness, shown, number in zip(grey, inside, total - kept, strict=True):
        edge = min(int(soft * total), number, total - number)
        if edge:
            order = np.argsort(brightness)
            shown[order[: number - edge]] = 1
            shown[order[number - edge : number + edge]] = np.linspace(1, 0, 2 * edge)
        elif number:
            shown[np.argpartition(brightness, number - 1)[:number]] = 1
    if isinstance(lam, np.ndarray):
        return Mask(inside.reshape(-1, *size), kept / total)
    return Mask(inside.reshape(*size), float(kept[0] / total))


def fmix(
    x: Tensor,
    mask: Mask,
    shift: int | Tensor,
    *,
    dims: int | Sequence[int] | None = None,
    inplace: bool = False,
    memory: Tensor | None = None,
) -> Tensor:
    """Show the partner inside of a mask, and the original outside (Harris et al. 2020).

    Differentiable in ``x``, also twice; no gradient flows into ``memory``.

    Args:
        x: Batch of shape ``(B, C, *spatial)``, of any dtype and memory format.
        mask: Region that shows the partner, from ``sample_fmix``. A tensor of whole numbers has nothing between two
            values, so soft edges become hard ones there.
        shift: Distance to the partner along the batch: a number, or a tensor of shape ``(B,)``, one for each sample.
        dims: Dimensions of the mask in ``x``, as many as it has; see ``cut_dims``. None takes the last ones of height
            and width. A volume ``(B, C, T, H, W)`` is masked in all three by ``dims=(2, 3, 4)``.
        inplace: Overwrite ``x``, which then must not require a gradient.
        memory: Batch of shape ``(M, C, *spatial)``, dtype and device of ``x``, to find partners in, instead of ``x``
            itself.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Raises:
        ValueError: If the mask does not fit ``x``, or ``x`` is to be overwritten, and several of its elements share
            memory.

    Examples:
        >>> x = torch.tensor([1, 2, 3]).view(3, 1, 1).expand(3, 1, 4)
        >>> fmix(x, Mask(np.array([True, False, False, True]), 0.5), shift=1)[:, 0]
        tensor([[2, 1, 1, 2],
                [3, 2, 2, 3],
                [1, 3, 3, 1]])
    """
    cut = boxed_dims("fmix", x, len(mask.size), dims)
    extent = tuple(x.shape[dim] for dim in cut)
    if extent != mask.size:
        raise ValueError(
            f"fmix: mask is of size {mask.size}, and x of size {extent} there (shape {tuple(x.shape)}, dimensions "
            f"{cut}); scale the mask first: mask.scaled({mask.size}, {extent})"
        )
    weight = torch.from_numpy(np.ascontiguousarray(mask.inside)).to(x.device, non_blocking=True)
    shape = [size if dim in cut else 1 for dim, size in enumerate(x.shape)]
    weight = weight.reshape(-1, *shape[1:]).expand(len(x), *shape[1:])
    if weight.dtype == torch.bool:
        return blend(x, weight, shift, memory, inplace)
    if not (x.is_floating_point() or x.is_complex()):
        return blend(x, weight > 0.5, shift, memory, inplace)
    return blend(x, weight.to(x.dtype), shift, memory, inplace, (weight == 0) | (weight == 1))


def _low_frequency_noise(rng: np.random.Generator, number: int, size: Sequence[int], decay: float) -> Floats:
    """Grey images of shape ``(number, *size)``."""
    axes = tuple(range(1, len(size) + 1))
    spectrum = np.fft.rfftn(rng.standard_normal((number, *size)), axes=axes)
    steps = [np.fft.fftfreq(extent) for extent in size[:-1]] + [np.fft.rfftfreq(size[-1])]
    frequency = np.sqrt(sum(np.square(step) for step in np.meshgrid(*steps, indexing="ij", sparse=True)))
    # The mean of an image changes nothing about which of its pixels are the brightest.
    frequency.flat[0] = 1.0
    grey: Floats = np.fft.irfftn(spectrum / frequency**decay, s=tuple(size), axes=axes)
    return grey
