"""Networks whose children are stages, so that Manifold Mixup can mix between whole blocks."""

from lightning_mixup.models.resnet import SmallResNet

__all__ = ["SmallResNet"]
