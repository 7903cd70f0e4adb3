"""Where the weights of the samples stand in what functions of torch make of labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_mixup.functional.losses import blend
from lightning_mixup.targets import trees
from lightning_mixup.targets.calls import join
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.pair import MixedTarget, pair
from lightning_mixup.targets.row_call import Call
from lightning_mixup.targets.row_sums import blended
from lightning_mixup.targets.values import is_mixed

_JOINS = frozenset("cat concat concatenate stack hstack vstack dstack column_stack".split())
# Functions along dimensions, and where they are told these.
ALONG = {
    **dict.fromkeys(
        "sum mean amax amin max min argmax argmin logsumexp softmax log_softmax softmin cumsum cumprod prod any all "
        "std var median sort argsort count_nonzero nansum nanmean aminmax".split(),
        1,
    ),
    **dict.fromkeys("norm topk normalize".split(), 2),
}


def moved(call: Call) -> Any:  # noqa: ANN401
    """What moves labels moves their weights.

    Args:
        call: The call.

    Returns:
        A pair, or a container of pairs.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
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


def turned(call: Call) -> MixedTarget:
    """What moves labels in place, such as ``mask.unsqueeze_(1)``, moves their weights.

    Args:
        call: The call.

    Returns:
        The pair.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
    target: MixedTarget = call.argument(0)
    if not call.only(target):
        raise call.refusal()
    lam = getattr(Tensor, call.name)(target.lam.expand(target.shape), *call.args[1:], **call.kwargs)
    call.halves()
    target.lam = _compressed(lam)
    return target


def spread(call: Call) -> Any:  # noqa: ANN401
    """``torch.broadcast_tensors``, as distributions do: each keeps its weights, and what has none is no pair.

    Args:
        call: The call.

    Returns:
        A container of pairs and tensors.
    """
    ones, others = call.halves()
    placed = [
        pair(one, other, leaf.lam[(None,) * (one.ndim - leaf.ndim)], call.origin) if is_mixed(leaf) else one
        for leaf, one, other in zip(call.args, ones, others, strict=True)
    ]
    return trees.rebuild(ones, placed)


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


def along(call: Call) -> Any:  # noqa: ANN401
    """Compute functions along dimensions in which samples are not told apart; sums and means also along the others.

    Args:
        call: The call.

    Returns:
        A pair, a blended one, or what both halves agree on.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
    target, name = call.argument(0), call.name
    if len(call.pairs) > 1 or not isinstance(target, MixedTarget):
        raise call.refusal()
    dim = call.argument(ALONG[name], "dim", "axis")
    if dim is None and name in ("softmax", "log_softmax", "sort", "argsort", "topk", "median"):
        dim = -1
    if dim is None and name == "normalize":
        dim = 1
    dims = range(target.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [d % max(target.ndim, 1) for d in dims]
    lam = target.lam
    if any(lam.shape[d] != 1 for d in dims):
        if name in ("sum", "mean"):
            return blended(call.with_leaves(lambda leaf: blend(leaf.original, leaf.partner, leaf.lam)), call.origin)
        one, other = call.halves()
        if name in ("all", "any") and dim is None and bool(one) == bool(other) == (name == "all"):
            return one
        if name in ("max", "min", "amax", "amin", "aminmax") and _alike(one, other):
            return one  # such as the largest label of the batch, whatever the weights
        raise call.refusal()
    one, other = call.halves()
    first = next(iter(trees.leaves(one)))
    if first.ndim != target.ndim:
        lam = lam.squeeze(tuple(dims))
    return join(one, other, lam, call.origin)


def _alike(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether both halves agree on plain numbers."""
    pairs = zip(trees.leaves(one), trees.leaves(other), strict=True)
    return all(not x.requires_grad and not y.requires_grad and torch.equal(x, y) for x, y in pairs)


def scattered(call: Call) -> Any:  # noqa: ANN401
    """Scatter along a dimension in which samples are not told apart.

    Args:
        call: The call.

    Returns:
        The weights of the result.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
    target, dim = call.argument(0), call.argument(1, "dim")
    dim %= target.ndim
    lam = call.agreed([found.lam for found in call.pairs])
    if any(found.ndim != target.ndim for found in call.pairs) or lam.shape[dim] != 1:
        raise call.refusal()
    if any(n not in (1, m) for n, m in zip(lam.shape, target.shape, strict=True)):
        raise call.refusal()
    return lam


def assigned(call: Call) -> Any:  # noqa: ANN401
    """``y[y == 255] = -100`` and ``hot[rows, y] = 1``.

    Args:
        call: The call.

    Returns:
        The weights of what is written into, None if they cannot be told.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
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


def multiplied(call: Call) -> Any:  # noqa: ANN401
    """Products that sum over a dimension in which samples are not told apart.

    Args:
        call: The call.

    Returns:
        The weights of the result.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
    left, right = call.argument(0), call.argument(1, "other", "mat2", "weight")
    if len(call.pairs) > 1:
        raise call.refusal()
    if isinstance(left, MixedTarget) and left.ndim >= 2 and right.ndim <= left.ndim and left.lam.shape[-1] == 1:
        return left.lam if right.ndim > 1 or call.name == "linear" else left.lam.squeeze(-1)
    square = isinstance(right, MixedTarget) and call.name != "linear" and right.ndim >= 2 and left.ndim == right.ndim
    if square and right.lam.shape[-2] == 1:
        return right.lam
    raise call.refusal()


def contracted(call: Call) -> Tensor:
    """``torch.einsum`` of letters that tell the samples apart, before and after.

    Args:
        call: The call.

    Returns:
        The weights of the result.

    Raises:
        MixedTargetError: If samples are not told apart.
    """
    equation, *operands = call.args
    if not isinstance(equation, str) or "." in equation:
        raise call.refusal()
    left, arrow, right = equation.replace(" ", "").partition("->")
    if not arrow:
        right = "".join(letter for letter in sorted(set(left) - {","}) if left.count(letter) == 1)
    lams = []
    for letters, operand in zip(left.split(","), operands, strict=True):
        if isinstance(operand, MixedTarget):
            sizes = dict(zip(letters, operand.lam.shape, strict=False))
            if len(sizes) < operand.lam.ndim or any(size != 1 and x not in right for x, size in sizes.items()):
                raise call.refusal()
            order = [x for x in right if x in sizes]
            order += [x for x in letters if x not in right]
            lam = operand.lam.permute([letters.index(x) for x in order])
            lams.append(lam.reshape([sizes.get(x, 1) for x in right]))
    return call.agreed(lams)
