"""Networks whose children are stages, so that Manifold Mixup can mix between whole blocks."""

from lightning_mixup.lab.models.cnn1d import CNN1d
from lightning_mixup.lab.models.fast import FastResNet
from lightning_mixup.lab.models.mlp import MLP
from lightning_mixup.lab.models.preact import PreActResNet, WideResNet
from lightning_mixup.lab.models.pyramidnet import PyramidNet
from lightning_mixup.lab.models.resnet import ResNet, SmallResNet, ThinResNet
from lightning_mixup.lab.models.sentence_cnn import SentenceCNN
from lightning_mixup.lab.models.vit import ViT
from lightning_mixup.lab.models.zoo import timm_model

__all__ = [
    "MLP",
    "CNN1d",
    "FastResNet",
    "PreActResNet",
    "PyramidNet",
    "ResNet",
    "SentenceCNN",
    "SmallResNet",
    "ThinResNet",
    "ViT",
    "WideResNet",
    "timm_model",
]
