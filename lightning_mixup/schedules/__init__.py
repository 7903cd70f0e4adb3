"""Values that change in the course of training."""

from lightning_mixup.schedules.base import Combined as Combined
from lightning_mixup.schedules.base import Constant as Constant
from lightning_mixup.schedules.base import Cosine as Cosine
from lightning_mixup.schedules.base import Cycle as Cycle
from lightning_mixup.schedules.base import Function as Function
from lightning_mixup.schedules.base import Join as Join
from lightning_mixup.schedules.base import Linear as Linear
from lightning_mixup.schedules.base import MixupWithoutHesitation as MixupWithoutHesitation
from lightning_mixup.schedules.base import Schedule as Schedule
from lightning_mixup.schedules.base import Step as Step
from lightning_mixup.schedules.base import Unit as Unit
from lightning_mixup.schedules.base import Warmup as Warmup
from lightning_mixup.schedules.base import Window as Window
from lightning_mixup.schedules.base import as_schedule as as_schedule
from lightning_mixup.schedules.base import check_range as check_range
from lightning_mixup.schedules.base import plot as plot

__all__ = [
    "Combined",
    "Constant",
    "Cosine",
    "Cycle",
    "Function",
    "Join",
    "Linear",
    "MixupWithoutHesitation",
    "Schedule",
    "Step",
    "Unit",
    "Warmup",
    "Window",
    "as_schedule",
    "check_range",
    "plot",
]
