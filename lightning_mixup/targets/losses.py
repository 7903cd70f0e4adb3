"""Losses of torch on mixed labels: cross entropy from one softmax, and who listens to what a loss is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction as _Reduction

from lightning_mixup.functional.losses import two_cross_entropies
from lightning_mixup.targets import row_losses, trees
from lightning_mixup.targets.calls import both
from lightning_mixup.targets.pair import MixedTarget, pair, special
from lightning_mixup.targets.values import is_mixed

listeners: list[Callable[[Tensor, MixedTarget], None]] = []
"""Called with a prediction and its mixed labels whenever a loss of torch uses them. Empty unless somebody measures."""

LOSSES: tuple[Callable[..., Any], ...] = (
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.cosine_embedding_loss,
    F.cross_entropy,
    F.ctc_loss,
    F.gaussian_nll_loss,
    F.hinge_embedding_loss,
    F.huber_loss,
    F.kl_div,
    F.l1_loss,
    F.margin_ranking_loss,
    F.mse_loss,
    F.multi_margin_loss,
    F.multilabel_margin_loss,
    F.multilabel_soft_margin_loss,
    F.nll_loss,
    F.poisson_nll_loss,
    F.smooth_l1_loss,
    F.soft_margin_loss,
    F.triplet_margin_loss,
)


def notify(*trees_: Any) -> None:  # noqa: ANN401
    """Tell listeners what a loss is asked.

    Args:
        trees_: Its arguments; the first tensor that is no mixed one is the prediction.
    """
    found = [leaf for leaf in trees.leaves(trees_) if isinstance(leaf, Tensor)]
    pred = next((leaf for leaf in found if not is_mixed(leaf)), None)
    target = next((leaf for leaf in found if isinstance(leaf, MixedTarget)), None)
    if pred is None or target is None:
        return
    for listener in listeners:
        listener(pred, target)


def _loss(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    if listeners:
        notify(args, kwargs)
    return both(func, args, kwargs)


def cross_entropy(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """``F.cross_entropy`` of a pair: still a pair, for a power or a threshold of it is not linear.

    Args:
        func: ``F.cross_entropy``.
        args: Its arguments.
        kwargs: Likewise.

    Returns:
        A pair of losses.
    """
    if listeners:
        notify(args, kwargs)
    if len(args) == 2:
        pred, target = args
        options = kwargs
    else:
        bound = _SIGNATURE.bind(*args, **kwargs)
        pred, target = bound.arguments["input"], bound.arguments["target"]
        options = {name: option for name, option in bound.arguments.items() if name not in ("input", "target")}
    size_average, reduced = options.get("size_average"), options.get("reduce")
    if size_average is not None or reduced is not None:
        options = {**options, "reduction": _Reduction.legacy_get_string(size_average, reduced)}
    weight, smoothing = options.get("weight"), options.get("label_smoothing", 0.0)
    if (
        type(target) is not MixedTarget
        or type(pred) is MixedTarget
        or type(weight) is MixedTarget
        or target.origin.step.over
        or target.original.dtype != torch.int64
        or smoothing.__class__ is not float
    ):
        return both(func, args, kwargs)
    if target.lam.__class__ is not float:
        reduction = options.get("reduction", "mean")
        one_by_one = weight is None and not smoothing and target.lam.ndim == target.original.ndim
        if one_by_one and reduction in ("none", "mean", "sum"):
            return row_losses.cross_entropy(pred, target, options.get("ignore_index", -100), reduction)
        return both(func, args, kwargs)
    first, second = two_cross_entropies(
        pred,
        target.original,
        target.partner,
        weight,
        options.get("ignore_index", -100),
        options.get("reduction", "mean"),
        smoothing,
    )
    return pair(first, second, target.lam, target.origin)


_SIGNATURE = inspect.signature(F.cross_entropy)
special.update(dict.fromkeys(LOSSES, _loss))
special[F.cross_entropy] = cross_entropy
