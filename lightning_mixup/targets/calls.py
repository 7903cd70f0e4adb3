"""Functions of torch, called once for each half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_mixup.targets import trees
from lightning_mixup.targets.errors import Diverged, MixedTargetError, same
from lightning_mixup.targets.number import Number
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.pair import NOTHING, NOTHING_TRAINED, MixedTarget, otherwise, pair, refuse_cut
from lightning_mixup.targets.randomness import draws, snapshot
from lightning_mixup.targets.values import is_mixed, settled

_NESTED = (tuple, list, dict, slice)
_IN_PLACE = {f"__i{name}__" for name in "add sub mul truediv floordiv mod pow and or xor lshift rshift matmul".split()}
_STATISTICS = (torch.nn.functional.batch_norm, torch.nn.functional.instance_norm)

by_rows: list[Callable[..., Any]] = []
"""What computes functions of labels with a weight for each sample."""


class Trait:
    """What has to be known of a function of torch before it is called twice."""

    __slots__ = ("name", "random", "sets", "statistics", "writes")

    def __init__(self, func: Callable[..., Any]) -> None:
        name = getattr(func, "__name__", "")
        attribute = name in ("__get__", "__set__", "__delete__")
        self.sets = name == "__set__"
        self.name = func.__self__.__name__ if attribute else name  # type: ignore[attr-defined]
        ends = name.endswith("_") and not name.endswith("__")
        self.writes = not attribute and (ends or name in _IN_PLACE or name == "__setitem__")
        self.statistics = func in _STATISTICS
        self.random = not attribute and draws(func, name)


_traits: dict[Callable[..., Any], Trait] = {}


def both(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Call a function of torch for each half.

    Args:
        func: The function.
        args: Its arguments, with at least one pair or number read from one among them.
        kwargs: Likewise.

    Returns:
        A pair, or what both calls agree on.

    Raises:
        Diverged: If they have to agree and do not.
    """
    trait = _traits.get(func)
    if trait is None:
        trait = _traits[func] = Trait(func)
    first: Any = None
    plain = not kwargs and not trait.writes and not trait.statistics
    ones, others = list(args), list(args)
    for index, arg in enumerate(args):
        kind = type(arg)
        if kind is MixedTarget:
            if not arg.requires_grad:
                refuse_cut(arg)
            if first is None:
                first = arg
            elif arg.lam is not first.lam or arg.origin is not first.origin:
                plain = False
            ones[index], others[index] = arg.original, arg.partner
        elif kind is Number or isinstance(arg, _NESTED):
            plain = False
    if not plain or first.origin.step.over or first.lam.__class__ is not float:
        return _carefully(func, args, kwargs, trait)
    restore = snapshot() if trait.random else None
    lam = first.lam
    # The dominant one last, whose traces stay.
    if lam >= 0.5:
        other = func(*others)
        if restore is not None:
            restore()
        one = func(*ones)
    else:
        one = func(*ones)
        if restore is not None:
            restore()
        other = func(*others)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one if one is other else pair(one, other, lam, first.origin)
    return join(one, other, lam, first.origin, trait.name, first.requires_grad)


def _carefully(func: Callable[..., Any], args: Any, kwargs: Any, trait: Trait) -> Any:  # noqa: ANN401
    """The same for whatever is not a few pairs and plain tensors."""
    pairs = [leaf for leaf in trees.leaves((args, kwargs)) if is_mixed(leaf)]
    for found in pairs:
        refuse_cut(found)
    if any(found.origin.step.over for found in pairs):
        args, kwargs = trees.change((args, kwargs), lambda x: settled(x) if is_mixed(x) and x.origin.step.over else x)
        pairs = [found for found in pairs if not found.origin.step.over]
        if not pairs:
            return func(*args, **kwargs)
    origin = pairs[0].origin
    for found in pairs[1:]:
        origin = origin.join(found.origin)
    if any(found.lam.__class__ is not float for found in pairs):
        return by_rows[0](func, args, kwargs, trait)
    lam = pairs[0].lam
    if any(found.lam != lam for found in pairs):
        raise MixedTargetError(f"{trait.name} gets labels of two different draws")
    if trait.sets and not is_mixed(args[0]):
        raise MixedTargetError(f"{trait.name} of a plain tensor would be set to mixed labels")
    target = written(func, args, kwargs, trait)
    for found in target:
        writable(found, lam, origin, trait.name)

    def half(which: str) -> Any:  # noqa: ANN401
        halved = trees.change((args, kwargs), lambda x: getattr(x, which) if is_mixed(x) else x)
        return func(*halved[0], **halved[1])

    generators = [leaf for leaf in trees.leaves(kwargs) if isinstance(leaf, torch.Generator)]
    restore = snapshot(generators) if trait.random or generators else None
    halves: dict[str, Any] = {}
    for which in ("partner", "original") if lam >= 0.5 else ("original", "partner"):
        if halves and restore is not None:
            restore()
        halves[which] = half(which)
    if target and not trait.statistics:
        return kwargs["out"] if "out" in kwargs else args[0]
    report = any(isinstance(found, MixedTarget) and found.requires_grad for found in pairs)
    return join(halves["original"], halves["partner"], lam, origin, trait.name, report)


