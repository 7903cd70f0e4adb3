"""The shell that every method shares: it hangs a method into a Trainer."""

from __future__ import annotations

import inspect
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.loop import Loop
from lightning_mixup.callbacks.mixing import Mixing
from lightning_mixup.callbacks.progress import lengths, logs, moment
from lightning_mixup.callbacks.stand_in import StandIn, stand_in


class MixCallback(Loop, Callback):
    """Base of all mixing methods. A method implements `decide`, and a `Draw` that mixes; the rest is done here.

    Every training batch gets a draw that depends on (seed, rank, step) and on nothing else. While a fit lasts, the
    module's ``training_step`` receives a copy of the batch with mixed inputs and targets. The batch itself, and with
    it validation, other callbacks, loggers and the data set, is never touched.

    Args:
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed, or a schedule.
        **options: What all methods share, see `Options`.

    Raises:
        TypeError: If an option has a name that does not exist.
        ValueError: If an argument is not accepted.
    """

    _trainer: Trainer | None = None
    _varying: AbstractSet[str] = frozenset()
    _changes: bool = True
    length: tuple[float | None, float | None] = (None, None)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a second callback of the family, which would mix what is mixed already."""
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        family = [type(callback).__name__ for callback in callbacks if isinstance(callback, MixCallback)]
        if len(family) > 1:
            raise self._error(f"the Trainer has {' and '.join(family)}; join them: RandomChoice([...])")
        if stage == "fit":
            self._require_free(trainer)
            self._seed = self.seed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wrap ``training_step`` for the length of the fit, before anything is run or compiled."""
        self._require_free(trainer)
        self._release()
        if "dataloader_iter" in inspect.signature(pl_module.training_step).parameters:
            raise self._error(
                "training_step(dataloader_iter) fetches batches that no callback sees; take (batch, batch_idx) instead"
            )
        behind = stand_in(pl_module.training_step)
        while behind is not None:
            if isinstance(behind, MixedStep):
                raise self._error("another Trainer is training this module; give each of them a copy of its own")
            behind = stand_in(behind.plain)
        seed = self._find_seed(trainer.strategy.broadcast) if self._seed is None else self._seed
        self._classes = self._find_num_classes(trainer, pl_module) if "soft" in self.targets else None
        self._trainer = trainer
        self._open(pl_module, seed, 0 if self.sync_ranks else trainer.global_rank)
        assert self._mixing is not None
        self._stand_in = MixedStep(self._mixing, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bind the schedules, now that the data is known, to the length of training."""
        self.length = lengths(trainer)
        self.bind(*self.length)
        self._changes = self.changes
        self._varying = {
            name for part in (self, *self.leaves()) for name, (value, _) in part._own.items() if callable(value)
        }

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Draw once for the batch, however often ``training_step`` is called on it."""
        mixing = self._mixing
        if trainer is not self._trainer or mixing is None:
            return
        step = trainer.fit_loop.epoch_loop.total_batch_idx
        self._begin(mixing, batch, step, moment(trainer) if self._changes else 0.0)
        # Lightning takes longer to note a number than we do to mix: note only what a logger is about to write.
        if self.last is not None and logs(trainer):
            self._log(pl_module, self.last)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:  # noqa: ANN401
        """Finish the batch, as validation may call ``training_step``, too."""
        if trainer is self._trainer and self._mixing is not None:
            self._mixing.leave(strictly=True)

    def on_exception(self, trainer: Trainer, *args: Any) -> None:  # noqa: ANN401
        """Leave the module as it came; after an error Lightning does not call ``teardown``."""
        if trainer is self._trainer:
            self._release()

    def teardown(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Leave the module as it came."""
        if trainer is self._trainer:
            self._release()

    def state_dict(self) -> dict[str, Any]:
        """The seed, so that a run without a fixed one draws on after a resume. Draws need no other state."""
        return {} if self._seed is None else {"seed": self._seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the seed of the checkpoint, unless one was asked for."""
        if self.seed is None and "seed" in state_dict:
            self._seed = state_dict["seed"]

    def _log(self, pl_module: LightningModule, draw: Draw) -> None:
        logged = {"mix/lam": float(np.mean(draw.lam))}
        logged |= {f"mix/{name}": value for name, value in draw.values.items() if name in self._varying}
        for name, value in logged.items():
            # A tensor on the host: a number would be copied to the device, and waited for.
            pl_module.log(name, torch.tensor(value), on_step=True, on_epoch=False, batch_size=draw.batch_size)

    def _require_free(self, trainer: Trainer) -> None:
        other = self._trainer
        if other is not None and other is not trainer and other.state.status == "running" and other.training:
            raise self._error("this callback is at work in another Trainer; give each of them a callback of its own")

    def _find_num_classes(self, trainer: Trainer, pl_module: LightningModule) -> int:
        for owner in (self, pl_module, pl_module.hparams, getattr(trainer, "datamodule", None)):
            if isinstance(found := getattr(owner, "num_classes", None), int):
                return found
        raise self._error("targets='soft' needs num_classes, and neither the module nor the data module tells it")

    def _release(self) -> None:
        super()._release()
        front = self.__dict__.pop("_stand_in", None)
        if front is not None:
            front.remove()
        self._trainer = None


class MixedStep(StandIn):
    """Takes the step on a mixed batch.

    Args:
        mixing: Mixes the batch.
        module: The module to train.
    """

    def __init__(self, mixing: Mixing, module: LightningModule) -> None:
        super().__init__(module)
        self.mixing = mixing

    def take(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Take the module's step on the mixed batch, and make sure that it used what was mixed."""
        return self.mixing.around(self.plain, self.trained, *args, **kwargs)
