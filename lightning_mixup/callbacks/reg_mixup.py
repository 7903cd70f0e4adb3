"""RegMixup: clean and mixed samples together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.callbacks.base import Draw, MixCallback
from lightning_mixup.callbacks.composite import Composite, restrict
from lightning_mixup.callbacks.mixup import Mixup
from lightning_mixup.functional import Box


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

    Example:
        >>> RegMixup()
        RegMixup(method=Mixup(alpha=20.0))
    """

    def __init__(self, method: MixCallback | None = None) -> None:
        self.method = Mixup(alpha=20.0) if method is None else method
        super().__init__((self.method,))

    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        progress: float,
        targets: Sequence[Tensor] = (),
        memory: Mapping[int | str, Tensor] | None = None,
    ) -> Draw:
        """Let the method draw, for the second of two copies of the batch."""
        draw = self.method.draw(rng, inputs, progress, targets, memory)
        if draw.method is None:
            return draw
        return restrict(_doubled(draw, inputs[0].device), np.arange(2 * draw.batch_size) >= draw.batch_size)

    def mix_batch(self, batch: Any, draw: Draw) -> dict[int | str, Tensor]:  # noqa: ANN401
        """Mix two copies of the batch, one behind the other. See :meth:`MixCallback.mix_batch`."""
        entries = {key: self._get(batch, key) for key in (*self.input_key, *self.target_key)}
        return super().mix_batch({key: torch.cat([entry, entry]) for key, entry in entries.items()}, draw)


def _doubled(draw: Draw, device: torch.device) -> Draw:
    """Leave the first copy alone, and find the partners of the second within it or in the memory."""
    size, box = draw.batch_size, draw.box
    lam = np.tile(np.broadcast_to(draw.lam, size), 2)
    place = torch.arange(size, device=device)
    # Counted from the second copy on, the partner in the memory is one batch nearer.
    shift = torch.full_like(place, -size) if draw.memory else (place + draw.shift) % size - place
    if box is not None:
        low, high = (np.tile(np.broadcast_to(at, (size, at.shape[-1])), (2, 1)) for at in (box.low, box.high))
        box = Box(low, high, lam)
    return replace(
        draw,
        batch_size=2 * size,
        lam=lam,
        shift=torch.cat([torch.zeros_like(shift), shift]),
        box=box,
        parts=tuple(_doubled(part, device) for part in draw.parts),
    )
