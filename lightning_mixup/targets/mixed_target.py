"""A label that is two labels: what a loss, a metric and a reshape each do with it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from operator import attrgetter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import _reduction as _Reduction

from lightning_mixup.functional.losses import blend, pair_nll, reduce

CURES = (
    "Pass targets='soft' to the callback, which gives training_step probabilities, or wrap the loss: "
    "interpolate_loss(my_loss)(pred, y)."
)


listeners: list[Callable[[Tensor, MixedTarget], None]] = []
"""Called with what a loss predicts and with its mixed labels, when one uses them. Empty unless somebody measures."""


class MixedTargetError(RuntimeError):
    """Mixed labels met something that would have trained on one half of them alone."""


class Use:
    """Whether a loss has used a target, shared by all that was reshaped, cast or cut from that target."""

    __slots__ = ("consumed",)

    def __init__(self) -> None:
        self.consumed = False


class MixedTarget(Tensor):
    """Labels of a mixed batch: a tensor of the dominant ones that knows both halves and their weight.

    A loss of ``torch.nn.functional``, and so every ``nn.*Loss``, becomes the mixed loss: of classes
    ``lam * L(original) + (1 - lam) * L(partner)``, of values ``L(lam * original + (1 - lam) * partner)``. Reshaping,
    casting, moving and indexing keep both halves. Whatever no gradient flows through, such as metrics, ``==`` and
    ``numpy()``, sees the dominant labels as a plain tensor. Any other differentiable use raises, except of ``one_hot``
    labels, which take part as the soft labels that they are, and of an embedding, which is mixed.

    Args:
        original: Labels of the samples, of any shape ``(B, ...)`` and dtype.
        partner: Labels of their partners, same shape and dtype.
        lam: Weight of the original labels in [0, 1]: a number, or a tensor of shape ``(B,)``, one for each sample.

    Raises:
        MixedTargetError: On a differentiable use that is not known to mix, and on a change in place.

    Example:
        >>> y = MixedTarget(torch.tensor([0, 2]), torch.tensor([1, 1]), lam=0.75)
        >>> logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]))
        >>> F.cross_entropy(logits, y)
        tensor(0.8664)
        >>> logits.argmax(1) == y
        tensor([True, True])
    """

    original: Tensor
    partner: Tensor
    lam: float | Tensor
    uses: frozenset[Use]
    one_hot: bool

    def __new__(
        cls,
        original: Tensor,
        partner: Tensor,
        lam: float | Tensor,
        uses: frozenset[Use] | None = None,
        one_hot: bool = False,
    ) -> MixedTarget:
        """Take the dominant labels for the value of the tensor."""
        if isinstance(lam, Tensor):
            # One weight a label, so that what reshapes or indexes the labels can do the same to the weights.
            lam = lam.reshape(lam.shape + (1,) * (original.ndim - lam.ndim)).expand(original.shape)
            dominant = torch.where(lam >= 0.5, original, partner)
        else:
            dominant = original if lam >= 0.5 else partner
        self = dominant.as_subclass(cls)
        self.original, self.partner, self.lam = original, partner, lam
        self.uses = frozenset([Use()]) if uses is None else uses
        self.one_hot = one_hot
        return self

    # What both halves share, without a detour by way of __torch_function__: metrics ask for it again and again.
    shape = property(attrgetter("original.shape"))
    ndim = property(attrgetter("original.ndim"))
    dtype = property(attrgetter("original.dtype"))
    device = property(attrgetter("original.device"))
    is_floating_point = property(attrgetter("original.is_floating_point"))
    numel = property(attrgetter("original.numel"))

    @property
    def value(self) -> Tensor:
        """The labels' own mix ``lam * original + (1 - lam) * partner``, a plain floating point tensor."""
        return blend(self.original, self.partner, self.lam)

    @property
    def consumed(self) -> bool:
        """Whether a differentiable loss has used these labels or any made from them."""
        return all(use.consumed for use in self.uses)

    def consume(self) -> None:
        """Note that a loss has used the mixed labels."""
        for use in self.uses:
            use.consumed = True

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]  # noqa: ANN401
        return f"MixedTarget(original={self.original}, partner={self.partner}, lam={self.lam})"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:  # noqa: ANN401
        return MixedTarget, (self.original, self.partner, self.lam, None, self.one_hot)

    def __deepcopy__(self, memo: dict[int, Any]) -> MixedTarget:
        lam = self.lam.clone() if isinstance(self.lam, Tensor) else self.lam
        return MixedTarget(self.original.clone(), self.partner.clone(), lam, None, self.one_hot)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Decide what a function of torch means for two labels at once."""
        kwargs = kwargs or {}
        name = func.__name__ if func.__name__ != "__get__" else func.__self__.__name__  # type: ignore[attr-defined]
        with torch._C.DisableTorchFunctionSubclass():
            if func in _LOSSES:
                return _consume(_LOSSES[func], func, args, kwargs)
            mixed = _mixed(args, kwargs)
            if func is F.one_hot:
                return _each_half(func, args, kwargs, mixed, mixed[0].lam, one_hot=True)
            leads = bool(_mixed(args[:1]))
            if func is F.embedding and leads:
                # Linear in the labels: what goes into the network is mixed as what comes out of it is judged.
                original, partner = (_half(func, args, kwargs, part) for part in _HALVES)
                return blend(original, partner, args[0].lam)
            if leads and name in _MOVE:
                return _each_half(func, args, kwargs, mixed, _move_weights(func, name, args, kwargs, mixed))
            if leads and (name in _CAST or (name in _RELABEL and _all_numbers(args[1:]))):
                return _each_half(func, args, kwargs, mixed, args[0].lam)
            if not leads and name in _LOOK_UP and not args[0].requires_grad:
                return _each_half(func, args, kwargs, mixed, mixed[0].lam)
            if leads and (name in _ASSIGN or (name.endswith("_") and not name.endswith("__"))):
                raise MixedTargetError(f"{name} would change one half of the mixed labels; change the batch instead.")
            # Here a MixedTarget is what it holds: a plain tensor of the dominant labels.
            result = func(*args, **kwargs)
            if name in _LIKE or not _trains(result):
                return result
            if all(target.one_hot for target in mixed):
                return _consume(_on_value, func, args, kwargs)
            raise MixedTargetError(f"{name} would train on the dominant label alone. {CURES}")


def interpolate_loss(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make any loss mix: ``lam * loss(pred, original) + (1 - lam) * loss(pred, partner)``.

    With one weight for each sample the loss is asked for its values per sample, by the argument ``reduction="none"``
    or, of a module, the attribute. A loss that has neither is evaluated sample by sample and averaged.

    Args:
        loss: A function or module, called as ``loss(pred, target, ...)`` or by keyword.

    Returns:
        A function of the same arguments, which gives plain targets to ``loss`` as they are.

    Example:
        >>> def gather_nll(log_prob, y):
        ...     return -log_prob.gather(1, y.unsqueeze(1)).mean()
        >>> log_prob = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
        >>> y = MixedTarget(torch.tensor([0]), torch.tensor([2]), lam=0.75)
        >>> interpolate_loss(gather_nll)(log_prob, y)
        tensor(0.8664)
    """
    return _Interpolated(loss)


