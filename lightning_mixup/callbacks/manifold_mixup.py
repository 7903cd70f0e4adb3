"""Manifold Mixup: Mixup of hidden states."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_mixup.callbacks import containers
from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.functional import Pairing, mixup
from lightning_mixup.schedules import Schedule

_INPUT = "input"
_WRAPPERS = re.compile(r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|module)(?=\.|$)")


class ManifoldMixup(MixCallback):
    """Mix the hidden states of a layer, another one for every batch (Verma et al., ICML 2019).

    The layer is chosen uniformly from the eligible ones. A layer that runs more than once in a step is mixed the first
    time.

    Args:
        alpha: Strength, at least 0: weights are drawn from Beta(alpha, alpha). 0 mixes nothing.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. This and ``alpha`` may be a
            ``Schedule``.
        layers: Names of eligible submodules as in ``named_modules()``, ``"input"`` for the input of the network. In a
            name ``*`` stands for any part of it between dots and ``**`` for any part. None takes the input and the
            first two stages of the network, as in the paper, or the embedding in place of the input; the choice is
            logged. Name whole blocks: to mix inside a residual branch leaves the other branch unmixed.
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
        layers: Sequence[str] | None = None,
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
        self._require("layers", layers, not isinstance(layers, str) and layers != [], "None or a sequence of names")
        # The batch before has left no hidden states: its weights are old, and its graph is gone.
        what = "one within the batch, or Mixup(pairing='memory') for the inputs"
        self._require("pairing", pairing, not self.remembers, what)
        self.layers = None if layers is None else tuple(layers)
        self.eligible: tuple[str, ...] = ()
        self._hooks: dict[str, _LayerHook] = {}

    def attach(self, pl_module: LightningModule) -> None:
        """Hook every eligible layer once, so that a compiled network knows of all of them from the start."""
        modules = {_clean(name): module for name, module in pl_module.named_modules() if _clean(name)}
        self.eligible = default_layers(pl_module) if self.layers is None else self._match(self.layers, modules)
        hidden = [name for name in self.eligible if name != _INPUT]
        self._hooks = {name: _LayerHook(name, modules[name], pl_module.device) for name in hidden}
        rank_zero_info(f"ManifoldMixup: one layer a batch of {', '.join(self.eligible)}")

    def detach(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks.values():
            hook.handle.remove()
        self._hooks = {}

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs that are to be mixed and cannot be."""
        if _INPUT in self.eligible:
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
        return [mixup(x, draw.weight(x), draw.shift) for x in inputs] if draw.layer == _INPUT else inputs

    def arm(self, draw: Draw) -> None:
        """Let the chosen layer mix its next output."""
        if draw.layer in self._hooks:
            self._hooks[draw.layer].arm(draw)

    def verify(self, draw: Draw) -> None:
        """Raise if the chosen layer has not run, for then only the labels were mixed."""
        if draw.layer in self._hooks and not self._hooks[draw.layer].ran:
            raise self._error(
                f"layer {draw.layer!r} did not run in training_step, so that the labels were mixed and nothing else; "
                "leave it out of layers or, if it ran compiled before this fit, call torch.compiler.reset() first"
            )

    def disarm(self) -> None:
        """Leave all layers as they are."""
        for hook in self._hooks.values():
            hook.disarm()

    def __getstate__(self) -> dict[str, Any]:
        """A copy is not attached to the module of the original."""
        return {**super().__getstate__(), "_hooks": {}}

    def _match(self, patterns: Sequence[str], modules: Mapping[str, nn.Module]) -> tuple[str, ...]:
        eligible: dict[str, None] = {}
        for pattern in patterns:
            known = (_INPUT, *modules)
            glob = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", r"[^.]*")
            found = [name for name in known if re.fullmatch(glob, name)]
            if not found:
                near = difflib.get_close_matches(pattern, known, n=5, cutoff=0.3)
                raise self._error(f"no layer is called {pattern!r}; similar: {near}")
            eligible.update(dict.fromkeys(found))
        return tuple(eligible)


def default_layers(network: nn.Module) -> tuple[str, ...]:
    """Where to mix if nobody says: the input, or the embedding in its place, and the first two stages.

    A stage is a direct part of the network with at least two layers of weights; a network without such parts has its
    layers for stages. The last part is the output and never eligible.

    Args:
        network: A network, or a module that holds one beside losses and metrics.

    Returns:
        Names as in ``network.named_modules()``, and ``"input"``.

    Examples:
        >>> blocks = [nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)) for _ in range(3)]
        >>> default_layers(nn.Sequential(nn.Linear(2, 4), *blocks, nn.Linear(4, 2)))
        ('input', '1', '2')
    """
    embedding = next((_clean(name) for name, part in network.named_modules() if isinstance(part, nn.Embedding)), None)
    parts = list(_parts(network, ""))
    stages = [part for part in parts if _depth(part[1]) > 1]
    while len(stages) == 1 and len(deeper := list(_parts(stages[0][1], stages[0][0]))) > 1:
        parts, stages = deeper, [part for part in deeper if _depth(part[1]) > 1]
    names = [_clean(name) for name, _ in (stages or parts) if name != parts[-1][0]]
    return (embedding or _INPUT, *names[:2])


def _parts(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Direct parts that hold weights; those of a mere list of modules, which is never called, in its place."""
    for name, part in module.named_children():
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(part, (nn.ModuleList, nn.ModuleDict)) or hasattr(part, "_orig_mod"):
            yield from _parts(part, path)
        elif _depth(part) > 0:
            yield path, part


