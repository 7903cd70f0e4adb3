"""Judges of predictions: pure functions of logits ``(N, C)`` and class indices ``(N,)``."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from lightning_mixup.lab.evaluation import calibration


def describe(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Judge predictions: ``accuracy``, ``nll`` (nats), ``brier`` and all of ``calibrate``.

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.

    Examples:
        >>> sorted(describe(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1])))
        ['accuracy', 'adaptive_ece', 'brier', 'confidence_gap', 'ece', 'nll', 'rms_ce']
    """
    return {
        "accuracy": accuracy(logits, labels),
        "brier": calibration.brier_score(logits, labels),
        **calibrate(logits, labels),
    }


def calibrate(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Judge probabilities: ``nll``, ``ece``, ``rms_ce``, ``adaptive_ece`` and ``confidence_gap``."""
    return {
        "nll": float(F.cross_entropy(logits.double(), labels)),
        "ece": calibration.calibration_error(logits, labels),
        "rms_ce": calibration.calibration_error(logits, labels, norm="l2"),
        "adaptive_ece": calibration.adaptive_calibration_error(logits, labels),
        "confidence_gap": calibration.confidence_gap(logits, labels),
    }


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of samples whose greatest logit is their label's; NaN where any logit is NaN, as after a divergence.

    Examples:
        >>> accuracy(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
        0.5
        >>> accuracy(torch.tensor([[float("nan"), 0.0], [1.0, 0.0]]), torch.tensor([0, 0]))
        nan
    """
    if logits.isnan().any():
        return math.nan
    return float((logits.argmax(dim=1) == labels).double().mean())


def confusion(logits: Tensor, labels: Tensor) -> list[list[int]]:
    """Count which class is taken for which.

    Args:
        logits: shape ``(N, C)``.
        labels: class indices, shape ``(N,)``.

    Returns:
        ``C`` rows of ``C`` counts: entry ``[i][j]`` is how many samples of class ``i`` are predicted as class ``j``.

    Examples:
        >>> confusion(torch.eye(3)[[0, 1, 1]], torch.tensor([0, 1, 2]))
        [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    """
    classes = logits.shape[1]
    pairs = torch.bincount(labels * classes + logits.argmax(dim=1), minlength=classes**2)
    counts: list[list[int]] = pairs.view(classes, classes).tolist()
    return counts


def memorisation(logits: Tensor, given: Tensor, true: Tensor) -> dict[str, float]:
    """Tell learning from memorising on training samples (Zhang et al. 2018, section 3.4, table 2).

    Args:
        logits: of training samples, shape ``(N, C)``.
        given: the labels that were trained on, shape ``(N,)``.
        true: the right labels, shape ``(N,)``.

    Returns:
        ``given_accuracy`` and ``true_accuracy``, shares of all samples; where labels are wrong also ``memorised``, the
        share of the wrong labels that are predicted, and ``resisted``, the share of them where the right one is.

    Examples:
        >>> logits = torch.eye(3)[[0, 1, 2, 2]]
        >>> memorisation(logits, given=torch.tensor([0, 1, 2, 1]), true=torch.tensor([0, 1, 1, 2]))
        {'given_accuracy': 0.75, 'true_accuracy': 0.75, 'memorised': 0.5, 'resisted': 0.5}
    """
    shares = {"given_accuracy": accuracy(logits, given), "true_accuracy": accuracy(logits, true)}
    wrong = given != true
    if wrong.any():
        shares["memorised"] = accuracy(logits[wrong], given[wrong])
        shares["resisted"] = accuracy(logits[wrong], true[wrong])
    return shares


def detection_auroc(known: Tensor, unknown: Tensor) -> float:
    """How well confidence tells known from unknown (Hendrycks and Gimpel 2017, section 3).

    Args:
        known: logits of samples of the classes trained on, shape ``(N, C)``.
        unknown: logits of other samples, shape ``(M, C)``.

    Returns:
        The chance that a known sample is predicted with more confidence than an unknown one (ties count half).

    Examples:
        >>> detection_auroc(torch.tensor([[9.0, 0.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
        0.75
    """
    if known.isnan().any() or unknown.isnan().any():
        return math.nan
    confidence = torch.cat([known, unknown]).double().softmax(dim=1).amax(dim=1)
    is_known = torch.cat([torch.ones(len(known)), torch.zeros(len(unknown))]).long()
    return float(binary_auroc(confidence, is_known))