class _Interpolated:
    """A loss on both halves. A class, because a module that holds one has to be copied and saved."""

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        self.loss = loss

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
        return _consume(_on_each, self.loss, args, kwargs) if _mixed(args, kwargs) else self.loss(*args, **kwargs)


def soft_labels(target: MixedTarget, num_classes: int) -> Tensor:
    """Probabilities that say the same as mixed class labels.

    Args:
        target: Class indices of shape ``(B, ...)``.
        num_classes: Number of classes C.

    Returns:
        Floating point tensor of shape ``(B, ..., C)``; every row sums to 1.

    Example:
        >>> soft_labels(MixedTarget(torch.tensor([0]), torch.tensor([2]), lam=0.75), num_classes=3)
        tensor([[0.7500, 0.0000, 0.2500]])
    """
    # Not one_hot, which waits for the device to look for labels out of range.
    empty = torch.zeros(*target.shape, num_classes, device=target.device)
    first, second = (empty.scatter(-1, half.long().unsqueeze(-1), 1.0) for half in (target.original, target.partner))
    return blend(first, second, target.lam)


def infer_kind(target: Tensor, spatial: Sequence[int]) -> str:
    """Kind of a target that nobody named.

    Args:
        target: Tensor of shape ``(B, ...)``.
        spatial: Spatial dimensions of the input, of ``(B, C, *spatial)``.

    Returns:
        ``"mask"``, ``"values"`` or ``"labels"``.

    Example:
        >>> infer_kind(torch.zeros(8, 32, 32), (32, 32)), infer_kind(torch.zeros(8), ())
        ('mask', 'values')
    """
    if spatial and tuple(spatial) in (target.shape[1:], target.shape[2:]):
        return "mask"
    return "values" if target.is_floating_point() and target[0].numel() == 1 else "labels"


_HALVES = ("original", "partner")

