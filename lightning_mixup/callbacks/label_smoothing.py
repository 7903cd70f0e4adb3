"""Label smoothing of any module: a baseline that mixing has to be compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.overrides import TorchFunctionMode

from lightning_mixup.callbacks.stand_in import StandIn

_POSITION = 7  # of label_smoothing among the arguments of cross_entropy


class LabelSmoothing(Callback):
    """Smooth the labels of every cross entropy that a module is trained with (Szegedy et al. 2016, section 7).

    While a fit lasts, ``F.cross_entropy``, and so ``nn.CrossEntropyLoss``, smooths within ``training_step`` where a
    gradient flows through it. Validation, and metrics computed in the step, see the plain loss. Beside a mixing
    callback both labels of a mixed one are smoothed, as in DeiT (Touvron et al. 2021). A loss that itself smooths by
    another amount is refused.

    Args:
        smoothing: Share of each label that is spread evenly over all classes, in [0, 1); 0 leaves the module alone.

    Raises:
        ValueError: If ``smoothing`` is out of range.

    Examples:
        >>> LabelSmoothing(smoothing=0.1)
        LabelSmoothing(smoothing=0.1)
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        if isinstance(smoothing, bool) or not isinstance(smoothing, (int, float)) or not 0 <= smoothing < 1:
            raise ValueError(f"LabelSmoothing: smoothing must be a number in [0, 1), got {smoothing!r}")
        self.smoothing = smoothing
        self._step: _SmoothedStep | None = None
        self._trainer: Trainer | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wrap ``training_step`` for the length of the fit."""
        self._release()
        self._trainer = trainer
        if self.smoothing:
            self._step = _SmoothedStep(self.smoothing, pl_module)

    def on_exception(self, trainer: Trainer, *args: Any) -> None:  # noqa: ANN401
        """Leave the module as it came; after an error Lightning does not call ``teardown``."""
        if trainer is self._trainer:
            self._release()

    def teardown(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Leave the module as it came, when the Trainer of this fit says so, and not one within it."""
        if trainer is self._trainer:
            self._release()

    def _release(self) -> None:
        if self._step is not None:
            self._step.remove()
            self._step = None
        self._trainer = None

    def __repr__(self) -> str:
        return f"LabelSmoothing(smoothing={self.smoothing!r})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.smoothing == other.smoothing

    def __hash__(self) -> int:
        return hash((type(self), self.smoothing))

    def __getstate__(self) -> dict[str, Any]:
        """A copy is not attached to the module of the original."""
        return {**self.__dict__, "_step": None, "_trainer": None}


class _SmoothedStep(StandIn):
    """Takes the step with smooth labels, and makes sure that there were some."""

    def __init__(self, smoothing: float, module: LightningModule) -> None:
        super().__init__(module)
        self.mode = _Smooth(smoothing)

    def take(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        self.mode.used = False
        with self.mode:
            output = self.plain(*args, **kwargs)
        if self.trained(output) and not self.mode.used:
            raise MisconfigurationException(
                "LabelSmoothing: training_step computed no F.cross_entropy or nn.CrossEntropyLoss to smooth the labels "
                "of; use one of them, or leave the callback out and smooth the targets in the loss itself"
            )
        return output


class _Smooth(TorchFunctionMode):
    """Smooths the labels of cross entropies as long as it is entered."""

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.used = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        if func is F.cross_entropy and torch.is_grad_enabled() and (args[0] if args else kwargs["input"]).requires_grad:
            already = kwargs.get("label_smoothing", 0.0) or (args[_POSITION] if len(args) > _POSITION else 0.0)
            # The same amount is not added: code compiled by the backend "eager" calls what was traced once more.
            if already not in (0, self.smoothing):
                raise MisconfigurationException(
                    f"LabelSmoothing(smoothing={self.smoothing}): the loss of training_step smooths labels itself, by "
                    f"label_smoothing={already}; smooth in one place, so set that to 0 or leave the callback out"
                )
            self.used = True
            args, kwargs = args[:_POSITION], {**kwargs, "label_smoothing": self.smoothing}
        return func(*args, **kwargs)
