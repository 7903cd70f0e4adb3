"""What stands around a training step on mixed labels: where they become plain values, and what is raised meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mixup.targets import trees
from lightning_mixup.targets.borders import Border, Outlet, Training, surround
from lightning_mixup.targets.compiled import Compiled, is_compiled
from lightning_mixup.targets.errors import MixedTargetError, cures, listed
from lightning_mixup.targets.gradients import settle_leaf
from lightning_mixup.targets.origin import Step
from lightning_mixup.targets.pair import MixedTarget
from lightning_mixup.targets.values import settled
from lightning_mixup.targets.watched import Watched, plain

_OUTLETS = ("log", "log_dict")
_TRAINING = ("backward", "manual_backward")
_EXPLAINED = (
    ArithmeticError,
    AttributeError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Lockstep:
    """Trains one module on mixed labels, for the length of a fit.

    While it is attached, the metrics of the module see plain labels, its loss modules without parameters are called
    once for each label, and what it logs or differentiates has plain values. The module may be any
    ``torch.nn.Module``.

    Args:
        module: The module to train.
        name: Of the callback, for messages.

    Examples:
        >>> module = nn.Linear(2, 3)
        >>> lockstep = Lockstep(module)
        >>> lockstep.attach()
        >>> x, y = torch.ones(4, 2), MixedTarget(torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 0]), lam=0.75)
        >>> lockstep.begin({"y": y})
        >>> loss = lockstep.result(nn.functional.cross_entropy(module(x), y))
        >>> type(loss).__name__, loss.requires_grad
        ('Tensor', True)
        >>> lockstep.require_use(trained=True)
        >>> loss.backward()
        >>> lockstep.end()
        >>> lockstep.detach()
    """

    def __init__(self, module: nn.Module, name: str = "Mixup") -> None:
        self.module = module
        self.name = name
        self._borders: list[Border] = []
        self._interpolated: dict[str, nn.Module | None] = {}
        self._children: tuple[int, ...] = ()
        self._step = Step()
        self._step.over = True
        self._targets: dict[Any, MixedTarget | Watched] = {}
        self._called: Callable[..., Any] | None = None
        self._compiled: Compiled | None = None
        self._mute = False  # whether the loss was computed without a gradient

    def attach(self) -> None:
        """Put borders around metrics, loss modules, and whatever has to see plain values. Once for each fit."""
        self.detach()
        for name in _OUTLETS:
            if callable(getattr(self.module, name, None)):
                self._borders.append(Outlet(self.module, name))
        for name in _TRAINING:
            if callable(getattr(self.module, name, None)):
                self._borders.append(Training(self.module, name))
        self._surround()

    def detach(self) -> None:
        """Leave the module as it came. Without need it does nothing."""
        self.end()
        for border in reversed(self._borders):
            border.remove()
        self._borders, self._children = [], ()
        self._interpolated = dict.fromkeys(self._interpolated)

    def interpolate(self, name: str) -> None:
        """Call a submodule once for each label, whatever it is, also one that later takes its name.

        Args:
            name: Of the submodule, with dots.

        Raises:
            AttributeError: If there is none.
        """
        self.module.get_submodule(name)
        self._interpolated.setdefault(name, None)
        self._surround()

    def begin(self, targets: Mapping[Any, Tensor]) -> None:
        """Start a step.

        Args:
            targets: What its ``training_step`` receives in place of the targets, by key; plain tensors, too.
        """
        if not self._step.over:
            self.end()
        self._step, self._targets, self._mute = Step(), {}, False
        self._step.made = []
        for key, target in targets.items():
            if isinstance(target, (MixedTarget, Watched)):
                self._targets[key] = target
                origin = target.origin
                origin.step, origin.used, origin.read = self._step, False, False
        if tuple(map(id, self.module._modules.values())) != self._children or (self._interpolated and self._moved()):
            self._surround()

    def call(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Take a step that may be compiled: then the mixed labels are put together within its trace.

        Args:
            step: ``training_step`` of the module.
            args: Its arguments.
            kwargs: Likewise.

        Returns:
            What it returns, which may hold mixed tensors.
        """
        if step != self._called:
            self._called = step
            self._compiled = Compiled(step) if is_compiled(step) else None
        return (self._compiled or step)(*args, **kwargs)

    def result(self, output: Any) -> Any:  # noqa: ANN401
        """What leaves the step.

        Args:
            output: A tensor, or a container of tensors, such as a dict, a named tuple or a dataclass.

        Returns:
            The same in plain tensors; the same object if it has no mixed ones.

        Raises:
            MixedTargetError: If there is something in it that nobody computed.
        """
        return trees.change(output, self._result_of)

    def require_use(self, trained: bool) -> None:
        """Make sure that the mixed targets took part in a loss.

        Args:
            trained: Whether the step has trained the module.

        Raises:
            MixedTargetError: If it has, and a target took no part.
        """
        for key, target in self._targets.items():
            if trained and not target.origin.used:
                raise self._unused(key)

    def end(self) -> None:
        """Finish the step, after backward and the optimizer's step. What outlives it goes on as a plain value."""
        if self._step.over:
            return
        step = self._step
        step.over = True
        for written in step.written:
            _settle_written(*written)
        made, step.made = step.made or [], None
        while made:
            kept = made.pop()()  # with its weak reference it could not be settled
            if type(kept) is MixedTarget:
                _settle_kept(kept, as_buffer=any(kept is buffer for buffer in self.module.buffers()))
        step.written = []
        self._targets = {}

    def explain(self, error: Exception) -> None:
        """Let what was raised in a step say that labels were mixed, and what helps.

        Args:
            error: What was raised.
        """
        if isinstance(error, MixedTargetError):
            _explain(error, "", self._note(), self.name)
        elif isinstance(error, _EXPLAINED) and self._targets and type(error).__name__ != "_StopRecomputationError":
            _explain(error, "Labels were mixed when this was raised. ", self._note(), self.name)

    def _result_of(self, leaf: Any) -> Any:  # noqa: ANN401
        if isinstance(leaf, MixedTarget):
            settled = settle_leaf(leaf)
            if settled.is_floating_point() and not settled.requires_grad:
                self._mute = True
            return settled
        if isinstance(leaf, Tensor) and leaf.device.type == "meta" and self._targets:
            raise MixedTargetError("a loss was computed of mixed labels by something that does not know them")
        return settle_leaf(plain(leaf))

    def _unused(self, key: object) -> MixedTargetError:
        what = f"mixed labels of batch entry {key!r}"
        why = f"training_step got mixed inputs, but none of its losses used the {what}"
        if self._mute:
            why = (
                f"a loss depends on the {what}, but without a gradient: it was computed under no_grad, in a "
                "torch.autograd.Function, or in a checkpoint with use_reentrant=True"
            )
        return MixedTargetError(f"{self.name}: {why}.\n{listed(self._cures(unused=True))}")

    def _note(self) -> str:
        return listed(self._cures())

    def _cures(self, *, unused: bool = False) -> tuple[str, ...]:
        pairs = [target for target in self._targets.values() if isinstance(target, MixedTarget)]
        floats = [target.is_floating_point() for target in pairs]
        per_sample = any(isinstance(target.lam, Tensor) for target in pairs)
        return cures(classes=not all(floats), floats=any(floats), per_sample=per_sample, unused=unused)

    def _moved(self) -> bool:
        """Whether another module goes by a name that is to be interpolated."""
        try:
            return any(self.module.get_submodule(name) is not found for name, found in self._interpolated.items())
        except AttributeError:
            return True

    def _surround(self) -> None:
        """Put borders around the parts of the module that have none yet."""
        named = {}
        for name in self._interpolated:
            with contextlib.suppress(AttributeError):
                self._interpolated[name] = named[name] = self.module.get_submodule(name)
        surround(self.module, self._borders, list(named.values()))
        self._children = tuple(map(id, self.module._modules.values()))


