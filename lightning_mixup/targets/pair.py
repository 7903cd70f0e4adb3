"""A tensor that is two tensors: what is computed from mixed labels is computed for both labels, in lockstep.

1. A function of torch that meets a pair is called for each half, with or without gradients, and gives a pair.
2. A pair has no value of its own. What C++ holds of it is a scalar on the meta device, so that whatever slips past
   ``__torch_function__`` raises; it never uses one half.
3. What is not a tensor (shape, truth, length, list, index) must be the same for both halves, or :class:`Diverged` is
   raised. A number that is read is a :class:`Number`, which remembers both halves.
4. A pair leaves the step as its value: floats are blended, whole numbers and truths are those of the dominant label.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_mixup.functional.losses import blend
from lightning_mixup.targets import trees
from lightning_mixup.targets.errors import Diverged, MixedTargetError
from lightning_mixup.targets.randomness import draws, snapshot

plain_torch: Any = torch._C.DisableTorchFunctionSubclass
_NOTHING = torch.empty((), device="meta")
_NOTHING_TRAINED = torch.empty((), device="meta", requires_grad=True)
_IS_TRAINED: Any = torch._C.TensorBase.requires_grad  # what C++ knows of a pair
_NESTED = (tuple, list, dict, slice)
_IN_PLACE = {f"__i{name}__" for name in "add sub mul truediv floordiv mod pow and or xor lshift rshift matmul".split()}
_STATISTICS = (torch.nn.functional.batch_norm, torch.nn.functional.instance_norm)

Special = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
special: dict[Callable[..., Any], Special] = {}
"""Functions of torch that other files compute in a way of their own, called where torch's dispatch is off."""
by_rows: list[Callable[..., Any]] = []
"""What computes functions of labels with a weight for each sample."""


class _Blended:
    """Stands for the weight of what is weighed already."""

    def __repr__(self) -> str:
        return "blended"

    def __deepcopy__(self, memo: dict[int, Any]) -> _Blended:
        return self


BLENDED: Any = _Blended()


class Step:
    """One training step: what was made of its labels, and whether it is over."""

    def __init__(self) -> None:
        self.over = False
        self.read = False
        self.made: list[weakref.ref[MixedTarget]] | None = None
        self.written: list[tuple[Tensor, Tensor, type[Tensor]]] = []


_no_step = Step()  # of pairs that somebody makes by hand


class Origin:
    """Where a pair comes from: the mixed targets that it was computed from, and their step."""

    __slots__ = ("read", "roots", "step", "used")

    def __init__(self, roots: frozenset[Origin] = frozenset(), step: Step = _no_step) -> None:
        self.roots = roots or frozenset([self])
        self.step = step
        self.used = False
        self.read = False

    def use(self) -> None:
        """Note that a loss depends on these targets."""
        for root in self.roots:
            root.used = True

    def join(self, other: Origin) -> Origin:
        """Of what was computed from both."""
        return self if self.roots >= other.roots else Origin(self.roots | other.roots, self.step)


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
        elif lam.device.type == "cpu" and bool((lam == lam.flatten()[:1]).all()):
            lam = lam.flatten()[0].item()  # one weight for all; to look on a device would wait for it
        else:
            lam = lam.reshape(lam.shape + (1,) * (original.ndim - lam.ndim))
        if original.untyped_storage().data_ptr() == partner.untyped_storage().data_ptr():
            partner = partner.clone()  # what is written in place is written into each half
        return pair(original, partner, lam, Origin())

    @property
    def value(self) -> Tensor:
        """The mix ``lam * original + (1 - lam) * partner``, a plain floating point tensor."""
        with plain_torch():
            if self.lam is BLENDED:
                return self.original
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

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.unbind(0))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]  # noqa: ANN401
        return f"MixedTarget(original={self.original}, partner={self.partner}, lam={self.lam})"

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else format(settled(self), spec)

    def __float__(self) -> float:
        """A float cannot remember: the value of what a gradient flows through, which is a report."""
        if self.requires_grad:
            return float(self.value)
        number = same(float(self.original), float(self.partner), "float(...); take .item() instead, which knows both:")
        return float(number)

    def __copy__(self) -> MixedTarget:
        return pair(self.original, self.partner, self.lam, self.origin)

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
            way = special.get(func)
            if way is not None:
                return way(func, args, kwargs or {})
            return both(func, args, kwargs or {})


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
    self: MixedTarget = (_NOTHING_TRAINED if trained else _NOTHING).as_subclass(MixedTarget)
    self.original = original
    self.partner = partner
    self.lam = lam
    self.origin = origin
    made = origin.step.made
    if made is not None:
        made.append(weakref.ref(self))
    return self


def same(one: Any, other: Any, what: str) -> Any:  # noqa: ANN401
    """What must be the same for both labels.

    Args:
        one: Of the original labels.
        other: Of the partners'.
        what: What it is.

    Returns:
        That value.

    Raises:
        Diverged: If they differ.
    """
    if one != other and not (one != one and other != other):
        raise Diverged(f"{what} is {one!r:.60} for one label of the mix and {other!r:.60} for the other")
    return one


