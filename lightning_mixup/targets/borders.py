"""What stands in front of a method of a module while it trains on mixed labels."""

from __future__ import annotations

import copy
import functools
import types
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lightning_mixup.targets.gradients import settle
from lightning_mixup.targets.interpolate import each_half, mixed_leaves, twin
from lightning_mixup.targets.pair import value
from lightning_mixup.targets.trees import change
from lightning_mixup.targets.watched import plain


class Border(ABC):
    """Stands in front of a method of one module, as an attribute of that instance.

    Args:
        module: The module.
        name: Of the method.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = module
        self.name = name
        self.replaced: Any = module.__dict__.get(name)
        self.plain: Callable[..., Any] = getattr(module, name)
        functools.update_wrapper(self, self.plain, updated=())
        module.__dict__[name] = self

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call :attr:`plain`."""

    def remove(self) -> None:
        """Give the module its own method back, unless a stranger has put something in our place."""
        if self.module.__dict__.get(self.name) is self:
            del self.module.__dict__[self.name]
            if self.replaced is not None:
                self.module.__dict__[self.name] = self.replaced

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:  # noqa: ANN401
        """A copy of the module works as if nothing had been added."""
        if self.replaced is not None:
            return copy.deepcopy(self.replaced, memo)
        return _own(memo.get(id(self.module), self.module), self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _own, (self.module, self.name)


class Outlet(Border):
    """In front of what reports: it gets values."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Report values."""
        return self.plain(*change(value(args), plain), **change(value(kwargs), plain))


class Training(Border):
    """In front of what differentiates: it gets values, and the targets count as used."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Differentiate values."""
        return self.plain(*settle(args), **settle(kwargs))


class Criterion(Border):
    """In front of a loss module: it is called once for each label, the other half on a copy."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Compute the loss of both labels."""
        if torch.compiler.is_compiling():
            return self.plain(*args, **kwargs)
        found = mixed_leaves(args, kwargs)
        if not found:
            return self.plain(*args, **kwargs)
        return each_half(self.plain, twin(self.module).forward, args, kwargs, found)


def _own(module: nn.Module, name: str) -> Callable[..., Any]:
    """The method of the module's class."""
    return types.MethodType(getattr(type(module), name), module)
