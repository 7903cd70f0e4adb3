"""Networks whose children are stages, so that Manifold Mixup can mix between whole blocks."""

from lightning_mixup.models.cnn1d import CNN1d
from lightning_mixup.models.mlp import MLP
from lightning_mixup.models.preact import PreActResNet, WideResNet
from lightning_mixup.models.pyramidnet import PyramidNet
from lightning_mixup.models.resnet import ResNet, SmallResNet, ThinResNet
from lightning_mixup.models.sentence_cnn import SentenceCNN
from lightning_mixup.models.vit import ViT
from lightning_mixup.models.zoo import timm_model

__all__ = [
    "MLP",
    "CNN1d",
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
