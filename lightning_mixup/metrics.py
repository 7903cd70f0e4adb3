"""Metrics of mixed labels, for those who want more than the dominant one."""

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

    Args:
        **kwargs: Of ``torchmetrics.Metric``.

    Examples:
        >>> accuracy = MixAccuracy()
        >>> logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
        >>> accuracy(logits, MixedTarget(torch.tensor([0, 1]), torch.tensor([1, 2]), lam=0.75))
        tensor(0.5000)
        >>> accuracy(logits, torch.tensor([0, 2]))
        tensor(1.)
        >>> accuracy.compute()
        tensor(0.7500)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    correct: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.add_state("correct", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: Scores of shape ``(B, C, *dims)``, or predicted classes of the shape of ``target``.
            target: Class indices of shape ``(B, *dims)``, mixed or plain.
        """
        if preds.ndim == target.ndim + 1:
            preds = preds.argmax(1)
        if isinstance(target, MixedTarget):
            hits = blend((preds == target.original).float(), (preds == target.partner).float(), target.lam)
        else:
            hits = (preds == target).float()
        self.correct += hits.sum()
        self.total += hits.numel()

    def compute(self) -> Tensor:
        """The accuracy of all batches in [0, 1]."""
        return self.correct / self.total