# What torch's functions mean for labels. The names are those of functions and methods alike.
_CAST = frozenset(
    "to type type_as bool int long short float double half bfloat16 cpu cuda pin_memory data detach contiguous "
    "clone".split()
)
_RESHAPE = frozenset(
    "view reshape flatten ravel squeeze unsqueeze permute transpose t T mT movedim moveaxis swapaxes swapdims expand "
    "expand_as view_as reshape_as unflatten __getitem__ select narrow index_select masked_select take chunk split "
    "tensor_split split_with_sizes unsafe_split unsafe_chunk unbind repeat repeat_interleave tile roll flip pad".split()
)
_JOIN = frozenset("cat concat concatenate stack hstack vstack dstack column_stack".split())
_MOVE = _RESHAPE | _JOIN
_RELABEL = frozenset(
    "add sub subtract rsub mul multiply div divide true_divide floor_divide remainder neg negative clamp clip "
    "__radd__ __rsub__ __rmul__ __floordiv__ __mod__".split()
)
_LOOK_UP = frozenset("__getitem__ index_select take".split())
_ASSIGN = frozenset("__setitem__ __ior__ __iand__ __ixor__ __ilshift__ __irshift__".split())
_LIKE = frozenset("to type_as view_as expand_as reshape_as".split())


def _leaves(branches: Iterable[Any]) -> list[Any]:
    leaves: list[Any] = []
    for branch in branches:
        if isinstance(branch, (tuple, list)):
            leaves += _leaves(branch)
        elif isinstance(branch, dict):
            leaves += _leaves(branch.values())
        else:
            leaves.append(branch)
    return leaves


def _replace(tree: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    if isinstance(tree, (tuple, list)):
        return type(tree)([_replace(branch, change) for branch in tree])
    if isinstance(tree, dict):
        return {key: _replace(branch, change) for key, branch in tree.items()}
    return change(tree)


def _half(func: Callable[..., Any], args: Any, kwargs: Any, part: str) -> Any:  # noqa: ANN401
    """Call a function with one part of every mixed target in its place."""

    def take(leaf: Any) -> Any:  # noqa: ANN401
        return getattr(leaf, part) if isinstance(leaf, MixedTarget) else leaf

    return func(*_replace(args, take), **_replace(kwargs, take))


def _all_numbers(args: Any) -> bool:  # noqa: ANN401
    return all(isinstance(leaf, (int, float)) for leaf in _leaves(args))


def _trains(tree: Any) -> bool:  # noqa: ANN401
    """Whether a gradient flows through a result."""
    return torch.is_grad_enabled() and any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in _leaves([tree]))


def _mixed(*trees: Any) -> list[MixedTarget]:  # noqa: ANN401
    return [leaf for leaf in _leaves(trees) if isinstance(leaf, MixedTarget)]


def _each_half(
    func: Callable[..., Any],
    args: Any,  # noqa: ANN401
    kwargs: Any,  # noqa: ANN401
    mixed: Sequence[MixedTarget],
    lam: Any,  # noqa: ANN401
    *,
    one_hot: bool = False,
) -> Any:  # noqa: ANN401
    """Do the same to both halves."""
    uses = mixed[0].uses.union(*[target.uses for target in mixed[1:]])
    one_hot = one_hot or all(target.one_hot for target in mixed)
    original, partner = (_half(func, args, kwargs, part) for part in _HALVES)
    if isinstance(original, Tensor):
        return MixedTarget(
            original, partner, lam.to(original.device) if isinstance(lam, Tensor) else lam, uses, one_hot
        )
    lams = lam if isinstance(lam, (tuple, list)) else [lam] * len(original)
    return type(original)(
        MixedTarget(first, second, weight, uses, one_hot)
        for first, second, weight in zip(original, partner, lams, strict=True)
    )


def _move_weights(
    func: Callable[..., Any],
    name: str,
    args: Any,  # noqa: ANN401
    kwargs: Any,  # noqa: ANN401
    mixed: Sequence[MixedTarget],
) -> Any:  # noqa: ANN401
    """The weights of labels that are moved move with them, unless there is only one."""
    lams = [target.lam for target in mixed]
    if not any(isinstance(lam, Tensor) for lam in lams) and len(set(lams)) == 1:
        return lams[0]
    return func(*_replace(args, functools.partial(_weights, join=name in _JOIN)), **kwargs)


def _weights(leaf: Any, *, join: bool) -> Any:  # noqa: ANN401
    """The weight of every label. Plain labels that are joined to mixed ones count as their own partners."""
    if not isinstance(leaf, MixedTarget):
        return torch.ones_like(leaf, dtype=torch.get_default_dtype()) if join and isinstance(leaf, Tensor) else leaf
    if isinstance(leaf.lam, Tensor):
        # One number that stands for all labels of a sample has no strides by which it could be viewed as they can.
        return leaf.lam.contiguous()
    return torch.full(leaf.shape, leaf.lam, device=leaf.device, dtype=torch.get_default_dtype())


