"""The kernels: what happens to a batch once weight, partner and box are known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.functional.sampling import Box

_SMALL = 2**15  # numbers in a batch


def partners(x: Tensor, shift: int | Tensor, memory: Tensor | None = None) -> Tensor:
    """Partner of every sample: who stands at a distance from it along the batch.

    Args:
        x: Batch of shape ``(B, ...)``.
        shift: Distance to the partner: a number or a tensor of one for all, or a tensor of shape ``(B,)``, one for each
            sample.
        memory: Batch of shape ``(M, ...)`` to find partners in, instead of ``x`` itself.

    Returns:
        A tensor with the shape, dtype and device of ``x``; entry ``i`` is ``x[(i + shift) % B]``, or
        ``memory[(i + shift) % M]``. If that is ``memory`` as it is, it is not copied.

    Examples:
        >>> partners(torch.tensor([0, 1, 2, 3, 4]), shift=2)
        tensor([2, 3, 4, 0, 1])
        >>> partners(torch.tensor([0, 1, 2]), shift=torch.tensor([1, 1, 0]))
        tensor([1, 2, 2])
        >>> partners(torch.tensor([0, 1, 2]), shift=0, memory=torch.tensor([8, 9]))
        tensor([8, 9, 8])
    """
    if isinstance(shift, Tensor):
        source = x if memory is None else memory
        return source[_places(x, shift, source)]
    if memory is None:
        return x.roll(-shift, 0)
    if shift == 0 and len(memory) == len(x):
        return memory
    return memory[_places(x, shift, memory)]


def mixup(
    x: Tensor, lam: float | Tensor, shift: int | Tensor, *, inplace: bool = False, memory: Tensor | None = None
) -> Tensor:
    """Mix every sample with its partner: ``lam * x + (1 - lam) * partners(x, shift)`` (Zhang et al. 2018).

    With one shift for the batch each sample is read twice and written once, and the partner batch is never built.
    Differentiable in ``x``, also twice; no gradient flows into ``memory``.

    Args:
        x: Floating point batch of shape ``(B, ...)``, in any memory format.
        lam: Weight of the original in [0, 1]: a number, or a tensor of shape ``(B,)``, one for each sample.
        shift: Distance to the partner along the batch: a number, or a tensor of shape ``(B,)``, one for each sample.
            Compiled code wants one for all, and ``lam``, as a tensor, of shape ``()``, or it is compiled anew for every
            draw.
        inplace: Overwrite ``x``, which then must not require a gradient. Needs memory for ``shift`` samples, and for
            an eighth of the batch if that is more; for the batch with a shift for each sample.
        memory: Batch of shape ``(M, ...)``, dtype and device of ``x``, to find partners in, instead of ``x`` itself.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Raises:
        TypeError: If ``x`` is not floating point.

    Examples:
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
        return _mix(x, weight.view(-1, *[1] * (x.ndim - 1)), shift, memory, inplace)
    return _mix(x, 1 - lam, shift, memory, inplace)


