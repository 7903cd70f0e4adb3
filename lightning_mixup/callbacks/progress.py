"""Where a Trainer stands, on the clocks that schedules are asked by."""

from __future__ import annotations

import math

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from lightning_mixup.schedules import Moment

__all__ = ["Moment", "lengths", "moment"]


def moment(trainer: Trainer) -> Moment:
    """Read the Trainer's own counters, as they stand at ``on_train_batch_start``.

    Progress is the share of ``max_epochs`` or of ``max_steps`` that is done, whichever is larger. So a change of the
    data or of gradient accumulation in mid-training moves nothing that is past.

    Args:
        trainer: A Trainer that fits.

    Returns:
        The moment. Its progress is None where training has no known length.
    """
    loop = trainer.fit_loop
    batches = loop.max_batches
    epoch: float = loop.epoch_progress.current.completed
    if batches < math.inf:
        # A loader that gives more batches than it said stays in its epoch.
        done = max(loop.epoch_loop.batch_progress.current.ready - 1, 0)
        epoch += min(done / batches, 1 - 1e-6) if batches else 0.0
    step = trainer.global_step
    shares = []
    if loop.max_epochs not in (None, -1) and batches < math.inf:
        shares.append(epoch / loop.max_epochs if loop.max_epochs else 1.0)
    if trainer.max_steps != -1:
        shares.append(step / trainer.max_steps if trainer.max_steps else 1.0)
    return Moment(min(max(shares), 1.0) if shares else None, epoch, step, *lengths(trainer))


def logs(trainer: Trainer) -> bool:
    """Whether loggers write what is noted at ``on_train_batch_start``.

    Args:
        trainer: A Trainer that fits.

    Returns:
        True in every ``log_every_n_steps``-th step, and in the last one before training is stopped.
    """
    # What Lightning asks itself, which is asked by way of a dozen properties there.
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    step = trainer.fit_loop.epoch_loop._batches_that_stepped + 1
    return bool(every) and (step % every == 0 or trainer.should_stop)


def lengths(trainer: Trainer) -> tuple[float | None, float | None]:
    """How long training will be if the data and its limits stay as they are.

    Args:
        trainer: A Trainer that knows its data.

    Returns:
        Epochs and optimizer steps, each None if unknown.
    """
    batches = trainer.num_training_batches
    most = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    limit = math.inf if trainer.max_steps == -1 else trainer.max_steps
    if batches == math.inf:
        return None, None if limit == math.inf else limit
    epochs, steps = 0.0, 0.0
    for begin, end, every in _accumulations(trainer):
        # Lightning takes a step at the end of an epoch, too, however few batches have been accumulated.
        an_epoch = math.ceil(batches / every)
        count = min(end, most) - begin
        if count <= 0 or not an_epoch:
            break
        if steps + count * an_epoch > limit:
            whole, rest = divmod(limit - steps, an_epoch)
            epochs += whole + min(rest * every / batches, 1.0)
            steps = limit
            break
        epochs, steps = epochs + count, steps + count * an_epoch
    known = [length if 0 < length < math.inf else None for length in (epochs, steps)]
    return known[0], known[1]


def _accumulations(trainer: Trainer) -> list[tuple[float, float, int]]:
    """From which epoch until which how many batches make a step."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, GradientAccumulationScheduler):
            begins = sorted(callback.scheduling)
            return [(a, b, callback.scheduling[a]) for a, b in zip(begins, [*begins[1:], math.inf], strict=True)]
    return [(0, math.inf, trainer.accumulate_grad_batches)]
