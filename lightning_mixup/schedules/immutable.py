"""Objects that are equal if their arguments are, and that nothing changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from inspect import signature
from numbers import Real
from typing import TypeVar, cast

_T = TypeVar("_T")


# No dataclasses: where Hydra finds one in a list, it takes it for a configuration of its own, and rebuilds it.
class Value:
    """Base of what keeps its arguments as attributes of their names."""

    def _require(self, name: str, value: object, accepted: bool, what: str) -> None:
        if not accepted:
            raise ValueError(f"{type(self).__name__}: {name} must be {what}, got {value!r}")

    def _number(self, name: str, value: object, what: str = "a finite number") -> float:
        number = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
        self._require(name, value, number, what)
        return float(cast(float, value))

    def _tuple(self, name: str, values: object, check: Callable[[str, object], _T]) -> tuple[_T, ...]:
        # Hydra hands over a sequence of its own, which is neither immutable nor hashable.
        self._require(name, values, isinstance(values, Sequence) and not isinstance(values, str), "a sequence")
        return tuple(check(name, value) for value in cast(Sequence[object], values))

    def __setattr__(self, name: str, value: object) -> None:
        if name in vars(self):
            raise AttributeError(f"{self!r} is immutable; make another one")
        super().__setattr__(name, value)

    def _arguments(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def __repr__(self) -> str:
        defaults = {name: parameter.default for name, parameter in signature(type(self)).parameters.items()}
        given = [f"{name}={value!r}" for name, value in self._arguments().items() if value != defaults[name]]
        return f"{type(self).__name__}({', '.join(given)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and type(self) is type(other) and self._arguments() == other._arguments()

    def __hash__(self) -> int:
        return hash((type(self), *self._arguments().values()))
