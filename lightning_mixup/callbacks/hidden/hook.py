"""The hook that stands on a layer for a fit, and mixes the run of it that trains."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, TypeAlias

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from lightning_mixup.callbacks.hidden.outputs import Outputs, tensors
from lightning_mixup.functional import mixup
from lightning_mixup.functional.sampling import Floats
from lightning_mixup.targets import MixedTarget

Weight: TypeAlias = "float | Floats | Tensor"


class LayerHook:
    """Mixes the output of its layer while it is armed, in the run that trains.

    What changes from step to step are flags and tensors, so that a compiled network is compiled once for each layer and
    never for a draw.

    Args:
        layer: The layer.
        title: How errors begin: callback and layer.
        outputs: Mixes what the layer returns.
        run: Which run that trains is mixed, counted from 0; ``"all"``; None if there must be one alone.
        certain: Whether every run with gradients trains, though its output may need none.
    """

    def __init__(self, layer: nn.Module, title: str, outputs: Outputs, run: int | str | None, certain: bool) -> None:
        self.title, self.outputs, self.run, self.certain = title, outputs, run, certain
        self.armed = self.mixed = self.idle = self.labelled = self.traced = False
        self.runs = 0
        self.lam_tensor: Tensor | None = None
        self.shift_tensor: Tensor | None = None
        self.put_on(layer)

    def put_on(self, layer: nn.Module) -> None:
        """Stand on a layer."""
        self.layer = layer
        self.handle = layer.register_forward_hook(self)

    def arm(self, batch_size: int, lam: Weight, shift: int | Tensor, device: torch.device, compiled: bool) -> None:
        """Mix in the next step."""
        self.batch_size, self.lam, self.shift = batch_size, lam, shift
        if compiled or self.traced:
            # Compiled code takes both as tensors: of numbers it would make constants.
            self.lam_tensor = torch.as_tensor(lam, dtype=torch.float32).to(device, non_blocking=True)
            self.shift_tensor = torch.as_tensor(shift).to(device, non_blocking=True)
        else:
            self.lam_tensor = self.shift_tensor = None
        self.mixed = self.idle = self.labelled = False
        self.runs = 0
        self.armed = True

    def disarm(self) -> None:
        """Leave all as it is, and hold nothing of the step."""
        self.armed = False
        self.lam_tensor = self.shift_tensor = None

    def problem(self) -> str | None:
        """Why the last step was not mixed as it should have been."""
        if self.runs > 1 and self.run is None:
            return self._ambiguous()
        if self.mixed:
            return None
        if self.runs:
            return (
                f"{self.title} ran {self.runs} times while it trained in training_step, and run={self.run} is counted "
                "from 0, so that the labels were mixed and nothing else; choose a smaller run"
            )
        if self.idle:
            return (
                f"{self.title} ran in training_step, but not to train: gradients were off (torch.no_grad), or its "
                "output needs none (frozen, detached), so that the labels were mixed and nothing else; leave it out of "
                "layers, or name the first layer that trains"
            )
        if self.labelled:
            return (
                f"{self.title} ran in training_step on the labels alone, which are mixed before it runs; leave it out "
                "of layers, or name one that runs on the inputs"
            )
        return (
            f"{self.title} did not run in training_step, so that the labels were mixed and nothing else; leave it out "
            "of layers or, if it ran compiled before this fit, call torch.compiler.reset() first; a layer runs if it "
            "is called, layer(x), and not its forward, layer.forward(x)"
        )

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ANN401
        """Mix the output if it is its turn."""
        if not self.armed:
            return None
        compiling = torch.compiler.is_compiling()
        if not compiling and torch._C._current_graph_task_id() != -1:
            return self._again(output)
        if not self._trains(output, compiling):
            return None
        run, self.runs = self.runs, self.runs + 1
        if self.run is None and run > 0:
            if compiling:  # where nothing can be raised: problem() tells
                return None
            raise MisconfigurationException(self._ambiguous())
        if self.run is not None and self.run != "all" and run != self.run:
            return None
        self.mixed = True
        return self._mix(output, compiling)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:  # noqa: ANN401
        """A copy of the layer, made for an average, say, is never mixed."""
        return Inert()

    def __reduce__(self) -> Any:  # noqa: ANN401
        return Inert, ()

    def _again(self, output: Any) -> Any:  # noqa: ANN401
        """Activation checkpointing runs a layer again, in the backward pass: it must find it mixed as before."""
        if not self.mixed:
            return None
        if self.runs > 1 and self.run != "all":
            raise MisconfigurationException(
                f"{self.title} ran {self.runs} times while it trained, and activation checkpointing runs it again "
                f"without telling which run it was, so that run={self.run} cannot be found; leave the layer out of "
                "checkpointing, or out of layers"
            )
        return self._mix(output, compiling=False)

    def _trains(self, output: Any, compiling: bool) -> bool:  # noqa: ANN401
        found = (output,) if type(output) is Tensor else tuple(tensors(output))
        if found and all(isinstance(x, MixedTarget) for x in found):
            self.labelled = True
            return False
        if torch.is_grad_enabled():
            trains = self.certain or any(x.requires_grad for x in found)
        else:
            trains = not compiling and _checkpointed()
        self.idle = self.idle or not trains
        return trains

    def _mix(self, output: Any, compiling: bool) -> Any:  # noqa: ANN401
        lam, shift = self.lam, self.shift
        if compiling:
            self.traced = True  # from the next step on there are tensors
            if self.lam_tensor is not None and self.shift_tensor is not None:
                lam, shift = self.lam_tensor, self.shift_tensor
        return self.outputs.mix(output, self.batch_size, lambda x: mixup(x, lam, shift))

    def _ambiguous(self) -> str:
        return (
            f"{self.title} runs more than once while it trains in one training_step; say which run is mixed, counted "
            "from 0: run=0, run=1, ..., or run='all' if each of them is on the same samples (two views, two branches)"
        )


class Inert:
    """What a copied layer has in place of our hook."""

    def __call__(self, *args: Any) -> None:  # noqa: ANN401
        """Change nothing."""


def _checkpointed() -> bool:
    """Whether gradients are off for now alone: activation checkpointing that is reentrant will run the layer again.

    It is an ``autograd.Function`` that runs layers in its forward pass, and its context knows whether a gradient will
    come.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names = frame.f_code.co_varnames
        if names and frame.f_code.co_name == "forward":
            context = frame.f_locals.get(names[0])
            if isinstance(context, torch.autograd.function.BackwardCFunction):
                return any(context.needs_input_grad)
        frame = frame.f_back
    return False