def _settle_written(tensor: Tensor, hidden: Tensor, kind: type[Tensor]) -> None:
    """Let a tensor that labels were written into go on as the dominant half."""
    mixed: Any = tensor
    now = mixed.dominant if isinstance(mixed.lam, float) else settled(mixed)
    del mixed.original, mixed.partner, mixed.lam, mixed.origin
    mixed.__class__ = kind
    torch._C._swap_tensor_impl(tensor, hidden)
    if not tensor.requires_grad or tensor.is_leaf:
        with torch.inference_mode() if tensor.is_inference() else torch.no_grad():
            tensor.copy_(now)


def _settle_kept(kept: MixedTarget, *, as_buffer: bool) -> None:
    """Let a pair that somebody keeps go on as its value; a buffer that was replaced, as one that was written into."""
    swap: Any = torch.utils.swap_tensors
    with contextlib.suppress(RuntimeError, MixedTargetError):
        left = kept.dominant.detach() if as_buffer else settled(kept)
        # Another object: the half itself may be somebody's, such as the labels of the batch.
        swap(kept, left.view_as(left) if left.requires_grad else left.detach())


def _explain(error: Exception, what: str, note: str, name: str) -> None:
    """Add a note to an error once."""
    if getattr(error, "_mixed_explained", False):
        return
    with contextlib.suppress(AttributeError):
        error._mixed_explained = True  # type: ignore[attr-defined]
    note = f"{name}: {what}{note}"
    if "What helps" in str(error):
        return
    if isinstance(error, MixedTargetError) or not hasattr(error, "add_note"):
        first = error.args[0] if error.args else ""
        error.args = (f"{first}\n{note}", *error.args[1:])
    else:
        error.add_note(note)
