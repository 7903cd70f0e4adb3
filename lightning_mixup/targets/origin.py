"""Where a pair comes from: its step, and the mixed targets that it was computed from."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor


class _Blended:
    """Stands for the weight of what is weighed already."""

    def __repr__(self) -> str:
        return "blended"

    def __deepcopy__(self, memo: dict[int, Any]) -> _Blended:
        return self


BLENDED: Any = _Blended()


class Step:
    """One training step: what was made of its labels, and whether it is over."""

    def __init__(self) -> None:
        self.over = False
        self.read = False
        self.made: list[weakref.ref[Tensor]] | None = None
        self.written: list[tuple[Tensor, Tensor, type[Tensor]]] = []


no_step = Step()  # of pairs that somebody makes by hand


class Origin:
    """Where a pair comes from: the mixed targets that it was computed from, and their step."""

    __slots__ = ("inside", "learned", "read", "roots", "step", "used")

    def __init__(self, roots: frozenset[Origin] = frozenset(), step: Step = no_step, *, inside: bool = False) -> None:
        self.inside = inside  # whether all weights are known to lie between 0 and 1
        self.roots = roots or frozenset([self])
        self.step = step
        self.used = False
        self.read = False
        self.learned = False  # whether the targets themselves are to have gradients

    def use(self) -> bool:
        """Note that a loss depends on these targets; tell whether a number was read of them, or in their step."""
        read = self.step.read
        for root in self.roots:
            root.used = True
            read = read or root.read
        return read

    def learn(self) -> None:
        """Note that the targets themselves are to have gradients."""
        for root in self.roots:
            root.learned = True

    def join(self, other: Origin) -> Origin:
        """Of what was computed from both."""
        return self if self.roots >= other.roots else Origin(self.roots | other.roots, self.step)
