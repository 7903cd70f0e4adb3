"""One method a batch, or a sample."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.composite import Composite, restrict
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.schedules import Schedule, as_schedule


class RandomChoice(Composite):
    """Mix every batch by one method of several, chosen at random.

    Mixup 0.8 and CutMix 1.0 with equal weights are what DeiT trains with (Touvron et al. 2021, table 9).

    Args:
        methods: The callbacks to choose from, given to this one and not to the Trainer: a sequence, or a mapping from
            names. They must agree on seed, keys and targets.
        weights: Chance of each method relative to the others, at least 0, numbers or schedules, in the order of the
            methods or by their names; None makes them equal. While all are 0 nothing is mixed.
        per_sample: Choose for every sample instead of once for the batch. Then all methods have to be ``per_sample``,
            to mix inputs and not hidden states, out of place, and to have one pairing.

    Raises:
        ValueError: If there is no method, if methods disagree or cannot be chosen per sample, or if weights are not a
            number of at least 0 for each.

    Example:
        >>> from lightning_mixup import CutMix, Mixup
        >>> RandomChoice([Mixup(alpha=0.8), CutMix(alpha=1.0)], weights=[1, 3])
        RandomChoice(methods=(Mixup(alpha=0.8), CutMix()), weights=(1, 3))
    """

    def __init__(
        self,
        methods: Sequence[MixCallback] | Mapping[str, MixCallback],
        weights: Sequence[float | Schedule] | Mapping[str, float | Schedule] | None = None,
        per_sample: bool = False,
    ) -> None:
        super().__init__(tuple(methods.values()) if isinstance(methods, Mapping) else tuple(methods))
        self.methods = dict(methods) if isinstance(methods, Mapping) else self.parts
        self.weights: dict[str, float | Schedule] | tuple[float | Schedule, ...] | None = None
        if weights is not None:
            self.weights = dict(weights) if isinstance(weights, Mapping) else tuple(weights)
        self._require("weights", weights, any(weight != 0 for weight in self._in_order()), "not all 0")
        self._shares = [self._schedule("weights", weight, "of at least 0, or schedules") for weight in self._in_order()]
        if per_sample:
            for part in self.parts:
                fits = part.per_sample and not part.inplace and not part.hidden
                self._require("methods", part, fits, "per_sample=True, out of place and of inputs, to be chosen so")
            pairings = {part.pairing for part in self.parts}
            self._require("pairing", pairings, len(pairings) == 1, "the same of all methods, to choose per sample")
        self.per_sample = per_sample

    def _in_order(self) -> tuple[float | Schedule, ...]:
        """The weights in the order of the methods."""
        if self.weights is None:
            return (1.0,) * len(self.parts)
        names = tuple(self.methods) if isinstance(self.methods, dict) else ()
        if isinstance(self.weights, dict):
            self._require("weights", self.weights, self.weights.keys() == set(names), f"one each for {names}, by name")
            return tuple(self.weights[name] for name in names)
        count = len(self.parts)
        self._require("weights", self.weights, len(self.weights) == count, f"{count} numbers or schedules")
        return self.weights

    def bind(self, epochs: float | None, steps: float | None) -> None:
        """Bind the weights, and the schedules of every method."""
        super().bind(epochs, steps)
        self._shares = [self._bind("weights", as_schedule(weight), epochs, steps) for weight in self._in_order()]

    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        progress: float,
        targets: Sequence[Tensor] = (),
        memory: Mapping[int | str, Tensor] | None = None,
    ) -> Draw:
        """Choose a method and let it draw, or let all of them draw and choose for every sample."""
        shares = np.cumsum([share(progress) for share in self._shares])
        batch_size = len(inputs[0])
        if shares[-1] == 0:
            return Draw(batch_size)
        point = rng.random(batch_size if self.per_sample else None) * shares[-1]
        chosen = np.minimum(np.searchsorted(shares, point, side="right"), len(shares) - 1)
        if not self.per_sample:
            return self.parts[int(chosen)].draw(rng, inputs, progress, targets, memory)
        draws = [part.draw(rng, inputs, progress, targets, memory) for part in self.parts]
        drawn = [(index, draw) for index, draw in enumerate(draws) if draw.method is not None]
        if not drawn:
            return draws[0]
        # Labels have one partner, whichever method it is mixed by.
        shift = drawn[0][1].shift
        parts = tuple(restrict(replace(draw, shift=shift), chosen == index) for index, draw in drawn)
        lam = np.minimum.reduce([np.asarray(part.lam) for part in parts])
        if np.all(lam == 1):
            return Draw(batch_size)
        return replace(parts[0], lam=lam, method=self, box=None, parts=parts)

    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """See :meth:`MixCallback.mix`."""
        if not draw.parts:
            return super().mix(inputs, draw)
        # Partners as they were before another method came to them.
        memory = draw.memory or dict(zip(self.input_key, inputs, strict=True))
        for part in draw.parts:
            inputs = super().mix(inputs, replace(part, memory=memory))
        return inputs

    def mix_mask(self, mask: Tensor, draw: Draw, memory: Tensor | None = None) -> Tensor | None:
        """See :meth:`MixCallback.mix_mask`."""
        if not draw.parts:
            return super().mix_mask(mask, draw, memory)
        source = mask if memory is None else memory
        for part in draw.parts:
            cut = super().mix_mask(mask, part, source)
            if cut is None:
                raise self._error(
                    "a mask is cut by CutMix and mixed by others, and cannot be both; take per_sample=False here"
                )
            mask = cut
        return mask
