"""Speed and memory, beside what the hardware allows and what other libraries reach."""

import importlib
import importlib.util
import sys

import torch

_declared: torch.library.Library | None = None


def _let_torchvision_import() -> None:
    """Its transforms are plain torch, but a build for another torch does not import without operators of its own.

    Before torchmetrics, which imports torchvision where it finds it.
    """
    global _declared
    if _declared is not None or "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            _declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


_let_torchvision_import()
