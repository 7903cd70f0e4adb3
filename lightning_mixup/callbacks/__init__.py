"""The callbacks: one file a method, on a shared shell."""

from lightning_mixup.callbacks.base import MixCallback as MixCallback
from lightning_mixup.callbacks.check import MixingCheck as MixingCheck
from lightning_mixup.callbacks.check import MixingError as MixingError
from lightning_mixup.callbacks.check import check_mixing as check_mixing
from lightning_mixup.callbacks.cutmix import CutMix as CutMix
from lightning_mixup.callbacks.draw import Draw as Draw
from lightning_mixup.callbacks.fmix import FMix as FMix
from lightning_mixup.callbacks.label_smoothing import LabelSmoothing as LabelSmoothing
from lightning_mixup.callbacks.manifold_mixup import ManifoldMixup as ManifoldMixup
from lightning_mixup.callbacks.mixup import Mixup as Mixup
from lightning_mixup.callbacks.monitor import MixMonitor as MixMonitor
from lightning_mixup.callbacks.options import Options as Options
from lightning_mixup.callbacks.preview import MixPreview as MixPreview
from lightning_mixup.callbacks.random_choice import RandomChoice as RandomChoice
from lightning_mixup.callbacks.reg_mixup import RegMixup as RegMixup
from lightning_mixup.callbacks.resizemix import ResizeMix as ResizeMix

__all__ = [
    "CutMix",
    "Draw",
    "FMix",
    "LabelSmoothing",
    "ManifoldMixup",
    "MixCallback",
    "MixMonitor",
    "MixPreview",
    "MixingCheck",
    "MixingError",
    "Mixup",
    "Options",
    "RandomChoice",
    "RegMixup",
    "ResizeMix",
    "check_mixing",
]
