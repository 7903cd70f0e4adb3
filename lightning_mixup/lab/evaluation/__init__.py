"""How a run is judged. ``metrics`` feeds every epoch; ``FullEvaluation`` judges a finished one."""

from typing import TYPE_CHECKING, Any

from lightning_mixup.lab.evaluation.metrics import (
    CalibrationError,
    NegativeLogLikelihood,
    classification_metrics,
    regression_metrics,
)

if TYPE_CHECKING:
    from lightning_mixup.lab.evaluation.full import Evaluation as Evaluation
    from lightning_mixup.lab.evaluation.full import FullEvaluation as FullEvaluation
    from lightning_mixup.lab.evaluation.full import Report as Report

__all__ = [
    "CalibrationError",
    "Evaluation",
    "FullEvaluation",
    "NegativeLogLikelihood",
    "Report",
    "classification_metrics",
    "regression_metrics",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # A run that asks for no more than the metrics of an epoch does without SciPy.
    if name not in ("Evaluation", "FullEvaluation", "Report"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lightning_mixup.lab.evaluation import full

    return getattr(full, name)
