"""Any loss, once for each label: for what functions of torch alone cannot say."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lightning_mixup.targets import trees
from lightning_mixup.targets.calls import join
from lightning_mixup.targets.losses import listeners, notify
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.pair import MixedTarget
from lightning_mixup.targets.randomness import snapshot
from lightning_mixup.targets.values import is_mixed, settled

_IMMUTABLE = (int, float, str, bool, bytes, type(None), type)


def interpolate_loss(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Compute any loss for each label: ``lam * loss(pred, original) + (1 - lam) * loss(pred, partner)``.

    A loss made of functions of torch needs this only if it branches on labels, reads them into NumPy or counts them
    in Python. With one weight for each sample such a loss cannot be weighed; then the loss gets the mixed labels
    themselves, which is exact for every loss that is a mean or sum of one value a sample, and raises for all others.

    Args:
        loss: A function or module, called as ``loss(pred, target, ...)`` or by keyword.

    Returns:
        A function of the same arguments, which gives plain targets to ``loss`` as they are. Its result may be a
        tensor, or a tuple or dict of tensors.

    Examples:
        >>> import torch
        >>> def rare(log_prob, y):
        ...     weight = 2.0 if y[0].item() == 2 else 1.0  # a decision of Python
        ...     return -weight * log_prob.gather(1, y.unsqueeze(1)).mean()
        >>> log_prob = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
        >>> y = MixedTarget(torch.tensor([0]), torch.tensor([2]), lam=0.75)
        >>> interpolate_loss(rare)(log_prob, y).value
        tensor(1.2130)
    """

    @functools.wraps(loss, updated=())
    def interpolated(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        found = mixed_leaves(args, kwargs)
        if not found:
            return loss(*args, **kwargs)
        return each_half(loss, loss, args, kwargs, found)

    return interpolated


def mixed_leaves(args: Any, kwargs: Any) -> list[Any]:  # noqa: ANN401
    """What is mixed among the arguments of a loss.

    Args:
        args: Its arguments.
        kwargs: Likewise.

    Returns:
        Pairs and numbers read from pairs.
    """
    found = [leaf for leaf in args if isinstance(leaf, MixedTarget)]
    if found and not kwargs and all(isinstance(leaf, Tensor) for leaf in args):
        return found
    return [leaf for leaf in trees.leaves((args, kwargs)) if is_mixed(leaf)]


def each_half(
    main: Callable[..., Any],
    other: Callable[..., Any],
    args: Any,  # noqa: ANN401
    kwargs: Any,  # noqa: ANN401
    found: list[Any],
) -> Any:  # noqa: ANN401
    """Compute a loss of each half from the same random state.

    Args:
        main: The loss of the dominant labels.
        other: The loss of the other ones, which leaves no traces.
        args: Arguments, with mixed ones.
        kwargs: Likewise.
        found: What is mixed among them.

    Returns:
        A pair, or what both agree on.
    """
    if any(leaf.origin.step.over for leaf in found):
        args, kwargs = trees.change((args, kwargs), lambda x: settled(x) if is_mixed(x) and x.origin.step.over else x)
        found = [leaf for leaf in found if not leaf.origin.step.over]
        if not found:
            return main(*args, **kwargs)
    lam = found[0].lam
    if isinstance(lam, Tensor) or any(isinstance(leaf.lam, Tensor) or leaf.lam != lam for leaf in found):
        return main(*args, **kwargs)
    if listeners:
        notify(args, kwargs)
    origin: Origin = found[0].origin
    for leaf in found[1:]:
        origin = origin.join(leaf.origin)

    def call(loss: Callable[..., Any], which: str) -> Any:  # noqa: ANN401
        halves = trees.change((args, kwargs), lambda leaf: getattr(leaf, which) if is_mixed(leaf) else leaf)
        return loss(*halves[0], **halves[1])

    restore = snapshot(python=True)
    last, first = ("original", "partner") if lam >= 0.5 else ("partner", "original")
    aside = call(other, first)
    restore()
    kept = call(main, last)
    halves = {last: kept, first: aside}
    name = getattr(main, "__name__", type(main).__name__)
    return join(halves["original"], halves["partner"], lam, origin, name)


def twin(module: nn.Module) -> nn.Module:
    """A copy of a loss module, whose memory of earlier calls is its own, and whose parameters are the module's.

    Args:
        module: The module.

    Returns:
        The copy, without what was put in front of its ``forward``.
    """
    state = module.__dict__
    own = [value for key, value in state.items() if key not in ("forward", *_EMPTY)]
    if not module._modules and not module._buffers and all(isinstance(value, _IMMUTABLE) for value in own):
        copied = object.__new__(type(module))
        copied.__dict__.update(state)
    else:
        forward = state.pop("forward", None)
        # What was kept with its graph, such as the last loss, cannot be copied and need not be.
        kept = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]
        shared = [*module.parameters(), *(tensor for tensor in kept if tensor.grad_fn is not None)]
        try:
            copied = copy.deepcopy(module, {id(tensor): tensor for tensor in shared})
        finally:
            if forward is not None:
                state["forward"] = forward
    copied.__dict__.pop("forward", None)
    return copied


_EMPTY = frozenset(nn.Module().__dict__)
