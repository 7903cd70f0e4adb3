"""What stands in front of a method of a module while it trains on mixed labels."""

from __future__ import annotations

import copy
import functools
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_mixup.targets.compiled import Compiled, is_compiled
from lightning_mixup.targets.gradients import settle_leaf
from lightning_mixup.targets.graphs import decide
from lightning_mixup.targets.interpolate import each_half, mixed_leaves, twin
from lightning_mixup.targets.trees import BARE, change, leaves
from lightning_mixup.targets.values import settled
from lightning_mixup.targets.watched import Watched, plain

_PLAIN = BARE | {Tensor, nn.Parameter}
"""What borders give on as it is. Labels that are mixed or watched are of subclasses, and not of exactly these types."""


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
        """Call ``plain``."""

    def call_with(self, one: Callable[[Any], Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """Call ``plain`` with what stands for the leaves of its arguments.

        Args:
            one: Gives it. Plain tensors stand for themselves.
            args: The arguments.
            kwargs: Likewise.

        Returns:
            What it returns.
        """
        # Nearly all calls have plain arguments, or get them from a border before.
        if not _PLAIN.issuperset(map(type, args)):
            args = tuple([arg if arg.__class__ in _PLAIN else change(arg, one) for arg in args])
        if not _PLAIN.issuperset(map(type, kwargs.values())):
            kwargs = change(kwargs, one)
        return self.plain(*args, **kwargs)

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
        if torch.compiler.is_compiling():
            return self.plain(*map(decide, args), **{name: decide(arg) for name, arg in kwargs.items()})
        return self.call_with(_reported, args, kwargs)


def _reported(leaf: Any) -> Any:  # noqa: ANN401
    return plain(settled(leaf))


class Measure(Outlet):
    """In front of the ``forward`` of a metric. One that gives a gradient may be the loss: libraries make losses so."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Gather values; if there is a gradient, compute the metric of both labels, on copies."""
        if torch.compiler.is_compiling():
            return self.plain(*args, **kwargs)
        result = super().__call__(*args, **kwargs)
        if not any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves(result)):
            return result
        for leaf in leaves((args, kwargs)):
            if isinstance(leaf, Watched):
                leaf.origin.use()
        found = mixed_leaves(args, kwargs)
        if not found:
            return result
        aside = twin(self.module).forward
        return each_half(aside, aside, args, kwargs, found)


class Training(Border):
    """In front of what differentiates: it gets values, and the targets count as used."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Differentiate values."""
        return self.call_with(settle_leaf, args, kwargs)


class Criterion(Border):
    """In front of a loss module: it is called once for each label, the other half on a copy."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Compute the loss of both labels."""
        if torch.compiler.is_compiling():
            return self.plain(*args, **kwargs)
        found = mixed_leaves(args, kwargs)
        if not found:
            return self.plain(*args, **kwargs)
        # A forward that was put on the instance knows no copy.
        aside = twin(self.module).forward if self.replaced is None else self.plain
        return each_half(self.plain, aside, args, kwargs, found)


class Traced(Border):
    """In front of a compiled method or function: the labels become pairs within its trace."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__(module, name)
        self.compiled = Compiled(self.plain)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call the compiled function."""
        if torch.compiler.is_compiling():
            return self.plain(*args, **kwargs)
        return self.compiled(*args, **kwargs)


def surround(module: nn.Module, borders: list[Border], forced: Sequence[nn.Module] = ()) -> None:
    """Put borders around the parts of a module that have none yet: metrics, loss modules, compiled functions.

    Args:
        module: The module that is trained.
        borders: Those that stand already; new ones are added.
        forced: Parts that are called once for each label, whatever they are.
    """
    known = {(id(border.module), border.name) for border in borders}

    def put(kind: type[Border], part: nn.Module, name: str) -> None:
        if (id(part), name) not in known:
            borders.append(kind(part, name))

    parts = list(_parts(module))
    within = {id(inner) for part in parts if _is_metric(part) for inner in part.modules() if inner is not part}
    for part in parts:
        if _is_metric(part):
            put(Outlet, part, "update")
            if id(part) not in within:
                put(Measure, part, "forward")
        elif any(part is one for one in forced) or (part is not module and _is_criterion(part)):
            put(Criterion, part, "forward")
        for name in _compiled_names(part):
            put(Traced, part, name)


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """All modules within, but those that a compiler has traced, which would be traced anew."""
    seen: set[int] = set()
    queue = [module]
    while queue:
        part = queue.pop()
        if id(part) in seen or isinstance(part, torch.jit.ScriptModule):
            continue
        seen.add(id(part))
        yield part
        queue += [child for child in part._modules.values() if child is not None]


def _is_metric(module: nn.Module) -> bool:
    return callable(getattr(module, "update", None)) and callable(getattr(module, "compute", None))


def _is_criterion(module: nn.Module) -> bool:
    if type(module).__module__.startswith("torch."):
        return False
    return next(module.parameters(), None) is None and next(module.buffers(), None) is None


def _compiled_names(module: nn.Module) -> list[str]:
    """Attributes and methods of a module that torch.compile has made, but the steps themselves."""
    found = dict(module.__dict__)
    for kind in type(module).__mro__:
        if not kind.__module__.startswith(_FOREIGN):
            found = {**vars(kind), **found}
    return [name for name, one in found.items() if not name.endswith("_step") and is_compiled(one)]


_FOREIGN = ("torch.", "lightning.", "pytorch_lightning.", "builtins")


def _own(module: nn.Module, name: str) -> Callable[..., Any]:
    """The method of the module's class."""
    return types.MethodType(getattr(type(module), name), module)
