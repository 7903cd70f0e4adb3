"""What stands in for ``training_step`` while callbacks change what a module is trained on."""

from __future__ import annotations

import functools
import types
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule


class StandIn(ABC):
    """Stands in for ``training_step`` on one module, as a bound method of that instance.

    It passes for the method that it replaces: it has its name, signature and code, and copies and pickles of the
    module take the step of their class, as if nothing had been added.

    Args:
        module: The module to train.
    """

    def __init__(self, module: LightningModule) -> None:
        self.module = module
        # A compiled LightningModule, for one, already has a training_step of its own in front of its class's.
        self.replaced: Callable[..., Any] | None = module.__dict__.get("training_step")
        self.plain: Callable[..., Any] = module.training_step
        self._installed = True
        # Not to be traced, but what it calls may be.
        take = torch.compiler.disable(self.take, recursive=False)  # type: ignore[no-untyped-call]
        front = self

        @functools.wraps(original(self.plain))
        def training_step(module: LightningModule, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if module is not front.module:
                return types.MethodType(type(module).training_step, module)(*args, **kwargs)
            if not front._installed:
                return front.plain(*args, **kwargs)
            return take(*args, **kwargs)

        # Lightning looks one step behind a wrapper, so that another of ours must not stand there.
        training_step.stand_in = self  # type: ignore[attr-defined]
        self.function = types.MethodType(training_step, module)
        module.training_step = self.function  # type: ignore[method-assign]

    @abstractmethod
    def take(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Take the step, by ``plain``."""

    def remove(self) -> None:
        """Give the module its own step back, or that of another stand-in. Wrappers around this one then call it."""
        self._installed = False
        front = self.module.__dict__.get("training_step")
        if front is self.function:
            del self.module.training_step
            if self.replaced is not None:
                self.module.training_step = self.replaced  # type: ignore[method-assign]
        while (other := stand_in(front)) is not None and other is not self:
            if stand_in(other.replaced) is self:
                other.replaced, other.plain = self.replaced, self.plain
            front = other.replaced

    def trained(self, output: Any) -> bool:  # noqa: ANN401
        """Whether a step has trained: Lightning skips one that returns nothing, unless it optimises by itself."""
        return output is not None or not self.module.automatic_optimization


def stand_in(function: object) -> StandIn | None:
    """The stand-in behind a ``training_step``, if there is one."""
    return getattr(function, "stand_in", None)


def original(function: Callable[..., Any]) -> Callable[..., Any]:
    """The ``training_step`` of the module's own behind all stand-ins."""
    while (front := stand_in(function)) is not None:
        function = front.plain
    return function