def _consume(
    handler: Callable[..., Tensor], loss: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Tensor:
    mixed = _mixed(args, kwargs)
    lam = mixed[0].lam
    if not isinstance(lam, Tensor) and lam in {0, 1}:
        # Not the sum with a zero, which an infinite or empty other half would spoil.
        result: Tensor = _half(loss, args, kwargs, "original" if lam == 1 else "partner")
    else:
        result = handler(loss, args, kwargs)
    if result.requires_grad:
        for target in mixed:
            target.consume()
    for listener in listeners:
        listener(_prediction(args, kwargs), mixed[0])
    return result


def _prediction(*trees: Any) -> Any:  # noqa: ANN401
    return next((leaf for leaf in _leaves(trees) if not isinstance(leaf, MixedTarget)), None)


def _on_pair(loss: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Losses that look labels up."""
    pred, target, options = _look_up_arguments(*args, **kwargs)
    if target.is_floating_point():
        return _on_value(loss, args, kwargs)
    log_prob = pred if loss is F.nll_loss else pred.log_softmax(1 if pred.ndim > 1 else 0)
    return pair_nll(log_prob, target.original, target.partner, target.lam, **options)


def _look_up_arguments(
    input: Tensor,  # noqa: A002
    target: MixedTarget,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Tensor, MixedTarget, dict[str, Any]]:
    """The arguments of ``cross_entropy`` and ``nll_loss``, however they were passed."""
    if size_average is not None or reduce is not None:
        reduction = _Reduction.legacy_get_string(size_average, reduce)
    options = {
        "weight": weight,
        "ignore_index": ignore_index,
        "reduction": reduction,
        "label_smoothing": label_smoothing,
    }
    return input, target, options


def _on_value(loss: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Losses of a value, and those linear in the target, for which that is the same as mixing the loss."""
    result: Tensor = _half(loss, args, kwargs, "value")
    return result


def _on_each(loss: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """All others: the loss of one half and the loss of the other."""
    lam = _mixed(args, kwargs)[0].lam
    if not isinstance(lam, Tensor):
        first, second = (_half(loss, args, kwargs, part) for part in _HALVES)
        mixed: Tensor = lam * first + (1 - lam) * second
        return mixed
    unreduced, reduction = _unreduced(loss, kwargs)
    if unreduced is not None:
        kwargs = {key: value for key, value in kwargs.items() if key != "reduction"}
        first, second = (_half(unreduced, args, kwargs, part) for part in _HALVES)
        while lam.ndim > first.ndim:
            lam = lam[..., 0]
        return reduce(blend(first, second, lam), reduction)
    size = len(lam)
    rows = [
        _on_each(loss, *_replace((args, kwargs), functools.partial(_row, index=index, size=size)))
        for index in range(size)
    ]
    return torch.stack(rows).mean()


def _unreduced(loss: Callable[..., Any], kwargs: dict[str, Any]) -> tuple[Callable[..., Any] | None, str]:
    """The loss without its reduction, if it can be had that way, and the reduction it would have done."""
    owner = getattr(loss, "__self__", loss)
    if isinstance(owner, nn.Module):
        reduction = getattr(owner, "reduction", None)
        if not isinstance(reduction, str):
            return None, "mean"
        module: Any = copy(owner)
        module.reduction = "none"
        # The class's forward: that of the instance may be the one that is being interpolated.
        return functools.partial(type(module).forward, module), reduction
    try:
        default = inspect.signature(loss).parameters["reduction"].default
    except (KeyError, TypeError, ValueError):
        return None, "mean"
    return functools.partial(loss, reduction="none"), kwargs.get("reduction", default)


def _row(leaf: Any, *, index: int, size: int) -> Any:  # noqa: ANN401
    """One sample of whatever holds a batch; of mixed labels with that sample's own weight."""
    if isinstance(leaf, MixedTarget):
        assert isinstance(leaf.lam, Tensor)
        rows = slice(index, index + 1)
        return MixedTarget(
            leaf.original[rows], leaf.partner[rows], leaf.lam[rows].mean().item(), leaf.uses, leaf.one_hot
        )
    return leaf[index : index + 1] if isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == size else leaf


_LOSSES: dict[Callable[..., Any], Callable[..., Tensor]] = {
    **dict.fromkeys((F.cross_entropy, F.nll_loss), _on_pair),
    **dict.fromkeys(
        (
            F.binary_cross_entropy,
            F.binary_cross_entropy_with_logits,
            F.gaussian_nll_loss,
            F.huber_loss,
            F.l1_loss,
            F.mse_loss,
            F.multilabel_soft_margin_loss,
            F.poisson_nll_loss,
            F.smooth_l1_loss,
        ),
        _on_value,
    ),
    **dict.fromkeys(
        (
            F.cosine_embedding_loss,
            F.hinge_embedding_loss,
            F.kl_div,
            F.margin_ranking_loss,
            F.multi_margin_loss,
            F.multilabel_margin_loss,
            F.soft_margin_loss,
        ),
        _on_each,
    ),
}
