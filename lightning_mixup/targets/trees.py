"""Containers of tensors: what functions of torch and training steps take and return."""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

BARE = frozenset({type(None), bool, int, float, str, torch.dtype, torch.device, torch.Size})
"""What has nothing in it to be found or changed. Most of what functions are called with is of these types."""


def leaves(tree: Any) -> Iterator[Any]:  # noqa: ANN401
    """Everything in a tree of tuples, lists, dicts, slices and dataclasses that is none of these.

    Args:
        tree: Any object.

    Returns:
        Its leaves; the object itself if it is a leaf.
    """
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from leaves(branch)
    elif isinstance(tree, dict):
        for branch in tree.values():
            yield from leaves(branch)
    elif isinstance(tree, slice):
        yield from (tree.start, tree.stop, tree.step)
    elif is_record(tree):
        yield from leaves(fields(tree))
    else:
        yield tree


def change(tree: Any, one: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """Replace the leaves of a tree.

    Args:
        tree: Any object.
        one: Gives what stands in a leaf's place. Not asked about plain numbers, strings and the like, which stay.

    Returns:
        A tree of the same types; the same object if no leaf changed.
    """
    if tree.__class__ in BARE:
        return tree
    if isinstance(tree, Tensor):
        return one(tree)
    if isinstance(tree, (tuple, list)):
        new = [change(branch, one) for branch in tree]
        return tree if all(map(operator.is_, new, tree)) else rebuild(tree, new)
    if isinstance(tree, dict):
        news = {key: new for key, branch in tree.items() if (new := change(branch, one)) is not branch}
        return updated(tree, news) if news else tree
    if isinstance(tree, slice):
        ends = [one(end) for end in (tree.start, tree.stop, tree.step)]
        return slice(*ends)
    if is_record(tree):
        olds = fields(tree)
        news = {name: change(branch, one) for name, branch in olds.items()}
        return tree if all(news[name] is olds[name] for name in news) else renewed(tree, news)
    return one(tree)


def rebuild(like: Any, branches: list[Any]) -> Any:  # noqa: ANN401
    """A sequence of the type of another.

    Args:
        like: A tuple, named tuple, list or structure of torch.
        branches: What the new one holds.

    Returns:
        The new sequence.
    """
    kind = type(like)
    return kind(*branches) if hasattr(like, "_fields") else kind(branches)


def is_record(tree: Any) -> bool:  # noqa: ANN401
    """Whether this is an instance of a dataclass.

    Args:
        tree: Any object.

    Returns:
        True for instances, False for the classes themselves.
    """
    return hasattr(type(tree), "__dataclass_fields__")


def updated(tree: dict[Any, Any], news: dict[Any, Any]) -> dict[Any, Any]:
    """A copy of a dict with some entries replaced.

    Args:
        tree: The dict.
        news: The entries.

    Returns:
        A dict of the same type.
    """
    new = copy.copy(tree)
    for key, branch in news.items():
        new[key] = branch  # one by one: some dicts have attributes that follow
    return new


def renewed(tree: Any, news: dict[str, Any]) -> Any:  # noqa: ANN401
    """A copy of a dataclass with some fields replaced.

    Args:
        tree: The instance.
        news: The fields.

    Returns:
        An instance of the same class.
    """
    new = copy.copy(tree)
    for name, branch in news.items():
        object.__setattr__(new, name, branch)  # frozen ones, too
    return new


def fields(tree: Any) -> dict[str, Any]:  # noqa: ANN401
    """The fields of a dataclass by their names.

    Args:
        tree: The instance.

    Returns:
        What it holds, None where a field is not set.
    """
    return {field.name: getattr(tree, field.name, None) for field in dataclasses.fields(tree)}
