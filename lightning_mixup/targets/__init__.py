"""Targets of mixed samples: labels that are two labels, and losses of them."""

from lightning_mixup.targets.mixed_target import CURES as CURES
from lightning_mixup.targets.mixed_target import MixedTarget as MixedTarget
from lightning_mixup.targets.mixed_target import MixedTargetError as MixedTargetError
from lightning_mixup.targets.mixed_target import infer_kind as infer_kind
from lightning_mixup.targets.mixed_target import interpolate_loss as interpolate_loss
from lightning_mixup.targets.mixed_target import listeners as listeners
from lightning_mixup.targets.mixed_target import soft_labels as soft_labels

__all__ = ["CURES", "MixedTarget", "MixedTargetError", "infer_kind", "interpolate_loss", "listeners", "soft_labels"]
