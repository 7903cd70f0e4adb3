"""The kernels: what happens to a batch once weight, partner and box are known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.functional.sampling import Box


def partners(x: Tensor, shift: int | Tensor) -> Tensor:
    """Partner of every sample: the batch moved by a cyclic shift.

    Args:
        x: Batch of shape ``(B, ...)``.
        shift: Distance to the partner along the batch, a number or a tensor of one.

    Returns:
        A new tensor of the same shape, dtype and device; entry ``i`` is ``x[(i + shift) % B]``.

    Example:
        >>> partners(torch.tensor([0, 1, 2, 3, 4]), shift=2)
        tensor([2, 3, 4, 0, 1])
    """
    if isinstance(shift, Tensor):
        return x[(torch.arange(len(x), device=x.device) + shift) % len(x)]
    return x.roll(-shift, 0)


def mixup(x: Tensor, lam: float | Tensor, shift: int | Tensor, *, inplace: bool = False) -> Tensor:
    """Mix every sample with its partner: ``lam * x + (1 - lam) * partners(x, shift)`` (Zhang et al. 2018).

    Each sample is read twice and written once; the partner batch is never built. Differentiable in ``x``, also twice,
    and the gradient of the partner is the same kernel with the opposite shift.

    Args:
        x: Floating point batch of shape ``(B, ...)``, in any memory format.
        lam: Weight of the original in [0, 1]: a number, or a tensor of shape ``(B,)``, one for each sample.
        shift: Distance to the partner along the batch. Compiled code wants it, and ``lam``, as a tensor, of shape
            ``()``, or it is compiled anew for every draw.
        inplace: Overwrite ``x``, which then must not require a gradient. Needs memory for ``shift`` samples, and for
            an eighth of the batch if that is more.

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
    if isinstance(lam, Tensor):
        weight = (1 - lam).to(x.device, x.dtype, non_blocking=True).expand(len(x))
        return _mix(x, weight.view(-1, *[1] * (x.ndim - 1)), shift, inplace)
    return _mix(x, 1 - lam, shift, inplace)


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
        >>> x = torch.tensor([1, 2, 3]).view(3, 1, 1, 1).expand(3, 1, 2, 3)
        >>> cutmix(x, Box(np.array([0, 1]), np.array([1, 3]), 4 / 6), shift=1)[:, 0]
        tensor([[[1, 2, 2],
                 [1, 1, 1]],
                [[2, 3, 3],
                 [2, 2, 2]],
                [[3, 1, 1],
                 [3, 3, 3]]])
    """
    if box.low.ndim == 2:
        return _mix(x, _inside(x, box), shift, inplace)
    region: Any = (..., *(slice(low, high) for low, high in zip(box.low.tolist(), box.high.tolist(), strict=True)))
    mixed = x if inplace else x.clone()
    pasted = mixed[region]
    for rows, other in (_pairs_to_overwrite if inplace else _pairs)(x[region], shift):
        pasted[rows] = other
    return mixed


def _mix(x: Tensor, weight: float | Tensor, shift: int | Tensor, inplace: bool) -> Tensor:
    """Mix with a weight of the partner: a number, one for each sample, or a mask, which chooses."""
    if isinstance(shift, Tensor) and not torch.compiler.is_compiling():
        shift = int(shift)
    if inplace:
        return _write(x, weight, int(shift), out=x)
    mixed: Tensor = (_Mix.apply if x.requires_grad else _Mix.forward)(x, weight, shift)
    return mixed


class _Mix(torch.autograd.Function):
    """Mixing that never scatters: its gradient finds the samples as mixing finds the partners."""

    @staticmethod
    def forward(x: Tensor, weight: float | Tensor, shift: int | Tensor) -> Tensor:
        if isinstance(shift, Tensor):
            # The compiler makes one pass of this, while it would compile slices anew for every shift.
            return torch.lerp(x, partners(x, shift), weight)
        return _write(x, weight, shift, out=torch.empty_like(x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        _, ctx.weight, ctx.shift = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        if not isinstance(ctx.weight, Tensor):
            return _mix(grad, ctx.weight, -ctx.shift, inplace=False), None, None
        weight = ctx.weight.to(grad.dtype)
        if isinstance(ctx.shift, Tensor):
            return grad * (1 - weight) + partners(grad * weight, -ctx.shift), None, None
        total = grad * (1 - weight)
        for (rows, passed), (_, share) in zip(_pairs(grad, -ctx.shift), _pairs(weight, -ctx.shift), strict=True):
            total[rows].addcmul_(passed, share)
        return total, None, None


def _write(x: Tensor, weight: float | Tensor, shift: int, out: Tensor) -> Tensor:
    for rows, other in (_pairs_to_overwrite if out is x else _pairs)(x, shift):
        if not isinstance(weight, Tensor):
            torch.lerp(x[rows], other, weight, out=out[rows])
        elif weight.dtype == torch.bool:
            torch.where(weight[rows], other, x[rows], out=out[rows])
        else:
            torch.lerp(x[rows], other, weight[rows], out=out[rows])
    return out


def _pairs(x: Tensor, shift: int) -> Iterator[tuple[slice, Tensor]]:
    """The two blocks of the batch whose partners are neighbours, each with them."""
    shift %= len(x)
    cut = len(x) - shift
    yield slice(0, cut), x[shift:]
    yield slice(cut, len(x)), x[:shift]


def _pairs_to_overwrite(x: Tensor, shift: int) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the batch, each with its partners as they were, if one block after the other is overwritten."""
    shift %= len(x)
    cut = len(x) - shift
    first = x[:shift].clone()
    # Partners that overlap their block are copied. Without a smallest size of a block, a short shift would end in as
    # many tiny ones as there are samples.
    size = max(shift, -(-len(x) // 8))
    for start in range(0, cut, size):
        stop = min(start + size, cut)
        other = x[start + shift : stop + shift]
        yield slice(start, stop), other.clone() if size > shift else other
    yield slice(cut, len(x)), first


def _inside(x: Tensor, box: Box) -> Tensor:
    """Mask of shape ``(B, 1, ..., *boxed)``, true where a sample shows its partner."""
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for dim in range(-box.low.shape[1], 0):
        position = np.arange(x.shape[dim])
        between = (box.low[:, dim, None] <= position) & (position < box.high[:, dim, None])
        along = torch.from_numpy(between).to(x.device, non_blocking=True)
        inside = inside & along.view(len(x), *[1] * (x.ndim + dim - 1), -1, *[1] * (-dim - 1))
    return inside
