"""Manifold Mixup: Mixup of hidden states."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.hidden import HiddenLayers, split
from lightning_mixup.callbacks.hidden import default_layers as default_layers
from lightning_mixup.functional import Pairing, mixup
from lightning_mixup.schedules import Schedule

_INPUT = "input"


class ManifoldMixup(MixCallback):
    """Mix the hidden states of a layer, another one for every batch (Verma et al., ICML 2019).

    The layer is chosen uniformly from the eligible ones. Mixed is the run of it that trains, with gradients on, and in
    its output every tensor that has the batch in front.

    Args:
        alpha: Strength, at least 0: weights are drawn from Beta(alpha, alpha). 0 mixes nothing.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. This and ``alpha`` may be a
            ``Schedule``.
        layers: Names of eligible submodules as in ``named_modules()``, ``"input"`` for the input of the network. In a
            name ``*`` stands for any part of it between dots and ``**`` for any part. None takes the input and the
            first two stages of the network, as in the paper, or the embedding in place of the input; the choice is
            logged. Name whole blocks: to mix inside a residual branch leaves the other branch unmixed. ``"a + b"`` are
            layers of two branches, mixed together. A mapping gives each name the order of its leading dimensions, of
            which ``b`` is the batch: ``{"encoder": "t b", "stage1": "(b w)"}`` for time in front of the batch, and for
            windows, those of a sample side by side.
        run: Which run of a layer is mixed, of those in a step that train, counted from 0; ``"all"`` for each of them,
            where they are on the same samples. None refuses a layer that trains more than once in a step.
        per_sample: Draw a weight for every sample instead of one for the batch.
        pairing: Who is mixed with whom: ``"shift"``, ``"permutation"`` or ``"flip"``; ``"same_class"`` or
            ``"different_class"``; ``"nearest"``, or ``Nearest(bandwidth=...)``, for regression; ``"memory"`` for the
            batch before; or a ``Pairing`` of one's own. It looks at the first target.
        targets: What ``training_step`` receives for each target, one word for all or a sequence of words. ``"labels"``:
            a ``MixedTarget`` of both labels. ``"values"``: their weighted mean, for regression.
            ``"mask"``: a map over the pixels, which CutMix cuts with the image. ``"soft"``: probabilities of shape
            ``(B, num_classes)``. ``"auto"`` chooses by dtype and shape: floating ``(B,)`` or ``(B, 1)`` are values,
            what covers the spatial dimensions of the input is a mask, all else labels.
        num_classes: Number of classes for ``"soft"``; None takes the attribute of that name of the module, of its
            ``hparams`` or of the data module.
        input_key: Where the batch holds its inputs: an index, a key or the name of an attribute, with dots if nested,
            or a sequence of these. All inputs share one draw.
        target_key: Where the batch holds its targets, likewise; None mixes the inputs alone. All other entries pass
            untouched.
        loss: Name of a submodule that computes a loss of one's own, called as ``loss(pred, target)``; it is evaluated
            on both labels, as by ``interpolate_loss``.
        sync_ranks: Let all processes draw alike. By default each draws its own.
        seed: Seed of the draws in [0, 2**64); None follows ``seed_everything``, else one is drawn and logged.

    Raises:
        ValueError: If an argument is out of range.

    Examples:
        >>> ManifoldMixup(alpha=1.0, layers=["input", "net.layer*"])
        ManifoldMixup(alpha=1.0, layers=('input', 'net.layer*'))
    """

    hidden = True

    def __init__(
        self,
        alpha: float | Schedule = 2.0,
        prob: float | Schedule = 1.0,
        *,
        layers: Sequence[str] | Mapping[str, str] | None = None,
        run: int | str | None = None,
        per_sample: bool = False,
        pairing: str | Pairing = "shift",
        targets: str | Sequence[str] = "auto",
        num_classes: int | None = None,
        input_key: int | str | Sequence[int | str] = 0,
        target_key: int | str | Sequence[int | str] | None = 1,
        loss: str | None = None,
        sync_ranks: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            alpha,
            prob,
            per_sample=per_sample,
            pairing=pairing,
            targets=targets,
            num_classes=num_classes,
            input_key=input_key,
            target_key=target_key,
            loss=loss,
            sync_ranks=sync_ranks,
            seed=seed,
        )
        named = layers is None or (not isinstance(layers, str) and bool(layers) and all(map(_is_name, layers)))
        self._require("layers", layers, named, "None or a sequence of names")
        counted = isinstance(run, int) and not isinstance(run, bool) and run >= 0
        self._require("run", run, run is None or run == "all" or counted, "None, a number of at least 0, or 'all'")
        # The batch before has left no hidden states: its weights are old, and its graph is gone.
        what = "one within the batch, or Mixup(pairing='memory') for the inputs"
        self._require("pairing", pairing, not self.remembers, what)
        # A configuration's own lists and mappings become plain ones.
        self.layers = dict(layers) if isinstance(layers, Mapping) else None if layers is None else tuple(layers)
        self.run = run
        self._layers = HiddenLayers(self.layers, type(self).__name__, run)
        self.eligible: tuple[str, ...] = ()
        self._device = torch.device("cpu")

    def attach(self, pl_module: LightningModule) -> None:
        """Hook every eligible layer."""
        self.eligible = self._layers.attach(pl_module)
        self._device = pl_module.device
        if self.layers is None and self.eligible == (_INPUT,):
            rank_zero_info(
                f"ManifoldMixup: {type(pl_module).__name__} has nothing to mix but its input, for no layer that trains "
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

    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        progress: float,
        targets: Sequence[Tensor] = (),
        memory: Mapping[int | str, Tensor] | None = None,
    ) -> Draw:
        """Draw the layer as well."""
        draw = super().draw(rng, inputs, progress, targets, memory)
        if draw.method is None:
            return draw
        return replace(draw, layer=self.eligible[rng.integers(len(self.eligible))])

    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """Mix the inputs if they are the layer; a hidden layer is mixed when it runs."""
        if draw.layer is None or not _mixes_input(draw.layer):
            return inputs
        return [mixup(x, draw.weight(x), draw.shift) for x in inputs]

    def arm(self, draw: Draw) -> None:
        """Let the chosen layer mix its next output."""
        assert draw.layer is not None
        self._layers.arm(draw.layer, draw.batch_size, draw.lam, draw.shift, self._device)

    def verify(self, draw: Draw) -> None:
        """Raise if the chosen layer was not mixed, for then only the labels were."""
        self._layers.verify()

    def disarm(self) -> None:
        """Leave all layers as they are."""
        self._layers.disarm()


def _is_name(layer: object) -> bool:
    return isinstance(layer, str)


def _mixes_input(layer: str) -> bool:
    return _INPUT in split(layer)
