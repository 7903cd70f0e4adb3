"""What is measured after every epoch: of a classifier from its logits, of a regression from its predictions."""

import torch
import torch.nn.functional as F
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

from lightning_mixup.lab.evaluation.bins import Norm, bin_sums, error_of
from lightning_mixup.lab.require import require


class Accuracy(MulticlassAccuracy):
    """Share of samples whose greatest logit is their label's; NaN where any logit is NaN.

    Of a network that has diverged, torchmetrics counts NaN as a prediction of the first class.

    Args:
        num_classes: number of classes.

    Examples:
        >>> accuracy = Accuracy(num_classes=2)
        >>> float(accuracy(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1])))
        0.5
        >>> float(accuracy(torch.full((2, 2), torch.nan), torch.tensor([0, 0])))
        nan
    """

    nans: torch.Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average="micro")
        self.add_state("nans", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Add logits ``(B, C)`` and class indices ``(B,)``."""
        self.nans = self.nans + preds.isnan().sum()
        super().update(preds, target)

    def compute(self) -> torch.Tensor:
        """Give the share of all that was added."""
        return torch.where(self.nans > 0, torch.nan, super().compute())


class NegativeLogLikelihood(MeanMetric):
    """Mean negative log-likelihood in nats: the cross entropy without smoothing, weights or mixing.

    It is NaN where any sample's is, as after a divergence.

    Examples:
        >>> nll = NegativeLogLikelihood()
        >>> nll.update(torch.zeros(4, 10), torch.arange(4))
        >>> round(float(nll.compute()), 4)  # ln 10
        2.3026
    """

    higher_is_better = False  # type: ignore[assignment]

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:  # type: ignore[override]
        """Add logits ``(B, C)`` and class indices ``(B,)``."""
        each = F.cross_entropy(preds.float(), target, reduction="none")
        # MeanMetric leaves NaN out, and the mean of the others would pass for a score.
        self.mean_value = self.mean_value + each.sum()
        self.weight = self.weight + each.numel()


class CalibrationError(Metric):
    """Calibration error (Guo et al. 2017, eq. 3) of logits; bins are closed on the right, so that 1.0 is in the last.

    Args:
        num_classes: number of classes; ``None`` for any.
        n_bins: bins of equal width.
        norm: ``l1`` for the expected calibration error, ``l2`` for its root mean square.

    Examples:
        >>> ece = CalibrationError(num_classes=2)
        >>> ece.update(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))  # half sure, always right
        >>> round(float(ece.compute()), 4)
        0.5
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    sums: torch.Tensor

    def __init__(self, num_classes: int | None = None, n_bins: int = 15, norm: Norm = "l1") -> None:
        super().__init__()
        require(n_bins >= 1, "n_bins", n_bins, "at least 1")
        require(norm in ("l1", "l2"), "norm", norm, "l1 or l2")
        self.num_classes = num_classes
        self.n_bins = n_bins
        self.norm: Norm = norm
        self.add_state("sums", torch.zeros(3, n_bins), dist_reduce_fx="sum")

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Add logits ``(B, C)`` and class indices ``(B,)``."""
        if self.num_classes not in (None, preds.shape[-1]):
            raise ValueError(f"CalibrationError needs num_classes={self.num_classes} logits; got {preds.shape[-1]}.")
        if preds.device.type == "mps":  # which has no float64
            preds, target = preds.cpu(), target.cpu()
        self.sums += bin_sums(preds, target, self.n_bins).to(self.sums)

    def compute(self) -> torch.Tensor:
        """Give the error of all that was added."""
        return error_of(self.sums, self.norm)


def classification_metrics(num_classes: int, prefix: str = "") -> MetricCollection:
    """Build the judges of a test run. All of them take logits ``(B, C)`` and class indices ``(B,)``.

    Args:
        num_classes: number of classes.
        prefix: put before each name, such as ``"test/"``.

    Returns:
        ``accuracy`` (share of samples, in ``[0, 1]``), ``nll`` (nats) and ``ece`` (15 equal bins, l1 norm, in
        ``[0, 1]``).

    Examples:
        >>> judges = classification_metrics(num_classes=10, prefix="test/")
        >>> scores = judges(torch.eye(10), torch.arange(10))
        >>> {name: round(float(score), 4) for name, score in sorted(scores.items())}
        {'test/accuracy': 1.0, 'test/ece': 0.768, 'test/nll': 1.4612}
    """
    return MetricCollection(
        {
            "accuracy": Accuracy(num_classes),
            "nll": NegativeLogLikelihood(),
            "ece": CalibrationError(num_classes, n_bins=15, norm="l1"),
        },
        prefix=prefix,
    )


def regression_metrics(prefix: str = "") -> MetricCollection:
    """Build the judges of a regression. All of them take predictions and targets, both ``(B,)`` or ``(B, outputs)``.

    Args:
        prefix: put before each name, such as ``"test/"``.

    Returns:
        ``rmse`` and ``mae``, root mean square and mean absolute error, in the unit of the targets, and ``r2``, the
        share of the targets' variance that is explained: at most 1, and 0 for a guess of their mean.

    Examples:
        >>> judges = regression_metrics(prefix="test/")
        >>> scores = judges(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 6.0]))
        >>> {name: round(float(score), 4) for name, score in sorted(scores.items())}
        {'test/mae': 1.0, 'test/r2': 0.3571, 'test/rmse': 1.7321}
    """
    judges = {"rmse": MeanSquaredError(squared=False), "mae": MeanAbsoluteError(), "r2": R2Score()}
    return MetricCollection(judges, prefix=prefix)  # type: ignore[arg-type]
