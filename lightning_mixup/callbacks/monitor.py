"""Numbers on what is mixed, and on what the network makes of it, once an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_mixup.callbacks import containers
from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.drawing import Method
from lightning_mixup.callbacks.preview import find_mix
from lightning_mixup.functional.losses import blend
from lightning_mixup.targets import MixedTarget, listeners

_EDGES = np.linspace(0, 1, 11)
_TENTHS = tuple(f"lam_share/{low:.1f}-{high:.1f}" for low, high in pairwise(_EDGES))
# What is logged: a sum over the epoch as a share of another.
_SHARES = {
    "mixed": ("mixed", "samples"),
    "lam_mean": ("lam", "mixed"),
    "same_class": ("same", "pairs"),
    "accuracy_dominant": ("dominant", "judged"),
    "accuracy_weighted": ("weighted", "judged"),
    "accuracy_clean": ("clean", "judged_clean"),
    "accuracy_clean_eval": ("clean_eval", "judged_eval"),
    "loss": ("loss", "of_loss"),
}
_SUMS = tuple(dict.fromkeys(name for pair in _SHARES.values() for name in pair))


class MixMonitor(Callback):
    """Log, once an epoch, what was mixed and how well it was learned.

    - ``mix/mixed``: share of the samples that were mixed; ``mix/lam_mean``: mean weight of their originals.
    - ``mix/lam_histogram`` of these weights in TensorBoard and W&B; in other loggers the share of each tenth,
      ``mix/lam_share/0.0-0.1`` and so on.
    - ``mix/method/NAME`` and ``mix/layer/NAME``: share of the mixed samples, where there is a choice.
    - ``mix/pasted_area``: mean share of the pixels that CutMix pastes.
    - ``mix/same_class``: share of the mixed samples whose partner is of their own class.
    - ``mix/accuracy_dominant`` and ``mix/accuracy_weighted``: accuracy on mixed samples, for the heavier label, and
      with each label earning its weight as in ``MixAccuracy``. ``mix/accuracy_clean``: accuracy
      on the samples that are left as they are. All are taken in training, of the first loss of a step.
    - ``mix/accuracy_clean_eval``: accuracy on the first ``clean_batches`` batches of the epoch, not mixed, in
      evaluation mode. This one can be compared with validation accuracy.
    - ``mix/loss``: mean training loss of the mixed batches. Mixed labels keep it well above zero: it is not to be
      compared with a validation loss.

    What does not apply is left out. Classes and accuracies need class labels that reach the loss as a
    ``MixedTarget``, which those of ``targets="soft"`` and of compiled training steps do not.
    Nothing waits for the device before the epoch ends; then all processes add up their sums.

    Args:
        clean_batches: On how many batches, at the start of an epoch, the module is called with the clean inputs alone,
            without gradients, to judge it as it stands. At least 0; 0 costs nothing. No random state and no statistics
            of batch normalisation move.

    Raises:
        ValueError: If ``clean_batches`` is below 0.

    Examples:
        >>> from lightning_mixup import Mixup
        >>> callbacks = [Mixup(alpha=0.4), MixMonitor(clean_batches=4)]
        >>> callbacks[1].clean_batches
        4
    """

    def __init__(self, clean_batches: int = 0) -> None:
        super().__init__()
        if clean_batches < 0:
            raise ValueError(f"MixMonitor: clean_batches must be at least 0, got {clean_batches!r}")
        self.clean_batches = clean_batches
        self._mix: MixCallback | None = None
        self._methods: dict[Method, str] = {}
        self._tallies: tuple[str, ...] = ()
        self._sums: dict[str, float | Tensor] = {}
        self._heard: tuple[Tensor, MixedTarget] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out what can be drawn, so that all processes log the same names."""
        self._mix, self._sums = None if trainer.barebones else find_mix(trainer), {}
        if self._mix is None:
            rank_zero_info("MixMonitor: nothing to log, as the Trainer is barebones or has no mixing callback")
            return
        if self.clean_batches and not is_overridden("forward", pl_module):
            raise MisconfigurationException(
                f"MixMonitor: clean_batches={self.clean_batches} needs a forward to call with clean inputs, and "
                f"{type(pl_module).__name__} has none; write one, or take clean_batches=0"
            )
        leaves = list(dict.fromkeys(self._mix.leaves()))
        self._methods = dict(zip(leaves, _distinct([type(leaf).__name__ for leaf in leaves]), strict=True))
        self._tallies = self._mix.tallies()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Judge the module on the batch as it is, and listen to what its losses are asked."""
        if self._mix is None:
            return
        if batch_idx < self.clean_batches:
            self._judge(self._mix, trainer, pl_module, batch)
        self._heard = None
        listeners.append(self._hear)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Count the batch once, however often ``training_step`` was called on it."""
        self._stop()
        if self._mix is None or self._mix.last is None:
            return
        draw = self._mix.last
        self._count(draw)
        if self._heard is not None:
            self._count_labels(*self._heard)
            self._heard = None
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if draw.method is not None and isinstance(loss, Tensor):
            # Of an accumulated loss Lightning hands on the share.
            parts = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
            self._add(loss=loss.detach().float().mean() * (parts * draw.batch_size), of_loss=draw.batch_size)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add up the sums of all processes, and log what they tell."""
        if self._mix is None:
            return
        choices = self._choices()
        means = [name for name in self._tallies if "/" not in name]
        names = (*_SUMS, *_TENTHS, *choices, *means, *(f"of_{name}" for name in means))
        device = trainer.strategy.root_device
        sums = [torch.as_tensor(self._sums.get(name, 0.0), dtype=torch.float32).to(device) for name in names]
        summed: Any = trainer.strategy.reduce(torch.stack(sums), reduce_op="sum")
        total = dict(zip(names, summed.tolist(), strict=True))
        self._sums = {}
        shares = {name: (total[part], total[whole]) for name, (part, whole) in _SHARES.items()}
        shares |= {name: (total[name], total[f"of_{name}"]) for name in means}
        for name, kind in choices.items():
            shares[name] = total[name], sum(total[other] for other in choices if choices[other] == kind)
        for name, (part, whole) in shares.items():
            if whole > 0:
                pl_module.log(f"mix/{name}", part / whole, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        if trainer.is_global_zero and total["mixed"] > 0:
            for logger in trainer.loggers:
                send(logger, [total[name] for name in _TENTHS], trainer.global_step, trainer.current_epoch)

    def on_exception(self, *args: Any) -> None:  # noqa: ANN401
        """Listen no more."""
        self._stop()

    def teardown(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Listen no more."""
        self._stop()

    def __getstate__(self) -> dict[str, Any]:
        """A copy has its own counts to make."""
        return {**self.__dict__, "_mix": None, "_methods": {}, "_sums": {}, "_heard": None}

    def _hear(self, pred: Tensor, target: MixedTarget) -> None:
        # Of several losses, and of closures that repeat a step, the first counts. A compiler's trace has no numbers.
        if not torch.compiler.is_compiling() and self._heard is None and _is_of_classes(pred, target):
            self._heard = pred.detach(), target

    def _stop(self) -> None:
        if self._hear in listeners:
            listeners.remove(self._hear)

    def _add(self, **amounts: float | Tensor) -> None:
        for name, amount in amounts.items():
            self._sums[name] = self._sums.get(name, 0.0) + amount

    def _choices(self) -> dict[str, str]:
        """What is counted by name, with its kind, where there are several of a kind."""
        names = [*(f"method/{name}" for name in self._methods.values()), *(n for n in self._tallies if "/" in n)]
        kinds = [name.split("/")[0] for name in names]
        return {name: kind for name, kind in zip(names, kinds, strict=True) if kinds.count(kind) > 1}

    def _count(self, draw: Draw) -> None:
        self._add(samples=draw.batch_size)
        if draw.method is None:
            return
        lam = draw.mixed()
        self._add(mixed=len(lam), lam=float(lam.sum()))
        self._add(**dict(zip(_TENTHS, np.histogram(lam, _EDGES)[0].tolist(), strict=True)))
        for leaf in draw.leaves():
            lam = leaf.mixed()
            self._add(**{f"method/{self._methods.get(leaf.method)}": len(lam)})
            for name, amount in leaf.tally(lam).items():
                self._add(**{name: amount, f"of_{name}": len(lam)})

    def _count_labels(self, pred: Tensor, target: MixedTarget) -> None:
        original, partner, lam = target.original, target.partner, target.lam
        labels = target.dominant
        known = labels >= 0  # below are those that losses are told to ignore
        mixed = known & (lam < 1)
        predicted = pred.argmax(1)
        right = predicted == labels
        earned = blend((predicted == original).float(), (predicted == partner).float(), lam)
        self._add(clean=(right & known & ~mixed).float().sum(), judged_clean=(known & ~mixed).float().sum())
        self._add(dominant=(right & mixed).float().sum(), weighted=(earned * mixed).sum(), judged=mixed.float().sum())
        if original.ndim == 1:
            self._add(same=((original == partner) & mixed).float().sum(), pairs=mixed.float().sum())

    def _judge(self, mix: MixCallback, trainer: Trainer, pl_module: LightningModule, batch: Any) -> None:  # noqa: ANN401
        labels = containers.get(batch, mix.target_key[0]) if mix.target_key else None
        if labels is None or labels.is_floating_point():
            return
        training = {module: module.training for module in pl_module.modules()}
        pl_module.eval()
        try:
            with isolate_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
                pred = pl_module(*(containers.get(batch, key) for key in mix.input_key))
        finally:
            for module, mode in training.items():
                module.training = mode
        labels = labels.squeeze(-1) if labels.ndim > 1 and labels.shape[-1] == 1 else labels
        if _is_of_classes(pred, labels):
            judged = labels >= 0
            right = ((pred.argmax(1) == labels) & judged).float().sum()
            self._add(clean_eval=right, judged_eval=judged.float().sum())


