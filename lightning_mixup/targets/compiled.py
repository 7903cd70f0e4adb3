"""Compiled functions on mixed labels: the labels become pairs within the trace."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from lightning_mixup.targets import trees
from lightning_mixup.targets.graphs import Doubled, UntraceableError, decided, mixed, watched
from lightning_mixup.targets.number import Number
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.pair import MixedTarget, pair
from lightning_mixup.targets.values import settled
from lightning_mixup.targets.watched import Watched, plain


class Halves(NamedTuple):
    """Stands for a pair among the arguments of a trace."""

    original: Tensor
    partner: Tensor
    lam: Tensor


class Value(NamedTuple):
    """Stands for watched values."""

    values: Tensor


class Compiled:
    """A compiled function that takes pairs.

    Args:
        function: What ``torch.compile`` gave: a function or a bound method.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.plain = original(function)
        self._trace: Callable[..., Any] | None = None
        self._lam = 1.0
        self._origins: list[Origin] = []
        self._refusal: str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call it for each half, in one graph; without a compiler if that cannot be.

        Args:
            args: Its arguments, with pairs and watched values or without.
            kwargs: Likewise.

        Returns:
            Its result, with a pair wherever it depends on labels.
        """
        found = [leaf for leaf in trees.leaves((args, kwargs)) if isinstance(leaf, (MixedTarget, Number, Watched))]
        found = [leaf for leaf in found if not leaf.origin.step.over]
        pairs = [leaf for leaf in found if not isinstance(leaf, Watched)]
        if not found:
            return self.function(*args, **kwargs)
        if self._refusal is None and all(type(leaf) is MixedTarget and isinstance(leaf.lam, float) for leaf in pairs):
            self._lam = pairs[0].lam if pairs else 1.0
            self._origins = [leaf.origin for leaf in found]
            given = trees.change((args, kwargs), _stand_in)
            if self._trace is None:
                self._trace = self._compile()
            try:
                return self._trace(*given)
            except Exception as error:
                reason = self._refusal or _reason(error)
                if reason is None:
                    raise
                self._refusal = reason
        elif self._refusal is None:
            self._refusal = "each sample has a weight of its own"
        name = getattr(self.plain, "__name__", "a function")
        if name.endswith("_call_impl"):
            name = type(getattr(self.plain, "__self__", self.plain)).__name__
        warnings.warn(
            f"{name} is compiled, but with mixed labels it runs without the compiler: {self._refusal}", stacklevel=2
        )
        return self.plain(*args, **kwargs)

    def _compile(self) -> Callable[..., Any]:
        for marker in (mixed, watched, decided):
            torch.compiler.allow_in_graph(marker)  # type: ignore[no-untyped-call]
        context = _context(self.function)
        step = self.plain

        def trace(args: Any, kwargs: Any) -> Any:  # noqa: ANN401
            return step(*_placed(args), **_placed(kwargs))

        # Compilers keep what they made by code: code of its own for each function.
        trace.__code__ = trace.__code__.replace(co_name=getattr(step, "__name__", "trace"))
        backend = torch._dynamo.eval_frame.innermost_backend(context.callback)

        def build(module: fx.GraphModule, inputs: list[Tensor], **options: Any) -> Callable[..., Any]:  # noqa: ANN401
            try:
                doubled = Doubled(module)
            except UntraceableError as error:
                self._refusal = str(error)
                raise
            return self._run(backend(doubled.module, inputs, **options), doubled)

        return torch.compile(trace, backend=build, dynamic=context._dynamic, fullgraph=True)

    def _run(self, run: Callable[..., Any], doubled: Doubled) -> Callable[..., Any]:
        places, sources = doubled.places, doubled.sources

        def compute(*args: Any) -> Any:  # noqa: ANN401
            results = list(run(*args))
            for place, known in enumerate(sources):
                origins = [self._origins[number] for number in known]
                if place in places:
                    origin = origins[0]
                    for more in origins[1:]:
                        origin = origin.join(more)
                    results[place] = pair(results[place], results[places[place]], self._lam, origin)
                elif isinstance(results[place], Tensor) and results[place].requires_grad:
                    for origin in origins:
                        origin.use()
            return results[: len(sources)]

        return compute


def is_compiled(function: Any) -> bool:  # noqa: ANN401
    """Whether ``torch.compile`` has made this function.

    Args:
        function: Any object.

    Returns:
        True of functions and bound methods that a compiler traces.
    """
    return _context(function) is not None


def original(function: Any) -> Callable[..., Any]:  # noqa: ANN401
    """What was compiled.

    Args:
        function: A compiled function, or a bound method of one.

    Returns:
        The function without the compiler.
    """
    if isinstance(function, types.MethodType):
        return types.MethodType(original(function.__func__), function.__self__)
    found: Callable[..., Any] = function._torchdynamo_orig_callable
    return found


def _context(function: Any) -> Any:  # noqa: ANN401
    """How a function was compiled, None of any other one."""
    inner = function.__func__ if isinstance(function, types.MethodType) else function
    if not isinstance(inner, types.FunctionType) or "_torchdynamo_orig_callable" not in inner.__dict__:
        return None
    for cell in inner.__closure__ or ():
        kept = cell.cell_contents
        if hasattr(kept, "callback") and hasattr(kept, "_dynamic"):
            return kept if callable(kept.callback) else None
    return None


def _stand_in(leaf: Any) -> Any:  # noqa: ANN401
    if isinstance(leaf, MixedTarget):
        if leaf.origin.step.over:
            return settled(leaf)
        lam: Any = leaf.lam
        # Filled on the device: a number would be a constant of the trace, and copying one would wait.
        return Halves(leaf.original, leaf.partner, torch.full((), lam, device=leaf.device))
    if isinstance(leaf, Watched):
        return plain(leaf) if leaf.origin.step.over else Value(plain(leaf))
    return leaf


def _placed(tree: Any) -> Any:  # noqa: ANN401
    """The arguments with pairs in their places. A compiler traces this."""
    if isinstance(tree, Halves):
        return mixed(tree.original, tree.partner, tree.lam)
    if isinstance(tree, Value):
        return watched(tree.values)
    if isinstance(tree, tuple):
        branches = [_placed(branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)
    if isinstance(tree, list):
        return [_placed(branch) for branch in tree]
    if isinstance(tree, dict):
        return {key: _placed(branch) for key, branch in tree.items()}
    return tree


def _reason(error: Exception) -> str | None:
    """Why a trace failed, None if that has nothing to do with tracing."""
    from torch._dynamo.exc import BackendCompilerFailed, FailOnRecompileLimitHit, TorchDynamoException

    if isinstance(error, BackendCompilerFailed) or not isinstance(
        error, (TorchDynamoException, FailOnRecompileLimitHit)
    ):
        return None
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
