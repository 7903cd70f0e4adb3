"""What chance decided, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_mixup.functional import Box
from lightning_mixup.functional.sampling import ByValue, Floats

if TYPE_CHECKING:
    from lightning_mixup.callbacks.base import MixCallback


@dataclass(frozen=True, eq=False)
class Draw(ByValue):
    """What chance decided for one batch.

    Attributes:
        batch_size: Number of samples B.
        lam: Weight of the original samples: a number, or an array of shape ``(B,)``, one for each sample.
        shift: Sample ``i`` is mixed with sample ``(i + shift) % B``: a number, or a tensor of shape ``(B,)``, one for
            each sample.
        alpha: Strength at this moment of training.
        prob: Probability at this moment of training.
        method: The callback that mixes the batch; None leaves it as it is.
        box: The pasted region, of CutMix.
        layer: Where the batch is mixed, of Manifold Mixup.
        memory: The batch to find partners in instead, by the keys of its inputs and targets.
        parts: The draws of other methods that this one is made of.
    """

    batch_size: int
    lam: float | Floats = 1.0
    shift: int | Tensor = 0
    alpha: float = 0.0
    prob: float = 0.0
    method: MixCallback | None = field(default=None, repr=False, compare=False)
    box: Box | None = None
    layer: str | None = None
    memory: Mapping[int | str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    parts: tuple[Draw, ...] = ()

    def forgetful(self) -> Draw:
        """The same without the memory, which would keep a batch alive."""
        return replace(self, memory={}, parts=tuple(part.forgetful() for part in self.parts))

    def weight(self, like: Tensor) -> float | Tensor:
        """``lam`` as the kernels take it: the number, or a tensor of shape ``(B,)`` on the device of ``like``."""
        if isinstance(self.lam, float):
            return self.lam
        dtype = torch.promote_types(like.dtype, torch.float32) if like.is_floating_point() else torch.float32
        return torch.from_numpy(self.lam).to(like.device, dtype, non_blocking=True)
