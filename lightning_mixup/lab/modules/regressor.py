"""The LightningModule that recipes of a regression train. It knows nothing about mixing."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lightning_mixup.lab.evaluation import regression_metrics
from lightning_mixup.lab.modules.base import Learner, OptimizerFactory, SchedulerFactory, pair


class Regressor(Learner):
    """Train a network to predict numbers with the mean squared error; judge it by errors and explained variance.

    Batches are ``(x, y)``: inputs and targets ``(B,)`` or ``(B, outputs)``, best standardised, as our data modules hand
    them over: errors are then in standard deviations of the training targets. Logs ``train/loss``,
    ``val/{rmse,mae,r2}`` and ``test/{rmse,mae,r2}``.

    Args:
        network: maps ``x`` to predictions of as many numbers as ``y`` has, such as ``(B, 1)`` for ``(B,)``.
        optimizer: called with the parameters, gives the optimizer: ``functools.partial(torch.optim.SGD, lr=0.1)``.
        lr_scheduler: called with the optimizer and the number of optimizer steps of the whole run, gives a scheduler
            that is stepped after every optimizer step; ``None`` keeps the learning rate constant.
        num_outputs: how many numbers are predicted for a sample.

    Raises:
        ValueError: as soon as the network predicts, or the targets have, another number than ``num_outputs``.

    Examples:
        >>> import torch
        >>> from functools import partial
        >>> net = Regressor(nn.Linear(4, 1), partial(torch.optim.SGD, lr=0.1), num_outputs=1)
        >>> tuple(net(torch.zeros(5, 4)).shape)
        (5, 1)
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerFactory,
        lr_scheduler: SchedulerFactory | None = None,
        *,
        num_outputs: int,
    ) -> None:
        super().__init__(network, optimizer, lr_scheduler, regression_metrics())
        self.num_outputs = num_outputs

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401
        """Return the training loss of one batch."""
        predictions, y = self._matched(batch)
        loss = F.mse_loss(predictions, y)
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def _judge(self, metrics: MetricCollection, batch: Any) -> None:  # noqa: ANN401
        metrics.update(*self._matched(batch))
        self.log_dict(metrics)

    def _matched(self, batch: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        """Predictions and targets of one shape: of (B, 1) and (B,), torch would compare all with all."""
        x, y = pair(batch)
        predictions, shape = self(x), (len(y), self.num_outputs)
        if predictions.shape != shape or y.numel() != predictions.numel():
            raise ValueError(
                f"With num_outputs={self.num_outputs} the network must predict {shape} numbers for targets of as many; "
                f"it gave {tuple(predictions.shape)} for {tuple(y.shape)}."
            )
        return predictions.reshape(y.shape), y
