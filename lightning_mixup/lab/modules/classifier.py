"""The LightningModule that recipes train. It knows nothing about mixing."""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from lightning_mixup.lab.evaluation import classification_metrics
from lightning_mixup.lab.modules.base import Learner, OptimizerFactory, SchedulerFactory, pair

Loss = Literal["cross_entropy", "binary_cross_entropy", "softmax_bce"]


class Classifier(Learner):
    """Train a network to tell classes apart; judge it by accuracy, likelihood and calibration.

    Batches are ``(x, y)``: inputs and class indices ``(B,)``; in training also probabilities ``(B, num_classes)``.
    Logs ``train/loss``, ``train/accuracy``, ``val/{accuracy,nll,ece}`` and ``test/{accuracy,nll,ece}``.

    Args:
        network: maps ``x`` to logits ``(B, num_classes)``.
        optimizer: called with the parameters, gives the optimizer: ``functools.partial(torch.optim.SGD, lr=0.1)``.
        lr_scheduler: called with the optimizer and the number of optimizer steps of the whole run, gives a scheduler
            that is stepped after every optimizer step; ``torch.optim.lr_scheduler.CosineAnnealingLR`` fits as it is.
            ``None`` keeps the learning rate constant.
        num_classes: number of classes.
        label_smoothing: share of each training label spread evenly over all classes, in ``[0, 1)``.
        loss: what is trained with; the metrics are the same for all, of the softmax of the logits.
            ``cross_entropy``, of the softmax.
            ``binary_cross_entropy``, of the sigmoid of every logit with the one-hot label, averaged over samples and
            classes (Wightman et al. 2021, "ResNet strikes back", section 2). A mixed label counts with its weight:
            their treating every label of some weight as 1 is left out. Its logits are no log-probabilities: compare
            likelihood and calibration after temperature scaling.
            ``softmax_bce``, the same mean, of the softmax: what the code of Manifold Mixup's authors (Verma et al.
            2019) trains with, whatever the method.
        channels_last: whether the weights of convolutions keep their channels last in memory, and with them all that
            convolutions compute: faster in half precision, on a GPU and on processors with matrix units.

    Raises:
        ValueError: ``label_smoothing`` is out of its range, or ``loss`` is none of these.

    Examples:
        >>> from functools import partial
        >>> net = Classifier(nn.Linear(4, 3), partial(torch.optim.SGD, lr=0.1), num_classes=3)
        >>> tuple(net(torch.zeros(5, 4)).shape)
        (5, 3)
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerFactory,
        lr_scheduler: SchedulerFactory | None = None,
        *,
        num_classes: int,
        label_smoothing: float = 0.0,
        loss: Loss = "cross_entropy",
        channels_last: bool = False,
    ) -> None:
        super().__init__(network, optimizer, lr_scheduler, classification_metrics(num_classes))
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1); got {label_smoothing!r}.")
        if loss not in get_args(Loss):
            raise ValueError(f"loss must be one of {', '.join(get_args(Loss))}; got {loss!r}.")
        self.label_smoothing = label_smoothing
        self.loss = loss
        # Validating the arguments reads them back from the device, and every step would wait for it.
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        if channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:  # noqa: ANN401
        """Return the training loss of one batch."""
        x, y = pair(batch)
        logits = self(x)
        loss = self._loss(logits, y)
        self.train_accuracy(logits, y.argmax(dim=1) if y.is_floating_point() else y)
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        return loss

    def _loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.loss == "cross_entropy":
            return F.cross_entropy(logits, y, label_smoothing=self.label_smoothing)
        logits, classes = logits.float(), logits.shape[1]
        target = (y if y.is_floating_point() else F.one_hot(y, classes)).to(logits)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.loss == "binary_cross_entropy":
            return F.binary_cross_entropy_with_logits(logits, target)
        # torch refuses a loss of probabilities under autocast; these are in single precision.
        with torch.autocast(logits.device.type, enabled=False):
            return F.binary_cross_entropy(logits.softmax(dim=1), target)
