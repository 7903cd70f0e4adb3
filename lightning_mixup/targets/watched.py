"""Mixed values, which are plain numbers, watched: a step that takes no notice of them trains on something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_mixup.targets import trees
from lightning_mixup.targets.number import Number
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.pair import MixedTarget, plain_torch

_READ = frozenset("numpy tolist item __array__ __float__ __int__ __bool__ __index__ __dlpack__ data_ptr".split())


class Watched(Tensor):
    """A mixed value that knows whether a loss was computed from it. It is a tensor like any other."""

    origin: Origin

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Compute as ever, and note where the value goes."""
        if any(issubclass(kind, (MixedTarget, Number)) for kind in types):
            return NotImplemented  # theirs to compute
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        with plain_torch():
            result = func(*args, **kwargs)
            if torch.compiler.is_compiling() or (name == "__get__" and not isinstance(result, Tensor)):
                return result
            found = [leaf for leaf in trees.leaves((args, kwargs)) if isinstance(leaf, Watched)]
            tensors = [leaf for leaf in trees.leaves(result) if isinstance(leaf, Tensor)]
            written = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
            if written or name in _READ or any(tensor.requires_grad for tensor in tensors):
                for leaf in found:
                    leaf.origin.use()
                return result
            return trees.change(result, lambda leaf: watch(leaf, found[0].origin) if type(leaf) is Tensor else leaf)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]  # noqa: ANN401
        return repr(plain(self))

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401
        self.origin.use()
        return plain(self).__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return watch(plain(self).clone(), self.origin)


def watch(values: Tensor, origin: Origin | None = None) -> Watched:
    """Watch where values go.

    Args:
        values: A plain tensor.
        origin: Where they come from; None for themselves.

    Returns:
        A tensor with the same memory.
    """
    watched = values.as_subclass(Watched)
    watched.origin = origin or Origin()
    return watched


def plain(leaf: Any) -> Any:  # noqa: ANN401
    """What is watched as a plain tensor.

    Args:
        leaf: Anything.

    Returns:
        A plain tensor for a watched one, all else as it is.
    """
    if isinstance(leaf, Watched):
        with plain_torch():
            return leaf.as_subclass(Tensor)
    return leaf