def written(func: Callable[..., Any], args: Any, kwargs: Any, trait: Trait) -> list[Any]:  # noqa: ANN401
    """The tensors that a function writes into.

    Args:
        func: The function.
        args: Its arguments.
        kwargs: Likewise.
        trait: What is known of it.

    Returns:
        Tensors and pairs.
    """
    if kwargs.get("out") is not None:
        return list(trees.leaves(kwargs["out"]))
    if trait.writes:
        return list(trees.leaves(args[:1]))
    if trait.statistics:  # without raising the version of what they write
        found = [*args[1:3], kwargs.get("running_mean"), kwargs.get("running_var")]
        return [tensor for tensor in found if tensor is not None]
    return []


def join(one: Any, other: Any, lam: Any, origin: Origin, name: str = "", report: bool = False) -> Any:  # noqa: ANN401
    """Two results as one.

    Args:
        one: Of the original labels.
        other: Of the partners'.
        lam: Weight of the original.
        origin: Where the labels come from.
        name: Of the function that gave the results.
        report: Whether a gradient flows through what was asked.

    Returns:
        A pair where there are tensors, in the containers of ``one``.

    Raises:
        Diverged: If what is not a tensor differs.
    """
    if one is other:
        return one
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return pair(one, other, lam, origin)
    what = f"the result of {name}"
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        if name == "item" and type(one) is type(other) and type(one) is not bool and one != other:
            return Number(one, other, lam, origin, report)
        return same(one, other, what)
    if type(one) is not type(other):
        raise Diverged(f"{what} is of type {type(one).__name__} for one label and {type(other).__name__} for the other")
    if isinstance(one, (tuple, list)) and not isinstance(one, torch.Size):
        same(len(one), len(other), f"the length of {what}")
        branches = [join(x, y, lam, origin, name, report) for x, y in zip(one, other, strict=True)]
        return trees.rebuild(one, branches)
    if isinstance(one, dict):
        same(list(one), list(other), f"the keys of {what}")
        joined = {key: join(one[key], other[key], lam, origin, name, report) for key in one}
        return trees.change(one, lambda leaf: leaf) if not joined else trees.updated(one, joined)
    if trees.is_record(one):
        return trees.renewed(
            one, {k: join(v, getattr(other, k, None), lam, origin, name) for k, v in trees.fields(one).items()}
        )
    if hasattr(one, "tobytes"):
        if (one.dtype, one.shape, one.tobytes()) != (other.dtype, other.shape, other.tobytes()):
            raise Diverged(
                f"the array of numpy is {one.tolist()!r:.60} for one label of the mix and "
                f"{other.tolist()!r:.60} for the other"
            )
        return one
    return same(one, other, what)


def writable(target: Any, lam: float | Tensor, origin: Origin, name: str) -> None:  # noqa: ANN401
    """Make sure that each half of what labels are written into has memory of its own.

    Args:
        target: A tensor, which becomes a pair, or a pair.
        lam: Weight of the original labels.
        origin: Where they come from.
        name: Of the function that writes.

    Raises:
        Diverged: If somebody else may see that memory.
    """
    if not is_mixed(target):
        become_pair(target, lam, origin, name)
    elif target.original.untyped_storage().data_ptr() == target.partner.untyped_storage().data_ptr() != 0:
        raise Diverged(f"{name} writes labels into memory that other tensors see")  # views of a plain tensor


def become_pair(target: Any, lam: float | Tensor, origin: Origin, name: str) -> None:  # noqa: ANN401
    """Make a pair of a plain tensor that labels are written into. Its memory stays as it was.

    Args:
        target: The tensor.
        lam: Weight of the original labels.
        origin: Where they come from.
        name: Of the function that writes.

    Raises:
        Diverged: If somebody else may see that memory.
    """
    if not isinstance(target, Tensor):
        raise Diverged(f"{name} writes labels into a {type(target).__name__}")
    if target._base is not None or torch._C._storage_Use_Count(target.untyped_storage()._cdata) > 2:
        raise Diverged(f"{name} writes labels into memory that other tensors see")
    with torch.enable_grad():  # what is written under no_grad keeps the gradient that it has
        one, other = target.clone(), target.clone()
        hidden = (NOTHING_TRAINED if target.requires_grad else NOTHING).as_subclass(MixedTarget)
    torch._C._swap_tensor_impl(target, hidden)  # C++, too, must not see the old values
    origin.step.written.append((target, hidden, type(target)))
    hidden.__class__, target.__class__ = type(target), MixedTarget  # type: ignore[assignment]
    target.original, target.partner, target.lam, target.origin = one, other, lam, origin  # type: ignore[attr-defined]


otherwise[:] = [both]