def send(logger: Logger, tenths: Sequence[float], step: int, epoch: int) -> None:
    """Hand the distribution of the weights to a logger: as a histogram if it knows what that is, else as numbers.

    Args:
        logger: A logger of Lightning.
        tenths: How many samples have a weight in each tenth of [0, 1], at least one in all.
        step: Optimizer steps done.
        epoch: Epochs done before this one.
    """
    counts = np.asarray(tenths)
    middles = (_EDGES[:-1] + _EDGES[1:]) / 2
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_histogram_raw(
            "mix/lam_histogram",
            min=0.0,
            max=1.0,
            num=float(counts.sum()),
            sum=float(counts @ middles),
            sum_squares=float(counts @ middles**2),
            bucket_limits=_EDGES[1:].tolist(),
            bucket_counts=counts.tolist(),
            global_step=step,
        )
    elif isinstance(logger, WandbLogger):
        import wandb

        histogram: Any = wandb.Histogram(np_histogram=(counts, _EDGES))
        logger.log_metrics({"mix/lam_histogram": histogram}, step)
    else:
        shares = {f"mix/{name}": share for name, share in zip(_TENTHS, (counts / counts.sum()).tolist(), strict=True)}
        logger.log_metrics({**shares, "epoch": epoch}, step)


def _distinct(names: Sequence[str]) -> list[str]:
    """Number what is called alike."""
    return [
        name if names.count(name) == 1 else f"{name}_{names[:index].count(name) + 1}"
        for index, name in enumerate(names)
    ]


def _is_of_classes(pred: object, target: Tensor) -> bool:
    """Whether these are scores of shape ``(B, C, *dims)`` for class indices of shape ``(B, *dims)``."""
    return (
        isinstance(pred, Tensor)
        and not target.is_floating_point()
        and pred.ndim == target.ndim + 1
        and (pred.shape[:1] + pred.shape[2:]) == target.shape
    )
