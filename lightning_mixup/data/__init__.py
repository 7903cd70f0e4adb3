"""Data modules that announce what a network must know: ``num_classes`` and ``input_shape``."""

from lightning_mixup.data.arrays import ArrayDataModule
from lightning_mixup.data.base import ClassificationDataModule
from lightning_mixup.data.digits import Digits
from lightning_mixup.data.images import ImageDataModule
from lightning_mixup.data.mnist import Mnist1d, Mnist5k
from lightning_mixup.data.tabular import BreastCancer, Diabetes, Phishing, RegressionDataModule, Wine
from lightning_mixup.data.text import TextDataModule
from lightning_mixup.data.toy import Points

__all__ = [
    "ArrayDataModule",
    "BreastCancer",
    "ClassificationDataModule",
    "Diabetes",
    "Digits",
    "ImageDataModule",
    "Mnist1d",
    "Mnist5k",
    "Phishing",
    "Points",
    "RegressionDataModule",
    "TextDataModule",
    "Wine",
]