class Number(float):
    """What ``.item()`` gives of halves that differ: in arithmetic and in torch still both.

    Its own value, which C code sees, is not a number: what slips out of sight must not go unnoticed into a loss. Only
    of what a gradient flows through, which is a report, it is the blend.
    """

    original: float
    partner: float
    lam: float
    origin: Origin
    report: bool

    def __new__(cls, original: float, partner: float, lam: float, origin: Origin, report: bool = False) -> Number:
        """Choose the value."""
        lost = not report and lam is not BLENDED
        self = float.__new__(cls, float("nan") if lost else _blended(original, partner, lam))
        self.original, self.partner, self.lam, self.origin, self.report = original, partner, lam, origin, report
        if lost:
            origin.step.read = origin.step is not _no_step
            for root in origin.roots:
                root.read = True
        return self

    @property
    def value(self) -> float:
        """The blend of floats, the dominant of whole numbers."""
        if isinstance(self.original, int):
            return self.original if self.lam is BLENDED or self.lam >= 0.5 else self.partner
        return _blended(self.original, self.partner, self.lam)

    def __reduce__(self) -> tuple[Any, ...]:
        return float, (float(self.value),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Number:
        return self

    def __repr__(self) -> str:
        return repr(self.value)

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __hash__(self) -> int:
        return hash((self.original, self.partner))

    def __float__(self) -> float:
        if self.report or self.origin.step.over:
            return float(self.value)
        return float(same(self.original, self.partner, "float(...) of a number that was read"))

    def is_integer(self) -> bool:
        """Whether both are whole."""
        return bool(same(float(self.original).is_integer(), float(self.partner).is_integer(), "is_integer()"))

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Compute a function of torch for both."""
        with plain_torch():
            return both(func, args, kwargs or {})


def _blended(original: float, partner: float, lam: float) -> float:
    return original if lam is BLENDED else lam * original + (1 - lam) * partner


def _operate(name: str, agree: bool) -> Callable[..., Any]:
    def operate(self: Number, *args: Any) -> Any:  # noqa: ANN401
        numbers = [self, *(arg for arg in args if isinstance(arg, Number))]
        if any(number.origin.step.over for number in numbers):
            return getattr(settled(self), name)(*map(settled, args))
        if len({number.lam for number in numbers}) > 1:
            raise MixedTargetError("numbers of two draws meet")
        one = getattr(self.original, name)(*(arg.original if isinstance(arg, Number) else arg for arg in args))
        other = getattr(self.partner, name)(*(arg.partner if isinstance(arg, Number) else arg for arg in args))
        if one is NotImplemented or other is NotImplemented:
            if isinstance(self.original, int):  # an int leaves floats to them
                one = getattr(float(self.original), name)(*(getattr(arg, "original", arg) for arg in args))
                other = getattr(float(self.partner), name)(*(getattr(arg, "partner", arg) for arg in args))
            if one is NotImplemented or other is NotImplemented:
                return NotImplemented
        if agree or not isinstance(one, (int, float)) or (one == other and self.lam is not BLENDED):
            return same(one, other, f"{name.strip('_')} of a number that was read")
        report = any(number.report for number in numbers)
        origin = self.origin
        for number in numbers[1:]:
            origin = origin.join(number.origin)
        return Number(one, other, self.lam, origin, report)

    operate.__name__ = name
    return operate


for (
    _name
) in "add sub mul truediv floordiv mod pow radd rsub rmul rtruediv rfloordiv rmod rpow neg pos abs round".split():
    setattr(Number, f"__{_name}__", _operate(f"__{_name}__", agree=False))
for _name in "lt le gt ge eq ne bool int trunc floor ceil divmod rdivmod".split():
    setattr(Number, f"__{_name}__", _operate(f"__{_name}__", agree=True))


def is_mixed(leaf: Any) -> bool:  # noqa: ANN401
    """Whether something is two things.

    Args:
        leaf: Any object that is no container.

    Returns:
        True of pairs and of numbers read from them.
    """
    return isinstance(leaf, (MixedTarget, Number))


def settled(leaf: Any) -> Any:  # noqa: ANN401
    """The value with which a leaf leaves the step.

    Args:
        leaf: Any object that is no container.

    Returns:
        Of a pair the blend of floats, else the dominant half; what is no pair itself.
    """
    if isinstance(leaf, MixedTarget):
        half = leaf.original
        return leaf.value if half.is_floating_point() or half.is_complex() else leaf.dominant
    return leaf.value if isinstance(leaf, Number) else leaf


def refuse_cut(leaf: Any) -> None:  # noqa: ANN401
    """Refuse what a ``torch.autograd.Function`` made of a pair: a gradient that C++ knows of, and no half has.

    Args:
        leaf: A pair or a number.

    Raises:
        MixedTargetError: If its gradient is lost.
    """
    if isinstance(leaf, MixedTarget) and not leaf.requires_grad and _IS_TRAINED.__get__(leaf):
        raise MixedTargetError("a torch.autograd.Function computed something of mixed labels, and lost the gradient")


def value(tree: Any) -> Any:  # noqa: ANN401
    """What mixed labels, and what was computed from them, are for everybody outside of the loss.

    Args:
        tree: Any object: a tensor, a number, or containers of them.

    Returns:
        The same with a plain tensor for every mixed one: of floats the weighted mean, else the half that weighs more.

    Examples:
        >>> value({"y": MixedTarget(torch.tensor([3]), torch.tensor([5]), lam=0.75)})
        {'y': tensor([3])}
        >>> value(torch.tensor([4]))
        tensor([4])
    """
    return trees.change(tree, settled)


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
        same((one.dtype, one.shape, one.tobytes()), (other.dtype, other.shape, other.tobytes()), f"the array of {name}")
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
        hidden = (_NOTHING_TRAINED if target.requires_grad else _NOTHING).view(())
    torch._C._swap_tensor_impl(target, hidden)  # C++, too, must not see the old values
    origin.step.written.append((target, hidden, type(target)))
    target.__class__ = MixedTarget
    target.original, target.partner, target.lam, target.origin = one, other, lam, origin  # type: ignore[attr-defined]
