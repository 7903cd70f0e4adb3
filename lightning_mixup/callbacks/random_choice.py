"""One method a batch, or a sample."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from lightning_mixup.callbacks.around import Several, restrict
from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.composite import Composite
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.schedules import Moment, Schedule


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

    Examples:
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
        in_order = self._in_order()
        self._require("weights", weights, any(weight != 0 for weight in in_order), "not all 0")
        for index, weight in enumerate(in_order):
            self._require("weights", weight, callable(weight) or not isinstance(weight, (bool, str)), "numbers")
            self.scheduled(f"weights.{index}", weight)
        self._require("per_sample", per_sample, isinstance(per_sample, bool), "True or False")
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

    def _draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        when: float | Moment,
        targets: Sequence[Tensor],
        memory: Mapping[Key, Tensor] | None,
    ) -> Draw:
        values = self.values(when)
        shares = [values[f"weights.{index}"] for index in range(len(self.parts))]
        total, batch_size = sum(shares), len((*inputs, *targets)[0])
        clean = Draw()
        clean.batch_size = batch_size
        if total == 0:
            return clean
        if not self.per_sample:
            point, index = rng.random() * total, 0
            while point >= shares[index] and index < len(shares) - 1:
                point, index = point - shares[index], index + 1
            return self.parts[index]._draw(rng, inputs, when, targets, memory)
        below = np.cumsum(shares)
        chosen = np.searchsorted(below, rng.random(batch_size) * total, side="right").clip(max=len(shares) - 1)
        draws = [part._draw(rng, inputs, when, targets, memory) for part in self.parts]
        mixing = [(index, draw) for index, draw in enumerate(draws) if draw.method is not None]
        if not mixing:
            return draws[0]
        # Labels have one partner, whichever method they are mixed by.
        shift = mixing[0][1].shift
        several = Several([restrict(draw.align(shift), chosen == index) for index, draw in mixing])
        several.method = self
        return clean if np.all(several.lam == 1) else several

    def decide(self, *args: object) -> Draw | None:
        """The parts decide."""
        raise NotImplementedError
