"""One method a batch."""

from collections.abc import Mapping, Sequence

import numpy as np
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_mixup.callbacks.base import Draw, MixCallback
from lightning_mixup.schedules import Schedule, as_schedule


class RandomChoice(MixCallback):
    """Mix every batch by one method of several, chosen at random.

    Mixup 0.8 and CutMix 1.0 with equal weights are what DeiT trains with (Touvron et al. 2021, table 9).

    Args:
        methods: The callbacks to choose from, given to this one and not to the Trainer. They must agree on seed, keys
            and targets.
        weights: Chance of each method relative to the others, at least 0, numbers or schedules; None makes them equal.
            While all are 0 nothing is mixed.

    Raises:
        ValueError: If there is no method, if methods disagree, or if weights are not a number of at least 0 for each.

    Example:
        >>> from lightning_mixup import CutMix, Mixup
        >>> RandomChoice([Mixup(alpha=0.8), CutMix(alpha=1.0)], weights=[1, 3])
        RandomChoice(methods=(Mixup(alpha=0.8), CutMix()), weights=(1, 3))
    """

    def __init__(self, methods: Sequence[MixCallback], weights: Sequence[float | Schedule] | None = None) -> None:
        methods = tuple(methods)
        if not methods or not all(isinstance(method, MixCallback) for method in methods):
            raise ValueError(f"RandomChoice: methods must be mix callbacks, at least one, got {methods!r}")
        shared = {
            name: [getattr(method, name) for method in methods]
            for name in ("targets", "num_classes", "input_key", "target_key", "loss", "sync_ranks", "seed")
        }
        for name, values in shared.items():
            if any(value != values[0] for value in values):
                raise ValueError(f"RandomChoice: all methods need the same {name}, got {values}")
        super().__init__(methods[0].alpha, **{name: values[0] for name, values in shared.items()})
        weights = (1.0,) * len(methods) if weights is None else tuple(weights)
        self._require("weights", weights, len(weights) == len(methods), f"{len(methods)} numbers or schedules")
        self._shares = [self._schedule("weights", weight, "of at least 0, or schedules") for weight in weights]
        self._require("weights", weights, any(weight != 0 for weight in weights), "not all 0")
        self.methods = methods
        self.weights = weights

    @property
    def remembers(self) -> bool:
        """Whether one of the methods finds partners in the batch before."""
        return any(method.remembers for method in self.methods)

    def bind(self, epochs: float | None, steps: float | None) -> None:
        """Bind the weights, and the schedules of every method."""
        self._shares = [self._bind("weights", as_schedule(weight), epochs, steps) for weight in self.weights]
        for method in self.methods:
            method.bind(epochs, steps)

    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        progress: float,
        targets: Sequence[Tensor] = (),
        memory: Mapping[int | str, Tensor] | None = None,
    ) -> Draw:
        """Choose a method, and let it draw."""
        shares = np.cumsum([share(progress) for share in self._shares])
        if shares[-1] == 0:
            return Draw(len(inputs[0]))
        chosen = int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
        return self.methods[min(chosen, len(self.methods) - 1)].draw(rng, inputs, progress, targets, memory)

    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """See :meth:`MixCallback.mix`."""
        assert draw.method is not None
        return draw.method.mix(inputs, draw)

    def mix_mask(self, mask: Tensor, draw: Draw, memory: Tensor | None = None) -> Tensor | None:
        """See :meth:`MixCallback.mix_mask`."""
        assert draw.method is not None
        return draw.method.mix_mask(mask, draw, memory)

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse what one of the methods cannot mix."""
        for method in self.methods:
            method.check(inputs)

    def attach(self, pl_module: LightningModule) -> None:
        """Prepare the module for every method."""
        for method in self.methods:
            method.attach(pl_module)

    def detach(self) -> None:
        """Take back what every method did."""
        for method in self.methods:
            method.detach()

    def arm(self, draw: Draw) -> None:
        """Arm the chosen method."""
        assert draw.method is not None
        draw.method.arm(draw)

    def verify(self, draw: Draw) -> None:
        """Let the chosen method verify."""
        assert draw.method is not None
        draw.method.verify(draw)

    def disarm(self) -> None:
        """Disarm every method."""
        for method in self.methods:
            method.disarm()