def _depth(module: nn.Module) -> int:
    return sum(weight.ndim > 1 for weight in module.parameters())


def _clean(name: str) -> str:
    """A name without what wrappers (compiled, sharded, checkpointed) put in it."""
    return _WRAPPERS.sub("", name).removeprefix(".")


class _LayerHook:
    """Mixes the first output of its layer while it is armed.

    What changes from step to step are a flag and tensors, so that a compiled network is compiled once for each layer
    and never for a draw.
    """

    def __init__(self, name: str, module: nn.Module, device: torch.device) -> None:
        self.name = name
        self.device = device
        self.armed = self.ran = False
        self.handle: RemovableHandle = module.register_forward_hook(self)

    def arm(self, draw: Draw) -> None:
        self.batch_size, self.shift = draw.batch_size, draw.shift
        self.lam = draw.weight(torch.empty(0, device=self.device))
        # Compiled code takes both as tensors: of numbers it would make constants.
        self.lam_tensor, self.shift_tensor = (
            torch.as_tensor(value).to(self.device, non_blocking=True) for value in (self.lam, self.shift)
        )
        self.armed, self.ran = True, False

    def disarm(self) -> None:
        self.armed = False

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ANN401
        if not self.armed or (self.ran and not _recomputing()):
            return None
        self.ran = True
        return self._mix(output)

    def _mix(self, output: Any) -> Any:  # noqa: ANN401
        if not isinstance(output, Tensor):
            entries = output.items() if isinstance(output, Mapping) else enumerate(output)
            for key, entry in entries:
                if isinstance(entry, Tensor) and entry.is_floating_point():
                    return containers.replace(output, key, self._mix(entry))
            raise TypeError(f"ManifoldMixup: layer {self.name!r} returned no floating point tensor: {type(output)}")
        if not output.ndim or len(output) != self.batch_size:
            raise ValueError(
                f"ManifoldMixup: layer {self.name!r} returned shape {tuple(output.shape)}, of which the first "
                f"dimension is not the batch of {self.batch_size}; choose another layer"
            )
        if torch.compiler.is_compiling():
            return mixup(output, self.lam_tensor, self.shift_tensor)
        return mixup(output, self.lam, self.shift)


def _recomputing() -> bool:
    """Whether activation checkpointing runs a layer again, in the backward pass: it must find it mixed as before."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
