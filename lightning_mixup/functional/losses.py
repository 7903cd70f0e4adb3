"""Cross entropy on a pair of labels at the cost of one: a single log-softmax, one look-up, no soft labels."""

import torch
from torch import Tensor
from torch.nn import _reduction as _Reduction

_SMALL = 2**15  # numbers in a batch
_SUM = _Reduction.get_enum("sum")
# What F.nll_loss calls; only here it also tells the sum of the weights, which a mean has to divide by.
_nll_and_share = torch.ops.aten.nll_loss_forward.default


def blend(original: Tensor, partner: Tensor, lam: float | Tensor) -> Tensor:
    """Weigh two tensors: ``lam * original + (1 - lam) * partner``, in floating point.

    Args:
        original: Tensor of any dtype.
        partner: Tensor of the same shape and dtype.
        lam: Weight of ``original`` in [0, 1]: a number, or a tensor along the leading dimensions.

    Returns:
        The weighted mean; exactly ``original`` at ``lam=1`` and exactly ``partner`` at ``lam=0``. Integers come back
        in the default floating dtype.

    Examples:
        >>> blend(torch.tensor([0, 4]), torch.tensor([4, 0]), lam=0.75)
        tensor([1., 3.])
    """
    if not original.is_floating_point():
        original, partner = original.to(torch.get_default_dtype()), partner.to(torch.get_default_dtype())
    if isinstance(lam, Tensor):
        lam = _trailing(lam.to(original.dtype), original.ndim)
    return torch.lerp(partner, original, lam)


def reduce(loss: Tensor, reduction: str, share: Tensor | None = None) -> Tensor:
    """Reduce a loss as torch's own do.

    Args:
        loss: Values of shape ``(B, ...)``.
        reduction: ``"none"``, ``"sum"``, ``"mean"`` or ``"batchmean"``.
        share: What a ``"mean"`` divides by the sum of, instead of by the number of values.

    Returns:
        A scalar, or ``loss`` itself with ``"none"``.

    Raises:
        ValueError: If the reduction is none of these.

    Examples:
        >>> reduce(torch.tensor([1.0, 3.0]), "mean", share=torch.tensor([1.0, 0.5]))
        tensor(2.6667)
    """
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "batchmean":
        return loss.sum() / loss.shape[0]
    if reduction == "mean":
        return loss.mean() if share is None else loss.sum() / share.sum()
    raise ValueError(f"reduction must be 'none', 'sum', 'mean' or 'batchmean', got {reduction!r}")


def pair_nll(
    log_prob: Tensor,
    original: Tensor,
    partner: Tensor,
    lam: float | Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Negative log-likelihood of two labels each: ``lam * nll(original) + (1 - lam) * nll(partner)``.

    As in Zhang et al. 2018, section 2. The mean divides by the mixed class weights, as the plain loss divides by the
    weights of its labels.

    Args:
        log_prob: Log-probabilities of shape ``(B, C, *dims)`` or ``(C,)``.
        original: Class indices of shape ``(B, *dims)`` or ``()``.
        partner: Class indices of the partners, same shape.
        lam: Weight of ``original``: a number, or a tensor of the labels' shape.
        weight: Weight of each class, shape ``(C,)``.
        ignore_index: Label that counts neither in the loss nor in its mean.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: Share in [0, 1] of every label that is spread over all classes.

    Returns:
        A scalar, or the labels' shape with ``reduction="none"``.

    Raises:
        ValueError: If the reduction is none of these.

    Examples:
        >>> log_prob = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
        >>> pair_nll(log_prob, torch.tensor([0]), torch.tensor([2]), lam=0.75)
        tensor(0.8664)
    """
    small = log_prob.ndim == 2 and log_prob.numel() < _SMALL
    if small and not (isinstance(lam, Tensor) or label_smoothing or reduction not in ("mean", "sum")):
        return _two_nll(log_prob, original, partner, lam, weight, ignore_index, reduction)
    dim = 1 if log_prob.ndim > 1 else 0
    labels = torch.stack((original, partner), dim).long()
    counted = labels != ignore_index
    labels = labels * counted
    halves = counted * _halves(lam, log_prob, dim)
    share = halves if weight is None else halves * weight[labels]
    gain = log_prob.gather(dim, labels) * share
    if label_smoothing:
        weighted = log_prob if weight is None else log_prob * weight.view(-1, *[1] * (log_prob.ndim - dim - 1))
        spread = weighted.mean(dim, keepdim=True)
        gain = torch.lerp(gain, spread * halves, label_smoothing)
    # The two terms of a label can be told apart until here, and are summed with all others.
    return -reduce(gain.sum(dim) if reduction == "none" else gain, reduction, share)


def _two_nll(
    log_prob: Tensor,
    original: Tensor,
    partner: Tensor,
    lam: float,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """The same by two calls of torch's kernel: fewer steps, but in the backward pass two gradients of ``log_prob``."""
    (first, first_share), (second, second_share) = (
        _nll_and_share(log_prob, labels.long(), weight, _SUM, ignore_index) for labels in (original, partner)
    )
    loss = torch.lerp(second, first, lam)
    return loss / torch.lerp(second_share, first_share, lam) if reduction == "mean" else loss


def _halves(lam: float | Tensor, log_prob: Tensor, dim: int) -> Tensor:
    """Weights of the original and of the partner, side by side along ``dim``, to broadcast over the labels."""
    if isinstance(lam, Tensor):
        lam = _trailing(lam.to(log_prob.dtype), log_prob.ndim - 1)
        return torch.stack((lam, 1 - lam), dim)
    # Two numbers straight on the device, where torch.tensor would copy them there and wait.
    halves = torch.linspace(lam, 1 - lam, 2, dtype=log_prob.dtype, device=log_prob.device)
    return _trailing(halves, log_prob.ndim - dim)


def _trailing(lam: Tensor, ndim: int) -> Tensor:
    return lam.reshape(lam.shape + (1,) * (ndim - lam.ndim))
