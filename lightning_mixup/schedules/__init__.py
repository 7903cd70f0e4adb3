"""Values that change during training."""

from lightning_mixup.schedules.base import Combined as Combined
from lightning_mixup.schedules.base import Schedule as Schedule
from lightning_mixup.schedules.compositions import Cycle as Cycle
from lightning_mixup.schedules.compositions import Join as Join
from lightning_mixup.schedules.compositions import Warmup as Warmup
from lightning_mixup.schedules.compositions import Window as Window
from lightning_mixup.schedules.moment import Moment as Moment
from lightning_mixup.schedules.moment import Unit as Unit
from lightning_mixup.schedules.plotting import plot as plot
from lightning_mixup.schedules.shapes import Constant as Constant
from lightning_mixup.schedules.shapes import Cosine as Cosine
from lightning_mixup.schedules.shapes import Function as Function
from lightning_mixup.schedules.shapes import Linear as Linear
from lightning_mixup.schedules.shapes import MixupWithoutHesitation as MixupWithoutHesitation
from lightning_mixup.schedules.shapes import Step as Step
from lightning_mixup.schedules.shapes import as_schedule as as_schedule
from lightning_mixup.schedules.shapes import check_range as check_range

__all__ = [
    "Combined",
    "Constant",
    "Cosine",
    "Cycle",
    "Function",
    "Join",
    "Linear",
    "MixupWithoutHesitation",
    "Moment",
    "Schedule",
    "Step",
    "Unit",
    "Warmup",
    "Window",
    "as_schedule",
    "check_range",
    "plot",
]
