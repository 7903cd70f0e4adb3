"""Graphs that were traced with one of two labels: whatever depends on labels is computed for the other one, too."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from lightning_mixup.targets.randomness import draws

_SHAPES = frozenset("size shape stride dim ndimension ndim numel nelement sym_size sym_numel sym_stride".split())
_IN_PLACE = (
    operator.iadd,
    operator.isub,
    operator.imul,
    operator.itruediv,
    operator.ifloordiv,
    operator.imod,
    operator.ipow,
    operator.iand,
    operator.ior,
    operator.ixor,
    operator.ilshift,
    operator.irshift,
    operator.imatmul,
    operator.setitem,
)
_STATISTICS = (F.batch_norm, F.instance_norm, torch.batch_norm, torch.instance_norm)


class UntraceableError(Exception):
    """A graph computes something of labels that has to be computed step by step."""


def mixed(original: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """Stands in a graph where a pair comes in.

    Args:
        original: One half.
        partner: The other.
        lam: Weight of the original, a single number.

    Returns:
        A tensor like both.
    """
    return original.clone()


def watched(values: Tensor) -> Tensor:
    """Stands in a graph where values come in whose use is watched.

    Args:
        values: The values.

    Returns:
        The same.
    """
    return values.clone()


def decided(tensor: Tensor) -> Tensor:
    """Stands in a graph where a pair becomes its value: floats are blended, else the heavier half counts.

    Args:
        tensor: Anything.

    Returns:
        The same.
    """
    return tensor.clone()


def decide(leaf: Any) -> Any:  # noqa: ANN401
    """Let what may be a pair become its value, within a trace.

    Args:
        leaf: Anything.

    Returns:
        The value of a tensor, all else as it is.
    """
    return decided(leaf) if isinstance(leaf, Tensor) else leaf


class Doubled:
    """A graph that computes what depends on labels for both of them.

    Args:
        module: Traced with one of the labels.

    Attributes:
        module: The new graph. Behind the results of the old one come those of the partners' labels.
        places: For each result that is mixed: its place, and the place of its other half.
        sources: For each result: the numbers of the mixed and watched tensors that it depends on.

    Raises:
        UntraceableError: If the graph computes something that is not a tensor, draws random numbers of labels, or
            writes labels where others see it.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        self._env: dict[fx.Node, fx.Node] = {}
        self._halves: dict[fx.Node, tuple[fx.Node, fx.Node]] = {}
        self._from: dict[fx.Node, frozenset[int]] = {}
        self._seen: list[fx.Node] = []
        self._same: dict[fx.Node, fx.Node] = {}
        self._count = 0
        self._lam: fx.Node
        self._graph = fx.Graph()
        for node in module.graph.nodes:
            self._take(node)
            self._seen.append(node)
        self._graph.lint()
        self.module = fx.GraphModule(module, self._graph)

    def _take(self, node: fx.Node) -> None:
        sources = [self._from[used] for used in node.all_input_nodes if used in self._from]
        if sources and node.op != "output":
            self._from[node] = frozenset().union(*sources)
        if node.target in (mixed, watched):
            self._from[node] = frozenset([self._count])
            self._count += 1
            one, *more = [self._env[used] for used in node.all_input_nodes]
            if node.target is mixed:
                self._halves[node] = (one, more[0])
                self._lam = more[1]
            else:
                self._env[node] = one
        elif node.target is decided:
            self._env[node] = self._settle(node.all_input_nodes[0])
        elif node.op == "output":
            self._end(node)
        elif not any(used in self._halves for used in node.all_input_nodes):
            target = _target(node)
            if target is not None:
                self._same[node] = self._root(target)
                if node in self._from:
                    self._from[self._root(target)] = self._from[node]
            self._env[node] = self._graph.node_copy(node, lambda used: self._env[used])
        elif _name(node) in _SHAPES:
            self._env[node] = self._copy(node, 0)
        else:
            self._double(node)

    def _settle(self, node: fx.Node) -> fx.Node:
        if node not in self._halves:
            return self._env[node]
        example = node.meta.get("example_value")
        floating = isinstance(example, Tensor) and (example.is_floating_point() or example.is_complex())
        return self._graph.call_function(_blended if floating else _heavier, (*self._halves[node], self._lam))

    def _double(self, node: fx.Node) -> None:
        _refuse(node)
        target = _target(node)
        if target is not None:
            root = self._same[node] = self._root(target)
            if root not in self._halves:
                self._split(root)
            for alias in [other for other, its in self._same.items() if its is root]:
                self._halves[alias] = self._halves[root]
                self._from[alias] = self._from[node] | self._from.get(alias, frozenset())
            self._from[root] = self._from[node] | self._from.get(root, frozenset())
        self._halves[node] = (self._copy(node, 0), self._copy(node, 1))

    def _copy(self, node: fx.Node, which: int) -> fx.Node:
        return self._graph.node_copy(
            node, lambda used: self._halves[used][which] if used in self._halves else self._env[used]
        )

    def _root(self, node: fx.Node) -> fx.Node:
        return self._same.get(node, node)

    def _split(self, target: fx.Node) -> None:
        """Let a plain tensor that labels are written into be two."""
        if target.op in ("placeholder", "get_attr"):
            raise UntraceableError("labels are written into a tensor that outlives the step")
        memory = _memory(target)
        for other in self._seen:
            if self._root(other) is not target and (memory is None or _memory(other) == memory):
                raise UntraceableError("labels are written into memory that other tensors see")
        plain = self._env[target]
        self._halves[target] = tuple(self._graph.call_method("clone", (plain,)) for _ in range(2))  # type: ignore[assignment]

    def _end(self, node: fx.Node) -> None:
        results: Sequence[Any] = node.args[0]  # type: ignore[assignment]
        if not all(result is None or isinstance(result, (fx.Node, int, float, bool)) for result in results):
            raise UntraceableError("the graph has nested results")
        ones: list[Any] = []
        others: list[Any] = []
        self.places: dict[int, int] = {}
        self.sources: list[frozenset[int]] = []
        for place, result in enumerate(results):
            halves = self._halves.get(result) if isinstance(result, fx.Node) else None
            if halves is not None:
                self.places[place] = len(results) + len(others)
                others.append(halves[1])
            ones.append(halves[0] if halves else self._env[result] if isinstance(result, fx.Node) else result)
            self.sources.append(self._from.get(result, frozenset()) if isinstance(result, fx.Node) else frozenset())
        self._graph.output((*ones, *others))


