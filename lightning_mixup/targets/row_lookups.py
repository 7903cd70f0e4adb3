"""What is looked up by labels: where the weights of the samples stand in it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_mixup.targets import trees
from lightning_mixup.targets.pair import MixedTarget
from lightning_mixup.targets.row_call import Call


def looked_up(call: Call) -> Any:  # noqa: ANN401
    """Look-ups give for each index what stands there.

    Args:
        call: The call.

    Returns:
        The weights of the result, None if they move as the labels do.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
    if call.name in ("one_hot", "embedding"):
        index = call.argument(0)
        if len(call.pairs) > 1 or not isinstance(index, MixedTarget):
            raise call.refusal()
        return index.lam.unsqueeze(-1)
    place = 2 if call.name in ("gather", "index_select") else 1
    source, index = call.argument(0), call.argument(place, "index", "indices", "mask")
    if not isinstance(index, MixedTarget):
        return None  # the weights move, too
    if call.name in ("index_select", "masked_select") and isinstance(source, MixedTarget):
        raise call.refusal()
    if call.name == "masked_select":
        if index.shape != source.shape:
            raise call.refusal()
        return picked(call, index)
    if call.name == "index_select":
        dim = call.argument(1, "dim") % max(source.ndim, 1)
        return index.lam.reshape((1,) * dim + (-1,) + (1,) * (source.ndim - dim - 1))
    if call.name == "take_along_dim" and call.argument(2, "dim") is None:
        raise call.refusal()  # both are flattened
    if isinstance(source, MixedTarget):
        args, kwargs = trees.change(
            (call.args, call.kwargs),
            lambda leaf: leaf.lam.expand(leaf.shape) if leaf is source else leaf.original if leaf is index else leaf,
        )
        return call.agreed([index.lam, call.func(*args, **kwargs)])
    return index.lam


def indexed(call: Call) -> Any:  # noqa: ANN401
    """``table[y]``, ``scores[rows, y]``, ``scores[:, y]``: where the indices stand in the result.

    Args:
        call: The call.

    Returns:
        The weights of the result.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
    place = call.args[1]
    places = place if isinstance(place, tuple) else (place,)
    found = [item for item in places if isinstance(item, MixedTarget)]
    if isinstance(place, MixedTarget) and place.dtype == torch.bool:
        return picked(call, place)
    if any(item.dtype in (torch.bool, torch.uint8) for item in places if isinstance(item, Tensor)):
        raise call.refusal()
    if any(item is Ellipsis or isinstance(item, list) for item in places) or not found:
        raise call.refusal()
    advanced = [n for n, item in enumerate(places) if isinstance(item, (Tensor, int))]
    ndim = max(item.ndim for item in places if isinstance(item, Tensor))
    lam = call.agreed([item.lam.reshape((1,) * (ndim - item.ndim) + item.lam.shape) for item in found])
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    before = advanced[0] if together else 0
    result = call.with_leaves(lambda leaf: leaf.original)
    return lam.reshape((1,) * before + lam.shape + (1,) * (result.ndim - before - lam.ndim))


def picked(call: Call, mask: MixedTarget) -> Tensor:
    """``scores[one_hot]``: of each sample as many numbers, whichever the label.

    A mask that picks all or nothing of a sample, such as one of labels that count, is refused also while it picks all:
    better in the first step than in the first batch that has others.

    Args:
        call: The call.
        mask: What picks.

    Returns:
        The weights of the result.

    Raises:
        MixedTargetError: If the mask picks more of some samples than of others.
    """
    if mask.ndim < 2 or mask.lam.shape[1:].numel() > 1:
        raise call.refusal()
    one, other = mask.original.flatten(1), mask.partner.flatten(1)
    counts = torch.cat([one.sum(1), other.sum(1)])
    count = int(counts[0])
    if not 0 < count < one.shape[1] or bool((counts != count).any()):
        raise call.refusal()
    lam: Tensor = mask.lam.flatten().expand(len(one)).repeat_interleave(count)
    return lam.reshape(-1, *[1] * (call.args[0].ndim - mask.ndim))
