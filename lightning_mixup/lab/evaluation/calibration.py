"""Whether a classifier is as sure as it is right: pure functions of logits ``(N, C)`` and class indices ``(N,)``."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from lightning_mixup.lab.evaluation.bins import Norm, bin_sums, confidence_and_hits, error_of

COOLEST, HOTTEST = 0.01, 100.0
"""The range in which a temperature is looked for."""


class Bin(NamedTuple):
    """One bar of a reliability diagram."""

    low: float
    """Predictions are in this bin if their confidence is above ``low`` ..."""
    high: float
    """... and at most ``high``."""
    size: int
    """How many predictions are."""
    confidence: float
    """Their mean confidence; NaN if there are none."""
    accuracy: float
    """The share of them that is right; NaN if there are none."""


def confidence_gap(logits: Tensor, labels: Tensor) -> float:
    """Mean confidence minus accuracy: above 0 a classifier is over-confident, below 0 it is too timid.

    It tells apart what ``calibration_error`` adds up: mixing errs to the side of doubt.

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.

    Returns:
        A number in ``[-1, 1]``.

    Examples:
        >>> confidence_gap(torch.zeros(4, 2), torch.tensor([0, 0, 0, 0]))  # half sure, always right
        -0.5
    """
    confidence, hits = confidence_and_hits(logits, labels)
    return float((confidence - hits).mean())


def brier_score(logits: Tensor, labels: Tensor) -> float:
    """Mean squared distance of the probabilities from the one-hot label, summed over classes (Brier 1950, eq. 2).

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.

    Returns:
        A number in ``[0, 2]``; less is better.

    Examples:
        >>> brier_score(torch.zeros(1, 2), torch.tensor([0]))
        0.5
    """
    distance = logits.double().softmax(dim=1) - F.one_hot(labels, logits.shape[1])
    return float(distance.square().sum(dim=1).mean())


def calibration_error(logits: Tensor, labels: Tensor, norm: Norm = "l1", bins: int = 15) -> float:
    """Distance between confidence and accuracy over bins of equal width (Guo et al. 2017, eq. 3).

    ``(sum_b n_b / N * |confidence_b - accuracy_b| ** p) ** (1 / p)`` with ``p = 1``, the expected calibration error,
    or ``p = 2``, its root mean square, which weighs large errors more. Bin ``b`` of ``bins`` holds the confidences in
    ``((b - 1) / bins, b / bins]``: those of 1.0, which float32 makes frequent, are in the last one with their like.

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.
        norm: ``l1`` for ``p = 1``, ``l2`` for ``p = 2``.
        bins: number of bins. Few samples in many bins make every classifier look badly calibrated.

    Returns:
        A number in ``[0, 1]``; less is better.

    Examples:
        >>> calibration_error(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))
        0.5
    """
    return float(error_of(bin_sums(logits, labels, bins), norm))


def adaptive_calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error over bins that hold equally many predictions.

    The bins are those of Nixon et al. 2019, section 3.2; the error is of the predicted class alone, as in eq. 3 of Guo
    et al. 2017, where theirs is the mean over all classes. Confident classifiers crowd the last bin of equal width;
    here every bin has ``N / bins`` predictions, to one.

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.
        bins: number of bins; at most ``N`` are used.

    Returns:
        A number in ``[0, 1]``; less is better.

    Examples:
        >>> logits = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
        >>> round(adaptive_calibration_error(logits, torch.tensor([0, 0, 1]), bins=3), 4)
        0.5337
    """
    confidence, hits = confidence_and_hits(logits, labels)
    order = confidence.argsort(stable=True)
    gaps = (confidence - hits)[order].tensor_split(min(bins, len(order)))
    return float(sum(gap.sum().abs() for gap in gaps) / len(order))


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature ``T`` for which ``logits / T`` have the least cross entropy (Guo et al. 2017, section 4.2).

    Args:
        logits: of samples that were neither trained on nor will be tested on, shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.

    Returns:
        A number in ``[0.01, 100]``: above 1 the classifier was over-confident, below 1 too timid. At a bound of that
        range (see ``at_bound``) nothing was found: the cross entropy falls beyond it. NaN for logits that are NaN.

    Examples:
        >>> three_in_four = torch.tensor([[10.0, 0.0]] * 4)  # as sure as 0.99995, right in 3 of 4
        >>> round(fit_temperature(three_in_four, torch.tensor([0, 0, 0, 1])), 2)  # 10 / ln 3
        9.1
    """
    logits = logits.double()
    if logits.isnan().any():
        return math.nan

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / np.exp(log_temperature), labels))

    # Convex in 1 / T, so there is one minimum.
    found = minimize_scalar(loss, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-4})
    # Where all are right the loss is flat from some temperature down to 0: the search ends anywhere in there.
    bound = min((COOLEST, HOTTEST), key=lambda temperature: loss(np.log(temperature)))
    return bound if loss(np.log(bound)) <= found.fun else float(np.exp(found.x))


def at_bound(temperature: float) -> bool:
    """Whether a fitted temperature is a bound of the range in which it was looked for.

    At 0.01, all validation samples are right, and any more confidence lowers their cross entropy; at 100, no confidence
    is better than little. Scores scaled by either say nothing: on test samples they may be worse than unscaled ones.

    Args:
        temperature: of ``fit_temperature``.

    Examples:
        >>> at_bound(fit_temperature(torch.tensor([[1.0, 0.0]] * 4), torch.zeros(4, dtype=torch.long)))
        True
        >>> at_bound(1.3)
        False
    """
    near = 1.01
    return temperature <= COOLEST * near or temperature >= HOTTEST / near


def reliability(logits: Tensor, labels: Tensor, bins: int = 15) -> list[Bin]:
    """Sort predictions into bins of equal width, as for a reliability diagram (Guo et al. 2017, figure 1).

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.
        bins: number of bins.

    Returns:
        One entry a bin, in order of confidence.

    Examples:
        >>> [(bin.size, bin.confidence, bin.accuracy) for bin in reliability(torch.zeros(4, 2), torch.ones(4), bins=2)]
        [(4, 0.5, 0.0), (0, nan, nan)]
    """
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.double).tolist()
    sums = bin_sums(logits, labels, bins).tolist()
    return [
        Bin(low, high, int(size), confidence / size if size else math.nan, hits / size if size else math.nan)
        for low, high, size, confidence, hits in zip(edges, edges[1:], *sums, strict=False)
    ]
