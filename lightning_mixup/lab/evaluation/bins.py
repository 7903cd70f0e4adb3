"""The calibration error by its formula: bins of equal width over confidence, closed on the right."""

from typing import Literal

import torch
from torch import Tensor

Norm = Literal["l1", "l2"]


def confidence_and_hits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Reduce predictions to what calibration is about.

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.

    Returns:
        The probability of the predicted class, in ``[1 / C, 1]``, and 1.0 where it is the label, else 0.0; float64.
    """
    confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
    return confidence, (predicted == labels).double()


def bin_sums(logits: Tensor, labels: Tensor, bins: int) -> Tensor:
    """Add up what falls into each bin ``((b - 1) / bins, b / bins]``, the least confidence being in the first.

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.
        bins: how many.

    Returns:
        Three rows of ``bins`` numbers: predictions, the sum of their confidence, and how many are right; float64. NaN
        throughout the second row where a prediction is not finite.

    Examples:
        >>> bin_sums(torch.tensor([[0.0, 0.0], [99.0, 0.0]]), torch.tensor([1, 0]), bins=2)
        tensor([[1.0000, 1.0000],
                [0.5000, 1.0000],
                [0.0000, 1.0000]], dtype=torch.float64)
    """
    confidence, hits = confidence_and_hits(logits, labels)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.double, device=confidence.device)
    where = (torch.bucketize(confidence, edges) - 1).clamp(0, bins - 1)
    rows = torch.stack([torch.ones_like(hits), confidence, hits])
    sums = torch.zeros(3, bins, dtype=torch.double, device=rows.device).index_add(1, where, rows)
    if not torch.isfinite(confidence).all():
        sums[1] = torch.nan
    return sums


def error_of(sums: Tensor, norm: Norm = "l1") -> Tensor:
    """Give the calibration error of what ``bin_sums`` added up.

    Args:
        sums: shape ``(3, bins)``.
        norm: ``l1`` for the mean over predictions, ``l2`` for the root mean square.

    Returns:
        A number in ``[0, 1]``; NaN where there are no predictions, or some that are not finite.

    Examples:
        >>> sums = torch.tensor([[1.0, 3.0], [0.5, 3.0], [0.0, 2.0]])  # gaps of 1/2 and 1/3
        >>> [round(float(error_of(sums, norm)), 4) for norm in ("l1", "l2")]
        [0.375, 0.3819]
    """
    size, confidence, hits = sums
    gaps = (confidence - hits).abs() / size.clamp(min=1)
    shares: Tensor = size / size.sum()
    error: Tensor = (shares * gaps).sum() if norm == "l1" else (shares * gaps.square()).sum().sqrt()
    return error
