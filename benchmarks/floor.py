"""What a step can cost at least: mixing as a callback on an unchanged module, and nothing else.

No checks beyond one look at the structure of a batch, no schedules, no guard against foreign batches, integer labels
and ``cross_entropy`` with its mean alone. What the library takes more than this is what its promises cost.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn


class Pair(Tensor):
    """Labels ``a`` and ``b`` with the weight ``lam`` of the first."""

    a: Tensor
    b: Tensor
    lam: float | Tensor

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        with torch._C.DisableTorchFunctionSubclass():
            if func is not F.cross_entropy:
                return func(*args, **(kwargs or {}))
            logits, pair = args
            log_probabilities = logits.log_softmax(1)
            how = "mean" if isinstance(pair.lam, float) else "none"
            first, second = (F.nll_loss(log_probabilities, half, reduction=how) for half in (pair.a, pair.b))
            return torch.lerp(second, first, pair.lam).mean()


class Floor(Callback):
    """Mixes images and labels.

    Args:
        cut: Paste a box (CutMix) instead of interpolating.
        per_sample: Draw for every sample.
        layers: Names of layers, one of which is mixed in each step (Manifold Mixup).
    """

    def __init__(self, cut: bool = False, per_sample: bool = False, layers: Sequence[str] = ()) -> None:
        self.cut, self.per_sample, self.layers = cut, per_sample, layers
        # One generator for the whole fit, whose counter is set to the step: a new one costs many times that.
        self.bits = np.random.Philox(key=np.array([1, 0], dtype=np.uint64))
        self.rng = np.random.Generator(self.bits)
        self.state = self.bits.state
        self.step, self.shift = 0, 1
        self.known: Any = None
        self.at: nn.Module | None = None
        self.lam: Any = 1.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        module: Any = pl_module
        plain = module.training_step
        found = [pl_module.get_submodule(name) for name in self.layers]

        def mix_output(layer: nn.Module, args: object, output: Tensor) -> Tensor:
            if layer is not self.at:
                return output
            self.at = None
            return torch.lerp(output.roll(self.shift, 0), output, self.lam)

        def step(batch: tuple[Tensor, Tensor], *args: object) -> Any:  # noqa: ANN401
            x, y = batch
            if found:
                self.at = found[self.shift % len(found)]
            else:
                x = self._mix(x)
            pair = y.as_subclass(Pair)
            pair.a, pair.b, pair.lam = y, y.roll(self.shift, 0), self.lam
            return plain((x, pair), *args)

        for layer in found:
            layer.register_forward_hook(mix_output)
        module.training_step = step

    def _mix(self, x: Tensor) -> Tensor:
        if not self.cut:
            return torch.lerp(x.roll(self.shift, 0), x, self.lam.view(-1, 1, 1, 1) if self.per_sample else self.lam)
        if self.per_sample:
            return torch.where(self.mask, x.roll(self.shift, 0), x)
        top, bottom, left, right = self.box
        mixed = x.clone()
        mixed[:, :, top:bottom, left:right] = x[:, :, top:bottom, left:right].roll(self.shift, 0)
        return mixed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401, D102
        x, y = batch
        structure: Any = (type(batch), x.shape, x.dtype, y.shape, y.dtype)
        if structure != self.known:
            self.known = structure
        self.state["state"]["counter"][3] = self.step
        self.state["buffer_pos"], self.state["has_uint32"] = 4, 0
        self.bits.state = self.state
        self.step += 1
        self.shift = 1 + int(self.rng.random() * (len(x) - 1))
        lam: Any = self.rng.beta(1.0, 1.0, len(x) if self.per_sample else None)
        if self.cut:
            lam = self._boxes(lam, *x.shape[-2:]) if self.per_sample else self._box(lam, *x.shape[-2:])
        self.lam = torch.from_numpy(lam.astype(np.float32)) if self.per_sample else lam

    def _box(self, lam: float, height: int, width: int) -> float:
        side = (1 - lam) ** 0.5
        h, w = int(height * side), int(width * side)
        top, left = int(self.rng.random() * height) - h // 2, int(self.rng.random() * width) - w // 2
        top, bottom, left, right = max(top, 0), min(top + h, height), max(left, 0), min(left + w, width)
        self.box = top, bottom, left, right
        return 1 - (bottom - top) * (right - left) / (height * width)

    def _boxes(self, lam: np.ndarray, height: int, width: int) -> np.ndarray:
        size = np.array([[height], [width]])
        side = (size * np.sqrt(1 - lam)).astype(np.int64)
        start = (self.rng.random(side.shape) * size).astype(np.int64) - side // 2
        low, high = np.maximum(start, 0), np.minimum(start + side, size)
        rows, columns = (
            torch.from_numpy((np.arange(n) >= a[:, None]) & (np.arange(n) < b[:, None]))
            for n, a, b in zip((height, width), low, high, strict=True)
        )
        self.mask = rows[:, None, :, None] & columns[:, None, None, :]
        return np.asarray(1 - (high - low).prod(0) / (height * width))
