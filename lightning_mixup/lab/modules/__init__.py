"""The LightningModules that recipes train. They know nothing about mixing."""

from lightning_mixup.lab.modules.classifier import Classifier as Classifier
from lightning_mixup.lab.modules.regressor import Regressor as Regressor

__all__ = ["Classifier", "Regressor"]
