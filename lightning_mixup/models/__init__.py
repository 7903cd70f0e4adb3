"""Networks whose children are stages, so that Manifold Mixup can mix between whole blocks."""

from lightning_mixup.models.cnn1d import CNN1d
from lightning_mixup.models.mlp import MLP
from lightning_mixup.models.resnet import SmallResNet

__all__ = ["MLP", "CNN1d", "SmallResNet"]
