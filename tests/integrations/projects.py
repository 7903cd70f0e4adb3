"""Modules of other projects, as they are, each with a small batch from the project's own code.

A :class:`Project` says how its module is built, where its batches hold inputs and targets, and what its targets are.
It knows nothing of how anything is mixed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

SIZE = 6
"""Samples in a batch."""


class Project(NamedTuple):
    """A module of another project and a batch for it.

    Attributes:
        name: In test reports.
        packages: What has to be installed.
        build: Gives a module and a batch; draws from torch's global random state.
        inputs: Keys of the tensors that are mixed.
        targets: Keys of the targets.
        values: Whether targets are values, which are mixed, or labels, whose losses are.
        maps: Whether targets are maps over the pixels, which CutMix cuts.
        layer: A hidden layer with samples in front, for Manifold Mixup.
        boxes: Dimensions that CutMix may cut, if any.
        trainer: The package whose Trainer it takes.
        close: Relative precision; in single precision sums of a batch leave little more.
    """

    name: str
    packages: tuple[str, ...]
    build: Callable[[], tuple[Any, Any]]
    inputs: tuple[str, ...] = ("0",)
    targets: tuple[str, ...] = ("1",)
    values: bool = False
    maps: bool = False
    layer: str | None = None
    boxes: tuple[int, ...] = ()
    trainer: str = "lightning.pytorch"
    close: float = 2e-5


def entry(batch: Any, path: str) -> Any:
    """What a batch holds at a path of keys, indices and attributes; ``"."`` is all of it."""
    for name in filter(None, path.split(".")):
        if isinstance(batch, (tuple, list)) and name.isdigit():
            batch = batch[int(name)]
        elif hasattr(batch, "keys"):
            batch = batch[name]
        else:
            batch = getattr(batch, name)
    return batch


def images(*shape: int) -> Tensor:
    return torch.randn(SIZE, *shape)


def classes(many: int, *shape: int) -> Tensor:
    return torch.randint(0, many, (SIZE, *shape))


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), 0.1)


# Each section: one project. What is written here is what its documentation shows, on small data.


def boring() -> tuple[Any, Any]:
    from lightning.pytorch.demos.boring_classes import BoringModel

    return BoringModel(), torch.randn(SIZE, 32)


def hydra_template() -> tuple[Any, Any]:
    from torchmetrics import MaxMetric, MeanMetric
    from torchmetrics.classification import MulticlassAccuracy

    class Classifier(LightningModule):
        """The layout that popular Lightning and Hydra templates share: a step that all stages use, running metrics."""

        def __init__(self, net: nn.Module, optimizer: Callable[..., torch.optim.Optimizer]) -> None:
            super().__init__()
            self.save_hyperparameters(logger=False, ignore=["net"])
            self.net, self.criterion = net, nn.CrossEntropyLoss()
            self.train_acc, self.train_loss, self.best = MulticlassAccuracy(5), MeanMetric(), MaxMetric()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        def model_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            x, y = batch
            logits = self(x)
            return self.criterion(logits, y), torch.argmax(logits, dim=1), y

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            loss, predictions, targets = self.model_step(batch)
            self.train_loss(loss)
            self.train_acc(predictions, targets)
            self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
            self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
            return loss

        def configure_optimizers(self) -> dict[str, Any]:
            return {"optimizer": self.hparams.optimizer(params=self.parameters())}

    hidden = nn.Sequential(nn.Linear(3 * 8 * 8, 16), nn.BatchNorm1d(16), nn.ReLU())
    net = nn.Sequential(nn.Flatten(), hidden, nn.Linear(16, 5))
    return Classifier(net, partial(torch.optim.Adam, lr=1e-3)), (images(3, 8, 8), classes(5))


def lightly() -> tuple[Any, Any]:
    from lightly.utils.benchmarking import LinearClassifier

    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    module = LinearClassifier(backbone, SIZE, feature_dim=4, num_classes=7, topk=(1, 5))
    return module, (images(3, 8, 8), classes(7), ["a.png"] * SIZE)


def torch_uncertainty_classes() -> tuple[Any, Any]:
    from torch_uncertainty.losses import FocalLoss
    from torch_uncertainty.routines import ClassificationRoutine

    net = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(192, 8), nn.ReLU()), nn.Linear(8, 5))
    module = ClassificationRoutine(net, 5, FocalLoss(gamma=1.0), optim_recipe=sgd(net))
    return module, (images(3, 8, 8), classes(5))


def torch_uncertainty_masks() -> tuple[Any, Any]:
    from torch_uncertainty.routines import SegmentationRoutine

    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))
    loss = nn.CrossEntropyLoss(ignore_index=255)
    module = SegmentationRoutine(net, 5, loss, optim_recipe=sgd(net))
    masks = classes(5, 8, 8)
    masks[torch.rand(masks.shape) < 0.2] = 255
    return module, (images(3, 8, 8), masks)


def torchgeo(loss: str) -> Callable[[], tuple[Any, Any]]:
    def build() -> tuple[Any, Any]:
        from torchgeo.trainers import SemanticSegmentationTask

        module = SemanticSegmentationTask(model="fcn", in_channels=4, num_classes=5, num_filters=4, loss=loss)
        module.configure_optimizers = lambda: sgd(module)  # its own waits for a validation
        return module, {"image": images(4, 16, 16), "mask": classes(5, 16, 16), "bounds": [None] * SIZE}

    return build


class Segmenter(LightningModule):
    """A segmentation network and loss of a library, in the step that its tutorials write."""

    def __init__(self, net: nn.Module, criterion: nn.Module, image: str, label: str) -> None:
        super().__init__()
        self.net, self.criterion, self.image, self.label = net, criterion, image, label

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        loss = self.criterion(self.net(batch[self.image]), batch[self.label])
        self.log("train_loss", loss.item())
        return {"loss": loss}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return sgd(self)


def monai() -> tuple[Any, Any]:
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet

    net = UNet(spatial_dims=3, in_channels=1, out_channels=3, channels=(4, 8), strides=(2,), norm="batch")
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)
    # Spleen and its kin come as floating point label maps with a channel.
    batch = {"image": images(1, 8, 8, 8), "label": classes(3, 1, 8, 8, 8).float()}
    return Segmenter(net, criterion, "image", "label"), batch


def segmentation_models() -> tuple[Any, Any]:
    import segmentation_models_pytorch as smp

    net = smp.Unet("resnet18", encoder_weights=None, classes=3)
    criterion = smp.losses.DiceLoss("multiclass", from_logits=True)
    return Segmenter(net, criterion, "image", "mask"), {"image": images(3, 32, 32), "mask": classes(3, 32, 32)}


def chemprop(predictor: str) -> Callable[[], tuple[Any, Any]]:
    def build() -> tuple[Any, Any]:
        from chemprop import data, models
        from chemprop import nn as chem

        smiles = ["CCO", "c1ccccc1", "CC(=O)O", "CCN", "C1CCCCC1", "CC#N"]
        labels = np.array([[0.3], [-1.0], [0.8], [2.0], [1.1], [-0.4]])
        if predictor != "RegressionFFN":
            labels = np.array([[0.0], [1.0], [2.0], [1.0], [0.0], [2.0]]) % (2 if predictor.startswith("Binary") else 3)
        points = [data.MoleculeDatapoint.from_smi(s, y) for s, y in zip(smiles, labels, strict=True)]
        loader = data.build_dataloader(data.MoleculeDataset(points), batch_size=SIZE, shuffle=False)
        options = {"n_classes": 3} if predictor.startswith("Multi") else {}
        head = getattr(chem, predictor)(input_dim=16, hidden_dim=8, **options)
        module = models.MPNN(chem.BondMessagePassing(d_h=16), chem.MeanAggregation(), head, batch_norm=True)
        return module, next(iter(loader))

    return build


def series(steps: int, count: int) -> Any:
    import pandas as pd

    rng = np.random.default_rng(0)
    time = np.arange(steps)
    rows = [
        {"series": str(i), "time": time, "value": np.sin(time / 3 + i) + rng.normal(size=steps)} for i in range(count)
    ]
    return pd.concat(map(pd.DataFrame, rows), ignore_index=True)


def pytorch_forecasting(name: str) -> Callable[[], tuple[Any, Any]]:
    def build() -> tuple[Any, Any]:
        import pytorch_forecasting as forecasting

        data = forecasting.TimeSeriesDataSet(
            series(20, SIZE),
            time_idx="time",
            target="value",
            group_ids=["series"],
            max_encoder_length=8,
            max_prediction_length=3,
            time_varying_unknown_reals=["value"],
            target_normalizer=forecasting.EncoderNormalizer(),
        )
        options = {"loss": forecasting.QuantileLoss()} if name == "TemporalFusionTransformer" else {}
        module = getattr(forecasting, name).from_dataset(
            data, hidden_size=8, log_interval=-1, optimizer="sgd", **options
        )
        module.eval()
        batch = next(iter(data.to_dataloader(train=True, batch_size=SIZE, num_workers=0, shuffle=False)))
        return module, batch

    return build


def gluonts() -> tuple[Any, Any]:
    from gluonts.torch.model.simple_feedforward.lightning_module import SimpleFeedForwardLightningModule

    past, future = torch.randn(SIZE, 12).cumsum(1), torch.randn(SIZE, 4)
    batch = {
        "past_target": past,
        "past_observed_values": torch.ones_like(past),
        "future_target": future,
        "future_observed_values": torch.ones_like(future),
    }
    sizes = {"prediction_length": 4, "context_length": 12, "hidden_dimensions": [8, 8]}
    return SimpleFeedForwardLightningModule(model_kwargs=sizes), batch


def captured(package: str, fit: Callable[[Any], None]) -> tuple[Any, Any]:
    """A module and a batch from a project that builds both inside of its ``fit``.

    Args:
        package: Whose callbacks the project takes.
        fit: Trains for one batch with the callback that it is given.
    """
    from importlib import import_module

    found: list[Any] = []

    class Capture(import_module(package).Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
            found[:] = [module, copy.deepcopy(batch)]

    fit(Capture())
    module, batch = found
    module.trainer = None
    module.zero_grad()
    return module, batch


def quiet(callback: Any) -> dict[str, Any]:
    """Arguments of a Trainer that takes one step."""
    return {
        "accelerator": "cpu",
        "max_steps": 1,
        "callbacks": [callback],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }


def darts(name: str) -> Callable[[], tuple[Any, Any]]:
    def build() -> tuple[Any, Any]:
        from darts import TimeSeries, models

        values = TimeSeries.from_values(np.random.default_rng(0).normal(size=(13 + 4 + SIZE, 1)).astype("f4"))

        def fit(callback: Any) -> None:
            sizes = (
                {"num_blocks": 1, "num_stacks": 2, "layer_widths": 8} if name == "NBEATSModel" else {"hidden_size": 8}
            )
            model = getattr(models, name)(
                13, 4, batch_size=SIZE, n_epochs=1, pl_trainer_kwargs=quiet(callback), **sizes
            )
            model.fit(values)

        return captured("pytorch_lightning", fit)

    return build


def neuralforecast() -> tuple[Any, Any]:
    from neuralforecast import NeuralForecast
    from neuralforecast.models import MLP

    def fit(callback: Any) -> None:
        data = series(20, SIZE).rename(columns={"series": "unique_id", "time": "ds", "value": "y"})
        model = MLP(h=3, input_size=8, hidden_size=8, num_layers=2, batch_size=SIZE, **quiet(callback))
        NeuralForecast([model], freq=1).fit(data)

    return captured("pytorch_lightning", fit)


def scvi() -> tuple[Any, Any]:
    from anndata import AnnData
    from scvi import settings
    from scvi.model import SCVI

    settings.seed = 0

    def fit(callback: Any) -> None:
        cells = AnnData(np.random.default_rng(0).poisson(2.0, size=(SIZE, 20)).astype("f4"))
        SCVI.setup_anndata(cells)
        model = SCVI(cells, n_hidden=8, n_latent=3)
        options = quiet(callback)
        del options["max_steps"]
        model.train(max_epochs=1, batch_size=SIZE, train_size=1.0, **options)

    return captured("lightning.pytorch", fit)


def asteroid() -> tuple[Any, Any]:
    from asteroid.engine.system import System
    from asteroid.losses import PITLossWrapper, pairwise_neg_sisdr
    from asteroid.models import ConvTasNet

    widths = dict.fromkeys(("n_filters", "kernel_size", "bn_chan", "hid_chan", "skip_chan"), 8)
    net = ConvTasNet(n_src=2, sample_rate=8000, n_blocks=2, n_repeats=1, **widths)
    sources = torch.randn(SIZE, 2, 80)
    batch = sources.sum(1), sources
    return System(net, sgd(net), PITLossWrapper(pairwise_neg_sisdr), DataLoader([0])), batch


IMAGE = (-2, -1)
PAST_FUTURE = ("past_target",), ("future_target",)
OLD = "pytorch_lightning"  # the package of Lightning that some projects import
PROJECTS = [
    Project("BoringModel", (), boring, (".",), ()),
    Project("Hydra template", (), hydra_template, layer="net.1", boxes=IMAGE),
    Project("lightly, linear probe", ("lightly",), lightly, boxes=IMAGE, trainer=OLD),
    Project(
        "torch-uncertainty, focal loss", ("torch_uncertainty",), torch_uncertainty_classes, layer="model.1", boxes=IMAGE
    ),
    Project(
        "torch-uncertainty, masks with void",
        ("torch_uncertainty",),
        torch_uncertainty_masks,
        maps=True,
        layer="model.0",
        boxes=IMAGE,
    ),
    *(
        Project(
            f"torchgeo, {loss}",
            ("torchgeo", "segmentation_models_pytorch"),
            torchgeo(loss),
            ("image",),
            ("mask",),
            maps=True,
            layer="model.backbone.1",
            boxes=IMAGE,
        )
        for loss in ("ce", "jaccard", "focal")
    ),
    Project("MONAI, spleen", ("monai",), monai, ("image",), ("label",), maps=True, layer="net.model.0", boxes=IMAGE),
    Project(
        "segmentation-models-pytorch, Dice",
        ("segmentation_models_pytorch",),
        segmentation_models,
        ("image",),
        ("mask",),
        maps=True,
        boxes=IMAGE,
    ),
    *(
        Project(
            f"chemprop, {head}", ("chemprop",), chemprop(head), (), ("Y",), values=head == "RegressionFFN", layer="agg"
        )
        for head in ("RegressionFFN", "BinaryClassificationFFN", "MulticlassClassificationFFN")
    ),
    *(
        Project(
            f"pytorch-forecasting, {name}",
            ("pytorch_forecasting",),
            pytorch_forecasting(name),
            ("0.encoder_cont", "0.decoder_cont"),
            ("1.0",),
            values=True,
        )
        for name in ("TemporalFusionTransformer", "RecurrentNetwork")
    ),
    Project("gluonts, feed forward", ("gluonts",), gluonts, *PAST_FUTURE, values=True),
    *(
        Project(f"darts, {name}", ("darts",), darts(name), *PAST_FUTURE, values=True, boxes=(-2,), trainer=OLD)
        for name in ("NBEATSModel", "TiDEModel")
    ),
    Project("neuralforecast, MLP", ("neuralforecast",), neuralforecast, ("temporal",), (), trainer=OLD),
    Project("asteroid, ConvTasNet", ("asteroid",), asteroid, values=True, layer="model.encoder", trainer=OLD),
    Project("scvi-tools, SCVI", ("scvi",), scvi, ("X",), ()),
]
