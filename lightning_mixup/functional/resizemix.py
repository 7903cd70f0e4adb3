"""ResizeMix: the partner as a whole, made smaller and pasted somewhere."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_mixup.functional.boxes import Box, boxed_dims
from lightning_mixup.functional.checks import writable
from lightning_mixup.functional.pairs import blocks, partners


def sample_resize(
    rng: np.random.Generator, low: float, high: float, size: Sequence[int], batch_size: int | None = None
) -> Box:
    """Draw the region that ResizeMix fills with the partner (Qin et al. 2020).

    The scale is uniform between two bounds. Each side of the region is that part of the image's, rounded to whole
    pixels, at least one. The place is uniform among those where the region lies inside.

    Args:
        rng: Source of randomness.
        low: Smallest scale, above 0.
        high: Largest scale, at most 1. The paper uses 0.1 and 0.8.
        size: Extent in pixels of the D resized dimensions: ``(H, W)`` for images, ``(L,)`` for a series.
        batch_size: Number of samples B, for a region per sample; None draws a single one for the whole batch.

    Returns:
        The region, with the share of the pixels outside as its weight.

    Examples:
        >>> sample_resize(np.random.default_rng(0), 0.1, 0.8, size=(32, 48))
        Box(low=(4, 0), high=(21, 26), lam=0.7122395833333333)
    """
    extent = np.asarray(size)
    rows = 1 if batch_size is None else batch_size
    scale = low + (high - low) * rng.random((rows, 1))
    side = np.clip(np.floor(scale * extent + 0.5).astype(np.int64), 1, extent)
    first = (rng.random((rows, len(extent))) * (extent - side + 1)).astype(np.int64)
    lam = 1.0 - side.prod(1) / extent.prod()
    if batch_size is not None:
        return Box(first, first + side, lam)
    return Box(tuple(first[0].tolist()), tuple((first + side)[0].tolist()), float(lam[0]))


def resizemix(
    x: Tensor,
    box: Box,
    shift: int | Tensor,
    *,
    dims: int | Sequence[int] | None = None,
    nearest: bool = False,
    inplace: bool = False,
    memory: Tensor | None = None,
) -> Tensor:
    """Resize its whole partner to a region of every sample, and paste it there (Qin et al. 2020).

    Images are resized by the antialiased linear filter of Pillow and torchvision, maps of labels by the nearest pixel.
    Differentiable in ``x``, also twice.

    Args:
        x: Batch of shape ``(B, C, *spatial)``, of any memory format: floating point, or of any dtype if ``nearest``.
        box: Region to fill, from ``sample_resize``.
        shift: Distance to the partner along the batch: a number, or a tensor of shape ``(B,)``, one for each sample.
        dims: Dimensions that are resized, as many as the box has; see ``cut_dims``. None takes the last ones after the
            channels: clips ``(B, C, T, H, W)`` keep all of their frames. A series of shape ``(B, T)`` or ``(B, T, F)``
            is resized along time by ``dims=1``.
        nearest: Take the nearest pixel instead of blending neighbours, for segmentation masks and other labels.
        inplace: Overwrite ``x``, which then must not require a gradient.
        memory: Batch of shape ``(M, C, *spatial)``, dtype and device of ``x``, to find partners in, instead of ``x``
            itself.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Raises:
        TypeError: If ``x`` is not floating point, and its pixels are to be blended.
        ValueError: If ``x`` lacks the dimensions of the box, or is to be overwritten, and several of its elements share
            memory.

    Examples:
        >>> x = torch.arange(16.0).view(2, 1, 8)
        >>> resizemix(x, Box((5,), (7,), 0.75), shift=1)[:, 0]
        tensor([[ 0.0000,  1.0000,  2.0000,  3.0000,  4.0000,  9.8929, 13.1071,  7.0000],
                [ 8.0000,  9.0000, 10.0000, 11.0000, 12.0000,  1.8929,  5.1071, 15.0000]])
        >>> resizemix(x, Box((5,), (7,), 0.75), shift=1, nearest=True)[0, 0]
        tensor([ 0.,  1.,  2.,  3.,  4., 10., 14.,  7.])
    """
    if not (nearest or x.is_floating_point()):
        raise TypeError(
            f"resizemix: x must be floating point for its pixels to be blended, got {x.dtype}; convert an image first: "
            "x.float() / 255, and resize a map of labels by nearest=True"
        )
    cut = boxed_dims("resizemix", x, np.shape(box.low)[-1], dims)
    resize = _resize_nearest if nearest else _resize_smoothly
    mixed = writable(x) if inplace else x.clone()
    if isinstance(box.low, np.ndarray) and box.low.ndim == 2:
        other = partners(x, shift, memory)
        for sample, (low, high) in enumerate(zip(box.low.tolist(), np.asarray(box.high).tolist(), strict=True)):
            rows = slice(sample, sample + 1)
            if region := _region(x.ndim, cut, low, high):
                mixed[rows][region] = resize(other[rows], cut, [b - a for a, b in zip(low, high, strict=True)])
        return mixed
    low, high = [int(at) for at in box.low], [int(at) for at in box.high]
    if region := _region(x.ndim, cut, low, high):
        pasted = mixed[region]
        small = resize(x if memory is None else memory, cut, [b - a for a, b in zip(low, high, strict=True)])
        for rows, other in blocks(small, shift) if memory is None else blocks(x, shift, small):
            pasted[rows] = other
    return mixed


def _region(ndim: int, dims: Sequence[int], low: Sequence[int], high: Sequence[int]) -> tuple[slice, ...]:
    """Slices of a batch that are a region; none for one without a pixel."""
    region = [slice(None)] * ndim
    for dim, first, end in zip(dims, low, high, strict=True):
        if first >= end:
            return ()
        region[dim] = slice(first, end)
    return tuple(region)


def _resize_smoothly(x: Tensor, dims: Sequence[int], sides: Sequence[int]) -> Tensor:
    small = x.to(torch.promote_types(x.dtype, torch.float32))
    # torch 2.13 gets it wrong if the height changes and the new width is one pixel.
    at_once = 1 if 1 in sides else 2
    for start in range(0, len(dims), at_once):
        pair, size = dims[start : start + at_once], sides[start : start + at_once]
        last = tuple(range(-len(pair), 0))
        moved = small.movedim(tuple(pair), last)
        image = moved.reshape(len(x), -1, *[1] * (2 - len(pair)), *moved.shape[-len(pair) :])
        resized = F.interpolate(image, (1, *size)[-2:], mode="bilinear", antialias=True)
        small = resized.reshape(*moved.shape[: -len(pair)], *size).movedim(last, tuple(pair))
    return small.to(x.dtype)


def _resize_nearest(x: Tensor, dims: Sequence[int], sides: Sequence[int]) -> Tensor:
    """Take the pixels in which the middles of the new ones lie."""
    for dim, side in zip(dims, sides, strict=True):
        middle = 2 * torch.arange(side, device=x.device) + 1
        x = x.index_select(dim, middle * x.shape[dim] // (2 * side))
    return x
