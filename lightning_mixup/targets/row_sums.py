"""What has been summed over samples, each with a weight of its own: it may be scaled and added."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_mixup.functional.losses import blend
from lightning_mixup.targets import trees
from lightning_mixup.targets.calls import become_pair, written
from lightning_mixup.targets.number import Number
from lightning_mixup.targets.origin import BLENDED, Origin
from lightning_mixup.targets.pair import MixedTarget, pair
from lightning_mixup.targets.row_call import MOVES, Call
from lightning_mixup.targets.values import is_mixed


def blended(values: Tensor, origin: Origin) -> MixedTarget:
    """What has been summed over the samples.

    Args:
        values: The weighted sum.
        origin: Where the labels come from.

    Returns:
        A pair of two equal halves, which may only be scaled and added.
    """
    return pair(values, values, BLENDED, origin)


def of_blended(call: Call) -> Any:  # noqa: ANN401
    """Sums over the samples may be scaled and added.

    Args:
        call: The call.

    Returns:
        A blended pair, or what is no tensor.

    Raises:
        MixedTargetError: If that cannot be told of it.
    """
    name = call.name
    if name in ("isnan", "isinf", "isfinite"):
        return call.with_leaves(_sum)
    if name == "item":
        number = call.args[0].original.item()
        return Number(number, number, BLENDED, call.origin, call.args[0].requires_grad)
    attribute = getattr(call.func, "__name__", "") == "__get__"
    moves = call.trait.name in MOVES or name in ("clone", "detach", "contiguous", "float", "double", "to", "cpu")
    scales = name in ("mul", "multiply") and len(call.pairs) == 1
    divides = name in ("div", "divide", "true_divide", "truediv") and call.only(call.argument(0))
    divides = divides and not call.trait.name.startswith("__r")
    adds = name in ("add", "sub", "rsub", "subtract", "neg", "negative", "sum", "mean")
    if call.trait.statistics or not (attribute or moves or scales or divides or adds):
        raise call.refusal()
    target = written(call.func, call.args, call.kwargs, call.trait)
    if target:
        result = getattr(torch.Tensor, _OUT_OF_PLACE.get(call.trait.name, name))(
            *trees.change(call.args, lambda leaf: _sum(leaf) if is_mixed(leaf) else leaf)
        )
        found = target[0]
        if not is_mixed(found):
            become_pair(found, BLENDED, call.origin, call.trait.name)
        found.original = found.partner = result
        found.lam = BLENDED
        return found
    result = call.with_leaves(_sum)
    if attribute and not isinstance(result, Tensor):
        return result
    return trees.change(result, lambda leaf: blended(leaf, call.origin) if isinstance(leaf, Tensor) else leaf)


_OUT_OF_PLACE = {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div"}


def _sum(leaf: Any) -> Any:  # noqa: ANN401
    return leaf.original if leaf.lam is BLENDED else blend(leaf.original, leaf.partner, leaf.lam)
