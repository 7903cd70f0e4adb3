"""Manifold Mixup: Mixup of hidden states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.hidden import HiddenLayers, split
from lightning_mixup.callbacks.hidden import default_layers as default_layers
from lightning_mixup.callbacks.options import Options
from lightning_mixup.functional import mixup, sample_lam
from lightning_mixup.functional.sampling import Floats
from lightning_mixup.schedules import Schedule

_INPUT = "input"


class ManifoldMixup(MixCallback):
    """Mix the hidden states of a layer, another one for every batch (Verma et al., ICML 2019).

    The layer is chosen uniformly from the eligible ones. Mixed is the run of it that trains, with gradients on, and in
    its output every tensor that has the batch in front.

    Args:
        alpha: Strength, at least 0: weights are drawn from Beta(alpha, alpha). 0 mixes nothing. A number or a
            ``Schedule``.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. A number or a ``Schedule``.
        layers: Names of eligible submodules as in ``named_modules()``, ``"input"`` for the input of the network. In a
            name ``*`` stands for any part of it between dots and ``**`` for any part. None takes the input and the
            first two stages of the network, as in the paper, or the embedding in place of the input; the choice is
            logged. Name whole blocks: to mix inside a residual branch leaves the other branch unmixed. ``"a + b"`` are
            layers of two branches, mixed together. A mapping gives each name the order of its leading dimensions, of
            which ``b`` is the batch: ``{"encoder": "t b", "stage1": "(b w)"}`` for time in front of the batch, and for
            windows, those of a sample side by side.
        run: Which run of a layer is mixed, of those in a step that train, counted from 0; ``"all"`` for each of them,
            where they are on the same samples. None refuses a layer that trains more than once in a step.
        **options: What all methods share, see ``Options``. ``pairing="memory"`` and ``inplace=True`` are refused.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> ManifoldMixup(alpha=1.0, layers=["input", "net.layer*"])
        ManifoldMixup(alpha=1.0, layers=('input', 'net.layer*'))
    """

    hidden = True

    by_shapes = True

    def __init__(
        self,
        alpha: float | Schedule = 2.0,
        prob: float | Schedule = 1.0,
        *,
        layers: Sequence[str] | Mapping[str, str] | None = None,
        run: int | str | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(prob, **options)
        self.alpha = self.scheduled("alpha", alpha)
        named = layers is None or (not isinstance(layers, str) and bool(layers) and all(map(_is_name, layers)))
        self._require("layers", layers, named, "None or a sequence of names")
        counted = isinstance(run, int) and not isinstance(run, bool) and run >= 0
        self._require("run", run, run is None or run == "all" or counted, "None, a number of at least 0, or 'all'")
        # The batch before has left no hidden states: its weights are old, and its graph is gone.
        what = "one within the batch, or Mixup(pairing='memory') for the inputs"
        self._require("pairing", self.pairing, not self.remembers, what)
        self._require("inplace", self.inplace, not self.inplace, "False, as hidden states are not overwritten")
        targets = bool(self.target_key) or bool(self.input_key)
        self._require("target_key", None, targets, "the targets, if input_key is None")
        # A configuration's own lists and mappings become plain ones.
        self.layers = dict(layers) if isinstance(layers, Mapping) else None if layers is None else tuple(layers)
        self.run = run
        self._layers = HiddenLayers(self.layers, type(self).__name__, run)
        self.eligible: tuple[str, ...] = ()

    def attach(self, module: nn.Module) -> None:
        """Hook every eligible layer."""
        self.eligible = self._layers.attach(module, inputs=bool(self.input_key))
        if self.layers is None and self.eligible == (_INPUT,):
            rank_zero_info(
                f"ManifoldMixup: {type(module).__name__} has nothing to mix but its input, for no layer that trains "
                "stands in front of its last one: this is Mixup; name hidden layers with layers=[...]"
            )
        else:
            rank_zero_info(f"ManifoldMixup: one layer a batch of {', '.join(self.eligible)}")

    def detach(self) -> None:
        """Remove the hooks."""
        self._layers.detach()

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs that are to be mixed and cannot be."""
        if any(_mixes_input(layer) for layer in self.eligible):
            super().check(inputs)

    def decide(
        self, rng: np.random.Generator, count: int | None, inputs: Sequence[Tensor], values: Mapping[str, float]
    ) -> Draw:
        """Draw the layer as well. See `Method.decide`."""
        layer = self.eligible[int(rng.random() * len(self.eligible))] if self.eligible else _INPUT
        return Hidden(sample_lam(rng, values["alpha"], count), layer, self._layers)

    def tallies(self) -> tuple[str, ...]:
        """Every layer that may be chosen."""
        return tuple(f"layer/{name}" for name in self.eligible)


class Hidden(Draw):
    """A weighted mean of the hidden states of every sample and its partner.

    Args:
        lam: Weight of the original samples.
        layer: Where the batch is mixed.
        layers: Mixes there.
    """

    def __init__(self, lam: float | Floats, layer: str, layers: HiddenLayers) -> None:
        super().__init__(lam)
        self.layer = layer
        self.hidden = layer != _INPUT
        self._layers = layers

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """Mix the input if it is the layer; a hidden layer is mixed when it runs."""
        return mixup(x, self.weights, self.shift) if _mixes_input(self.layer) else x

    def arm(self, lam: float | Floats, shift: int | Tensor, batch_size: int, device: torch.device) -> None:
        """Let the layer mix its next output."""
        self._layers.arm(self.layer, batch_size, lam, shift, device)

    def verify(self) -> None:
        """Raise if the layer was not mixed, for then only the labels were."""
        self._layers.verify()

    def disarm(self) -> None:
        """Leave all layers as they are."""
        self._layers.disarm()

    def only(self, rows: NDArray[np.bool_]) -> Draw:
        """See `Draw.only`."""
        return Hidden(np.where(rows, self.lam, 1.0), self.layer, self._layers)

    def where(self) -> str:
        """Where the batch is mixed."""
        return f" of layer {self.layer} (shown is its clean input)" if self.hidden else " of the input"

    def tally(self, lam: NDArray[np.float32]) -> dict[str, float]:
        """Count the layer."""
        return {f"layer/{self.layer}": len(lam)}

    def _decided(self) -> dict[str, Any]:
        return {name: value for name, value in super()._decided().items() if name not in ("_layers", "hidden")}


def _is_name(layer: object) -> bool:
    return isinstance(layer, str)


def _mixes_input(layer: str) -> bool:
    return _INPUT in split(layer)
