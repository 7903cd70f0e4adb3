"""A tensor that is two tensors: what is computed from mixed labels is computed for both labels, in lockstep.

1. A function of torch that meets a pair is called for each half, with or without gradients, and gives a pair.
2. A pair has no value of its own. What C++ holds of it is a scalar on the meta device, which refuses all operations,
   so that whatever slips past ``__torch_function__`` raises; it never uses one half.
3. What is not a tensor (shape, truth, length, list, index) must be the same for both halves, or ``Diverged`` is
   raised. A number that is read is a ``Number``, which remembers both halves.
4. A pair leaves the step as its value: floats are blended, whole numbers and truths are those of the dominant label.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_mixup.functional.losses import blend
from lightning_mixup.targets.errors import Diverged, MixedTargetError, same
from lightning_mixup.targets.origin import BLENDED, Origin

plain_torch: Any = torch._C.DisableTorchFunctionSubclass
NOTHING = torch.empty((), device="meta")
NOTHING_TRAINED = torch.empty((), device="meta", requires_grad=True)
_share_memory: Any = torch._C._is_alias_of  # type: ignore[attr-defined]
_IS_TRAINED: Any = torch._C.TensorBase.requires_grad  # what C++ knows of a pair

Special = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
special: dict[Callable[..., Any], Special] = {}
"""Functions of torch that other files compute in a way of their own, called where torch's dispatch is off."""
otherwise: list[Special] = []
"""What computes all others: ``lightning_mixup.targets.calls.both``."""


