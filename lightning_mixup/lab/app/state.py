"""The state that a run goes on from: written after every epoch, and all that it takes to go on bit for bit.

An epoch that was cut off is run again: the averages of its metrics began with its first batch.
"""

import csv
import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from lightning_mixup.lab.app import stopping
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.folders import LAST
from lightning_mixup.lab.app.plans import resume_command
from lightning_mixup.lab.app.records import as_settings, settings_of

FREE = ("trainer", "callbacks", "logger", "evaluate", "threads")
"""Groups and keys that may change where a run goes on; any other would make it another run."""


class Kept(NamedTuple):
    """What a run left to go on from."""

    path: Path
    epochs: int
    """How many were finished."""


class RunState(Callback):
    """Writes the state of a run after every epoch, and has a run go on from it as if nothing had been.

    To a checkpoint of Lightning it adds the streams of random numbers, the metrics of the last epoch and the settings.
    Everything is as it was between two epochs, that is after learning rates and logs have followed.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LAST
        self.settings = as_settings(settings_of(folder))
        self.metrics: dict[str, float] = {}
        """Of the last epoch that an earlier process finished."""
        self.epochs = 0
        """Finished ones that the state on disk has behind it."""
        self._loops: dict[str, Any] | None = None
        self._written: dict[str, Any] = {}
        self._read: dict[str, Any] = {}
        self._limit: int | None = None
        self._rates: list[tuple[Any, dict[str, Any], list[float]]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note where Lightning's loops are: it goes on from an epoch's end alone, and what follows belongs to it."""
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:  # and not the last step of all
            self._loops = deepcopy(trainer.fit_loop.state_dict())

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state, or draw on as it says."""
        if self._read:
            self.draw_on(trainer)
            # Lightning takes a shuffled loader's order where it resumes from the iterator made before this hook.
            trainer.fit_loop._resuming_from_checkpoint = False
        elif self._loops is not None:
            self._write(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state, from which the run can go on for more epochs."""
        if self._loops is not None:
            self._write(trainer)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Work out the learning rates of a run that has become longer, or shorter: those of its new curve."""
        if not self._read:
            return
        total = trainer.estimated_stepping_batches
        # With a limit of steps Lightning takes the end of an epoch for its middle, and ends it once more.
        self._limit, trainer.fit_loop.epoch_loop.max_steps = trainer.max_steps, -1
        if self._read["total"] == total:
            return
        for config, steps in zip(trainer.lr_scheduler_configs, self._read["stepped"], strict=True):
            scheduler: Any = config.scheduler
            if config.reduce_on_plateau:
                continue
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*before `optimizer.step")
                for _ in range(steps):
                    scheduler.step()
            rates = [group["lr"] for group in scheduler.optimizer.param_groups]
            self._rates.append((scheduler, scheduler.state_dict(), rates))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the learning rates, and the signals, for which Lightning waits until a batch has ended."""
        if self._limit is not None:
            trainer.fit_loop.epoch_loop.max_steps = self._limit
        for scheduler, state, rates in self._rates:
            scheduler.load_state_dict(state)
            for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        stopping.listen()

    def draw_on(self, trainer: Trainer) -> None:
        """Set the streams of random numbers to where the state left them; only once."""
        streams = self._read.pop("streams", None)
        self._read = {}
        if streams and len(streams) == trainer.world_size:
            _set_streams(streams[trainer.global_rank])

    def state_dict(self) -> dict[str, Any]:
        """Give what is added to the checkpoint that this callback writes, and nothing to others."""
        return self._written

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self._read, self.metrics = dict(state_dict), state_dict["metrics"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the loops where they were at the end of the epoch."""
        if self._written:
            checkpoint["loops"]["fit_loop"] = self._loops

    def _write(self, trainer: Trainer) -> None:
        part = self.path.with_suffix(".part")
        self._written = {
            "epochs": trainer.current_epoch,
            "settings": self.settings,
            "streams": _all_streams(),
            "metrics": self.metrics | {name: float(value) for name, value in trainer.callback_metrics.items()},
            "total": trainer.estimated_stepping_batches,
            "stepped": [getattr(config.scheduler, "last_epoch", 0) for config in trainer.lr_scheduler_configs],
        }
        try:
            trainer.save_checkpoint(part, weights_only=False)
        finally:
            self._written = {}
        self._loops = None
        if trainer.is_global_zero:
            os.replace(part, self.path)
        self.epochs = trainer.current_epoch


def kept_state(folder: Path, strict: bool) -> tuple[Kept | None, str]:
    """Look for a state to go on from.

    Args:
        folder: of the run, with its settings of now.
        strict: whether a state of other settings is an error; else the run begins anew, as it does without a state, or
            with a damaged one.

    Returns:
        The state, and why there is none.

    Raises:
        ConfigError: it is of other settings.
    """
    path = folder / LAST
    if not path.is_file():
        return None, "no epoch was finished"
    try:
        # weights_only: a checkpoint from elsewhere runs no code.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        noted = loaded["callbacks"][RunState.__qualname__]
        epochs, had = int(noted["epochs"]), dict(noted["settings"])
    except UnpicklingError as error:
        raise ConfigError(
            f"{path} must hold nothing but plain data: a file that holds objects could run code. {error}\n"
            f"overwrite=true runs it from its beginning, in the same hydra.run.dir={folder}."
        ) from error
    except (EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        return None, f"{LAST} is damaged ({type(error).__name__})"
    wanted = as_settings(settings_of(folder))
    other = [
        key for key in sorted({*had, *wanted}) if had.get(key) != wanted.get(key) and key.split(".")[0] not in FREE
    ]
    if not other:
        return Kept(path, epochs), ""
    default = "its default"
    told = ", ".join(f"{key}={wanted.get(key, default)} instead of {had.get(key, default)}" for key in other)
    if strict:
        raise ConfigError(
            f"resume must leave alone what the run is: got {told}. It goes on with changes of {', '.join(FREE)}; "
            "for another run, choose another folder."
        )
    return None, f"{LAST} is of other settings ({told})"


@contextmanager
def told_how_to_go_on(trainer: Trainer, state: RunState | None, folder: Path, in_sweep: bool) -> Iterator[None]:
    """Note on what ends a run early where it was, and how it goes on; of a sweep, that is said for all its jobs."""
    try:
        yield
    except BaseException as error:
        epochs = state.epochs if state is not None else 0
        if in_sweep:
            if isinstance(error, stopping.Stopped):
                error.add_note(f"It was {_position(trainer)} of {folder}.")
        elif epochs or isinstance(error, stopping.Stopped):
            done = f"From the end of epoch {epochs}" if epochs else "No epoch was finished: from its beginning"
            error.add_note(f"It was {_position(trainer)}. {done} it goes on with:\n  {resume_command(folder)}")
        raise


def _position(trainer: Trainer) -> str:
    epoch = trainer.current_epoch + 1
    if trainer.state.finished or epoch > (trainer.max_epochs or -1) > 0:
        return "after training"
    of = f" of {trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
    return f"in epoch {epoch}{of}"


def keep_rows(logger: object, epochs: int) -> None:
    """Let a metrics log in CSV go on after the rows of the epochs that count; Lightning would begin it anew.

    Args:
        logger: any logger; others than ``CSVLogger`` add to what there is by themselves.
        epochs: how many count.
    """
    if not isinstance(logger, CSVLogger):
        return
    path = Path(logger.log_dir, "metrics.csv")
    if not path.is_file():
        return
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["epoch"] and int(float(row["epoch"])) < epochs]
    keys = sorted({key for row in rows for key, value in row.items() if value})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Experiment logs directory .* exists")
        writer = logger.experiment  # deletes the file
    if not rows:
        return
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, keys, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    writer.metrics_keys = keys


def _streams() -> dict[str, Any]:
    kind, numbers, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (kind, np.asarray(numbers).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def _all_streams() -> Sequence[Mapping[str, Any]]:
    if not (dist.is_available() and dist.is_initialized()):
        return [_streams()]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, _streams())
    return gathered


def _set_streams(streams: Mapping[str, Any]) -> None:
    random.setstate(streams["python"])
    kind, numbers, *rest = streams["numpy"]
    np.random.set_state((kind, np.asarray(numbers, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(streams["torch"])
    if streams["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(streams["cuda"])
