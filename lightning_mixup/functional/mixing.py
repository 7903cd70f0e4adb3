"""The kernels: what happens to a batch once weight, partner and box are known."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_mixup.functional.sampling import Box


def partners(x: Tensor, shift: int) -> Tensor:
    """Partner of every sample: the batch moved by a cyclic shift.

    Args:
        x: Batch of shape ``(B, ...)``.
        shift: Distance to the partner along the batch.

    Returns:
        A new tensor of the same shape, dtype and device; entry ``i`` is ``x[(i + shift) % B]``.

    Example:
        >>> partners(torch.tensor([0, 1, 2, 3, 4]), shift=2)
        tensor([2, 3, 4, 0, 1])
    """
    return x.roll(-shift, 0)


def mixup(x: Tensor, lam: float | Tensor, shift: int, *, inplace: bool = False) -> Tensor:
    """Mix every sample with its partner: ``lam * x + (1 - lam) * partners(x, shift)`` (Zhang et al. 2018).

    Each sample is read and written once; the partner batch is never built. Differentiable in ``x``, also twice, and
    the gradient of the partner is the same kernel with the opposite shift.

    Args:
        x: Floating point batch of shape ``(B, ...)``, in any memory format.
        lam: Weight of the original in [0, 1]: a number, or a tensor of shape ``(B,)``, one for each sample.
        shift: Distance to the partner along the batch.
        inplace: Overwrite ``x``, which then must not require a gradient. Needs memory for at most half a batch.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Raises:
        TypeError: If ``x`` is not floating point.

    Example:
        >>> x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
        >>> mixup(x, lam=0.75, shift=1)
        tensor([[ 1.2500, 12.5000],
                [ 2.2500, 22.5000],
                [ 2.5000, 25.0000]])
        >>> mixup(x, lam=torch.tensor([1.0, 0.5, 0.0]), shift=1)
        tensor([[ 1.0000, 10.0000],
                [ 2.5000, 25.0000],
                [ 1.0000, 10.0000]])
    """
    if not x.is_floating_point():
        raise TypeError(f"mixup: x must be floating point, got {x.dtype}; scale and convert it first: x.float() / 255")
    if inplace:
        return _lerp_inplace(x, _partner_weight(x, lam), shift % len(x))
    mixed: Tensor = _Mixup.apply(x, lam, shift % len(x))  # type: ignore[no-untyped-call]
    return mixed


def cutmix(x: Tensor, box: Box, shift: int, *, inplace: bool = False) -> Tensor:
    """Paste a region of its partner into every sample (Yun et al. 2019).

    Only the region moves when there is one box for the batch; boxes per sample are one pass over it. Differentiable
    in ``x``.

    Args:
        x: Batch of shape ``(B, C, *spatial)``, of any dtype and memory format. The box lies in its last dimensions: a
            box of height and width cuts through all frames or slices of a five-dimensional batch.
        box: Region to paste, from :func:`sample_box`.
        shift: Distance to the partner along the batch.
        inplace: Overwrite ``x``, which then must not require a gradient.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Example:
        >>> import numpy as np
        >>> x = torch.tensor([1, 2, 3]).view(3, 1, 1, 1).expand(3, 1, 2, 3)
        >>> cutmix(x, Box(np.array([0, 1]), np.array([1, 3]), 4 / 6), shift=1)[:, 0]
        tensor([[[1, 2, 2],
                 [1, 1, 1]],
                [[2, 3, 3],
                 [2, 2, 2]],
                [[3, 1, 1],
                 [3, 3, 3]]])
    """
    shift %= len(x)
    if box.low.ndim == 2:
        mixed = torch.where(_inside(x, box), partners(x, shift), x)
        return x.copy_(mixed) if inplace else mixed
    region: Any = (..., *(slice(low, high) for low, high in zip(box.low.tolist(), box.high.tolist(), strict=True)))
    if inplace:
        x[region] = partners(x[region], shift)
        return x
    mixed = x.clone()
    for own, other in _pairs(len(x), shift):
        mixed[own][region] = x[other][region]
    return mixed


class _Mixup(torch.autograd.Function):
    """Mixup that never gathers: its gradient is the same two slices, where indexing would scatter and add."""

    @staticmethod
    def forward(x: Tensor, lam: float | Tensor, shift: int) -> Tensor:
        weight = _partner_weight(x, lam)
        mixed = torch.empty_like(x)
        for own, other in _pairs(len(x), shift):
            torch.lerp(x[own], x[other], _rows(weight, own), out=mixed[own])
        return mixed

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        _, ctx.lam, ctx.shift = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        if isinstance(ctx.lam, Tensor):
            passed_on = grad * _partner_weight(grad, ctx.lam)
            return grad - passed_on + partners(passed_on, -ctx.shift), None, None
        return mixup(grad, ctx.lam, -ctx.shift), None, None


def _partner_weight(x: Tensor, lam: float | Tensor) -> float | Tensor:
    if isinstance(lam, Tensor):
        return (1 - lam).to(x.device, x.dtype).view(-1, *[1] * (x.ndim - 1))
    return 1 - lam


def _rows(weight: float | Tensor, rows: slice) -> float | Tensor:
    return weight[rows] if isinstance(weight, Tensor) else weight


def _pairs(batch_size: int, shift: int) -> Iterator[tuple[slice, slice]]:
    """The two slices of the batch, each with the slice in which its partners stand."""
    cut = batch_size - shift
    yield slice(0, cut), slice(shift, batch_size)
    yield slice(cut, batch_size), slice(0, shift)


def _lerp_inplace(x: Tensor, weight: float | Tensor, shift: int) -> Tensor:
    """Mix block after block along the batch, before a later block overwrites what an earlier one still needs."""
    cut = len(x) - shift
    first = x[:shift].clone()
    # A partner block that overlaps its own block must be copied before it is overwritten; without a smallest size,
    # a short shift would end in as many tiny blocks as there are samples.
    block = max(shift, -(-len(x) // 8))
    for start in range(0, cut, block):
        stop = min(start + block, cut)
        other = x[start + shift : stop + shift]
        x[start:stop].lerp_(other.clone() if block > shift else other, _rows(weight, slice(start, stop)))
    x[cut:].lerp_(first, _rows(weight, slice(cut, None)))
    return x


def _inside(x: Tensor, box: Box) -> Tensor:
    """Mask of shape ``(B, 1, ..., *boxed)``, true where a sample shows its partner."""
    inside = None
    for dim in range(-box.low.shape[1], 0):
        low, high = (
            torch.from_numpy(edge[:, dim]).to(x.device, non_blocking=True).view(-1, *[1] * (x.ndim - 1))
            for edge in (box.low, box.high)
        )
        position = torch.arange(x.shape[dim], device=x.device).view(-1, *[1] * (-dim - 1))
        between = (position >= low) & (position < high)
        inside = between if inside is None else inside & between
    assert inside is not None
    return inside
