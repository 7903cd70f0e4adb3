"""What stands in for ``training_step`` while callbacks change what a module is trained on."""

from __future__ import annotations

import functools
import types
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_mixup.callbacks import containers
from lightning_mixup.targets import Lockstep, MixedTarget, infer_kind, listeners

if TYPE_CHECKING:
    from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw


class StandIn(ABC):
    """Stands in for ``training_step`` on one module, as an attribute of that instance.

    Args:
        module: The module to train.
    """

    def __init__(self, module: LightningModule) -> None:
        self.module = module
        # A compiled LightningModule, for one, already has a training_step of its own in front of its class's.
        self.replaced: Callable[..., Any] | None = module.__dict__.get("training_step")
        self.plain: Callable[..., Any] = module.training_step
        # Lightning looks one step behind a wrapper, so that another of ours must not stand there.
        wrapped = self.plain
        while isinstance(wrapped, StandIn):
            wrapped = wrapped.plain
        functools.update_wrapper(self, wrapped, updated=())
        module.training_step = self  # type: ignore[method-assign]

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Take the step, by :attr:`plain`."""

    def remove(self) -> None:
        """Give the module its own step back, or whoever stands before us; not what a stranger put in our place."""
        front = self.module.__dict__.get("training_step")
        if front is self:
            del self.module.training_step
            if self.replaced is not None:
                self.module.training_step = self.replaced
        while isinstance(front, StandIn):
            if front.replaced is self:
                front.replaced, front.plain = self.replaced, self.plain
            front = front.replaced

    def trained(self, output: Any) -> bool:  # noqa: ANN401
        """Whether a step has trained: Lightning skips one that returns nothing, unless it optimises by itself."""
        return output is not None or not self.module.automatic_optimization

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., Any]:
        """A copy of the module (weight averaging makes some) trains as if nothing had been added."""
        return _class_step(memo.get(id(self.module), self.module))

    def __reduce__(self) -> tuple[Any, ...]:
        return _class_step, (self.module,)


class MixedStep(StandIn):
    """Takes the step on a mixed batch.

    Args:
        callback: Mixes the batch and is told before and after each step.
        module: The module to train.
    """

    def __init__(self, callback: MixCallback, module: LightningModule) -> None:
        super().__init__(module)
        self.callback = callback
        self.draw: Draw | None = None
        self.mixed: dict[int | str, Tensor] | None = None
        self.lockstep = Lockstep(module, type(callback).__name__)
        self.lockstep.attach()

    def arm(self, draw: Draw | None) -> None:
        """Mix the next batch as drawn; None hands batches on as they are."""
        self.draw, self.mixed = draw, None
        if draw is None:
            self.lockstep.end()

    def remove(self) -> None:
        """Give the module its own step back, and take the borders away."""
        self.lockstep.detach()
        super().remove()

    def __call__(self, batch: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Take the module's step on the mixed batch, and make sure that it used what was mixed."""
        if self.draw is None:
            return self.plain(batch, *args, **kwargs)
        if self.draw.method is None:
            if not listeners:
                return self.plain(batch, *args, **kwargs)
            certain = self._certain(batch)
            self.lockstep.begin({})
            with self.lockstep.explained():
                return self.lockstep.result(self.lockstep.call(self.plain, certain, *args, **kwargs))
        if self.mixed is None:
            self.mixed = self.callback.mix_batch(batch, self.draw)
        for key, value in self.mixed.items():
            batch = containers.replace(batch, key, value)
        self.lockstep.begin(self.mixed)
        self.callback.arm(self.draw)
        with self.lockstep.explained():
            output = self.lockstep.call(self.plain, batch, *args, **kwargs)
            self.callback.verify(self.draw)
            output = self.lockstep.result(output)
        self.lockstep.require_use(self.trained(output))
        return output

    def _certain(self, batch: Any) -> Any:  # noqa: ANN401
        """A batch that is left as it is, with class labels that tell listeners of their losses as mixed ones do."""
        spatial = containers.get(batch, self.callback.input_key[0]).shape[2:]
        for key, kind in zip(self.callback.target_key, self.callback.targets, strict=True):
            label = containers.get(batch, key)
            if (infer_kind(label, spatial) if kind == "auto" else kind) == "labels":
                batch = containers.replace(batch, key, MixedTarget(label, label, 1.0))
        return batch


def _class_step(module: LightningModule) -> Callable[..., Any]:
    return types.MethodType(type(module).training_step, module)
