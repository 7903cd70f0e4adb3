"""Where the partners of a batch are, and how to walk over a batch that is overwritten meanwhile."""

from collections.abc import Iterator

import torch
from torch import Tensor

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
        return source[places(x, shift, source)]
    if memory is None:
        return x.roll(-shift, 0)
    if shift == 0 and len(memory) == len(x):
        return memory
    return memory[places(x, shift, memory)]


def is_small(x: Tensor) -> bool:
    """Whether a copy of the partners takes less of the host's time than slices, whose gradient is dearer still."""
    return x.numel() < (4 * _SMALL if x.requires_grad else _SMALL)


def places(x: Tensor, shift: int | Tensor, source: Tensor) -> Tensor:
    """Where the partners of ``x`` are in ``source``."""
    if isinstance(shift, Tensor):
        shift = shift.to(x.device, non_blocking=True)
    return (torch.arange(len(x), device=x.device) + shift) % len(source)


def blocks(x: Tensor, shift: int | Tensor, memory: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the batch, each with its partners: the two whose partners are neighbours, or the whole."""
    if isinstance(shift, Tensor) or memory is not None:
        yield slice(None), partners(x, shift, memory)
        return
    shift %= len(x)
    cut = len(x) - shift
    yield slice(0, cut), x[shift:]
    yield slice(cut, len(x)), x[:shift]


def blocks_to_overwrite(x: Tensor, shift: int | Tensor, memory: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the batch, each with its partners as they were, if one block after the other is overwritten.

    The walk goes towards the partners, by the shorter way around the batch, and sets the first samples aside for the
    last ones. So it needs memory for half of the batch at most.
    """
    if isinstance(shift, Tensor) or memory is not None:
        yield slice(None), partners(x, shift, memory)
        return
    size = len(x)
    shift %= size
    back = 2 * shift > size
    step = size - shift if back else shift
    aside = (x[size - step :] if back else x[:step]).clone()
    # Partners that overlap their block are copied. Without a smallest size of a block, a short way would end in as
    # many tiny ones as there are samples.
    length = max(step, -(-size // 8))
    for start in range(0, size - step, length):
        stop = min(start + length, size - step)
        rows = slice(size - stop, size - start) if back else slice(start, stop)
        away = -step if back else step
        other = x[rows.start + away : rows.stop + away]
        yield rows, other.clone() if length > step else other
    yield slice(0, step) if back else slice(size - step, size), aside
