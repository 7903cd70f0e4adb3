"""The shell that every method shares: hooks, randomness, targets, guards and cleaning up."""

from __future__ import annotations

import difflib
import inspect
import math
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_mixup.callbacks import containers
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.step import MixedStep
from lightning_mixup.functional import Pairing, generator, partners, sample_lam
from lightning_mixup.functional.pairing import PAIRINGS
from lightning_mixup.schedules import Schedule, as_schedule, check_range
from lightning_mixup.targets import infer_kind, mix_target

_KINDS = ("auto", "labels", "values", "mask", "soft")
_LOOKED_AT = {
    "labels": "class indices, integers (B,)",
    "values": "values, such as floats (B,); say targets='values' if these are values",
}


class MixCallback(Callback, ABC):
    """Base of all mixing methods. A method implements :meth:`mix`; everything else is done here.

    Every training batch gets a draw that depends on (seed, rank, step) and on nothing else. While a fit lasts, the
    module's ``training_step`` receives a copy of the batch with mixed inputs and targets. The batch itself, and with
    it validation, other callbacks, loggers and the data set, is never touched.

    Args:
        alpha: Strength, at least 0: weights are drawn from Beta(alpha, alpha). 0 mixes nothing.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. This and ``alpha`` may be a
            :class:`~lightning_mixup.schedules.Schedule`.
        per_sample: Draw a weight for every sample instead of one for the batch.
        pairing: Who is mixed with whom: ``"shift"``, ``"permutation"`` or ``"flip"``; ``"same_class"`` or
            ``"different_class"``; ``"nearest"``, or ``Nearest(bandwidth=...)``, for regression; ``"memory"`` for the
            batch before; or a :class:`~lightning_mixup.Pairing` of one's own. It looks at the first target.
        targets: What ``training_step`` receives for each target, one word for all or a sequence of words. ``"labels"``:
            a :class:`~lightning_mixup.MixedTarget` of both labels. ``"values"``: their weighted mean, for regression.
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
            on both labels, as by :func:`~lightning_mixup.interpolate_loss`.
        sync_ranks: Let all processes draw alike. By default each draws its own.
        seed: Seed of the draws in [0, 2**64); None follows ``seed_everything``, else one is drawn and logged.
        inplace: Mix in the memory of the batch. Then other callbacks see the mixed inputs, and a data set that hands
            out its own memory is overwritten.

    Raises:
        ValueError: If an argument is out of range.
    """

    hidden: ClassVar[bool] = False
    """Whether the method mixes hidden states."""

    def __init__(
        self,
        alpha: float | Schedule,
        prob: float | Schedule = 1.0,
        *,
        per_sample: bool = False,
        pairing: str | Pairing = "shift",
        targets: str | Sequence[str] = "auto",
        num_classes: int | None = None,
        input_key: int | str | Sequence[int | str] = 0,
        target_key: int | str | Sequence[int | str] | None = 1,
        loss: str | None = None,
        sync_ranks: bool = False,
        seed: int | None = None,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self._strength = self._schedule("alpha", alpha, "a finite number of at least 0, or a schedule")
        self._chance = self._schedule("prob", prob, "a number in [0, 1], or a schedule", high=1)
        self.input_key = _keys(input_key)
        self.target_key = _keys(target_key)
        kinds = (targets,) * len(self.target_key) if isinstance(targets, str) else tuple(targets)
        known = set(kinds) <= set(_KINDS) and len(kinds) == len(self.target_key)
        self._require("targets", targets, known, f"one of {', '.join(_KINDS)}, or one of them for each target")
        self._require("num_classes", num_classes, num_classes is None or num_classes > 0, "None or at least 1")
        self._pairing = self._check_pairing(pairing, kinds)
        self._require("seed", seed, seed is None or 0 <= seed < 2**64, "None or in [0, 2**64)")
        self.alpha = alpha
        self.prob = prob
        self.per_sample = per_sample
        self.pairing = pairing
        self.targets = kinds
        self.loss = loss
        self.sync_ranks = sync_ranks
        self.num_classes = num_classes
        self.seed = seed
        self.inplace = inplace
        self.last: Draw | None = None
        self._memory: dict[int | str, Tensor] = {}
        self._seed: int | None = None
        self._classes: int | None = None
        self.length: tuple[float | None, ...] = (None, None)  # of training, in epochs and in steps
        self._batches = math.inf
        self._step: MixedStep | None = None

    @property
    def remembers(self) -> bool:
        """Whether partners come from the batch before."""
        return self._pairing.remembers

    @property
    def mixed(self) -> dict[int | str, Tensor] | None:
        """What ``training_step`` received, by key, as long as the batch lasts; None if it was left as it is."""
        return None if self._step is None else self._step.mixed

    @abstractmethod
    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """Mix the inputs of a batch.

        Args:
            inputs: Tensors of shape ``(B, ...)`` that :meth:`check` let pass, in the order of ``input_key``.
            draw: How to mix them. Its ``lam`` also weighs the targets; its ``memory`` may hold other inputs to find
                partners in, by the same keys.

        Returns:
            The mixed inputs.
        """

    def mix_mask(self, mask: Tensor, draw: Draw, memory: Tensor | None = None) -> Tensor | None:
        """Mix a map over the pixels of the input as the input itself; None if its values have to be mixed instead.

        Args:
            mask: Tensor of shape ``(B, *spatial)`` or ``(B, K, *spatial)``.
            draw: How to mix.
            memory: Masks to find partners in, instead of ``mask`` itself.

        Returns:
            A mask of the same shape and dtype, or None.
        """
        return None

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs that the method cannot mix.

        Raises:
            MisconfigurationException: If an input is not floating point.
        """
        for key, x in zip(self.input_key, inputs, strict=True):
            if not x.is_floating_point():
                cure = (
                    "scale it to floating point in the data set or a transform: x.float() / 255"
                    if x.dtype == torch.uint8
                    else "mix token ids at their embedding: ManifoldMixup(layers=['<name of the embedding>'])"
                )
                raise self._error(f"input {key!r} is {x.dtype} of shape {tuple(x.shape)}, not floating point; {cure}")

    def attach(self, pl_module: LightningModule) -> None:
        """Prepare the module for a fit, where a method needs more than the batch."""

    def detach(self) -> None:
        """Take back what :meth:`attach` did. Without need it does nothing."""

    def arm(self, draw: Draw) -> None:
        """Called before each ``training_step`` on a mixed batch."""

    def verify(self, draw: Draw) -> None:
        """Called after it, to raise if the network was not mixed as the targets are."""

    def disarm(self) -> None:
        """Called when the batch is done, its backward pass included."""

    def bind(self, epochs: float | None, steps: float | None) -> None:
        """Tell the schedules how long training is.

        Args:
            epochs: Length of training in epochs; None if unknown.
            steps: Length of training in optimizer steps; None if unknown.

        Raises:
            MisconfigurationException: If a schedule needs a length that is unknown, or leaves its range.
        """
        # From the arguments: what is bound already belongs to an earlier fit.
        self._strength = self._bind("alpha", as_schedule(self.alpha), epochs, steps)
        self._chance = self._bind("prob", as_schedule(self.prob), epochs, steps, high=1)

    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        progress: float,
        targets: Sequence[Tensor] = (),
        memory: Mapping[int | str, Tensor] | None = None,
    ) -> Draw:
        """Decide all that chance decides about a batch. Methods add what else they need to know.

        Args:
            rng: Source of randomness, of this batch alone.
            inputs: The inputs, for their shapes.
            progress: Share of training that is done, in [0, 1].
            targets: The targets, for pairings that look at them.
            memory: Inputs and targets of the batch before, by their keys, for a pairing that remembers.

        Returns:
            How to mix; without a ``method`` if the batch is to be left as it is.
        """
        batch_size = len(inputs[0])
        size = batch_size if self.per_sample else None
        alpha, prob = self._strength(progress), self._chance(progress)
        chosen = rng.random(size) < prob
        lam = sample_lam(rng, alpha, size)
        if isinstance(lam, float):
            lam, pure = (lam, lam == 1) if chosen else (1.0, True)
        else:
            lam = np.where(chosen, lam, 1.0)
            pure = bool((lam == 1).all())
        remembered = memory if memory and self._pairing.remembers else {}
        if pure or (batch_size == 1 and not remembered):
            return Draw(batch_size, alpha=alpha, prob=prob)
        shift = 0 if remembered else self._pair(rng, inputs[0], targets)
        return Draw(batch_size, lam, shift, alpha, prob, self, memory=remembered)

    def _pair(self, rng: np.random.Generator, x: Tensor, targets: Sequence[Tensor]) -> int | Tensor:
        target = targets[0] if targets else None
        if target is not None and self._pairing.looks_at is not None:
            kind = infer_kind(target, x.shape[2:]) if self.targets[0] == "auto" else self.targets[0]
            indices = kind in ("labels", "soft") and not target.is_floating_point() and target[0].numel() == 1
            if not (kind == "values" if self._pairing.looks_at == "values" else indices):
                raise self._error(
                    f"pairing={self.pairing!r} needs a target of {_LOOKED_AT[self._pairing.looks_at]}; "
                    f"batch entry {self.target_key[0]!r} is {target.dtype} of shape {tuple(target.shape)}"
                )
        shift = self._pairing(rng, len(x), target)
        return shift.to(x.device, non_blocking=True) if isinstance(shift, Tensor) else shift

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a second callback of the family, which would mix what is mixed already."""
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        family = [type(callback).__name__ for callback in callbacks if isinstance(callback, MixCallback)]
        if len(family) > 1:
            raise self._error(f"the Trainer has {' and '.join(family)}; join them: RandomChoice([...])")
        if stage == "fit":
            self._seed = self.seed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wrap ``training_step`` for the length of the fit, before anything is run or compiled."""
        self._release()
        if "dataloader_iter" in inspect.signature(pl_module.training_step).parameters:
            raise self._error(
                "training_step(dataloader_iter) fetches batches that no callback sees; take (batch, batch_idx) instead"
            )
        if self._seed is None:
            self._seed = self._choose_seed(trainer)
        self._classes = self._find_num_classes(trainer, pl_module) if "soft" in self.targets else None
        self._step = MixedStep(self, pl_module)
        self._interpolate(pl_module)
        self.attach(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bind the schedules, now that the data is known, to the length of training."""
        batches = trainer.num_training_batches
        epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
        steps_per_epoch = math.ceil(batches / trainer.accumulate_grad_batches) if math.isfinite(batches) else math.inf
        self._batches, steps = epochs * batches, epochs * steps_per_epoch
        if trainer.max_steps != -1 and trainer.max_steps < steps:
            steps = trainer.max_steps
            # Lightning takes a step at the end of an epoch, too, however few batches have been accumulated.
            whole, rest = divmod(steps, steps_per_epoch)
            within = min(rest * trainer.accumulate_grad_batches, batches)
            self._batches = (whole * batches if whole else 0) + within
        # Endless data or endless training: then there is no such length, or it is 0 or not a number.
        lengths = (self._batches / batches, steps)
        self.length = tuple(length if 0 < length < math.inf else None for length in lengths)
        self.bind(*self.length)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Draw once for the batch, however often ``training_step`` is called on it."""
        assert self._step is not None
        assert self._seed is not None
        entries = self._check(batch)
        inputs, targets = ([entries[key] for key in keys] for keys in (self.input_key, self.target_key))
        rank = 0 if self.sync_ranks else trainer.global_rank
        step = trainer.fit_loop.epoch_loop.total_batch_idx
        progress = min(step / self._batches, 1.0)
        self.last = self.draw(generator(self._seed, rank, step), inputs, progress, targets, self._recall(entries))
        self._step.arm(self.last)
        # Lightning takes longer to note a number than we do to mix: note only what a logger is about to write.
        if not trainer.barebones and trainer._logger_connector.should_update_logs:
            self._log(pl_module, self.last)

    def on_train_batch_end(self, *args: Any) -> None:  # noqa: ANN401
        """Disarm, as validation may call ``training_step``, too."""
        self._disarm()

    def on_exception(self, *args: Any) -> None:  # noqa: ANN401
        """Leave the module as it came; after an error Lightning does not call ``teardown``."""
        self._release()

    def teardown(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Leave the module as it came."""
        self._release()

    def state_dict(self) -> dict[str, Any]:
        """The seed, so that a run without a fixed one draws on after a resume. Draws need no other state."""
        return {} if self._seed is None else {"seed": self._seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the seed of the checkpoint, unless one was asked for."""
        if self.seed is None:
            self._seed = state_dict["seed"]

    def __repr__(self) -> str:
        """As it would be constructed, without arguments that have their default."""
        parameters = inspect.signature(type(self)).parameters
        shown = {
            name: value
            for name, value in self._arguments().items()
            if value not in (parameters[name].default, (parameters[name].default,))
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def __eq__(self, other: object) -> bool:
        """Callbacks are equal that were constructed alike."""
        return type(self) is type(other) and self._arguments() == other._arguments()

    def __hash__(self) -> int:
        return hash(type(self))

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __getstate__(self) -> dict[str, Any]:
        """A copy is not attached to the module of the original."""
        last = self.last and self.last.forgetful()
        return {**self.__dict__, "last": last, "_memory": {}, "_step": None}

    def _require(self, argument: str, value: object, accepted: bool, what: str) -> None:
        if not accepted:
            raise ValueError(f"{type(self).__name__}: {argument} must be {what}, got {value!r}")

    def _log(self, pl_module: LightningModule, draw: Draw) -> None:
        logged = {"mix/lam": float(np.mean(draw.lam))}
        if callable(self.alpha):
            logged["mix/alpha"] = draw.alpha
        if callable(self.prob):
            logged["mix/prob"] = draw.prob
        for name, value in logged.items():
            # A tensor on the host: a number would be copied to the device, and waited for.
            pl_module.log(name, torch.tensor(value), on_step=True, on_epoch=False, batch_size=draw.batch_size)

    def _schedule(self, name: str, value: Any, what: str, high: float = math.inf) -> Schedule:  # noqa: ANN401
        """A number is checked at once, a schedule when the length of training is known."""
        if not callable(value):
            number = isinstance(value, Real) and not isinstance(value, bool)
            self._require(name, value, number and 0 <= value <= high and math.isfinite(value), what)
        return as_schedule(value)

    def _bind(
        self, name: str, schedule: Schedule, epochs: float | None, steps: float | None, high: float = math.inf
    ) -> Schedule:
        try:
            bound = schedule.bind(epochs, steps)
            check_range(name, bound, 0, high)
        except ValueError as error:
            raise self._error(str(error)) from None
        return bound

    def _error(self, message: str) -> MisconfigurationException:
        return MisconfigurationException(f"{type(self).__name__}: {message}")

    def _choose_seed(self, trainer: Trainer) -> int:
        if "PL_GLOBAL_SEED" in os.environ:
            return int(os.environ["PL_GLOBAL_SEED"])
        seed: int = trainer.strategy.broadcast(secrets.randbits(32))
        rank_zero_info(f"{type(self).__name__}: no seed was set, drawing from seed={seed}")
        return seed

    def _find_num_classes(self, trainer: Trainer, pl_module: LightningModule) -> int:
        for owner in (self, pl_module, pl_module.hparams, getattr(trainer, "datamodule", None)):
            if isinstance(found := getattr(owner, "num_classes", None), int):
                return found
        raise self._error("targets='soft' needs num_classes, and neither the module nor the data module tells it")

    def _check(self, batch: Any) -> dict[int | str, Tensor]:  # noqa: ANN401
        """Refuse what cannot be mixed; the inputs and targets of what can."""
        entries = {key: self._get(batch, key) for key in (*self.input_key, *self.target_key)}
        for key, entry in entries.items():
            if not isinstance(entry, Tensor):
                raise self._error(f"batch entry {key!r} is a {type(entry).__name__}, not a tensor: {entry!r:.80}")
            if entry.ndim == 0:
                raise self._error(f"batch entry {key!r} is a single number, not a batch of shape (B, ...)")
        if len({entry.shape[0] for entry in entries.values()}) > 1:
            shapes = {key: tuple(entry.shape) for key, entry in entries.items()}
            raise self._error(f"inputs and targets differ in their number of samples, the first dimension: {shapes}")
        self.check([entries[key] for key in self.input_key])
        return entries

    def _check_pairing(self, pairing: str | Pairing, kinds: Sequence[str]) -> Pairing:
        found = pairing if isinstance(pairing, Pairing) else PAIRINGS.get(pairing)
        self._require("pairing", pairing, found is not None, f"one of {', '.join(PAIRINGS)}, or a Pairing")
        assert found is not None
        if found.looks_at is not None:
            self._require("target_key", None, bool(kinds), f"where pairing={pairing!r} finds the {found.looks_at}")
            fitting = ("auto", "values") if found.looks_at == "values" else ("auto", "labels", "soft")
            self._require("targets", kinds[0], kinds[0] in fitting, f"of {found.looks_at} for pairing={pairing!r}")
        return found

    def _recall(self, entries: Mapping[int | str, Tensor]) -> dict[int | str, Tensor]:
        """The batch before, and keep this one for the next."""
        before = self._memory
        if not self.remembers:
            return before
        for key, entry in before.items():
            was, now = ((tuple(x.shape[1:]), x.dtype) for x in (entry, entries[key]))
            if was != now:
                raise self._error(
                    f"batch entry {key!r} was {was[1]} (B, *{was[0]}) before and is {now[1]} (B, *{now[0]}) now; "
                    "pairing='memory' mixes with the batch before: give all one shape, or take another pairing"
                )
        # A copy, for the batch itself may be overwritten by whoever reads or mixes it.
        self._memory = {key: entry.detach().clone() for key, entry in entries.items()}
        return before

    def _get(self, batch: Any, key: int | str) -> Any:  # noqa: ANN401
        try:
            return containers.get(batch, key)
        except KeyError as error:
            names = "input_key" if key in self.input_key else "target_key"
            raise self._error(f"{error.args[0]}. Name the right one with {names}=...") from None

    def mix_batch(self, batch: Any, draw: Draw) -> dict[int | str, Tensor]:  # noqa: ANN401
        """Mix the inputs and targets of a batch.

        Args:
            batch: The clean batch.
            draw: How to mix it.

        Returns:
            The mixed entries by their keys.
        """
        inputs = [self._get(batch, key) for key in self.input_key]
        spatial = inputs[0].shape[2:]
        targets = [
            self._mix_target(self._get(batch, key), kind, spatial, draw, draw.memory.get(key))
            for key, kind in zip(self.target_key, self.targets, strict=True)
        ]
        return dict(zip((*self.input_key, *self.target_key), (*self.mix(inputs, draw), *targets), strict=True))

    def _mix_target(
        self, target: Tensor, kind: str, spatial: Sequence[int], draw: Draw, memory: Tensor | None
    ) -> Tensor:
        if kind == "auto":
            kind = infer_kind(target, spatial)
        if kind == "mask" and (mask := self.mix_mask(target, draw, memory)) is not None:
            return mask
        if kind == "soft":
            assert self._classes is not None
            self._check_labels(target, self._classes)
        partner = partners(target, draw.shift, memory)
        return mix_target(kind, target, partner, draw.weight(target), num_classes=self._classes)

    def _check_labels(self, target: Tensor, classes: int) -> None:
        if target.is_floating_point():
            raise self._error(f"targets='soft' takes class indices, got {target.dtype} of shape {tuple(target.shape)}")
        # A look at the values would wait for a device; there, indices out of range end in its own assertion.
        if target.device.type == "cpu":
            low, high = (int(bound) for bound in target.aminmax())
            if low < 0 or high >= classes:
                raise self._error(f"targets='soft' needs labels in [0, {classes}), got {low} to {high}")

    def _interpolate(self, pl_module: LightningModule) -> None:
        if self.loss is None:
            return
        known = dict(pl_module.named_modules())
        if self.loss not in known:
            near = difflib.get_close_matches(self.loss, known, n=5, cutoff=0.3)
            raise self._error(f"loss names no submodule: {self.loss!r}; similar: {near}")
        assert self._step is not None
        self._step.lockstep.interpolate(self.loss)

    def _disarm(self) -> None:
        if self._step is not None:
            self._step.arm(None)
        self.disarm()

    def _release(self) -> None:
        self._disarm()
        self.detach()
        if self._step is not None:
            self._step.remove()
            self._step = None
        self._memory = {}
        self.last = self.last and self.last.forgetful()


def _keys(keys: int | str | Sequence[int | str] | None) -> tuple[int | str, ...]:
    return (keys,) if isinstance(keys, (int, str)) else tuple(keys or ())
