"""The kernels: what happens to a batch once weight, partner and box are known."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.functional.blending import Weights, blend
from lightning_mixup.functional.boxes import Box, boxed_dims, mask_inside
from lightning_mixup.functional.checks import writable
from lightning_mixup.functional.pairs import blocks, blocks_to_overwrite, is_small, partners, places
from lightning_mixup.functional.sampling import Floats

_FLOATS = (torch.float32, torch.float64)  # which numpy computes with, too
_SMALL_SAMPLE = 2**7  # numbers in a sample
# What numpy can move without a look at it: it knows no bfloat16, and bits are bits.
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def mixup(
    x: Tensor,
    lam: float | Floats | Tensor | Weights,
    shift: int | Tensor,
    *,
    inplace: bool = False,
    memory: Tensor | None = None,
) -> Tensor:
    """Mix every sample with its partner: ``lam * x + (1 - lam) * partners(x, shift)`` (Zhang et al. 2018).

    With one shift for the batch each sample is read twice and written once, and the partner batch is never built. A
    sample of weight 1 takes nothing of its partner, NaN and infinity included, and one of weight 0 is its partner.
    Differentiable in ``x``, also twice; no gradient flows into ``memory``.

    Args:
        x: Floating point batch of shape ``(B, ...)``, in any memory format.
        lam: Weight of the original in [0, 1]: a number; or an array or a tensor of shape ``(B,)``, one for each sample.
            An array, as ``sample_lam`` returns it, is cheaper than a tensor on a GPU, because its weights of 1 are
            seen without a look at the device; ``Weights`` of it are cheaper still where they are made ahead.
        shift: Distance to the partner along the batch: a number, or a tensor of shape ``(B,)``, one for each sample.
            Compiled code wants one for all, and ``lam``, as a tensor, of shape ``()``, or it is compiled anew for every
            draw.
        inplace: Overwrite ``x``, which then must not require a gradient. Needs memory for half of the batch at most;
            for the batch with a shift for each sample.
        memory: Batch of shape ``(M, ...)``, dtype and device of ``x``, to find partners in, instead of ``x`` itself.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Raises:
        TypeError: If ``x`` is not floating point.
        ValueError: If there are fewer or more weights than samples, or ``x`` is to be overwritten, and several of its
            elements share memory.

    Examples:
        >>> x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
        >>> mixup(x, lam=0.75, shift=1)
        tensor([[ 1.2500, 12.5000],
                [ 2.2500, 22.5000],
                [ 2.5000, 25.0000]])
        >>> mixup(x, lam=np.array([1.0, 0.5, 0.0]), shift=1)
        tensor([[ 1.0000, 10.0000],
                [ 2.5000, 25.0000],
                [ 1.0000, 10.0000]])
    """
    if not x.is_floating_point():
        raise TypeError(f"mixup: x must be floating point, got {x.dtype}; scale and convert it first: x.float() / 255")
    compiling = torch.compiler.is_compiling()
    shape = None if isinstance(lam, (float, int)) else lam.shape
    if shape and not compiling and shape != x.shape[:1]:
        raise ValueError(
            f"mixup: lam must be a number, or hold one for each of the {len(x)} samples; got shape {tuple(shape)}"
        )
    if isinstance(lam, Tensor) and lam.is_cpu and not (lam.requires_grad or compiling):
        if not lam.ndim:
            lam = float(lam)
        elif lam.dtype in _FLOATS:
            lam = lam.numpy()  # which tells where it is 0 or 1 in less time
    if isinstance(lam, np.ndarray):
        lam = Weights(lam)
    if isinstance(lam, Weights):
        weight, rows = lam.of_partners(x)
        return blend(x, weight, shift, memory, inplace, rows)
    if isinstance(lam, Tensor):
        weight = (1 - lam).to(x.device, x.dtype, non_blocking=True).expand(len(x)).view(-1, *[1] * (x.ndim - 1))
        return blend(x, weight, shift, memory, inplace, (weight == 0) | (weight == 1))
    return blend(x, 1 - lam, shift, memory, inplace)


def cutmix(
    x: Tensor,
    box: Box,
    shift: int | Tensor,
    *,
    dims: int | Sequence[int] | None = None,
    inplace: bool = False,
    memory: Tensor | None = None,
) -> Tensor:
    """Paste a region of its partner into every sample (Yun et al. 2019).

    Only the regions move. Differentiable in ``x``.

    Args:
        x: Batch of shape ``(B, C, *spatial)``, of any dtype and memory format.
        box: Region to paste, from ``sample_box``.
        shift: Distance to the partner along the batch: a number, or a tensor of shape ``(B,)``, one for each sample.
        dims: Dimensions that the box cuts, as many as it has; see ``cut_dims``. None takes the last ones after the
            channels: a box of height and width cuts through all frames or slices of a five-dimensional batch. A series
            of shape ``(B, T)`` or ``(B, T, F)`` is cut along time by ``dims=1``.
        inplace: Overwrite ``x``, which then must not require a gradient.
        memory: Batch of shape ``(M, C, *spatial)``, dtype and device of ``x``, to find partners in, instead of ``x``
            itself.

    Returns:
        The mixed batch with the shape, dtype, device and memory format of ``x``; ``x`` itself if ``inplace``.

    Raises:
        ValueError: If ``x`` lacks the dimensions of the box, or is to be overwritten, and several of its elements share
            memory.

    Examples:
        >>> x = torch.tensor([1, 2, 3]).view(3, 1, 1, 1).expand(3, 1, 2, 3)
        >>> cutmix(x, Box((0, 1), (1, 3), 4 / 6), shift=1)[:, 0]
        tensor([[[1, 2, 2],
                 [1, 1, 1]],
                [[2, 3, 3],
                 [2, 2, 2]],
                [[3, 1, 1],
                 [3, 3, 3]]])
        >>> cutmix(torch.tensor([[1, 1, 1], [2, 2, 2]]), Box((1,), (3,), 1 / 3), shift=1, dims=1)
        tensor([[1, 2, 2],
                [2, 1, 1]])
    """
    cut = boxed_dims("cutmix", x, box.ndim, dims)
    if box.per_sample:
        return _cut_rows(x, box, cut, shift, memory, inplace)
    region: list[slice] = [slice(None)] * x.ndim
    for dim, low, high in zip(cut, box.low, box.high, strict=True):
        region[dim] = slice(low, high)
    inside = tuple(region)
    mixed = writable(x) if inplace else x.clone()
    source = None if memory is None else memory[inside]
    if is_small(x) and not inplace:
        mixed[inside] = partners(x[inside], shift, source)
        return mixed
    pasted = mixed[inside]
    for rows, other in (blocks_to_overwrite if inplace else blocks)(x[inside], shift, source):
        pasted[rows] = other
    return mixed


def choose(
    x: Tensor, inside: Tensor, shift: int | Tensor, *, inplace: bool = False, memory: Tensor | None = None
) -> Tensor:
    """Show the partner where a mask is true, and the original elsewhere.

    Args:
        x: Batch of shape ``(B, ...)``, of any dtype and memory format.
        inside: Mask on the device of ``x`` that broadcasts against it, with as many dimensions.
        shift: As for ``cutmix``.
        inplace: As for ``cutmix``.
        memory: As for ``cutmix``.

    Returns:
        As ``cutmix``.

    Raises:
        ValueError: If ``x`` is to be overwritten, and several of its elements share memory.

    Examples:
        >>> choose(torch.tensor([[1, 1], [2, 2]]), torch.tensor([[True, False]]), shift=1)
        tensor([[2, 1],
                [1, 2]])
    """
    return blend(x, inside.expand(len(x), *inside.shape[1:]), shift, memory, inplace)


def _cut_rows(
    x: Tensor, box: Box, dims: Sequence[int], shift: int | Tensor, memory: Tensor | None, inplace: bool
) -> Tensor:
    """Paste a region of its own into every sample.

    On the host slices are copied sample by sample, and nothing else is touched: that takes a third of the time of a
    mask. Indices that are made by ``zip`` keep Python out of the way.
    """
    small = x.numel() < len(x) * _SMALL_SAMPLE
    if small or x.device.type != "cpu" or x.requires_grad or x.is_complex() or torch.compiler.is_compiling():
        return blend(x, mask_inside(x, box, dims), shift, memory, inplace)
    if isinstance(shift, Tensor) and not shift.ndim:
        shift = int(shift)
    whole = [slice(None)] * len(x)
    regions = [whole] * dims[-1]
    for dim, low, high in zip(dims, np.transpose(box.low).tolist(), np.transpose(box.high).tolist(), strict=True):
        regions[dim - 1] = list(map(slice, low, high))
    mixed = writable(x) if inplace else x.clone()
    pasted = _bits(mixed)
    for rows, other, found in _rows_and_partners(x, shift, memory, inplace):
        source, region = _bits(other), [columns[rows] for columns in regions]
        samples = zip(range(len(x))[rows], *region, strict=True)
        for sample, partner in zip(samples, zip(found, *region, strict=True), strict=True):
            pasted[sample] = source[partner]
    return mixed


def _rows_and_partners(
    x: Tensor, shift: int | Tensor, memory: Tensor | None, inplace: bool
) -> Iterator[tuple[slice, Tensor, Sequence[int]]]:
    """Blocks of the batch, each with a batch that has its partners, and where they are in it."""
    if inplace and memory is None:
        for rows, other in blocks_to_overwrite(x, shift, memory):
            yield rows, other, range(len(other))
    else:
        source = x if memory is None else memory
        if isinstance(shift, Tensor):
            yield slice(None), source, places(x, shift, source).tolist()
        else:
            yield slice(None), source, ((np.arange(len(x)) + shift) % len(source)).tolist()


def _bits(x: Tensor) -> Any:  # noqa: ANN401
    """The memory of a tensor as an array, whatever its type."""
    return x.detach().view(_BITS[x.itemsize]).numpy()
