"""Whether the layers that were chosen by themselves lie on the one way through the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.utils.hooks import RemovableHandle

from lightning_mixup.callbacks.hidden.hook import Inert
from lightning_mixup.callbacks.hidden.outputs import tensors


class Branches:
    """Watches the parts of a network until it is known which follows which.

    Mixing one of two branches would leave the other as it was, while the labels are mixed. A part follows another if
    what it is given was computed from what the other returned; the graph of the gradients knows.

    Args:
        layers: The layers that were chosen, by their names.
        parts: All parts beside them that train, by their names.
        name: Name of the callback, for errors.
    """

    def __init__(self, layers: Mapping[str, nn.Module], parts: Mapping[str, nn.Module], name: str) -> None:
        self.layers, self.name = dict(layers), name
        self.handles: list[RemovableHandle] = []
        self.ran: dict[str, set[Any]] = {}  # where in the graph each part ends
        self.watching = False
        if len(parts) > 1:
            for part, module in {**layers, **parts}.items():
                self.handles.append(module.register_forward_hook(_Watch(self, part), with_kwargs=True))

    def begin(self) -> None:
        """Watch the next step."""
        self.watching = bool(self.handles)

    def end(self) -> None:
        """Forget the step, and stop watching once all layers have been seen."""
        if self.watching and self.ran.keys() >= self.layers.keys():
            self.remove()
        self.watching, self.ran = False, {}

    def remove(self) -> None:
        """Stop watching."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def look(self, part: str, module: nn.Module, given: Any, output: Any) -> None:  # noqa: ANN401
        """Note where a part ends, and raise if it does not follow a layer that ran before it, or a layer a part."""
        ends = {x.grad_fn for x in tensors(output) if x.grad_fn is not None}
        if not ends:
            return
        starts = list(tensors(given))
        for before, places in self.ran.items():
            if before == part or not (before in self.layers or part in self.layers) or self._nested(before, part):
                continue
            if starts and not _follows({x.grad_fn for x in starts if x.grad_fn is not None}, places):
                layer, other = (before, part) if before in self.layers else (part, before)
                raise MisconfigurationException(
                    f"{self.name}: the layers that layers=None chooses lie in one of several branches: {part!r} is "
                    f"not computed from {before!r}, so that one would be mixed, and the other not; name a layer of "
                    f"each branch, to be mixed together: layers=['input', '{layer} + {other}'], or one behind the "
                    "place where they meet"
                )
        self.ran.setdefault(part, ends)

    def _nested(self, one: str, other: str) -> bool:
        return one.startswith(f"{other}.") or other.startswith(f"{one}.")


class _Watch:
    """Tells what a part is given and returns."""

    def __init__(self, branches: Branches, part: str) -> None:
        self.branches, self.part = branches, part

    def __call__(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ANN401
        if self.branches.watching and not torch.compiler.is_compiling() and torch.is_grad_enabled():
            self.branches.look(self.part, module, (args, kwargs), output)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:  # noqa: ANN401
        return Inert()

    def __reduce__(self) -> Any:  # noqa: ANN401
        return Inert, ()


def _follows(starts: Iterable[Any], ends: set[Any]) -> bool:
    """Whether the graph leads back from some places to others."""
    queue, seen = list(starts), set(starts)
    while queue:
        place = queue.pop()
        if place in ends:
            return True
        for before, _ in place.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                queue.append(before)
    return False
