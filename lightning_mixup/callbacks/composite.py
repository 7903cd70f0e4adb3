"""Callbacks made of callbacks: what they all hand on."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.drawing import Method
from lightning_mixup.callbacks.options import OPTIONS


class Composite(MixCallback):
    """Base of callbacks that leave the mixing to others. A subclass implements `draw`.

    Args:
        parts: The callbacks, which must agree on seed, keys and targets.

    Raises:
        ValueError: If there is none, or if they disagree.
    """

    doubles = False
    """Whether ``training_step`` receives more samples than the batch has, so that it cannot be a part."""

    def __init__(self, parts: Sequence[MixCallback]) -> None:
        name = type(self).__name__
        if not parts or not all(isinstance(part, MixCallback) for part in parts):
            raise ValueError(f"{name}: methods must be mix callbacks, at least one, got {parts!r}")
        for part in parts:
            if getattr(part, "doubles", False):
                raise ValueError(
                    f"{name}: {type(part).__name__} makes another batch and cannot be a part; put it around: "
                    f"{type(part).__name__}({name}(...))"
                )
        shared = {
            argument: [getattr(part, argument) for part in parts]
            for argument, option in OPTIONS.items()
            if option.shared
        }
        for argument, values in shared.items():
            if any(value != values[0] for value in values):
                raise ValueError(f"{name}: all methods need the same {argument}, got {values}")
        common = {argument: values[0] for argument, values in shared.items()}
        for argument in ("input_key", "target_key"):
            common[argument] = common[argument] or None
        super().__init__(1.0, **common)
        self.parts = tuple(parts)
        self.inplace = any(part.inplace for part in parts)
        self.hidden = any(part.hidden for part in parts)

    @property
    def remembers(self) -> bool:
        """Whether one of the parts finds partners in the batch before."""
        return any(part.remembers for part in self.parts)

    @property
    def foresight(self) -> int:
        """See `Method.foresight`."""
        return 1 if self.changes else min(part.foresight for part in self.parts)

    @property
    def changes(self) -> bool:
        """Whether an argument of its own, or of a part, changes in the course of training."""
        return super().changes or any(part.changes for part in self.parts)

    def bind(self, epochs: float | None, steps: float | None) -> None:
        """Bind the schedules of every part."""
        super().bind(epochs, steps)
        for part in self.parts:
            part.bind(epochs, steps)

    def leaves(self) -> Iterator[Method]:
        """The methods that mix."""
        for part in self.parts:
            yield from part.leaves()

    def tallies(self) -> tuple[str, ...]:
        """The names that any of the parts counts."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.tallies()))

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse what one of the parts cannot mix."""
        for part in self.parts:
            part.check(inputs)

    def attach(self, module: nn.Module) -> None:
        """Prepare the module for every part."""
        for part in self.parts:
            part.attach(module)

    def detach(self) -> None:
        """Take back what every part did."""
        for part in self.parts:
            part.detach()
