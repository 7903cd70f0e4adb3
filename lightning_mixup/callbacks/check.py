"""A line for your own tests: does this module train on mixed labels as the formula says?"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightning_mixup.callbacks import containers
from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.mixup import Mixup
from lightning_mixup.callbacks.refusals import check_batch, find
from lightning_mixup.functional import generator
from lightning_mixup.targets import Lockstep, MixedTarget
from lightning_mixup.targets.errors import cures, listed
from lightning_mixup.targets.gradients import settle
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.pair import pair
from lightning_mixup.targets.randomness import snapshot
from lightning_mixup.targets.watched import plain

_TRIES = 64  # draws, of which the one whose weight is nearest to _BEST is taken
_BEST = 0.7
_BLIND = (
    "Something in the step does not see both labels: a check of type(y) or isinstance(y, torch.LongTensor), a number "
    "read from the labels that went through NumPy or math, an except that hides a refusal, or an extension in C++."
)


class MixingError(AssertionError):
    """A training step gives something else of mixed labels than the formula says."""


@dataclass(frozen=True)
class MixingCheck:
    """What ``check_mixing`` found.

    Attributes:
        lam: Weight of the original labels; the mean, where each sample has its own.
        loss: Of the step on mixed labels.
        original: Of the same step on the labels of the samples.
        partner: Of the same step on the labels of their partners.
        differences: By the name of each parameter, the largest difference between its gradient and the formula, in
            units of its largest gradient.
    """

    lam: float
    loss: float
    original: float
    partner: float
    differences: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def expected(self) -> float:
        """The loss by the formula."""
        return self.lam * self.original + (1 - self.lam) * self.partner


def check_mixing(
    module: nn.Module,
    batch: Any,  # noqa: ANN401
    mix: MixCallback | None = None,
    *,
    rtol: float | None = None,
    seed: int = 0,
) -> MixingCheck:
    """Check on one batch that a module trains on mixed labels exactly. No Trainer is needed.

    ``training_step`` is taken on a mixed batch, and on the same inputs with the labels of the samples and with those
    of their partners, each time on a copy of the module and from the same random numbers. Its loss and the gradients
    of all parameters must be ``lam`` times the one and ``1 - lam`` times the other.

    Args:
        module: The module, with a ``training_step``. It is left as it is.
        batch: A batch as the data loader gives it, on the device of the module, with different labels in it.
        mix: The callback that is to train the module. None is ``Mixup()``.
        rtol: How close gradients have to be, in units of the largest one of a parameter. None is 1e-8 in float64, 1e-4
            in float32 and 0.05 in less.
        seed: Of the draw, and of what is random in the step.

    Returns:
        What was found.

    Raises:
        MixingError: If the loss or a gradient is another one. It is an ``AssertionError``.
        MixedTargetError: If the step does something with mixed labels that is refused, as it would be in training.
        ValueError: If the batch cannot show anything.

    Examples:
        >>> from lightning.pytorch import LightningModule
        >>> class Net(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = nn.Linear(2, 3)
        ...     def training_step(self, batch, batch_idx):
        ...         x, y = batch
        ...         own = self.layer(x).log_softmax(1).gather(1, y[:, None])
        ...         return ((1 - own.exp()) ** 2 * -own).mean()
        >>> batch = torch.eye(4)[:, :2], torch.tensor([0, 1, 2, 1])
        >>> found = check_mixing(Net(), batch, Mixup(alpha=1.0))
        >>> abs(found.loss - found.expected) < 1e-6, max(found.differences.values()) < 1e-4
        (True, True)
    """
    mix = Mixup() if mix is None else mix
    training = _Training(module, mix, batch, seed)
    labels = [target for target in training.mixed.values() if isinstance(target, MixedTarget)]
    if labels and all(torch.equal(target.original, target.partner) for target in labels):
        raise ValueError("check_mixing: partners have the same labels in this batch; pass one with different labels")
    one, other = training.run("original"), training.run("partner")
    lam = float(np.mean(training.draw.lam))
    note = listed(
        cures(
            classes=not all(target.is_floating_point() for target in labels),
            floats=any(target.is_floating_point() for target in labels),
            per_sample=any(isinstance(target.lam, Tensor) for target in labels),
        )
    )
    if not any(isinstance(target.lam, Tensor) for target in labels):
        got = training.run("mixed")
        differences = _compare(got, _weighed(lam, one, other), rtol, note)
    else:  # one weight for all, as a weight for each; and weights that differ, in which the loss has to be linear
        got = training.run("mixed", lambda weights: torch.full_like(weights, lam))
        differences = _compare(got, _weighed(lam, one, other), rtol, note)
        first, second = training.run("mixed"), training.run("mixed", lambda weights: 1 - weights)
        _compare(_weighed(0.5, first, second), _weighed(0.5, one, other), rtol, note)
    return MixingCheck(lam, float(got.loss), float(one.loss), float(other.loss), differences)


@dataclass
class _Outcome:
    loss: Tensor
    gradients: dict[str, Tensor]


def _weighed(lam: float, one: _Outcome, other: _Outcome) -> _Outcome:
    gradients = {name: lam * value + (1 - lam) * other.gradients[name] for name, value in one.gradients.items()}
    return _Outcome(lam * one.loss + (1 - lam) * other.loss, gradients)


def _compare(got: _Outcome, want: _Outcome, rtol: float | None, note: str) -> dict[str, float]:
    """The differences of gradients, if all are small."""
    dtypes = {value.dtype for value in want.gradients.values()} | {want.loss.dtype}
    if rtol is None:
        rtol = 1e-8 if dtypes == {torch.float64} else 0.05 if dtypes & {torch.float16, torch.bfloat16} else 1e-4
    if not abs(float(got.loss - want.loss)) <= rtol * max(abs(float(want.loss)), 1e-3):
        raise MixingError(
            f"check_mixing: the loss of mixed labels is {float(got.loss):.6g}, and by the formula "
            f"lam * L(a) + (1 - lam) * L(b) it is {float(want.loss):.6g}.\n{_BLIND}\n{note}"
        )
    most = max((float(value.abs().max()) for value in want.gradients.values() if value.numel()), default=0.0)
    differences = {}
    for name, value in want.gradients.items():
        size = max(float(value.abs().max()) if value.numel() else 0.0, 0.01 * most, 1e-12)
        difference = float((got.gradients[name] - value).abs().max()) / size if value.numel() else 0.0
        if not difference <= rtol:
            raise MixingError(
                f"check_mixing: the loss is right, and the gradient of parameter {name!r} is not: it is off by "
                f"{difference:.2g} times its largest element, and {rtol:g} is accepted.\n{_BLIND}\n{note}"
            )
        differences[name] = difference
    return differences


class _Training:
    """Takes one step on copies of a module. What it asks of the callback stands in ``__init__`` and ``_step``."""

    def __init__(self, module: nn.Module, mix: MixCallback, batch: Any, seed: int) -> None:  # noqa: ANN401
        self.module, self.batch, self.seed = module, batch, seed
        self.mix = copy.deepcopy(mix)
        self.mix.bind(1.0, 1.0)
        classes = self.mix.num_classes or getattr(module, "num_classes", None)
        self.mix._classes = classes
        self.mix.attach(module)
        try:
            found = find(self.mix, batch)
            check_batch(self.mix, found)
        finally:
            self.mix.detach()
        inputs, targets = list(found.inputs.values()), list(found.targets.values())
        before = found.entries if self.mix.remembers else {}
        draws = [self.mix.draw(generator(seed, 0, step), inputs, 0.0, targets, before) for step in range(_TRIES)]
        draws = [draw for draw in draws if draw.method is not None]
        if not draws:
            raise ValueError(f"check_mixing: {mix!r} mixed none of {_TRIES} batches; let alpha and prob be above 0")
        self.draw: Draw = min(draws, key=lambda draw: abs(float(np.mean(draw.lam)) - _BEST))
        self.keys = tuple(found.targets)
        self.device = next(iter(found.entries.values())).device
        self.mixed = self.mix.mix_batch(batch, self.draw)

    @contextlib.contextmanager
    def _step(self, module: nn.Module, targets: dict[int | str, Tensor]) -> Iterator[tuple[Any, Lockstep]]:
        """Around a step on these targets, mixed or plain: the batch to take it on."""
        lockstep = Lockstep(module, type(self.mix).__name__)
        lockstep.attach()
        self.mix.attach(module)
        try:
            if self.mix.loss is not None:
                lockstep.interpolate(self.mix.loss)
            lockstep.begin(targets)
            draw = self.draw
            draw.arm(draw.lam, draw.shift, draw.batch_size, self.device)
            yield containers.replace_all(self.batch, {**self.mixed, **targets}), lockstep
            draw.verify()
        except Exception as error:
            lockstep.explain(error)
            raise
        finally:
            self.draw.disarm()
            self.mix.detach()
            lockstep.detach()

    def run(self, half: str, weights: Any = None) -> _Outcome:  # noqa: ANN401
        """Take the step on mixed labels, or on one half of each."""
        module = _quiet(copy.deepcopy(self.module))
        gradients: dict[str, Tensor] = {}

        def note() -> None:
            for name, value in module.named_parameters():
                gradients[name] = torch.zeros_like(value) if value.grad is None else value.grad.detach().clone()

        targets: dict[int | str, Tensor] = {}
        for key in self.keys:
            target = self.mixed[key]
            if not isinstance(target, MixedTarget):
                targets[key] = target if half == "mixed" else plain(target)
            elif half != "mixed":
                targets[key] = getattr(target, half).clone()
            else:
                lam = weights(target.lam) if weights is not None and isinstance(target.lam, Tensor) else target.lam
                targets[key] = pair(target.original.clone(), target.partner.clone(), lam, Origin())
        restore = snapshot(python=True)
        torch.manual_seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002
        try:
            with torch.enable_grad(), self._step(module, targets) as (batch, lockstep):
                step: Any = module.training_step
                arguments = (batch, 0)[: max(len(inspect.signature(step).parameters), 1)]
                output = lockstep.result(lockstep.call(step, *arguments))
                loss = output.get("loss") if isinstance(output, dict) else output
                manual = not getattr(module, "automatic_optimization", True)
                lockstep.require_use(trained=loss is not None or manual)
                if loss is None and not manual:
                    raise ValueError("check_mixing: training_step returned None, and trained nothing")
                if loss is not None and not manual:
                    loss.backward()
                note()
        finally:
            restore()
        return _Outcome(torch.zeros(()) if loss is None else loss.detach(), gradients)


class _Standing(torch.optim.Optimizer):
    """Takes no steps, so that gradients stay to be compared."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(list(module.parameters()), {})

    def step(self, closure: Any = None) -> Any:  # noqa: ANN401
        return None if closure is None else closure()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Keep them."""


def _quiet(module: nn.Module) -> nn.Module:
    """A module whose step asks for no Trainer: it logs nothing, and optimises by itself without moving."""
    module.train()
    for value in module.parameters():
        value.grad = None
    own = module.__dict__
    for name in ("log", "log_dict"):
        if callable(getattr(module, name, None)):
            own[name] = lambda *_, **__: None
    if not getattr(module, "automatic_optimization", True):
        configured: Any = module.configure_optimizers()  # type: ignore[operator]
        found = configured[0] if isinstance(configured, tuple) and isinstance(configured[0], list) else configured
        count = len(found) if isinstance(found, (list, tuple)) else 1
        optimizers = [_Standing(module) for _ in range(count)]
        own["optimizers"] = lambda *_, **__: optimizers if count > 1 else optimizers[0]
        own["lr_schedulers"] = lambda: None
        own["manual_backward"] = lambda loss, *args, **kwargs: settle(loss).backward(*args, **kwargs)
        for name in ("clip_gradients", "toggle_optimizer", "untoggle_optimizer"):
            own[name] = lambda *_, **__: None
    return module
