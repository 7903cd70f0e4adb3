"""How a classifier is judged, as torchmetrics objects that take logits."""

from lightning_mixup.evaluation.metrics import CalibrationError, NegativeLogLikelihood, classification_metrics

__all__ = ["CalibrationError", "NegativeLogLikelihood", "classification_metrics"]
