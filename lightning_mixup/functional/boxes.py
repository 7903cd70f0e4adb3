"""Regions of images, series and volumes: what CutMix pastes, and where."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.functional.sampling import ByValue, Floats, Ints


@dataclass(frozen=True, eq=False)
class Box(ByValue):
    """A region of an image, or one region for each image of a batch.

    Attributes:
        low: First pixel inside along each of the D boxed dimensions: D numbers, or an array of shape ``(B, D)`` for a
            region per sample.
        high: First pixel beyond, likewise. A box is empty where ``high`` is ``low``.
        lam: Share of the pixels outside, in [0, 1]: a float, or an array of shape ``(B,)``.

    Examples:
        >>> Box(low=(0, 8), high=(16, 24), lam=0.75).scaled((32, 32), (16, 16))
        Box(low=(0, 4), high=(8, 12), lam=0.75)
    """

    low: tuple[int, ...] | Ints
    high: tuple[int, ...] | Ints
    lam: float | Floats

    @property
    def ndim(self) -> int:
        """Number of boxed dimensions."""
        return self.low.shape[-1] if isinstance(self.low, np.ndarray) else len(self.low)

    @property
    def per_sample(self) -> bool:
        """Whether every sample has a region of its own."""
        return isinstance(self.low, np.ndarray) and self.low.ndim == 2

    def rows(self, batch_size: int) -> Box:
        """The same with a region for each sample.

        Args:
            batch_size: Number of samples B.

        Returns:
            A box with arrays of shape ``(B, D)`` and ``(B,)``.

        Examples:
            >>> Box((1,), (3,), 0.5).rows(2)
            Box(low=array([[1],
                   [1]]), high=array([[3],
                   [3]]), lam=array([0.5, 0.5]))
        """
        low, high = (np.broadcast_to(corner, (batch_size, np.shape(corner)[-1])) for corner in (self.low, self.high))
        return Box(low, high, np.broadcast_to(self.lam, batch_size))

    def only(self, rows: NDArray[np.bool_]) -> Box:
        """The same for some samples, and an empty region with weight 1 for the others.

        Args:
            rows: Which samples keep their region, shape ``(B,)``.

        Returns:
            A box with arrays of shape ``(B, D)`` and ``(B,)``.

        Examples:
            >>> Box((1,), (3,), 0.5).only(np.array([True, False])).lam
            array([0.5, 1. ])
        """
        low, high = (np.where(rows[:, None], corner, 0) for corner in (self.low, self.high))
        return Box(low, high, np.where(rows, self.lam, 1.0))

    def scaled(self, size: Sequence[int], to: Sequence[int]) -> Box:
        """The same region at another resolution, for masks and maps that are smaller or larger than the image.

        Args:
            size: Extent of the boxed dimensions where the box was drawn.
            to: Extent of these dimensions where it is wanted.

        Returns:
            The box with its corners scaled and rounded, and its share of the pixels there.

        Raises:
            ValueError: If the box has another number of dimensions than one of the sizes.
        """
        if not self.ndim == len(size) == len(to):
            raise ValueError(
                f"Box.scaled: size and to must have the {self.ndim} dimensions of the box, "
                f"got {tuple(size)} and {tuple(to)}"
            )
        if tuple(size) == tuple(to):
            return self
        if self.per_sample:
            low, high = (
                np.floor(np.asarray(corner) * np.asarray(to) / np.asarray(size) + 0.5).astype(np.int64)
                for corner in (self.low, self.high)
            )
            return Box(low, high, 1.0 - (high - low).prod(1) / math.prod(to))
        low_, high_ = (
            tuple(math.floor(int(at) * new / old + 0.5) for at, old, new in zip(corner, size, to, strict=True))
            for corner in (self.low, self.high)
        )
        return _single(low_, high_, to)

    def inside(self, size: Sequence[int]) -> NDArray[np.bool_]:
        """Mask of the region.

        Args:
            size: Extent of the boxed dimensions.

        Returns:
            An array of shape ``size``, or ``(B, *size)`` for a region per sample, true inside.

        Examples:
            >>> Box((0, 1), (1, 3), 4 / 6).inside((2, 3)).astype(int)
            array([[0, 1, 1],
                   [0, 0, 0]])
        """
        lines = lines_inside(self, size)
        inside = np.ones((len(lines[0]), *[1] * len(size)), dtype=bool)
        for dim, line in enumerate(lines):
            inside = inside & line.reshape(len(line), *[-1 if dim == at else 1 for at in range(len(size))])
        return inside if self.per_sample else inside[0]


def sample_box(rng: np.random.Generator, lam: float | Floats, size: Sequence[int]) -> Box:
    """Draw the region that CutMix pastes, by algorithm A1 of the paper (Yun et al. 2019).

    The centre is uniform over the image, and every side is the ``(1 - lam) ** (1 / D)``-th part of the image, so that
    the region covers the share ``1 - lam`` of it. The border clips the region, and only then its corners are rounded to
    whole pixels. So the law is the same at every resolution. The authors' code instead rounds the centre and half of
    each side down, so that no side is odd, and of an 8x8 image it pastes 0.23 on average, where the
    algorithm pastes 0.32 of an image of any size.

    A region may be rounded to nothing. Then the box is empty, its weight is 1, and the sample stays as it is. With
    ``lam`` from Beta(1, 1), that is one draw in 18 on a 3x3 image, in 130 on 8x8 and in 2,000 on 32x32.

    Args:
        rng: Source of randomness.
        lam: Intended weight of the original in [0, 1]: a number, or an array of shape ``(B,)`` for a box per sample.
        size: Extent in pixels of the D boxed dimensions: ``(H, W)`` for images, ``(L,)`` for a series.

    Returns:
        The box with the weight that it really has, after clipping and rounding.

    Examples:
        >>> sample_box(np.random.default_rng(0), lam=0.75, size=(32, 48))
        Box(low=(12, 1), high=(28, 25), lam=0.75)
    """
    half = (1.0 - lam) ** (1 / len(size)) / 2
    if isinstance(half, np.ndarray):
        extent = np.asarray(size)
        centre, reach = rng.random((len(half), len(size))) * extent, half[:, None] * extent
        low = (np.maximum(centre - reach, 0) + 0.5).astype(np.int64)
        high = (np.minimum(centre + reach, extent) + 0.5).astype(np.int64)
        return Box(low, high, 1.0 - (high - low).prod(1) / math.prod(size))
    # Plain numbers: for one box, arrays take five times as long.
    lows, highs = [], []
    for extent_ in size:
        middle, reach_ = rng.random() * extent_, half * extent_
        lows.append(int(max(middle - reach_, 0.0) + 0.5))
        highs.append(int(min(middle + reach_, extent_) + 0.5))
    return _single(tuple(lows), tuple(highs), size)


def cut_dims(ndim: int, dims: int | Sequence[int] | None = None) -> tuple[int, ...]:
    """The dimensions of a batch in which a box lies.

    Args:
        ndim: Number of dimensions of the batch.
        dims: The dimensions, counted from 0 for the batch itself, or from -1 for the last. None takes all after the
            channels, and of more than two the last two: a box of height and width cuts through all frames or slices of
            ``(B, C, T, H, W)``. A series ``(B, T)`` or ``(B, T, F)`` is cut along time by ``dims=1``.

    Returns:
        The dimensions in increasing order, counted from 0; none if the batch has none after the channels.

    Raises:
        ValueError: If one of them does not exist, is the batch itself, or is given twice.

    Examples:
        >>> cut_dims(4), cut_dims(5), cut_dims(3), cut_dims(3, dims=1), cut_dims(4, dims=(-2, -1))
        ((2, 3), (3, 4), (2,), (1,), (2, 3))
    """
    if dims is None:
        return tuple(range(2, ndim))[-2:]
    given = (dims,) if isinstance(dims, int) else tuple(dims)
    found = tuple(sorted([dim % ndim for dim in given if -ndim <= dim < ndim]))
    if len(set(found)) != len(given) or not found or found[0] == 0:
        raise ValueError(
            f"dims must be different dimensions of 1 to {ndim - 1} for a batch of {ndim} dimensions, whose first is "
            f"the batch itself, got {dims!r}"
        )
    return found


def boxed_dims(name: str, x: Tensor, size: int, dims: int | Sequence[int] | None) -> tuple[int, ...]:
    """The dimensions of ``x`` that a box or mask of ``size`` dimensions cuts, for the kernel of that name."""
    cut = cut_dims(x.ndim, dims)
    if dims is None:
        cut = cut[-size:]
    if len(cut) != size:
        raise ValueError(
            f"{name}: x must have the {size} dimensions of the box {f'in dims={dims!r}' if dims else 'after (B, C)'}, "
            f"got {tuple(x.shape)}; say which ones the box cuts with dims=..."
        )
    return cut


def map_dims(map_ndim: int, ndim: int, dims: Sequence[int]) -> tuple[int, ...] | None:
    """The dimensions of a map over the input, such as a segmentation mask, that lie along the cut ones of the input.

    Args:
        map_ndim: Number of dimensions of the map: as many as the input, or one less if the map has no channels.
        ndim: Number of dimensions of the input.
        dims: Cut dimensions of the input, from ``cut_dims``.

    Returns:
        Dimensions of the map, or None if there are none along the cut ones.

    Examples:
        >>> map_dims(3, 4, (2, 3)), map_dims(4, 4, (2, 3)), map_dims(2, 3, (1,)), map_dims(1, 3, (1,))
        ((1, 2), (2, 3), (1,), None)
    """
    # What is cut along dimension 1 has its channels behind, and a map that lacks them keeps the place of the rest.
    dropped = ndim - map_ndim if dims[0] > 1 else 0
    if not (0 <= dropped < dims[0] and ndim - map_ndim in (0, 1) and dims[-1] - dropped < map_ndim):
        return None
    return tuple(dim - dropped for dim in dims)


def lines_inside(box: Box, size: Sequence[int]) -> list[NDArray[np.bool_]]:
    """For each boxed dimension which of its positions are inside, shape ``(B, n)``, or ``(1, n)`` for a single box."""
    low, high = (np.atleast_2d(np.asarray(corner)) for corner in (box.low, box.high))
    return [(low[:, dim, None] <= np.arange(n)) & (np.arange(n) < high[:, dim, None]) for dim, n in enumerate(size)]


def mask_inside(x: Tensor, box: Box, dims: Sequence[int]) -> Tensor:
    """Mask that is true where a sample shows its partner, to broadcast against ``x``: 1 in all other dimensions."""
    lines = []
    for dim, line in zip(dims, lines_inside(box, [x.shape[dim] for dim in dims]), strict=True):
        along = [line.shape[1] if dim == at else 1 for at in range(1, x.ndim)]
        lines.append(torch.from_numpy(line).to(x.device, non_blocking=True).view(-1, *along))
    return functools.reduce(torch.logical_and, lines)


def _single(low: tuple[int, ...], high: tuple[int, ...], size: Sequence[int]) -> Box:
    area = math.prod([b - a for a, b in zip(low, high, strict=True)])
    return Box(low, high, 1.0 - area / math.prod(size)) if area else Box(low, high, 1.0)
