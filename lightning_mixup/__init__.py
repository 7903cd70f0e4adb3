"""Mixup, CutMix and Manifold Mixup for PyTorch Lightning: one line in ``Trainer(callbacks=[...])``."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_mixup.callbacks import CutMix as CutMix
    from lightning_mixup.callbacks import FMix as FMix
    from lightning_mixup.callbacks import LabelSmoothing as LabelSmoothing
    from lightning_mixup.callbacks import ManifoldMixup as ManifoldMixup
    from lightning_mixup.callbacks import MixCallback as MixCallback
    from lightning_mixup.callbacks import MixMonitor as MixMonitor
    from lightning_mixup.callbacks import MixPreview as MixPreview
    from lightning_mixup.callbacks import Mixup as Mixup
    from lightning_mixup.callbacks import RandomChoice as RandomChoice
    from lightning_mixup.callbacks import RegMixup as RegMixup
    from lightning_mixup.callbacks import ResizeMix as ResizeMix
    from lightning_mixup.callbacks import check_mixing as check_mixing
    from lightning_mixup.functional import Nearest as Nearest
    from lightning_mixup.functional import Pairing as Pairing
    from lightning_mixup.metrics import MixAccuracy as MixAccuracy
    from lightning_mixup.targets import MixedTarget as MixedTarget
    from lightning_mixup.targets import interpolate_loss as interpolate_loss

__version__ = "0.1.0"

# Resolved on first use, so that `lightning-mixup --help` and tab completion never import torch.
_HOME = {
    "CutMix": "lightning_mixup.callbacks",
    "FMix": "lightning_mixup.callbacks",
    "LabelSmoothing": "lightning_mixup.callbacks",
    "ManifoldMixup": "lightning_mixup.callbacks",
    "MixAccuracy": "lightning_mixup.metrics",
    "MixCallback": "lightning_mixup.callbacks",
    "MixMonitor": "lightning_mixup.callbacks",
    "MixPreview": "lightning_mixup.callbacks",
    "MixedTarget": "lightning_mixup.targets",
    "Mixup": "lightning_mixup.callbacks",
    "Nearest": "lightning_mixup.functional",
    "Pairing": "lightning_mixup.functional",
    "RandomChoice": "lightning_mixup.callbacks",
    "RegMixup": "lightning_mixup.callbacks",
    "ResizeMix": "lightning_mixup.callbacks",
    "check_mixing": "lightning_mixup.callbacks",
    "interpolate_loss": "lightning_mixup.targets",
}

# Names of earlier versions, which configurations of users may hold: ``_target_: lightning_mixup.data.Digits``.
_MOVED = {
    "classifier": "lightning_mixup.lab.modules.classifier",
    "data": "lightning_mixup.lab.data",
    "evaluation": "lightning_mixup.lab.evaluation",
    "models": "lightning_mixup.lab.models",
    "optim": "lightning_mixup.lab.optim",
    "regressor": "lightning_mixup.lab.modules.regressor",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _MOVED:
        return importlib.import_module(_MOVED[name])
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
