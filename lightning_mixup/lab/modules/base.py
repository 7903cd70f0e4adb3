"""What the LightningModules of recipes share: a network, how it learns, and metrics for its epochs."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MetricCollection

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer, int], LRScheduler]


class Learner(LightningModule):
    """Judge a network after every epoch, and step its schedule after every optimizer step.

    A subclass implements ``training_step``. Batches are ``(x, y)``.

    Args:
        network: maps ``x`` to predictions ``(B, outputs)``.
        optimizer: called with the parameters, gives the optimizer.
        lr_scheduler: called with the optimizer and the number of optimizer steps of the whole run, gives a scheduler
            that is stepped after every optimizer step; ``None`` keeps the learning rate constant.
        metrics: of predictions and targets; those of validation get the prefix ``val/``, those of the test ``test/``.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerFactory,
        lr_scheduler: SchedulerFactory | None,
        metrics: MetricCollection,
    ) -> None:
        super().__init__()
        self.network = network
        self.val_metrics = metrics.clone(prefix="val/")
        self.test_metrics = metrics.clone(prefix="test/")
        self._optimizer = optimizer
        self._lr_scheduler = lr_scheduler

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to predictions ``(B, outputs)``."""
        predictions: torch.Tensor = self.network(x)
        return predictions

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Add one batch to the validation metrics."""
        self._judge(self.val_metrics, batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Add one batch to the test metrics."""
        self._judge(self.test_metrics, batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and, if there is one, a scheduler stepped with it."""
        optimizer = self._optimizer(self.parameters())
        if self._lr_scheduler is None:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise MisconfigurationException(
                f"{type(self).__name__}: lr_scheduler needs the length of training, which is unknown with "
                "max_epochs=-1; give the Trainer max_steps, or take none (on the command line lr_scheduler=constant)"
            )
        scheduler = self._lr_scheduler(optimizer, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _judge(self, metrics: MetricCollection, batch: Any) -> None:  # noqa: ANN401
        x, y = pair(batch)
        metrics.update(self(x), y)
        self.log_dict(metrics)


def pair(batch: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Take inputs and targets out of a batch.

    Raises:
        TypeError: it is no sequence of two.
    """
    if not isinstance(batch, Sequence) or len(batch) != 2:
        has = f"keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else type(batch).__name__
        raise TypeError(
            f"This module takes batches (x, y), of inputs and targets; the data give {has}. A module of your own, "
            "module=own module._target_=my_project.MyModule, takes any."
        )
    return batch[0], batch[1]
