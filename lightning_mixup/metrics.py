"""Metrics of mixed labels, for those who want more than the dominant one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_mixup.functional.losses import blend
from lightning_mixup.targets import MixedTarget


class MixAccuracy(Metric):
    """Accuracy on mixed labels: a prediction of either label earns that label's weight.

    ``lam * [pred = original] + (1 - lam) * [pred = partner]``, averaged over the samples; on plain labels the usual
    accuracy. It is what papers on Mixup print as training accuracy, and at best the mean of ``max(lam, 1 - lam)``
    where the labels differ: comparable between epochs, not with validation accuracy.

    Shapes say what the labels are: scores ``(B, C, *dims)`` of class indices ``(B, *dims)``, scores of one-hot or soft
    labels of the same shape, or scores of binary labels 0/1 or -1/1 of shape ``(B,)`` or ``(B, 1)``. Binary scores are
    probabilities if all of a batch lie in [0, 1], else logits. Labels that are missing do not count: NaN, and class
    indices outside [0, C).

    Args:
        multilabel: Whether labels of shape ``(B, C)`` are C answers, each right or wrong; otherwise they are the
            probabilities of C classes, of which a prediction earns its own.
        ignore_index: A further label that does not count.
        **kwargs: Of `torchmetrics.Metric`.

    Examples:
        >>> accuracy = MixAccuracy()
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
        >>> accuracy(logits, MixedTarget(torch.tensor([0, 1]), torch.tensor([1, 2]), lam=0.75))
        tensor(0.5000)
        >>> accuracy(logits, torch.tensor([0, 2]))
        tensor(1.)
        >>> accuracy.compute()
        tensor(0.7500)
        >>> MixAccuracy(ignore_index=2)(logits, torch.tensor([1, 2]))
        tensor(0.)
        >>> MixAccuracy(multilabel=True)(logits, torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]))
        tensor(0.8333)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    takes_mixed_targets = True  # other metrics of a module are given the dominant labels
    correct: Tensor
    total: Tensor

    def __init__(self, *, multilabel: bool = False, ignore_index: int | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.multilabel = multilabel
        self.ignore_index = ignore_index
        self.add_state("correct", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: Scores, or predicted classes of the shape of ``target``.
            target: Labels, mixed or plain.
        """

        def judge(labels: Tensor) -> tuple[Tensor, Tensor]:
            return earned(preds, labels, multilabel=self.multilabel, ignore_index=self.ignore_index)

        if isinstance(target, MixedTarget):
            (first, known), (second, known_too) = judge(target.original), judge(target.partner)
            lam = fitted(target.lam, first)
            hits, known = blend(first, second, lam), blend(known, known_too, lam)
        else:
            hits, known = judge(target)
        self.correct += hits.sum()
        self.total += known.sum()

    def compute(self) -> Tensor:
        """The accuracy of all batches in [0, 1]."""
        return self.correct / self.total


def fitted(lam: float | Tensor, answers: Tensor) -> float | Tensor:
    """Weights of labels, for what is judged of them: one answer a sample has none of the labels' other dimensions.

    Args:
        lam: A number, or a tensor that broadcasts over the labels.
        answers: What is judged, with the dimension of classes gone.

    Returns:
        The weights, with no more dimensions than the answers.

    Examples:
        >>> fitted(torch.tensor([[0.25], [0.5]]), torch.ones(2))
        tensor([0.2500, 0.5000])
    """
    while isinstance(lam, Tensor) and lam.ndim > answers.ndim:
        lam = lam[..., 0]
    return lam


def earned(
    preds: Tensor,
    labels: Tensor,
    *,
    multilabel: bool = False,
    ignore_index: int | None = None,
    cut: float | None = None,
) -> tuple[Tensor, Tensor]:
    """What predictions earn by plain labels.

    Args:
        preds: Scores, or predicted classes.
        labels: Labels, as of `MixAccuracy`.
        multilabel: Whether labels ``(B, C)`` are C answers.
        ignore_index: A label that does not count, beside those that are out of range.
        cut: Above what score a binary prediction is positive; None looks whether the scores are probabilities.

    Returns:
        For every answer what it earns, in [0, 1], and whether it counts, 0 or 1; where it does not, it earns nothing.

    Raises:
        ValueError: If the shapes fit no kind of labels.

    Examples:
        >>> earned(torch.tensor([[-1.0], [2.0]]), torch.tensor([1.0, 1.0]))
        (tensor([0., 1.]), tensor([1., 1.]))
    """
    if preds.ndim == labels.ndim + 1 and preds.shape[1] == 1:
        preds = preds.squeeze(1)  # binary scores in a column
    elif preds.ndim == labels.ndim and preds.ndim > 1 and labels.shape[1] == 1 < preds.shape[1]:
        labels = labels.squeeze(1)  # class indices in a column
    if preds.ndim == labels.ndim + 1 and preds.shape[:1] + preds.shape[2:] == labels.shape:
        known = (labels >= 0) & (labels < preds.shape[1])
        right = preds.argmax(1) == labels
    elif preds.shape != labels.shape:
        raise ValueError(
            f"MixAccuracy: predictions of shape {tuple(preds.shape)} do not fit labels of shape {tuple(labels.shape)}; "
            "pass scores (B, C, *dims) of class indices (B, *dims), or predictions shaped like the labels"
        )
    elif not preds.is_floating_point():
        known, right = labels >= 0, preds == labels
    elif multilabel or preds.ndim == 1 or preds.shape[1] == 1:
        known = ~labels.isnan() if labels.is_floating_point() else labels >= 0
        threshold = torch.where(((preds < 0) | (preds > 1)).any(), 0.0, 0.5) if cut is None else cut
        right = (preds > threshold) == (labels > 0)
    else:
        share = labels.gather(1, preds.argmax(1, keepdim=True)).squeeze(1).float()
        known = ~share.isnan()
        return torch.where(known, share, 0.0), known.float()
    if ignore_index is not None:
        known = known & (labels != ignore_index)
    return (right & known).float(), known.float()