def _blended(original: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    return partner + lam.to(original.dtype) * (original - partner)


def _heavier(original: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    return torch.where(lam >= 0.5, original, partner)


def _name(node: fx.Node) -> str:
    if node.target is getattr and len(node.args) > 1:
        return str(node.args[1])
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _target(node: fx.Node) -> fx.Node | None:
    """The tensor that a node writes into."""
    if node.op not in ("call_function", "call_method"):
        return None
    out = node.kwargs.get("out")
    if out is not None:
        if not isinstance(out, fx.Node):
            raise UntraceableError("labels are written into several tensors at once")
        return out
    name = _name(node)
    writes = node.target in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
    first = node.args[0] if node.args else None
    if (writes or node.kwargs.get("inplace") is True) and isinstance(first, fx.Node):
        return first
    return None


def _memory(node: fx.Node) -> Any:  # noqa: ANN401
    example = node.meta.get("example_value")
    if not isinstance(example, Tensor):
        return object()
    with torch._C.DisableTorchFunctionSubclass():
        return example.untyped_storage()._cdata


def _refuse(node: fx.Node) -> None:
    name = _name(node)
    if node.op not in ("call_function", "call_method"):
        raise UntraceableError("labels meet a module that was not traced")
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        raise UntraceableError(f"labels meet the operator {name}")
    if node.target in _STATISTICS:
        raise UntraceableError(f"labels meet the statistics of {name}")
    function: Callable[..., Any] | None = getattr(Tensor, name, None) if node.op == "call_method" else node.target  # type: ignore[assignment]
    if function is None or draws(function, name):
        raise UntraceableError(f"{name} of labels may draw random numbers")
    example = node.meta.get("example_value")
    results = example if isinstance(example, (tuple, list)) else [example]
    if not all(result is None or isinstance(result, Tensor) for result in results):
        raise UntraceableError(f"{name} of labels is no tensor")
