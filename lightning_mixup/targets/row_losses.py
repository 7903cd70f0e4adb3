"""Losses of torch, of labels with a weight for each sample."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction as _Reduction

from lightning_mixup.functional.losses import (
    blend,
    label_weights,
    mixed_cross_entropy,
    reduce,
    two_cross_entropies,
)
from lightning_mixup.targets.number import Number
from lightning_mixup.targets.origin import BLENDED
from lightning_mixup.targets.pair import MixedTarget, pair
from lightning_mixup.targets.row_call import Call
from lightning_mixup.targets.row_sums import blended
from lightning_mixup.targets.values import is_mixed


def loss(call: Call) -> Any:  # noqa: ANN401
    """A loss of torch: its values one by one are weighed, and then reduced.

    Args:
        call: The call.

    Returns:
        A blended pair; a pair of the values without a reduction.

    Raises:
        MixedTargetError: If that cannot be told of it.
    """
    if any(found.lam is BLENDED or isinstance(found, Number) for found in call.pairs):
        raise call.refusal()
    func = call.func
    bound = _signature(func).bind(*call.args, **call.kwargs).arguments
    size_average, reduced = bound.pop("size_average", None), bound.pop("reduce", None)
    reduction = bound.pop("reduction", "mean")
    if size_average is not None or reduced is not None:
        reduction = _Reduction.legacy_get_string(size_average, reduced)
    target: Any = bound.get("target")
    by_class = func in (F.cross_entropy, F.nll_loss)
    indices = by_class and isinstance(target, MixedTarget) and not target.is_floating_point()
    plain = all(not is_mixed(leaf) for name, leaf in bound.items() if name != "target")
    if func is F.cross_entropy and indices and plain:
        del bound["target"]
        one, other = two_cross_entropies(original=target.original, partner=target.partner, reduction="none", **bound)
        bound["target"] = target
    else:
        call.kwargs, call.args = {**bound, "reduction": "none"}, ()
        one, other = call.halves()
    lams = [_fitting(found.lam, one, by_class, found is target and indices) for found in call.pairs]
    fitting = [lam for lam in lams if lam is not None]
    if len(fitting) < len(lams):
        raise call.refusal()
    lam = call.agreed(fitting)
    if reduction == "none":
        return pair(one, other, lam, call.origin)
    if reduction == "mean" and func is F.ctc_loss:
        lengths = torch.as_tensor(bound["target_lengths"])
        one, other = (loss / lengths.clamp(min=1).to(loss) for loss in (one, other))
    if reduction == "mean" and indices:
        weight, ignored = bound.get("weight"), bound.get("ignore_index", -100)
        one, other = (
            loss / label_weights(half, weight, ignored).to(loss.dtype).sum()
            for loss, half in ((one, target.original), (other, target.partner))
        )
        reduction = "sum"
    return blended(reduce(blend(one, other, lam), reduction), call.origin)


def cross_entropy(pred: Tensor, target: MixedTarget, ignore_index: int = -100, reduction: str = "mean") -> MixedTarget:
    """``F.cross_entropy`` of class indices without weights of the classes, which is what most steps ask for.

    Args:
        pred: Scores of shape ``(B, C, *dims)``.
        target: Labels of shape ``(B, *dims)``.
        ignore_index: Label that does not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A blended pair; a pair of the values without a reduction.
    """
    first, second, lam = target.original, target.partner, target.lam
    if reduction == "none":
        one, other = two_cross_entropies(pred, first, second, None, ignore_index, reduction)
        return pair(one, other, lam, target.origin)
    inside = target.origin.inside
    return blended(mixed_cross_entropy(pred, first, second, lam, ignore_index, reduction, inside), target.origin)


_signature = functools.cache(inspect.signature)


def _fitting(lam: Tensor, loss: Tensor, by_class: bool, indices: bool) -> Tensor | None:
    """The weights of an argument, as they are those of the loss."""
    if by_class and not indices and lam.ndim > 1:  # classes come second
        if lam.shape[1] != 1:
            return None
        lam = lam.squeeze(1)
    while lam.ndim > loss.ndim and lam.shape[-1] == 1:
        lam = lam.squeeze(-1)
    fits = lam.ndim == loss.ndim and all(n in (1, m) for n, m in zip(lam.shape, loss.shape, strict=True))
    return lam if fits else None
