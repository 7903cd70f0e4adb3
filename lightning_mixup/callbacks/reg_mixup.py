"""RegMixup: clean and mixed samples together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.composite import Composite, restrict
from lightning_mixup.callbacks.draw import Draw
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
        self._require("method", method, not self.inplace, "out of place, for the clean batch is trained on, too")

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
        second = np.arange(2 * draw.batch_size) >= draw.batch_size
        return replace(restrict(_doubled(draw, inputs[0].device), second), parts=(draw,))

    def mix_batch(self, batch: Any, draw: Draw) -> dict[int | str, Tensor]:  # noqa: ANN401
        """Put the mixed batch behind the clean one. See :meth:`MixCallback.mix_batch`."""
        inputs = {key: self._get(batch, key) for key in self.input_key}
        targets = {key: self._get(batch, key) for key in self.target_key}
        return super().mix_batch({**inputs, **{key: torch.cat([y, y]) for key, y in targets.items()}}, draw)

    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """Put the mixed inputs behind the clean ones."""
        mixed = super().mix(inputs, draw.parts[0])
        return [torch.cat(pair) for pair in zip(inputs, mixed, strict=True)]

    def mix_mask(self, mask: Tensor, draw: Draw, memory: Tensor | None = None) -> Tensor | None:
        """Put the mixed mask behind the clean one."""
        clean = mask[: draw.parts[0].batch_size]
        mixed = super().mix_mask(clean, draw.parts[0], memory)
        return None if mixed is None else torch.cat([clean, mixed])


def _doubled(draw: Draw, device: torch.device) -> Draw:
    """The same for each of two copies; the second finds its partners within itself, or in the memory."""
    size, box = draw.batch_size, draw.box
    lam = np.tile(np.broadcast_to(draw.lam, size), 2)
    place = torch.arange(size, device=device)
    # Counted from the second copy on, the partner in the memory is one batch nearer.
    shift = torch.full_like(place, -size) if draw.memory else (place + draw.shift) % size - place
    if box is not None:
        low, high = (np.tile(corner, (2, 1)) for corner in (box.rows(size).low, box.rows(size).high))
        box = Box(low, high, lam)
    shift = torch.cat([torch.zeros_like(shift), shift])
    return replace(draw, batch_size=2 * size, lam=lam, shift=shift, box=box, parts=())