class MixedTarget(Tensor):
    """Labels of a mixed batch: a tensor that is two tensors, and knows how much each of them weighs.

    Whatever functions of torch compute from it is computed for the original labels and for the partners', so that a
    loss ``L`` is ``lam * L(original) + (1 - lam) * L(partner)``. What Python has to decide on must be the same for
    both.

    Args:
        original: Labels of the samples, of any shape ``(B, ...)`` and dtype.
        partner: Labels of their partners, same shape and dtype.
        lam: Weight of the original labels in [0, 1]: a number, or a tensor of shape ``(B,)``, one for each sample.

    Attributes:
        original: One half.
        partner: The other half.
        lam: The number, or a tensor that broadcasts over the labels.

    Raises:
        MixedTargetError: On a use that cannot be computed for both labels.

    Examples:
        >>> import torch.nn.functional as F
        >>> y = MixedTarget(torch.tensor([0, 2]), torch.tensor([1, 1]), lam=0.75)
        >>> logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]))
        >>> F.cross_entropy(logits, y).value
        tensor(0.8664)
        >>> hot = F.one_hot(y, 3)
        >>> (-hot * logits).sum(1).mean().value
        tensor(0.8664)
        >>> y.dominant
        tensor([0, 2])
    """

    original: Tensor
    partner: Tensor
    lam: Any  # a number, a tensor, or BLENDED
    origin: Origin

    def __new__(cls, original: Tensor, partner: Tensor, lam: float | Tensor) -> MixedTarget:
        """Check that the halves are alike."""
        if not isinstance(lam, Tensor):
            lam = float(lam)
        elif lam.device.type == "cpu" and _one_for_all(lam):
            lam = lam.flatten()[0].item()  # to look on a device would wait for it
        else:
            lam = lam.reshape(lam.shape + (1,) * (original.ndim - lam.ndim))
        if _share_memory(original, partner):
            partner = partner.clone()  # what is written in place is written into each half
        return pair(original, partner, lam, Origin())

    @property
    def value(self) -> Tensor:
        """The mix ``lam * original + (1 - lam) * partner``, a plain floating point tensor."""
        with plain_torch():
            if self.lam is BLENDED:
                return self.original
            if self.original.shape != self.partner.shape:
                same(self.original.shape, self.partner.shape, "the shape of a result")
            return blend(self.original, self.partner, self.lam)

    @property
    def dominant(self) -> Tensor:
        """The half that weighs more, for each sample, as a plain tensor."""
        if self.lam is BLENDED:
            return self.original
        if not isinstance(self.lam, Tensor):
            return self.original if self.lam >= 0.5 else self.partner
        with plain_torch():
            return torch.where(self.lam >= 0.5, self.original, self.partner)

    @property
    def settled(self) -> Tensor:
        """What leaves the step: the mix of floats, else the half that weighs more."""
        half = self.original
        return self.value if half.is_floating_point() or half.is_complex() else self.dominant

    # What both halves share, without a detour by way of __torch_function__: it is asked for again and again.
    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        """The shape of both halves."""
        shape = self.original.shape
        return shape if shape == self.partner.shape else same(shape, self.partner.shape, "the shape")

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        """The dtype of both halves."""
        dtype: torch.dtype = same(self.original.dtype, self.partner.dtype, "the dtype")
        return dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The device of both halves."""
        return self.original.device

    @property
    def ndim(self) -> int:  # type: ignore[override]
        """The number of dimensions of both halves."""
        ndim: int = same(self.original.ndim, self.partner.ndim, "the number of dimensions")
        return ndim

    def dim(self) -> int:
        """The number of dimensions of both halves."""
        return self.ndim

    def is_floating_point(self) -> bool:
        """Whether the halves are in floating point."""
        return self.original.is_floating_point()

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows into either half."""
        return self.original.requires_grad or self.partner.requires_grad

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        self.original.requires_grad, self.partner.requires_grad = on, on
        if on:
            self.origin.learn()

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.unbind(0))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]  # noqa: ANN401
        return f"MixedTarget(original={self.original}, partner={self.partner}, lam={self.lam})"

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else format(self.settled, spec)

    def __float__(self) -> float:
        """A float cannot remember: the value of what a gradient flows through, which is a report."""
        if self.requires_grad:
            return float(self.value)
        number = same(float(self.original), float(self.partner), "float(...); take .item() instead, which knows both:")
        return float(number)

    def __copy__(self) -> MixedTarget:
        return pair(copy.copy(self.original), copy.copy(self.partner), self.lam, self.origin)

    def __deepcopy__(self, memo: dict[int, Any]) -> MixedTarget:
        lam = self.lam.clone() if isinstance(self.lam, Tensor) else self.lam
        return pair(self.original.clone(), self.partner.clone(), lam, self.origin)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:  # noqa: ANN401
        return MixedTarget, (self.original, self.partner, self.lam)

    def set_(self, *_: Any, **__: Any) -> Tensor:  # noqa: ANN401
        """Not to be had, and not told to ``__torch_function__``."""
        raise Diverged("set_ would give mixed labels the memory of another tensor")

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Any:  # noqa: ANN401
        """Register a hook that sees the gradient of each half as in a step of its own, without the weight."""
        lam = self.lam
        if not isinstance(lam, float):
            raise MixedTargetError("register_hook sees gradients of a whole batch; the weights are one a sample")

        def weighed(weight: float) -> Callable[[Tensor], Tensor | None]:
            def run(gradient: Tensor) -> Tensor | None:
                new = hook(gradient / weight)
                return None if new is None else new * weight

            return run

        halves = ((self.original, lam), (self.partner, 1 - lam))
        register: Any = Tensor.register_hook
        return [register(half, weighed(weight)) for half, weight in halves if half.requires_grad and weight]

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Compute a function of torch for both halves."""
        with plain_torch():
            return special.get(func, otherwise[0])(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """What C++ is asked of a pair: it knows of neither half."""
        raise MixedTargetError(f"{func} got mixed labels where two tensors cannot stand for one")


def _one_for_all(lam: Tensor) -> bool:
    """Whether all weights are one. Those that were drawn differ at both ends already."""
    flat = lam.flatten()
    return flat[0].item() == flat[-1].item() and bool((flat == flat[0]).all())


def pair(original: Tensor, partner: Tensor, lam: float | Tensor, origin: Origin) -> MixedTarget:
    """Make a pair without any check.

    Args:
        original: One half.
        partner: The other.
        lam: Weight of the original: a number, or a tensor that broadcasts over the halves.
        origin: Where they come from.

    Returns:
        The pair.
    """
    trained = original.requires_grad or partner.requires_grad
    self: MixedTarget = (NOTHING_TRAINED if trained else NOTHING).as_subclass(MixedTarget)
    self.original = original
    self.partner = partner
    self.lam = lam
    self.origin = origin
    made = origin.step.made
    if made is not None:
        made.append(weakref.ref(self))
    return self


def refuse_cut(leaf: Any) -> None:  # noqa: ANN401
    """Refuse what a ``torch.autograd.Function`` made of a pair: a gradient that C++ knows of, and no half has.

    Args:
        leaf: A pair or a number.

    Raises:
        MixedTargetError: If its gradient is lost.
    """
    if isinstance(leaf, MixedTarget) and not leaf.requires_grad and _IS_TRAINED.__get__(leaf):
        raise MixedTargetError("a torch.autograd.Function computed something of mixed labels, and lost the gradient")
