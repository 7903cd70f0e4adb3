"""Labels with a weight for each sample: exact for what stays one row a sample until a mean or a sum.

The weights of a pair broadcast over it: along a dimension in which they have one element, the samples are not told
apart, and anything may happen. Along the dimension of the samples only what treats each of them alone keeps a pair;
their sum or mean is *blended*, a single tensor that may be scaled and added, and nothing else: the square of a mean
is not the mean of squares, and a quotient of mixed sums is not the mix of quotients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from lightning_mixup.targets import trees
from lightning_mixup.targets.calls import Trait, by_rows, join, writable, written
from lightning_mixup.targets.losses import LOSSES
from lightning_mixup.targets.origin import BLENDED
from lightning_mixup.targets.row_call import MOVES, Call, pointwise
from lightning_mixup.targets.row_lookups import indexed, looked_up
from lightning_mixup.targets.row_losses import loss
from lightning_mixup.targets.row_rules import (
    ALONG,
    along,
    assigned,
    contracted,
    moved,
    multiplied,
    scattered,
    spread,
    turned,
)
from lightning_mixup.targets.row_sums import of_blended
from lightning_mixup.targets.values import is_mixed

_LOOK_UPS = frozenset("gather take_along_dim take index_select masked_select embedding one_hot".split())
_CONSTANTS = frozenset(
    "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty".split()
)
_PRODUCTS = frozenset("matmul mm bmm linear".split())
_TURNS = frozenset("unsqueeze_ squeeze_ t_ transpose_ swapaxes_ swapdims_".split())
_SCATTERS = frozenset("scatter scatter_add".split())


def rows(func: Callable[..., Any], args: Any, kwargs: Any, trait: Trait) -> Any:  # noqa: ANN401
    """Compute a function of torch of labels with a weight for each sample.

    Args:
        func: The function.
        args: Its arguments, with such labels.
        kwargs: Likewise.
        trait: What is known of the function.

    Returns:
        A pair with weights, a blended one, or what both halves agree on.

    Raises:
        MixedTargetError: If the samples are not told apart in it.
    """
    call = Call(func, args, kwargs, trait)
    if func in LOSSES:
        return loss(call)
    if any(found.lam is BLENDED for found in call.pairs):
        return of_blended(call)
    name, args = call.name, call.args
    if name in _CONSTANTS and call.only(args[0]):
        return call.halves()[0]
    if trait.name in _TURNS:
        return turned(call)
    target = written(func, args, call.kwargs, trait)
    lam: Any = None
    if name == "setitem":
        lam = assigned(call)
    elif pointwise(call):
        if name == "detach" and target:
            raise call.refusal()
        lam = call.aligned(target[0].ndim if target else None)
    elif name in _SCATTERS:
        lam = scattered(call)
    elif name in _PRODUCTS:
        lam = multiplied(call)
    elif name == "einsum":
        lam = contracted(call)
    if target:
        if lam is None:
            raise call.refusal()
        return _write(call, target, lam)
    if name in _LOOK_UPS and lam is None:
        lam = looked_up(call)
    if lam is None and name == "getitem" and not is_mixed(args[0]):
        lam = indexed(call)
    if name == "broadcast_tensors":
        return spread(call)
    if lam is None and trait.name in MOVES:
        return moved(call)
    if lam is None and name in ALONG:
        return along(call)
    one, other = call.halves()
    if lam is None:
        if any(isinstance(leaf, Tensor) for leaf in trees.leaves((one, other))):
            raise call.refusal()
        return join(one, other, 1.0, call.origin, f"{trait.name}()")
    return join(one, other, lam, call.origin, f"{trait.name}()")


def _write(call: Call, target: list[Any], lam: Any) -> Any:  # noqa: ANN401
    """Write into tensors, which become pairs if they are none."""
    for found in target:
        writable(found, lam, call.origin, call.trait.name)
        shape = found.shape
        if lam is not BLENDED and any(n not in (1, m) for n, m in zip(lam.shape, shape, strict=True)):
            raise call.refusal()
        found.lam = lam
    call.halves()
    return call.kwargs["out"] if "out" in call.kwargs else call.args[0]


by_rows[:] = [rows]
