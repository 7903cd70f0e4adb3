"""One call of a function of torch, of labels with a weight for each sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_mixup.targets import trees
from lightning_mixup.targets.calls import Trait
from lightning_mixup.targets.errors import MixedTargetError
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.randomness import snapshot
from lightning_mixup.targets.values import is_mixed

MOVES = frozenset(
    "view reshape flatten ravel squeeze unsqueeze permute transpose t T mT movedim moveaxis swapaxes swapdims expand "
    "expand_as view_as reshape_as unflatten __getitem__ select narrow index_select masked_select take chunk split "
    "tensor_split split_with_sizes unbind repeat repeat_interleave tile roll flip gather take_along_dim diagonal "
    "cat concat concatenate stack hstack vstack dstack column_stack".split()
)
_CASTS = frozenset(
    "to float double half bfloat16 long int short bool char byte type type_as cpu cuda clone detach contiguous "
    "requires_grad_ pin_memory data dropout relu sigmoid logsigmoid softplus isin real".split()
)
_SYNONYMS = {"_is_all_true": "all", "log_sigmoid": "logsigmoid"}
_OPERATORS = "add sub mul truediv div floordiv mod pow and or xor lshift rshift eq ne lt le gt ge neg pos abs invert"


class Call:
    """A call with mixed arguments."""

    def __init__(self, func: Callable[..., Any], args: Any, kwargs: Any, trait: Trait) -> None:  # noqa: ANN401
        if not args and "input" in kwargs:
            kwargs = dict(kwargs)
            args = (kwargs.pop("input"),)
        self.func, self.args, self.kwargs, self.trait = func, args, kwargs, trait
        self.name = base(trait.name)
        self.pairs = [leaf for leaf in trees.leaves((args, kwargs)) if is_mixed(leaf)]
        self.origin: Origin = self.pairs[0].origin
        for found in self.pairs[1:]:
            self.origin = self.origin.join(found.origin)
        if any(isinstance(found.lam, float) for found in self.pairs):
            raise MixedTargetError(
                f"{trait.name} gets labels with one weight, and others with a weight for each sample"
            )

    def argument(self, place: int, *names: str) -> Any:  # noqa: ANN401
        """An argument by its place or its name, None if it is not given."""
        for name in names:
            if name in self.kwargs:
                return self.kwargs[name]
        return self.args[place] if len(self.args) > place else None

    def only(self, leaf: Any) -> bool:  # noqa: ANN401
        """Whether this is the one argument that is mixed."""
        return len(self.pairs) == 1 and self.pairs[0] is leaf

    def refusal(self) -> MixedTargetError:
        """That the samples cannot be told apart."""
        return MixedTargetError(
            f"{self.trait.name} does not treat the samples one by one, and each has a weight of its own; a loss that "
            "is a mean or sum of one value a sample can be weighed, this cannot"
        )

    def with_leaves(self, one: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        """Call with something else for the mixed arguments."""
        args, kwargs = trees.change((self.args, self.kwargs), lambda leaf: one(leaf) if is_mixed(leaf) else leaf)
        return self.func(*args, **kwargs)

    def halves(self) -> tuple[Any, Any]:
        """Call for the original labels and for the partners'."""
        restore = snapshot() if self.trait.random else None
        other = self.with_leaves(lambda leaf: leaf.partner)
        if restore is not None:
            restore()
        return self.with_leaves(lambda leaf: leaf.original), other

    def aligned(self, ndim: int | None = None) -> Tensor:
        """The weights of all arguments, which are broadcast against each other."""
        tensors = [leaf for leaf in trees.leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor)]
        if ndim is None:
            ndim = max(tensor.ndim for tensor in tensors)
        lams = [found.lam.reshape((1,) * (ndim - found.lam.ndim) + found.lam.shape) for found in self.pairs]
        return self.agreed(lams)

    def agreed(self, lams: Sequence[Tensor]) -> Tensor:
        """Weights that are those of all."""
        first = lams[0]
        for lam in lams[1:]:
            if lam is first or (lam.data_ptr() == first.data_ptr() and lam.shape == first.shape):
                continue
            try:
                shape = torch.broadcast_shapes(first.shape, lam.shape)  # type: ignore[no-untyped-call]
            except RuntimeError:
                raise self.refusal() from None
            if not torch.equal(first.expand(shape), lam.expand(shape)):
                raise self.refusal()
            first = first if first.numel() <= lam.numel() else lam
        return first


def base(name: str) -> str:
    """What a function computes, wherever it writes.

    Args:
        name: Of the function.

    Returns:
        Its name without underscores: ``add`` of ``__add__``, ``__radd__``, ``__iadd__`` and ``add_``. Of those by which
        torch calls its own functions, the one that everybody knows.
    """
    if name in _SYNONYMS:
        return _SYNONYMS[name]
    if name.startswith("__") and name.endswith("__"):
        core = name[2:-2]
        return core[1:] if core[:1] in ("r", "i") and core[1:] in _OPERATORS.split() else core
    return name.rstrip("_")


def pointwise(call: Call) -> bool:
    """Whether a function computes each number of its result from the numbers in the same place.

    Args:
        call: The call.

    Returns:
        True only if it surely does.
    """
    full, name = call.trait.name, call.name
    if name in _CASTS or full in _CASTS:
        return True
    if full.startswith("__"):
        return name in _OPERATORS.split()
    given = [*call.args, *call.kwargs.values()]
    if name in ("max", "min") and sum(isinstance(arg, Tensor) for arg in given) < 2:
        return False  # along one tensor
    if name == "where" and len(given) < 2:
        return False  # places in one tensor
    packet = getattr(torch.ops.aten, name, None) if name.isidentifier() else None
    if packet is None:
        return False
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads())
