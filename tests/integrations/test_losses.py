"""Losses of libraries, in steps that know nothing of mixing: value and gradient are those of the formula in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

import pytest
import torch
from targets.corpus import Case, Net, check_exact
from torch import Tensor

from lightning_mixup.targets import MixedTargetError

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


class Foreign(NamedTuple):
    """A loss of a library.

    Attributes:
        package: Where it is.
        name: Of its class.
        data: Of the corpus.
        options: Its arguments.
        logits: What of the network's output it takes.
        cure: Arguments of the callback that a refusal names.
        dtype: In which it works.
    """

    package: str
    name: str
    data: str
    options: dict[str, Any] = {}  # noqa: RUF012
    logits: Callable[[Tensor], Tensor] = lambda z: z
    cure: dict[str, Any] = {}  # noqa: RUF012
    dtype: torch.dtype = torch.float64


ONE_HOT = {"to_onehot_y": True, "softmax": True}
SPACE = {"num_classes": 5, "embedding_size": 5}
METRIC = "ContrastiveLoss TripletMarginLoss SupConLoss NTXentLoss MultiSimilarityLoss CircleLoss NCALoss AngularLoss"
PROXIES = "ArcFaceLoss CosFaceLoss SphereFaceLoss NormalizedSoftmaxLoss ProxyNCALoss SoftTripleLoss"
LOSSES = [
    *(Foreign("monai.losses", name, "mask channel", ONE_HOT) for name in ("DiceLoss", "DiceCELoss", "DiceFocalLoss")),
    *(Foreign("monai.losses", name, "mask channel", ONE_HOT) for name in ("TverskyLoss", "GeneralizedDiceLoss")),
    Foreign("monai.losses", "GeneralizedDiceFocalLoss", "mask channel", ONE_HOT),
    Foreign("monai.losses", "FocalLoss", "mask channel", {"to_onehot_y": True, "use_softmax": True}),
    *(Foreign("pytorch_metric_learning.losses", name, "classes") for name in METRIC.split()),
    *(Foreign("pytorch_metric_learning.losses", name, "classes", SPACE) for name in PROXIES.split()),
    # Counts of classes decide in Python, and proxies are parameters: nothing runs it twice unasked.
    Foreign("pytorch_metric_learning.losses", "ProxyAnchorLoss", "classes", SPACE, cure={"loss": "criterion"}),
    *(
        Foreign("segmentation_models_pytorch.losses", name, "masks", {"mode": "multiclass"})
        for name in ("DiceLoss", "JaccardLoss", "FocalLoss", "TverskyLoss")
    ),
    Foreign("segmentation_models_pytorch.losses", "LovaszLoss", "masks", {"mode": "multiclass"}, dtype=torch.float32),
    Foreign("segmentation_models_pytorch.losses", "SoftCrossEntropyLoss", "masks", {"smooth_factor": 0.1}),
    Foreign("segmentation_models_pytorch.losses", "SoftBCEWithLogitsLoss", "blobs", logits=lambda z: z[:, :1]),
    Foreign("segmentation_models_pytorch.losses", "MCCLoss", "blobs", logits=lambda z: z[:, :1].sigmoid()),
    Foreign("timm.loss", "LabelSmoothingCrossEntropy", "classes"),
    Foreign("timm.loss", "SoftTargetCrossEntropy", "one-hot"),
    Foreign("timm.loss", "BinaryCrossEntropy", "classes", {"smoothing": 0.1}),
    Foreign("timm.loss", "AsymmetricLossMultiLabel", "many labels", dtype=torch.float32),
    Foreign("timm.loss", "AsymmetricLossSingleLabel", "classes"),
    Foreign("kornia.losses", "DiceLoss", "masks"),
    Foreign("kornia.losses", "FocalLoss", "masks", {"alpha": 0.5, "reduction": "mean"}),
    Foreign("kornia.losses", "TverskyLoss", "masks", {"alpha": 0.4, "beta": 0.6}),
    Foreign("kornia.losses", "LovaszSoftmaxLoss", "masks"),
    Foreign("kornia.losses", "BinaryFocalLossWithLogits", "many labels", {"alpha": 0.25, "reduction": "mean"}),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("foreign", LOSSES, ids=lambda foreign: f"{foreign.package.partition('.')[0]}-{foreign.name}")
def test_a_loss_of_a_library_is_exact(foreign: Foreign, seed: int):
    pytest.importorskip(foreign.package, reason="a scheduled job installs it", exc_type=ImportError)
    criterion = getattr(import_module(foreign.package), foreign.name)

    def build(net: Net) -> None:
        net.criterion = criterion(**foreign.options)

    def step(net: Net, x: Tensor, y: Tensor) -> Tensor:
        return net.criterion(foreign.logits(net(x)), y)

    case = Case(name=foreign.name, step=step, data=foreign.data, build=build, dtype=foreign.dtype)
    if foreign.cure:
        with pytest.raises(MixedTargetError, match="loss='criterion'"):
            check_exact(case, seed)
    # Some go on in single precision, whatever they are given.
    check_exact(replace(case, options=foreign.cure, close=1e-6), seed)
