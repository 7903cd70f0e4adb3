"""RegMixup: clean and mixed samples together."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from lightning_mixup.callbacks.around import Behind
from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.composite import Composite
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.mixup import Mixup
from lightning_mixup.schedules import Moment


class RegMixup(Composite):
    """Train on every batch twice at once, as it is and mixed (Pinto et al., NeurIPS 2022).

    ``training_step`` receives the clean inputs and targets with the mixed ones behind them, ``2B`` samples, so that its
    loss is the mean of the clean and of the mixed loss, as in the authors' code. Statistics of batch normalisation and
    metrics of the step are of all ``2B``; a step takes about twice as long. All other entries of the batch stay as they
    are, with ``B`` samples. A batch that the method leaves as it is (see ``prob``) is not doubled.

    Args:
        method: The callback that mixes, any but this one, given to it and not to the Trainer. None is
            ``Mixup(alpha=20.0)``, the paper's for CIFAR-10; it took 10 for CIFAR-100.

    Raises:
        ValueError: If that is no mix callback.

    Examples:
        >>> RegMixup()
        RegMixup(method=Mixup(alpha=20.0))
    """

    doubles = True

    def __init__(self, method: MixCallback | None = None) -> None:
        self.method = Mixup(alpha=20.0) if method is None else method
        super().__init__((self.method,))
        self._require("method", method, not self.inplace, "out of place, for the clean batch is trained on, too")

    def _draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        when: float | Moment,
        targets: Sequence[Tensor],
        memory: Mapping[Key, Tensor] | None,
    ) -> Draw:
        draw = self.method._draw(rng, inputs, when, targets, memory)
        return draw if draw.method is None else Behind(draw)

    def decide(self, *args: object) -> Draw | None:
        """The method decides."""
        raise NotImplementedError