def cutmix(x: Tensor, box: Box, shift: int | Tensor, *, inplace: bool = False, memory: Tensor | None = None) -> Tensor:
    """Paste a region of its partner into every sample (Yun et al. 2019).

    Only the region moves when there is one box for the batch; boxes per sample are one pass over it. Differentiable
    in ``x``.

    Args:
        x: Batch of shape ``(B, C, *spatial)``, of any dtype and memory format. The box lies in its last dimensions: a
            box of height and width cuts through all frames or slices of a five-dimensional batch.
        box: Region to paste, from ``sample_box``.
        shift: Distance to the partner along the batch: a number, or a tensor of shape ``(B,)``, one for each sample.
        inplace: Overwrite ``x``, which then must not require a gradient.
        memory: Batch of shape ``(M, C, *spatial)``, dtype and device of ``x``, to find partners in, instead of ``x``
            itself.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Examples:
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
        return _mix(x, _inside(x, box), shift, memory, inplace)
    region: Any = (..., *(slice(low, high) for low, high in zip(box.low.tolist(), box.high.tolist(), strict=True)))
    mixed = x if inplace else x.clone()
    pasted = mixed[region]
    source = None if memory is None else memory[region]
    for rows, other in (_pairs_to_overwrite if inplace else _pairs)(x[region], shift, source):
        pasted[rows] = other
    return mixed


def _mix(x: Tensor, weight: float | Tensor, shift: int | Tensor, memory: Tensor | None, inplace: bool) -> Tensor:
    """Mix with a weight of the partner: a number, one for each sample, or a mask, which chooses."""
    if isinstance(shift, Tensor) and not shift.ndim and not torch.compiler.is_compiling():
        shift = int(shift)
    if inplace:
        return _write(x, weight, shift, memory, out=x)
    mixed: Tensor = (_Mix.apply if x.requires_grad else _Mix.forward)(x, weight, shift, memory)
    return mixed


class _Mix(torch.autograd.Function):
    """Mixing whose gradient finds the samples as mixing finds the partners, where that is one shift for all."""

    @staticmethod
    def forward(x: Tensor, weight: float | Tensor, shift: int | Tensor, memory: Tensor | None) -> Tensor:
        if (torch.compiler.is_compiling() and isinstance(shift, Tensor)) or x.numel() < _SMALL:
            # The compiler makes one pass of this, while it would compile slices anew for every shift. Of a small batch
            # the copy costs less than to take slices.
            return _blend(x, partners(x, shift, memory), weight)
        return _write(x, weight, shift, memory, out=torch.empty_like(x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        _, ctx.weight, ctx.shift, memory = inputs
        ctx.remembered = memory is not None

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        weight, shift = ctx.weight, ctx.shift
        if not (isinstance(weight, Tensor) or isinstance(shift, Tensor) or ctx.remembered):
            return _mix(grad, weight, -shift, None, inplace=False), None, None, None
        if isinstance(weight, Tensor):
            weight = weight.to(grad.dtype)
        total = grad * (1 - weight)
        if ctx.remembered:
            return total, None, None, None
        if isinstance(shift, Tensor):
            passed = grad * weight
            total = (
                total.index_add(0, _places(grad, shift, grad), passed)
                if shift.ndim
                else total + partners(passed, -shift)
            )
            return total, None, None, None
        for (rows, passed), (_, share) in zip(_pairs(grad, -shift), _pairs(weight, -shift), strict=True):
            total[rows].addcmul_(passed, share)
        return total, None, None, None


def _write(x: Tensor, weight: float | Tensor, shift: int | Tensor, memory: Tensor | None, out: Tensor) -> Tensor:
    for rows, other in (_pairs_to_overwrite if out is x else _pairs)(x, shift, memory):
        _blend(x[rows], other, weight[rows] if isinstance(weight, Tensor) else weight, out=out[rows])
    return out


def _blend(x: Tensor, other: Tensor, weight: float | Tensor, out: Tensor | None = None) -> Tensor:
    if not isinstance(weight, Tensor) or weight.dtype != torch.bool:
        return torch.lerp(x, other, weight, out=out)
    return torch.where(weight, other, x) if out is None else torch.where(weight, other, x, out=out)


def _pairs(x: Tensor, shift: int | Tensor, memory: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the batch, each with its partners: the two whose partners are neighbours, or the whole."""
    if isinstance(shift, Tensor) or memory is not None:
        yield slice(None), partners(x, shift, memory)
        return
    shift %= len(x)
    cut = len(x) - shift
    yield slice(0, cut), x[shift:]
    yield slice(cut, len(x)), x[:shift]


def _pairs_to_overwrite(x: Tensor, shift: int | Tensor, memory: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the batch, each with its partners as they were, if one block after the other is overwritten."""
    if isinstance(shift, Tensor) or memory is not None:
        yield slice(None), partners(x, shift, memory)
        return
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


def _places(x: Tensor, shift: int | Tensor, source: Tensor) -> Tensor:
    """Where the partners of ``x`` are in ``source``."""
    if isinstance(shift, Tensor):
        shift = shift.to(x.device, non_blocking=True)
    return (torch.arange(len(x), device=x.device) + shift) % len(source)


def _inside(x: Tensor, box: Box) -> Tensor:
    """Mask of shape ``(B, 1, ..., *boxed)``, true where a sample shows its partner."""
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for dim in range(-box.low.shape[1], 0):
        position = np.arange(x.shape[dim])
        between = (box.low[:, dim, None] <= position) & (position < box.high[:, dim, None])
        along = torch.from_numpy(between).to(x.device, non_blocking=True)
        inside = inside & along.view(len(x), *[1] * (x.ndim + dim - 1), -1, *[1] * (-dim - 1))
    return inside
