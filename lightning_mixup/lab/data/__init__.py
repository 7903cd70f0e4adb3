"""Data modules that announce what a network must know: ``num_classes`` and ``input_shape``."""

from lightning_mixup.lab.data.arrays import ArrayDataModule
from lightning_mixup.lab.data.base import ClassificationDataModule
from lightning_mixup.lab.data.digits import Digits
from lightning_mixup.lab.data.idx import IdxDataModule
from lightning_mixup.lab.data.images import ImageDataModule
from lightning_mixup.lab.data.mnist import Mnist1d, Mnist5k
from lightning_mixup.lab.data.own import ClassTable, ValueTable, own_table
from lightning_mixup.lab.data.tabular import BreastCancer, Diabetes, Phishing, RegressionDataModule, Wine
from lightning_mixup.lab.data.text import TextDataModule
from lightning_mixup.lab.data.toy import Points

__all__ = [
    "ArrayDataModule",
    "BreastCancer",
    "ClassTable",
    "ClassificationDataModule",
    "Diabetes",
    "Digits",
    "IdxDataModule",
    "ImageDataModule",
    "Mnist1d",
    "Mnist5k",
    "Phishing",
    "Points",
    "RegressionDataModule",
    "TextDataModule",
    "ValueTable",
    "Wine",
    "own_table",
]
