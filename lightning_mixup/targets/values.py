"""What mixed tensors and numbers are outside of a loss."""

from __future__ import annotations

from typing import Any

from lightning_mixup.targets import trees
from lightning_mixup.targets.number import Number
from lightning_mixup.targets.pair import MixedTarget

MIXED = (MixedTarget, Number)
"""What is two things: pairs and numbers read from them."""


def is_mixed(leaf: Any) -> bool:  # noqa: ANN401
    """Whether something is two things.

    Args:
        leaf: Any object that is no container.

    Returns:
        True of pairs and of numbers read from them.
    """
    return isinstance(leaf, MIXED)


def settled(leaf: Any) -> Any:  # noqa: ANN401
    """The value with which a leaf leaves the step.

    Args:
        leaf: Any object that is no container.

    Returns:
        Of a pair the blend of floats, else the dominant half; what is no pair itself.
    """
    if isinstance(leaf, MixedTarget):
        return leaf.settled
    return leaf.value if isinstance(leaf, Number) else leaf


def value(tree: Any) -> Any:  # noqa: ANN401
    """What mixed labels, and what was computed from them, are for everybody outside of the loss.

    Args:
        tree: Any object: a tensor, a number, or containers of them.

    Returns:
        The same with a plain tensor for every mixed one: of floats the weighted mean, else the half that weighs more.

    Examples:
        >>> import torch
        >>> value({"y": MixedTarget(torch.tensor([3]), torch.tensor([5]), lam=0.75)})
        {'y': tensor([3])}
        >>> value(torch.tensor([4]))
        tensor([4])
    """
    return trees.change(tree, settled)
