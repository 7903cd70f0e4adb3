"""A method at work on a network, in a loop of your own. The Trainer's hooks stand on the same steps."""

from __future__ import annotations

import contextlib
import operator
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_mixup.callbacks.ahead import Ahead
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.drawing import Method
from lightning_mixup.callbacks.mixing import Mixing
from lightning_mixup.callbacks.refusals import (
    SIGNALS,
    Found,
    check_batch,
    check_labels,
    check_loss,
    check_memory,
    find,
    require_floats,
)
from lightning_mixup.functional import unite
from lightning_mixup.schedules import Moment
from lightning_mixup.targets import mix_target
from lightning_mixup.targets.origin import Origin
from lightning_mixup.targets.pair import pair

_NO_ENTRY = (type(None), None, None)
_OF_A_FIT = ("_mixing", "_trainer", "_stand_in", "_draws", "_memory", "last")


class Loop(Method):
    """Mixes batch after batch for one network, and leaves it as it came.

    Args:
        prob: See `Method`.
        **options: Likewise.
    """

    last: Draw | None = None
    """How the last batch was mixed."""

    _mixing: Mixing | None = None
    _trainer: Any = None
    """Who else hands over batches."""
    _seed: int | None = None
    _draws: Ahead | None = None
    _classes: int | None = None
    _remembers: bool = False
    _structure: tuple[Any, ...] = ()
    _target_kinds: tuple[str, ...] = ()
    """Kinds of the targets of a batch of this structure."""
    _memory: Mapping[Key, Tensor] | None = None

    @property
    def mixed(self) -> dict[Key, Tensor] | None:
        """What ``training_step`` received, by key, as long as the batch lasts; None if it was left as it is."""
        return None if self._mixing is None else self._mixing.mixed

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs that the method cannot mix.

        Raises:
            MisconfigurationException: If an input is not floating point.
        """
        require_floats(self, inputs)

    def attach(self, module: nn.Module) -> None:
        """Prepare the module for a fit, where a method needs more than the batch."""

    def detach(self) -> None:
        """Take back what `attach` did. Without need it does nothing."""

    def mix_batch(self, batch: Any, draw: Draw) -> dict[Key, Tensor]:  # noqa: ANN401
        """Mix the inputs and targets of a batch.

        Args:
            batch: The clean batch.
            draw: How to mix it.

        Returns:
            The mixed entries by their keys.
        """
        found = find(self, batch)
        return self.mix_found(found, self.kinds([*found.inputs.values()], [*found.targets.values()]), draw)

    def mix_found(self, found: Found, kinds: Sequence[str], draw: Draw) -> dict[Key, Tensor]:
        """Mix inputs, and targets of kinds that are known. See `mix_batch`."""
        inputs, targets, words, masks = found
        # Targets first, for in place the inputs are overwritten, which a target may be a copy of.
        mixed: dict[Key, Any] = dict.fromkeys(inputs)  # which stand first
        for (key, target), kind, word in zip(targets.items(), kinds, words, strict=True):
            mixed[key] = self.mix_target(target, key, kind, word, draw)
        for key, mask in masks.items():
            own, partner = draw.pair(mask, key)
            mixed[key] = unite(own, partner, draw.weight(own))
        for key, x in inputs.items():
            mixed[key] = draw.mix(x, key)
        return mixed

    def mix_target(self, target: Tensor, key: Key, kind: str, word: str, draw: Draw) -> Tensor:
        """Mix one target, of a kind that is known. See `mix_batch`."""
        if kind == "mask" and (mask := draw.mix_mask(target, key)) is not None:
            return mask
        if kind == "soft":
            if self._classes is None:
                self._classes = self.num_classes
            if self._classes is not None:
                check_labels(self, target, self._classes)
        own, partner = draw.pair(target, key)
        kind, weight = "sampled" if word == "sampled" else kind, draw.weight(own)
        if kind == "labels":  # without the checks of `MixedTarget`: this is known to be in order
            lam = weight.view(-1, *[1] * (own.ndim - 1)) if isinstance(weight, Tensor) else weight
            return pair(own, partner, lam, Origin(inside=draw.inside()))
        return mix_target(
            kind,
            own,
            partner,
            weight,
            num_classes=self._classes,
            ignore_value=self.ignore_value,
            rng=np.random.default_rng(draw.coin) if kind == "sampled" else None,
        )

    @contextlib.contextmanager
    def step(
        self,
        batch: Any,  # noqa: ANN401
        *,
        step: int,
        module: nn.Module | None = None,
        rank: int = 0,
        progress: float | Moment = 0.0,
    ) -> Iterator[Any]:
        """Mix a batch for one step of a loop of your own, in plain PyTorch or Fabric.

        Within the block, losses take the mixed targets as they are, and ``loss.backward()`` works.

        Args:
            batch: The clean batch.
            step: Number of the batch since the start of training: the same step is mixed alike, also after a resume.
            module: The network, for hidden layers, and for its metrics and loss modules.
            rank: Rank of the process. Each draws its own.
            progress: Share of training that is done, in [0, 1], or a `Moment`, for schedules.

        Yields:
            The batch with mixed inputs and targets.

        Raises:
            ValueError: If ``step`` or ``rank`` is not a whole number of at least 0.
            MisconfigurationException: If the batch cannot be mixed.
            MixedTargetError: If mixed targets took part in no loss.

        Examples:
            >>> import torch
            >>> from lightning_mixup import Mixup
            >>> net, mix = nn.Linear(2, 3), Mixup(alpha=1.0, seed=0)
            >>> x, y = torch.eye(2), torch.tensor([0, 2])
            >>> with mix.step((x, y), step=0, module=net) as (inputs, targets):
            ...     nn.functional.cross_entropy(net(inputs), targets).backward()
            >>> inputs
            tensor([[0.0456, 0.9544],
                    [0.9544, 0.0456]])
        """
        if self._trainer is not None:
            raise self._error("step(...) is for loops of your own; in a Trainer the batches are mixed already")
        step = self._whole("step", step, "the number of the batch since the start of training")
        rank = self._whole("rank", rank, "the rank of the process")
        network = nn.Module() if module is None else module
        if self._mixing is None or (module is not None and self._mixing.module is not network):
            self._open(network, self._find_seed() if self.seed is None else self.seed)
        mixing = self._mixing
        assert mixing is not None
        self._draw_as(0 if self.sync_ranks else rank)
        self._begin(mixing, batch, step, progress)
        try:
            if self.last is None or (self.last.method is None and "soft" not in self.targets):
                yield batch
                return
            yield mixing.batch(batch)
            self.last.verify()
        except Exception as error:
            mixing.lockstep.explain(error)
            raise
        else:
            if self.last.method is not None:
                mixing.lockstep.require_use(trained=True)
        finally:
            mixing.leave()

    def close(self) -> None:
        """Leave the module of `step` as it came: its hooks, metrics and loss modules."""
        self._release()

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name not in _OF_A_FIT}
        return {**kept, "_lasts": False, "_looks": None, "_kinds": None}

    def _open(self, module: nn.Module, seed: int, rank: int = 0) -> None:
        """Take a module into training."""
        self._release_module()
        self._seed, self._draws = seed, None
        self._draw_as(rank)
        self._lasts, self._structure, self._remembers = True, (), self.remembers
        self._mixing = Mixing(self, module)
        if self.loss is not None:
            check_loss(self, module, self.loss)
            self._mixing.lockstep.interpolate(self.loss)
        self.attach(module)

    def _whole(self, argument: str, value: Any, meaning: str) -> int:  # noqa: ANN401
        """Take a whole number of any type, such as one of numpy or torch."""
        try:
            number = operator.index(value)
        except TypeError:
            number = -1
        self._require(argument, value, 0 <= number < 2**63, f"a whole number of at least 0: {meaning}")
        return number

    def _draw_as(self, rank: int) -> None:
        """Draw for a rank from now on."""
        if self._draws is None or self._draws.rank != rank:
            assert self._seed is not None
            self._draws = Ahead(self, self._seed, rank)

    def _begin(self, mixing: Mixing, batch: Any, step: int, when: float | Moment) -> None:  # noqa: ANN401
        """Draw for a batch."""
        if mixing.draw is not None:
            mixing.leave()
        if isinstance(batch, SIGNALS):
            self.last = None
            return
        found = find(self, batch)
        inputs, targets = [*found.inputs.values()], [*found.targets.values()]
        structure = tuple([(type(x), getattr(x, "shape", None), getattr(x, "dtype", None)) for x in inputs + targets])
        if _NO_ENTRY in structure:
            self.last = None
            return
        assert self._draws is not None
        changed = structure != self._structure
        if changed or self.inplace:
            check_batch(self, found)
        if changed:
            self._structure = structure
            self._target_kinds = self.kinds(inputs, targets)
            self._draws.renew()
        before = None
        if self._remembers:
            before = self._memory
            now = {**found.entries, **found.masks}
            check_memory(self, before or {}, now)
            # A copy, for the batch itself may be overwritten by whoever reads or mixes it.
            self._memory = {key: entry.detach().clone() for key, entry in now.items()}
        self.last = self._draws.draw(step, inputs, when, targets, before)
        mixing.start(found, self._target_kinds, self.last)

    def _find_seed(self, agree: Callable[[int], int] = int) -> int:
        """The seed of the process, or a new one on which all processes agree."""
        if "PL_GLOBAL_SEED" in os.environ:
            return int(os.environ["PL_GLOBAL_SEED"])
        seed = agree(secrets.randbits(32))
        rank_zero_info(f"{type(self).__name__}: no seed was set, drawing from seed={seed}")
        return seed

    def _release_module(self) -> None:
        if self._mixing is not None:
            self._mixing.close()
            self._mixing = None
        self.detach()

    def _release(self) -> None:
        self._release_module()
        self._memory, self._draws = None, None
        self._lasts, self._looks, self._kinds = False, None, None
        self.last = self.last and self.last.forget()
