"""A number that was read from mixed labels, which remembers both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning_mixup.targets.errors import MixedTargetError, same
from lightning_mixup.targets.origin import BLENDED, Origin, no_step
from lightning_mixup.targets.pair import otherwise, plain_torch


class Number(float):
    """What ``.item()`` gives of halves that differ: in arithmetic and in torch still both.

    Its own value, which C code sees, is not a number: what slips out of sight must not go unnoticed into a loss. Only
    of what a gradient of predictions flows through, which is a report, it is the blend.
    """

    original: float
    partner: float
    lam: float
    origin: Origin
    report: bool

    def __new__(cls, original: float, partner: float, lam: float, origin: Origin, report: bool = False) -> Number:
        """Choose the value."""
        report = report and not any(root.learned for root in origin.roots)
        self = float.__new__(cls, float("nan") if not report else _blended(original, partner, lam))
        self.original, self.partner, self.lam, self.origin, self.report = original, partner, lam, origin, report
        if not report:
            origin.step.read = origin.step is not no_step
            for root in origin.roots:
                root.read = True
        return self

    @property
    def value(self) -> float:
        """The blend of floats, the dominant of whole numbers."""
        if isinstance(self.original, int):
            return self.original if self.lam is BLENDED or self.lam >= 0.5 else self.partner
        return _blended(self.original, self.partner, self.lam)

    def __reduce__(self) -> tuple[Any, ...]:
        return float, (float(self.value),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Number:
        return self

    def __repr__(self) -> str:
        return repr(self.value)

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __hash__(self) -> int:
        return hash((self.original, self.partner))

    def __float__(self) -> float:
        if self.report or self.origin.step.over:
            return float(self.value)
        if self.lam is BLENDED:
            raise MixedTargetError("float(...) of a sum over samples, each of which has a weight of its own")
        return float(same(self.original, self.partner, "float(...) of a number that was read"))

    def is_integer(self) -> bool:
        """Whether both are whole."""
        return bool(same(float(self.original).is_integer(), float(self.partner).is_integer(), "is_integer()"))

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Compute a function of torch for both."""
        with plain_torch():
            return otherwise[0](func, args, kwargs or {})


def _blended(original: float, partner: float, lam: float) -> float:
    return original if lam is BLENDED else lam * original + (1 - lam) * partner


_ADDS = frozenset(f"__{name}__" for name in "add sub radd rsub".split())
_LINEAR = _ADDS | {"__mul__", "__rmul__", "__truediv__", "__neg__", "__pos__"}


def _operate(name: str, agree: bool) -> Callable[..., Any]:
    def operate(self: Number, *args: Any) -> Any:  # noqa: ANN401
        numbers = [self, *(arg for arg in args if isinstance(arg, Number))]
        if any(number.origin.step.over for number in numbers):
            return getattr(self.value, name)(*(arg.value if isinstance(arg, Number) else arg for arg in args))
        if len({number.lam for number in numbers}) > 1:
            raise MixedTargetError("numbers of two draws meet")
        report = any(number.report for number in numbers)
        if self.lam is BLENDED and not report and (name not in _LINEAR or len(numbers) > 1 + (name in _ADDS)):
            raise MixedTargetError(f"{name.strip('_')} of a sum over samples, each of which has a weight of its own")
        one = getattr(self.original, name)(*(arg.original if isinstance(arg, Number) else arg for arg in args))
        other = getattr(self.partner, name)(*(arg.partner if isinstance(arg, Number) else arg for arg in args))
        if one is NotImplemented or other is NotImplemented:
            if isinstance(self.original, int):  # an int leaves floats to them
                one = getattr(float(self.original), name)(*(getattr(arg, "original", arg) for arg in args))
                other = getattr(float(self.partner), name)(*(getattr(arg, "partner", arg) for arg in args))
            if one is NotImplemented or other is NotImplemented:
                return NotImplemented
        if agree or not isinstance(one, (int, float)) or (one == other and self.lam is not BLENDED):
            return same(one, other, f"{name.strip('_')} of a number that was read")
        origin = self.origin
        for number in numbers[1:]:
            origin = origin.join(number.origin)
        return Number(one, other, self.lam, origin, report)

    operate.__name__ = name
    return operate


for (
    _name
) in "add sub mul truediv floordiv mod pow radd rsub rmul rtruediv rfloordiv rmod rpow neg pos abs round".split():
    setattr(Number, f"__{_name}__", _operate(f"__{_name}__", agree=False))
for _name in "lt le gt ge eq ne bool int trunc floor ceil divmod rdivmod".split():
    setattr(Number, f"__{_name}__", _operate(f"__{_name}__", agree=True))
