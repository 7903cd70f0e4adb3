"""What autograd asks of mixed tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_mixup.targets import trees
from lightning_mixup.targets.calls import both
from lightning_mixup.targets.errors import Diverged, MixedTargetError
from lightning_mixup.targets.pair import MixedTarget, plain_torch, refuse_cut, special
from lightning_mixup.targets.values import MIXED, settled


def settle(tree: Any) -> Any:  # noqa: ANN401
    """The value of what is trained on. The targets it was computed from count as used.

    Args:
        tree: A loss, or containers of them.

    Returns:
        The same in plain tensors.
    """
    return trees.change(tree, settle_leaf)


def settle_leaf(leaf: Any) -> Any:  # noqa: ANN401
    """See ``settle``.

    Args:
        leaf: Anything that is no container.

    Returns:
        Its value.
    """
    if not isinstance(leaf, MIXED):
        return leaf
    if isinstance(leaf, MixedTarget) and leaf.requires_grad:
        if leaf.origin.use():
            _refuse_lost_numbers(leaf)
        return leaf.value
    with plain_torch():
        refuse_cut(leaf)
    return settled(leaf)


def _refuse_lost_numbers(leaf: MixedTarget) -> None:
    """What was read as a number, and then used where nobody sees it, is not a number."""
    if bool(leaf.original.isnan().any() or leaf.partner.isnan().any()):
        raise MixedTargetError(
            "the loss is not a number; something of the labels was read as a Python number and then used where its "
            "two values cannot be told apart, as in math.log(n), np.sqrt(n) or torch.tensor(n)"
        )


def _backward(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    return func(*settle(args), **settle(kwargs))


def _grad(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    return both(func, args, {**kwargs, "retain_graph": True})  # the other half comes by the same network


def _requires_grad(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    target, *on = args
    target.requires_grad = kwargs.get("requires_grad", on[0] if on else True)
    return target


def _of_value(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    return func(settled(args[0]))


def _memory(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    raise Diverged(
        "the memory of mixed labels was asked for, which are two tensors; a compiled function does so: compile a "
        "method or an attribute of the module instead, whose trace the labels can become part of"
    )


special[Tensor.untyped_storage] = special[Tensor.data_ptr] = _memory
special[Tensor.backward] = _backward
special[Tensor.requires_grad_] = _requires_grad
special[torch.autograd.grad] = _grad
for _name in ("grad_fn", "is_leaf"):
    special[getattr(Tensor, _name).__get__] = _of_value
