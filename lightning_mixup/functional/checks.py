"""What a tensor has to be to be mixed, and to be overwritten: looked at once for each structure of a batch."""

from collections.abc import Mapping
from itertools import combinations
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

_Key = TypeVar("_Key")


def check_mixable(x: Tensor) -> str | None:
    """Why a tensor cannot be mixed with others of its batch.

    Args:
        x: An entry of a batch.

    Returns:
        None for an ordinary tensor with a sample in its first dimension; else what it is and what to do about it, to
        follow its name in a sentence.

    Examples:
        >>> check_mixable(torch.zeros(4, 3))
        >>> check_mixable(torch.zeros(0, 3))
        'has shape (0, 3), an empty batch; leave empty batches out, as DataLoader(drop_last=True) does'
    """
    if type(x).__name__ == "MaskedTensor":
        return (
            "is a MaskedTensor, whose mask would not be mixed with its values; hand over both as tensors, "
            "x.get_data() and x.get_mask(), and mix the mask as a target"
        )
    if x.is_nested:
        return "is a nested tensor; pad it to one length: torch.nested.to_padded_tensor(x, 0.0)"
    if x.layout != torch.strided:
        return f"is sparse ({x.layout}); make it dense: x.to_dense()"
    if x.is_quantized:
        return f"is quantized ({x.dtype}); give it numbers first: x.dequantize()"
    if x.is_floating_point() and x.itemsize < 2:
        return f"is {x.dtype}, which torch stores and does not compute with; convert it first: x.bfloat16()"
    if x.ndim == 0:
        return "is a single number, not a batch of shape (B, ...); give it a sample in each row"
    if x.shape[0] == 0:
        shape = tuple(x.shape)
        return f"has shape {shape}, an empty batch; leave empty batches out, as DataLoader(drop_last=True) does"
    if x.numel() == 0:
        return f"has shape {tuple(x.shape)}, samples without a number in them; leave it out of the keys"
    return None


def overlaps(x: Tensor) -> bool:
    """Whether elements of a tensor share memory, as those of an expanded tensor and of windows by ``unfold`` do.

    Args:
        x: Any strided tensor.

    Returns:
        True if two elements may share memory.

    Examples:
        >>> x = torch.arange(6)
        >>> overlaps(x), overlaps(x.expand(2, 6)), overlaps(x.unfold(0, 4, 1)), overlaps(x.unfold(0, 3, 3))
        (False, True, True, False)
    """
    if x.is_contiguous():
        return False
    reach = 0
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False


def shares_memory(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors have elements in common.

    Args:
        first: Any strided tensor.
        second: Another one.

    Returns:
        True if they do, or if that is too hard to say.

    Examples:
        >>> x = torch.arange(6).view(2, 3)
        >>> shares_memory(x, x), shares_memory(x, x[:, 1]), shares_memory(x[:, 0], x[:, 1]), shares_memory(x, x + 1)
        (True, True, False, False)
    """
    if first is second:
        return True
    if first.untyped_storage().data_ptr() != second.untyped_storage().data_ptr():
        return False
    try:
        return np.shares_memory(_layout(first), _layout(second), max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def shared_memory(entries: Mapping[_Key, Tensor]) -> str | None:
    """Why entries of a batch cannot be overwritten.

    Args:
        entries: The tensors that ``inplace=True`` would overwrite, and those that are read after, by their names.

    Returns:
        None if each element has memory of its own; else what shares it and what to do about it, as a sentence.

    Examples:
        >>> x = torch.zeros(4, 3)
        >>> shared_memory({"image": x, "target": x})
        "'image' and 'target' share memory, so that inplace=True would mix them twice; mix out of place: inplace=False"
    """
    for name, x in entries.items():
        if overlaps(x):
            return f"elements of {name!r} share memory, {_why(x)}"
    for (name, x), (other, y) in combinations(entries.items(), 2):
        if shares_memory(x, y):
            return (
                f"{name!r} and {other!r} share memory, so that inplace=True would mix them twice; "
                "mix out of place: inplace=False"
            )
    return None


def writable(x: Tensor) -> Tensor:
    """The tensor itself, if it can be overwritten.

    Raises:
        ValueError: If several of its elements share memory.
    """
    if overlaps(x):
        raise ValueError(f"inplace=True: elements of x share memory, {_why(x)}")
    return x


def _why(x: Tensor) -> str:
    return (
        f"as in windows by unfold or an expanded tensor (shape {tuple(x.shape)}, strides {x.stride()}); "
        "mix out of place (inplace=False), or give them memory of their own: x.contiguous()"
    )


class _Memory:
    """Where the elements of a tensor lie, without a look at them, which may be on a device."""

    def __init__(self, x: Tensor) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{x.itemsize}",
            "shape": tuple(x.shape),
            "strides": tuple(stride * x.itemsize for stride in x.stride()),
            "data": (x.data_ptr(), True),
        }


def _layout(x: Tensor) -> np.ndarray:
    return np.asarray(_Memory(x))
