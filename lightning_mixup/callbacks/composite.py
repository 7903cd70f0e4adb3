"""Callbacks made of callbacks: what they all hand on, and draws for some of the samples."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw

_SHARED = ("targets", "num_classes", "input_key", "target_key", "loss", "sync_ranks", "seed")


class Composite(MixCallback):
    """Base of callbacks that leave the mixing to others. A subclass implements :meth:`draw`.

    Args:
        parts: The callbacks, which must agree on seed, keys and targets.

    Raises:
        ValueError: If there is none, if they disagree, or if one changes more of a batch than it is given to mix.
    """

    def __init__(self, parts: Sequence[MixCallback]) -> None:
        name = type(self).__name__
        if not parts or not all(isinstance(part, MixCallback) for part in parts):
            raise ValueError(f"{name}: methods must be mix callbacks, at least one, got {parts!r}")
        for part in parts:
            if type(part).mix_batch is not MixCallback.mix_batch:
                raise ValueError(
                    f"{name}: {type(part).__name__} makes another batch and cannot be a part; put it around: "
                    f"{type(part).__name__}({name}(...))"
                )
        shared = {argument: [getattr(part, argument) for part in parts] for argument in _SHARED}
        for argument, values in shared.items():
            if any(value != values[0] for value in values):
                raise ValueError(f"{name}: all methods need the same {argument}, got {values}")
        super().__init__(parts[0].alpha, parts[0].prob, **{argument: values[0] for argument, values in shared.items()})
        self.parts = tuple(parts)
        self.inplace = any(part.inplace for part in parts)

    @property
    def remembers(self) -> bool:
        """Whether one of the parts finds partners in the batch before."""
        return any(part.remembers for part in self.parts)

    def bind(self, epochs: float | None, steps: float | None) -> None:
        """Bind the schedules of every part."""
        for part in self.parts:
            part.bind(epochs, steps)

    @abstractmethod
    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        progress: float,
        targets: Sequence[Tensor] = (),
        memory: Mapping[int | str, Tensor] | None = None,
    ) -> Draw:
        """Decide, or let a part decide. The ``method`` of the draw is the callback that mixes."""

    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """See :meth:`MixCallback.mix`."""
        assert draw.method is not None
        return draw.method.mix(inputs, draw)

    def mix_mask(self, mask: Tensor, draw: Draw, memory: Tensor | None = None) -> Tensor | None:
        """See :meth:`MixCallback.mix_mask`."""
        assert draw.method is not None
        return draw.method.mix_mask(mask, draw, memory)

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse what one of the parts cannot mix."""
        for part in self.parts:
            part.check(inputs)

    def attach(self, pl_module: LightningModule) -> None:
        """Prepare the module for every part."""
        for part in self.parts:
            part.attach(pl_module)

    def detach(self) -> None:
        """Take back what every part did."""
        for part in self.parts:
            part.detach()

    def arm(self, draw: Draw) -> None:
        """Arm the one that mixes."""
        if draw.method is not None and draw.method is not self:
            draw.method.arm(draw)

    def verify(self, draw: Draw) -> None:
        """Let the one that mixed verify."""
        if draw.method is not None and draw.method is not self:
            draw.method.verify(draw)

    def disarm(self) -> None:
        """Disarm every part."""
        for part in self.parts:
            part.disarm()


def restrict(draw: Draw, rows: NDArray[np.bool_]) -> Draw:
    """The same draw for some of the samples alone; the others are left as they are.

    Args:
        draw: How to mix a batch of B samples.
        rows: Which samples, shape ``(B,)``.

    Returns:
        A draw with a weight, and a box if there is one, for each sample.

    Example:
        >>> restrict(Draw(batch_size=3, lam=0.5, shift=1), np.array([True, False, True])).lam
        array([0.5, 1. , 0.5])
    """
    lam, box = np.where(rows, draw.lam, 1.0), draw.box
    if box is not None:
        box = box.only(rows)
    return replace(draw, lam=lam, box=box, parts=tuple(restrict(part, rows) for part in draw.parts))
