"""Mixup: convex combinations of samples."""

from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.options import Options
from lightning_mixup.functional import mixup, sample_lam
from lightning_mixup.schedules import Schedule


class Mixup(MixCallback):
    """Train on convex combinations of samples and of their labels (Zhang et al., ICLR 2018).

    Works on any floating point input ``(B, ...)``. Published strengths: 0.1 to 0.4 on ImageNet, 1 on CIFAR, 8 to 32
    where many labels are wrong.

    Args:
        alpha: Strength, at least 0: weights are drawn from Beta(alpha, alpha). 0 mixes nothing. A number or a
            ``Schedule``.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. A number or a ``Schedule``.
        **options: What all methods share, see ``Options``.

    Raises:
        TypeError: If an option has a name that does not exist.
        ValueError: If an argument is not accepted.

    Examples:
        >>> Mixup(alpha=0.4, prob=0.5)
        Mixup(alpha=0.4, prob=0.5)
    """

    by_shapes = True

    def __init__(self, alpha: float | Schedule = 0.2, prob: float | Schedule = 1.0, **options: Unpack[Options]) -> None:
        super().__init__(prob, **options)
        self.alpha = self.scheduled("alpha", alpha)

    def decide(
        self, rng: np.random.Generator, count: int | None, inputs: Sequence[Tensor], values: Mapping[str, float]
    ) -> Draw:
        """Draw the weight. See `Method.decide`."""
        return Blend(sample_lam(rng, values["alpha"], count))


class Blend(Draw):
    """A weighted mean of every sample and its partner."""

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """See `Draw.mix`."""
        return mixup(x, self.weights, self.shift, inplace=self.method.inplace, memory=self.memory.get(key))

    def only(self, rows: NDArray[np.bool_]) -> Draw:
        """See `Draw.only`."""
        return Blend(np.where(rows, self.lam, 1.0))
