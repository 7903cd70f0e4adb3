"""Labels with a weight for each sample: exact for what stays one row a sample until a mean or a sum.

The weights of a pair broadcast over it: along a dimension in which they have one element, the samples are not told
apart, and anything may happen. Along the dimension of the samples only what treats each of them alone keeps a pair;
their sum or mean is *blended*, a single tensor that may be scaled and added, and nothing else: the square of a mean
is not the mean of squares, and a quotient of mixed sums is not the mix of quotients.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction as _Reduction

from lightning_mixup.functional.losses import blend, label_weights, reduce, two_cross_entropies
from lightning_mixup.targets import trees
from lightning_mixup.targets.errors import MixedTargetError
from lightning_mixup.targets.losses import LOSSES
from lightning_mixup.targets.pair import (
    BLENDED,
    MixedTarget,
    Number,
    Origin,
    Trait,
    become_pair,
    by_rows,
    is_mixed,
    join,
    pair,
    writable,
    written,
)
from lightning_mixup.targets.randomness import snapshot

_CASTS = frozenset(
    "to float double half bfloat16 long int short bool char byte type type_as cpu cuda clone detach contiguous "
    "requires_grad_ pin_memory data dropout relu sigmoid logsigmoid softplus isin real".split()
)
_OPERATORS = "add sub mul truediv div floordiv mod pow and or xor lshift rshift eq ne lt le gt ge neg pos abs invert"
_MOVES = frozenset(
    "view reshape flatten ravel squeeze unsqueeze permute transpose t T mT movedim moveaxis swapaxes swapdims expand "
    "expand_as view_as reshape_as unflatten __getitem__ select narrow index_select masked_select take chunk split "
    "tensor_split split_with_sizes unbind repeat repeat_interleave tile roll flip gather take_along_dim diagonal "
    "cat concat concatenate stack hstack vstack dstack column_stack".split()
)
_JOINS = frozenset("cat concat concatenate stack hstack vstack dstack column_stack".split())
# Functions along dimensions, and where they are told these.
_ALONG = {
    **dict.fromkeys(
        "sum mean amax amin max min argmax argmin logsumexp softmax log_softmax softmin cumsum cumprod prod any all "
        "std var median sort argsort count_nonzero nansum nanmean".split(),
        1,
    ),
    **dict.fromkeys("norm topk normalize".split(), 2),
}
_LINEAR = frozenset("add sub rsub subtract neg negative mul multiply div divide true_divide truediv sum mean".split())
_LOOK_UPS = frozenset("gather take_along_dim take embedding one_hot".split())
_PRODUCTS = frozenset("matmul mm bmm linear".split())
_SCATTERS = frozenset("scatter scatter_add".split())


def rows(func: Callable[..., Any], args: Any, kwargs: Any, trait: Trait) -> Any:  # noqa: ANN401
    """Compute a function of torch of labels with a weight for each sample.

    Args:
        func: The function.
        args: Its arguments, with such labels.
        kwargs: Likewise.
        trait: What is known of the function.

    Returns:
        A pair with weights, a blended one, or what both halves agree on.

    Raises:
        MixedTargetError: If the samples are not told apart in it.
    """
    call = _Call(func, args, kwargs, trait)
    if func in LOSSES:
        return _loss(call)
    if any(found.lam is BLENDED for found in call.pairs):
        return _blended(call)
    name = call.name
    target = written(func, args, kwargs, trait)
    lam: Any = None
    if name == "setitem":
        lam = _assigned(call)
    elif _pointwise(trait.name, name):
        if name == "detach" and target:
            raise call.refusal()
        lam = call.aligned(target[0].ndim if target else None)
    elif name in _SCATTERS:
        lam = _scattered(call)
    elif name in _PRODUCTS:
        lam = _multiplied(call)
    if target:
        if lam is None:
            raise call.refusal()
        return _write(call, target, lam)
    if name in _LOOK_UPS and lam is None:
        lam = _looked_up(call)
    if lam is None and name == "getitem" and not is_mixed(args[0]):
        lam = _indexed(call)
    if lam is None and trait.name in _MOVES:
        return _moved(call)
    if lam is None and name in _ALONG:
        return _along(call)
    one, other = call.halves()
    if lam is None:
        if any(isinstance(leaf, Tensor) for leaf in trees.leaves((one, other))):
            raise call.refusal()
        return join(one, other, 1.0, call.origin, "")
    return join(one, other, lam, call.origin)


def register() -> None:
    """Let pairs know this file."""
    by_rows[:] = [rows]


class _Call:
    """A call with mixed arguments."""

    def __init__(self, func: Callable[..., Any], args: Any, kwargs: Any, trait: Trait) -> None:  # noqa: ANN401
        self.func, self.args, self.kwargs, self.trait = func, args, kwargs, trait
        self.name = _base(trait.name)
        self.pairs = [leaf for leaf in trees.leaves((args, kwargs)) if is_mixed(leaf)]
        self.origin: Origin = self.pairs[0].origin
        for found in self.pairs[1:]:
            self.origin = self.origin.join(found.origin)
        if any(isinstance(found.lam, float) for found in self.pairs):
            raise MixedTargetError(
                f"{trait.name} gets labels with one weight, and others with a weight for each sample"
            )

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


def _base(name: str) -> str:
    """``add`` of ``__add__``, ``__radd__``, ``__iadd__`` and ``add_``."""
    if name.startswith("__") and name.endswith("__"):
        core = name[2:-2]
        return core[1:] if core[:1] in ("r", "i") and core[1:] in _OPERATORS.split() else core
    return name.rstrip("_")


def _pointwise(full: str, name: str) -> bool:
    if name in _CASTS or full in _CASTS:
        return True
    if full.startswith("__"):
        return name in _OPERATORS.split()
    packet = getattr(torch.ops.aten, name, None) if name.isidentifier() else None
    if packet is None:
        return False
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads())


def _write(call: _Call, target: list[Any], lam: Any) -> Any:  # noqa: ANN401
    """Write into tensors, which become pairs if they are none."""
    for found in target:
        writable(found, lam, call.origin, call.trait.name)
        shape = found.shape
        if lam is not BLENDED and any(n not in (1, m) for n, m in zip(lam.shape, shape, strict=True)):
            raise call.refusal()
        found.lam = lam
    call.halves()
    return call.kwargs["out"] if "out" in call.kwargs else call.args[0]


def _moved(call: _Call) -> Any:  # noqa: ANN401
    """What moves labels moves their weights."""
    if any(is_mixed(leaf) for leaf in trees.leaves((call.args[1:], call.kwargs))) and call.trait.name not in _JOINS:
        raise call.refusal()
    one, other = call.halves()
    dtype = call.pairs[0].lam.dtype

    def weights(leaf: Any) -> Any:  # noqa: ANN401
        if isinstance(leaf, MixedTarget):
            return leaf.lam.expand(leaf.shape)
        joined = isinstance(leaf, Tensor) and call.trait.name in _JOINS
        return torch.ones((), dtype=dtype, device=leaf.device).expand(leaf.shape) if joined else leaf

    args, kwargs = trees.change((call.args, call.kwargs), weights)
    try:
        lam = call.func(*args, **kwargs)
    except RuntimeError:  # view, of what stands for all numbers of a sample
        args, kwargs = trees.change((args, kwargs), lambda x: x.contiguous() if isinstance(x, Tensor) else x)
        lam = call.func(*args, **kwargs)
    return _zip(one, other, lam, call.origin)


def _zip(one: Any, other: Any, lam: Any, origin: Origin) -> Any:  # noqa: ANN401
    if isinstance(one, Tensor):
        return pair(one, other, _compressed(lam), origin)
    return trees.rebuild(one, [_zip(x, y, w, origin) for x, y, w in zip(one, other, lam, strict=True)])


def _compressed(lam: Tensor) -> Tensor:
    """One element along each dimension in which the weights do not differ."""
    for dim in range(lam.ndim):
        if lam.stride(dim) == 0 and lam.shape[dim] > 1:
            lam = lam.narrow(dim, 0, 1)
    return lam


def _along(call: _Call) -> Any:  # noqa: ANN401
    """Functions along dimensions in which the samples are not told apart; sums and means also along the others."""
    target, name = call.args[0], call.name
    if len(call.pairs) > 1 or not isinstance(target, MixedTarget):
        return _join_pointwise(call)
    place = _ALONG[name]
    dim = call.kwargs.get("dim", call.kwargs.get("axis"))
    if dim is None and len(call.args) > place:
        dim = call.args[place]
    if dim is None and name in ("softmax", "log_softmax", "sort", "argsort", "topk", "median"):
        dim = -1
    if dim is None and name == "normalize":
        dim = 1
    if isinstance(dim, Tensor):
        return _join_pointwise(call)
    dims = range(target.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [d % max(target.ndim, 1) for d in dims]
    lam = target.lam
    if any(lam.shape[d] != 1 for d in dims):
        if name in ("sum", "mean"):
            return blended(call.with_leaves(lambda leaf: blend(leaf.original, leaf.partner, leaf.lam)), call.origin)
        if name in ("all", "any") and dim is None:
            one, other = call.halves()
            if bool(one) == bool(other) == (name == "all"):
                return one
        raise call.refusal()
    one, other = call.halves()
    first = next(iter(trees.leaves(one)))
    if first.ndim != target.ndim:
        lam = lam.squeeze(tuple(dims))
    return join(one, other, lam, call.origin)


def _join_pointwise(call: _Call) -> Any:  # noqa: ANN401
    """``max`` and ``min`` of two tensors."""
    if call.name not in ("max", "min") or "dim" in call.kwargs or len(call.args) != 2:
        raise call.refusal()
    return join(*call.halves(), call.aligned(), call.origin)


def _looked_up(call: _Call) -> Any:  # noqa: ANN401
    """Look-ups give for each index what stands there."""
    if call.name in ("one_hot", "embedding"):
        index = call.args[0] if call.args else call.kwargs["input"]
        if len(call.pairs) > 1 or not isinstance(index, MixedTarget):
            raise call.refusal()
        return index.lam.unsqueeze(-1)
    source, index = call.args[0], call.kwargs.get("index", call.args[-1])
    if not isinstance(index, MixedTarget):
        return None  # the weights move, too
    if isinstance(source, MixedTarget):
        args, kwargs = trees.change(
            (call.args, call.kwargs),
            lambda leaf: leaf.lam.expand(leaf.shape) if leaf is source else leaf.original if leaf is index else leaf,
        )
        return call.agreed([index.lam, call.func(*args, **kwargs)])
    return index.lam


def _indexed(call: _Call) -> Any:  # noqa: ANN401
    """``table[y]``, ``scores[rows, y]``, ``scores[:, y]``: where the indices stand in the result."""
    place = call.args[1]
    places = place if isinstance(place, tuple) else (place,)
    found = [item for item in places if isinstance(item, MixedTarget)]
    if any(item.dtype in (torch.bool, torch.uint8) for item in places if isinstance(item, Tensor)):
        raise call.refusal()
    if any(item is Ellipsis or isinstance(item, list) for item in places) or not found:
        raise call.refusal()
    advanced = [n for n, item in enumerate(places) if isinstance(item, (Tensor, int))]
    ndim = max(item.ndim for item in places if isinstance(item, Tensor))
    lam = call.agreed([item.lam.reshape((1,) * (ndim - item.ndim) + item.lam.shape) for item in found])
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    before = advanced[0] if together else 0
    result = call.with_leaves(lambda leaf: leaf.original)
    return lam.reshape((1,) * before + lam.shape + (1,) * (result.ndim - before - lam.ndim))


def _scattered(call: _Call) -> Any:  # noqa: ANN401
    """Scattering along a dimension in which samples are not told apart."""
    target, dim = call.args[:2]
    dim %= target.ndim
    lam = call.agreed([found.lam for found in call.pairs])
    if any(found.ndim != target.ndim for found in call.pairs) or lam.shape[dim] != 1:
        raise call.refusal()
    if any(n not in (1, m) for n, m in zip(lam.shape, target.shape, strict=True)):
        raise call.refusal()
    return lam


def _assigned(call: _Call) -> Any:  # noqa: ANN401
    """``y[y == 255] = -100`` and ``hot[rows, y] = 1``."""
    target, place, new = call.args
    if isinstance(place, MixedTarget) and place.dtype == torch.bool and not isinstance(new, Tensor):
        lams = [place.lam] + ([target.lam] if isinstance(target, MixedTarget) else [])
        if place.ndim == target.ndim:
            return call.agreed(lams)
    if isinstance(place, tuple) and len(place) == 2 and isinstance(place[1], MixedTarget):
        own, index = place
        samples = isinstance(own, Tensor) and own.ndim == index.ndim == 1 and len(own) == len(target)
        if samples and torch.equal(own, torch.arange(len(own), device=own.device)):
            others = [found.lam for found in call.pairs if found is not index and found is not target]
            if not others and not isinstance(target, MixedTarget):
                return index.lam.reshape(-1, *[1] * (target.ndim - 1))
            if isinstance(target, MixedTarget) and target.lam.shape == (len(target), *[1] * (target.ndim - 1)):
                return call.agreed([target.lam, index.lam.reshape(target.lam.shape), *others])
    return None


def _multiplied(call: _Call) -> Any:  # noqa: ANN401
    """Products that sum over a dimension in which samples are not told apart."""
    left, right = call.args[:2]
    if len(call.pairs) > 1:
        raise call.refusal()
    if isinstance(left, MixedTarget) and left.ndim >= 2 and right.ndim <= left.ndim and left.lam.shape[-1] == 1:
        return left.lam if right.ndim > 1 or call.name == "linear" else left.lam.squeeze(-1)
    square = isinstance(right, MixedTarget) and call.name != "linear" and right.ndim >= 2 and left.ndim == right.ndim
    if square and right.lam.shape[-2] == 1:
        return right.lam
    raise call.refusal()


def blended(values: Tensor, origin: Origin) -> MixedTarget:
    """What has been summed over the samples.

    Args:
        values: The weighted sum.
        origin: Where the labels come from.

    Returns:
        A pair of two equal halves, which may only be scaled and added.
    """
    return pair(values, values, BLENDED, origin)


def _blended(call: _Call) -> Any:  # noqa: ANN401
    """Sums over the samples may be scaled and added."""
    name = call.name
    if name in ("isnan", "isinf", "isfinite"):
        return call.with_leaves(_sum)
    if name == "item":
        number = call.args[0].original.item()
        return Number(number, number, BLENDED, call.origin, True)
    attribute = getattr(call.func, "__name__", "") == "__get__"
    moves = call.trait.name in _MOVES or name in ("clone", "detach", "contiguous", "float", "double", "to", "cpu")
    scales = name in ("mul", "multiply") and len(call.pairs) == 1
    divides = name in ("div", "divide", "true_divide", "truediv") and call.pairs == [call.args[0]]
    divides = divides and not call.trait.name.startswith("__r")
    adds = name in ("add", "sub", "rsub", "subtract", "neg", "negative", "sum", "mean")
    if call.trait.statistics or not (attribute or moves or scales or divides or adds):
        raise call.refusal()
    target = written(call.func, call.args, call.kwargs, call.trait)
    if target:
        result = getattr(torch.Tensor, _OUT_OF_PLACE.get(call.trait.name, name))(
            *trees.change(call.args, lambda leaf: _sum(leaf) if is_mixed(leaf) else leaf)
        )
        found = target[0]
        if not is_mixed(found):
            become_pair(found, BLENDED, call.origin, call.trait.name)
        found.original = found.partner = result
        found.lam = BLENDED
        return found
    result = call.with_leaves(_sum)
    if attribute and not isinstance(result, Tensor):
        return result
    return trees.change(result, lambda leaf: blended(leaf, call.origin) if isinstance(leaf, Tensor) else leaf)


_OUT_OF_PLACE = {"__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div"}


def _sum(leaf: Any) -> Any:  # noqa: ANN401
    return leaf.original if leaf.lam is BLENDED else blend(leaf.original, leaf.partner, leaf.lam)


def _loss(call: _Call) -> Any:  # noqa: ANN401
    """A loss of torch: its values one by one are weighed, and then reduced."""
    if any(found.lam is BLENDED or isinstance(found, Number) for found in call.pairs):
        raise call.refusal()
    func = call.func
    bound = inspect.signature(func).bind(*call.args, **call.kwargs).arguments
    size_average, reduced = bound.pop("size_average", None), bound.pop("reduce", None)
    reduction = bound.pop("reduction", "mean")
    if size_average is not None or reduced is not None:
        reduction = _Reduction.legacy_get_string(size_average, reduced)
    target: Any = bound.get("target")
    by_class = func in (F.cross_entropy, F.nll_loss)
    indices = by_class and isinstance(target, MixedTarget) and not target.is_floating_point()
    plain = all(not is_mixed(leaf) for name, leaf in bound.items() if name != "target")
    if func is F.cross_entropy and indices and plain:
        del bound["target"]
        one, other = two_cross_entropies(original=target.original, partner=target.partner, reduction="none", **bound)
        bound["target"] = target
    else:
        call.kwargs, call.args = {**bound, "reduction": "none"}, ()
        one, other = call.halves()
    lams = [_fitting(found.lam, one, by_class, found is target and indices) for found in call.pairs]
    fitting = [lam for lam in lams if lam is not None]
    if len(fitting) < len(lams):
        raise call.refusal()
    lam = call.agreed(fitting)
    if reduction == "none":
        return pair(one, other, lam, call.origin)
    if reduction == "mean" and func is F.ctc_loss:
        lengths = torch.as_tensor(bound["target_lengths"])
        one, other = (loss / lengths.clamp(min=1).to(loss) for loss in (one, other))
    if reduction == "mean" and indices:
        weight, ignored = bound.get("weight"), bound.get("ignore_index", -100)
        one, other = (
            loss / label_weights(half, weight, ignored).to(loss.dtype).sum()
            for loss, half in ((one, target.original), (other, target.partner))
        )
        reduction = "sum"
    return blended(reduce(blend(one, other, lam), reduction), call.origin)


def _fitting(lam: Tensor, loss: Tensor, by_class: bool, indices: bool) -> Tensor | None:
    """The weights of an argument, as they are those of the loss."""
    if by_class and not indices and lam.ndim > 1:  # classes come second
        if lam.shape[1] != 1:
            return None
        lam = lam.squeeze(1)
    while lam.ndim > loss.ndim and lam.shape[-1] == 1:
        lam = lam.squeeze(-1)
    fits = lam.ndim == loss.ndim and all(n in (1, m) for n, m in zip(lam.shape, loss.shape, strict=True))
    return lam if fits else None


register()
