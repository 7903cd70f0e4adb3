"""Targets of mixed samples: labels that are two labels, and what stands around a step that trains on them."""

from lightning_mixup.targets import gradients as gradients
from lightning_mixup.targets import rows as rows
from lightning_mixup.targets.errors import Diverged as Diverged
from lightning_mixup.targets.errors import MixedTargetError as MixedTargetError
from lightning_mixup.targets.interpolate import interpolate_loss as interpolate_loss
from lightning_mixup.targets.kinds import infer_kind as infer_kind
from lightning_mixup.targets.kinds import mix_target as mix_target
from lightning_mixup.targets.kinds import soft_labels as soft_labels
from lightning_mixup.targets.lockstep import Lockstep as Lockstep
from lightning_mixup.targets.losses import listeners as listeners
from lightning_mixup.targets.pair import MixedTarget as MixedTarget
from lightning_mixup.targets.values import value as value

__all__ = [
    "Diverged",
    "Lockstep",
    "MixedTarget",
    "MixedTargetError",
    "infer_kind",
    "interpolate_loss",
    "listeners",
    "mix_target",
    "soft_labels",
    "value",
]
