"""Cross entropy of one prediction with two labels, at little more than the cost of one, and the weighing of halves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_mixup.functional.blending import within

_LOW = (torch.float16, torch.bfloat16)
_FEW = 2**14  # scores in a batch
_LARGE = 2**19
_MANY = 2**8  # classes


def blend(original: Tensor, partner: Tensor, lam: float | Tensor) -> Tensor:
    """Weigh two tensors: ``lam * original + (1 - lam) * partner``, in floating point.

    Args:
        original: Tensor of any dtype.
        partner: Tensor of the same shape and dtype.
        lam: Weight of ``original`` in [0, 1]: a number, or a tensor along the leading dimensions.

    Returns:
        The weighted mean; exactly ``original`` at ``lam=1`` and exactly ``partner`` at ``lam=0``, whatever the other
        is. Whole numbers come back in the default floating dtype.

    Examples:
        >>> blend(torch.tensor([0, 4]), torch.tensor([4, 0]), lam=0.75)
        tensor([1., 3.])
    """
    if not (original.is_floating_point() or original.is_complex()):
        original, partner = original.to(torch.get_default_dtype()), partner.to(torch.get_default_dtype())
    if not isinstance(lam, Tensor):
        return (original if lam else partner) if lam in (0, 1) else torch.lerp(partner, original, lam)
    lam = lam.reshape(lam.shape + (1,) * (original.ndim - lam.ndim)).to(original.device)
    mixed = torch.lerp(partner, original, lam.to(original.dtype))
    if within(lam):
        return mixed
    # What has no weight may be infinite or not a number.
    return torch.where(lam == 1, original, torch.where(lam == 0, partner, mixed))


def reduce(loss: Tensor, reduction: str, share: Tensor | None = None) -> Tensor:
    """Reduce a loss as torch's own do.

    Args:
        loss: Values of shape ``(B, ...)``.
        reduction: ``"none"``, ``"sum"``, ``"mean"`` or ``"batchmean"``.
        share: What a ``"mean"`` divides by, instead of by the number of values.

    Returns:
        A scalar, or ``loss`` itself with ``"none"``.

    Raises:
        ValueError: If the reduction is none of these.

    Examples:
        >>> reduce(torch.tensor([1.0, 3.0]), "mean", share=torch.tensor(1.5))
        tensor(2.6667)
    """
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "batchmean":
        return loss.sum() / loss.shape[0]
    if reduction == "mean":
        return loss.mean() if share is None else loss.sum() / share
    raise ValueError(f"reduction must be 'none', 'sum', 'mean' or 'batchmean', got {reduction!r}")


def two_cross_entropies(
    input: Tensor,  # noqa: A002
    original: Tensor,
    partner: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """``F.cross_entropy`` of one prediction with each of two labels, from a single softmax.

    Args:
        input: Scores of shape ``(B, C, *dims)`` or ``(C,)``.
        original: Class indices of shape ``(B, *dims)`` or ``()``.
        partner: Class indices of the partners, same shape.
        weight: Weight of each class, shape ``(C,)``.
        ignore_index: Label that counts neither in the loss nor in its mean.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: Share in [0, 1] of every label that is spread over all classes.

    Returns:
        The loss of the original labels and that of the partners.

    Examples:
        >>> scores = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
        >>> two_cross_entropies(scores, torch.tensor([0]), torch.tensor([2]))
        (tensor(0.6931), tensor(1.3863))
    """
    dim = 1 if input.ndim > 1 else 0
    log_prob = _log_softmax(input, dim)
    few = log_prob.numel() < _LARGE or log_prob.shape[dim] < _MANY
    if few or not _fit(log_prob, (original, partner), weight, dim):  # torch says what does not fit
        first = F.nll_loss(log_prob, original, weight, None, ignore_index, None, reduction)
        second = F.nll_loss(log_prob, partner, weight, None, ignore_index, None, reduction)
    else:
        # The gradient of each nll_loss is a tensor as large as the scores; that of what is gathered at once is one.
        labels = torch.stack([original, partner], dim)
        counted = labels != ignore_index
        try:
            found = -log_prob.gather(dim, labels * counted)
        except RuntimeError:
            for half in (original, partner):
                F.nll_loss(log_prob, half, weight, None, ignore_index)  # says which label is out of bounds
            raise
        # In full precision, as nll_loss sums on a GPU: the sum of many values overflows in float16.
        found = found.to(torch.promote_types(found.dtype, torch.float32))
        counts = counted if weight is None else label_weights(labels, weight, ignore_index).to(found.dtype)
        nll = torch.where(counted, found if weight is None else found * counts, 0)
        first, second = (
            reduce(half, reduction, count.sum() if reduction == "mean" else None).to(log_prob.dtype)
            for half, count in zip(nll.unbind(dim), counts.unbind(dim), strict=True)
        )
    if not label_smoothing:
        return first, second
    if weight is None:
        spread = -log_prob.sum(dim)
    else:
        spread = -(log_prob * weight.view(-1, *[1] * (input.ndim - dim - 1))).sum(dim)
    return tuple(  # type: ignore[return-value]
        (1 - label_smoothing) * nll
        + label_smoothing / input.shape[dim] * _spread(spread, labels, weight, ignore_index, reduction)
        for nll, labels in ((first, original), (second, partner))
    )


def mixed_cross_entropy(
    input: Tensor,  # noqa: A002
    original: Tensor,
    partner: Tensor,
    lam: Tensor,
    ignore_index: int = -100,
    reduction: str = "mean",
    inside: bool = False,
) -> Tensor:
    """``F.cross_entropy`` of one prediction with two labels, which each sample weighs in its own way.

    Args:
        input: Scores of shape ``(B, C, *dims)``.
        original: Class indices of shape ``(B, *dims)``.
        partner: Class indices of the partners, same shape.
        lam: Weight of the original in [0, 1]: a tensor of as many dimensions, that broadcasts over the labels.
        ignore_index: Label that counts neither in the loss nor in its mean.
        reduction: ``"mean"`` or ``"sum"``.
        inside: Whether all weights are known to lie between 0 and 1; otherwise they are looked at.

    Returns:
        The weighted sum of both losses. What has no weight takes no part, infinite losses included.

    Examples:
        >>> scores = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]))
        >>> original, partner = torch.tensor([0, 0]), torch.tensor([1, 1])
        >>> mixed_cross_entropy(scores, original, partner, lam=torch.tensor([0.75, 0.5]))
        tensor(0.9531)
    """
    inside = not torch.compiler.is_compiling() and (inside or within(lam))
    if inside and input.numel() < _FEW and len(input) == len(original):  # else torch says what does not fit
        # The scores are weighed, so that the mean of each half divides by what counts in it.
        log_prob = _log_softmax(input, 1)
        own = log_prob * lam.unsqueeze(1)
        first = F.nll_loss(own, original, None, None, ignore_index, None, reduction)
        second = F.nll_loss(log_prob - own, partner, None, None, ignore_index, None, reduction)
        return (first + second).to(log_prob.dtype)
    one, other = two_cross_entropies(input, original, partner, None, ignore_index, "none")
    dtype = one.dtype
    if inside and lam.is_cpu and dtype == lam.dtype:
        # No device is waited for. Mostly as many labels count in one half as in the other: one mean does for both.
        counts = [int((half != ignore_index).sum()) if reduction == "mean" else 1 for half in (original, partner)]
        if counts[0] == counts[1]:
            return torch.lerp(other, one, lam).sum() / counts[0]
    # The weights are shares of the loss before they meet it: what has no gradient is divided, and not the losses.
    lam = lam.to(torch.promote_types(dtype, torch.float32))
    own, others = lam, 1 - lam
    if reduction == "mean":
        own, others = own / (original != ignore_index).sum(), others / (partner != ignore_index).sum()
    one, other = one * own, other * others
    if not inside:  # what has no weight may be infinite
        one, other = torch.where(lam == 0, 0, one), torch.where(lam == 1, 0, other)
    return (one + other).sum().to(dtype)


def _log_softmax(input: Tensor, dim: int) -> Tensor:  # noqa: A002
    if input.dtype in _LOW and torch.is_autocast_enabled(input.device.type):
        input = input.float()  # noqa: A001  # as autocast does for cross_entropy, but not everywhere for its parts
    return torch.log_softmax(input, dim)


def _fit(log_prob: Tensor, halves: tuple[Tensor, Tensor], weight: Tensor | None, dim: int) -> bool:
    """Whether labels and weights are what can be gathered: a gather takes fewer labels without a word."""
    shape = list(log_prob.shape)
    classes = shape.pop(dim)
    return all(half.dtype == torch.int64 and list(half.shape) == shape for half in halves) and (
        weight is None or (weight.dtype == log_prob.dtype and list(weight.shape) == [classes])
    )


def label_weights(labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """What each label counts in the mean of a cross entropy.

    Args:
        labels: Class indices of any shape.
        weight: Weight of each class, shape ``(C,)``.
        ignore_index: Label that does not count.

    Returns:
        Floating point tensor of the labels' shape.

    Examples:
        >>> label_weights(torch.tensor([1, -100]), torch.tensor([0.5, 2.0]), -100)
        tensor([2., 0.])
    """
    counted = labels != ignore_index
    if weight is None:
        return counted.to(torch.get_default_dtype())
    return weight[torch.where(counted, labels, 0).long()] * counted


def _spread(spread: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    """The smooth part of a loss, of the labels that count."""
    spread = torch.where(labels == ignore_index, 0.0, spread)
    return reduce(spread, reduction, label_weights(labels, weight, ignore_index).to(spread.dtype).sum())
