"""Data modules that announce what a network must know: ``num_classes`` and ``input_shape``."""

from lightning_mixup.data.arrays import ArrayDataModule
from lightning_mixup.data.digits import Digits

__all__ = ["ArrayDataModule", "Digits"]
