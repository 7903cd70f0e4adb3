"""What a configuration may name, and where what it names may write.

Whatever a ``_target_`` names is imported and called: a configuration is a program. It may name three kinds of things:
what our own configurations name, the public classes of our packages, and the classes and functions of other packages
that are listed here one by one. Packages that the user names on the command line are his to answer for.
"""

import importlib
import inspect
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from pydoc import locate
from typing import TYPE_CHECKING, Any

import lightning_mixup
from lightning_mixup.lab.app.errors import ConfigError

if TYPE_CHECKING:
    from importlib.abc import Traversable  # at run time from Python 3.11 on in importlib.resources.abc

PUBLIC = (
    "lightning_mixup",
    "lightning_mixup.callbacks",
    "lightning_mixup.schedules",
    "lightning_mixup.lab.data",
    "lightning_mixup.lab.evaluation",
    "lightning_mixup.lab.models",
    "lightning_mixup.lab.modules",
)
"""Packages of ours of which every class in ``__all__`` may be named."""


def _below(package: str, names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names.split())


OTHERS = (
    *_below(
        "lightning.pytorch.callbacks",
        "BackboneFinetuning BatchSizeFinder DeviceStatsMonitor EMAWeightAveraging EarlyStopping "
        "GradientAccumulationScheduler LambdaCallback LearningRateFinder LearningRateMonitor ModelCheckpoint "
        "ModelPruning ModelSummary OnExceptionCheckpoint RichModelSummary RichProgressBar StochasticWeightAveraging "
        "TQDMProgressBar ThroughputMonitor Timer WeightAveraging",
    ),
    *_below("kornia.augmentation", "ColorJitter RandomErasing auto.RandAugment auto.TrivialAugment"),
    *_below(
        "torch.nn",
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d "
        "AlphaDropout AvgPool1d AvgPool2d AvgPool3d BCELoss BCEWithLogitsLoss BatchNorm1d BatchNorm2d BatchNorm3d "
        "Bilinear CELU CTCLoss ChannelShuffle CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d "
        "ConstantPad3d Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d CosineEmbeddingLoss "
        "CosineSimilarity CrossEntropyLoss Dropout Dropout1d Dropout2d Dropout3d ELU Embedding EmbeddingBag "
        "FeatureAlphaDropout Flatten Fold GELU GLU GRU GRUCell GaussianNLLLoss GroupNorm Hardshrink Hardsigmoid "
        "Hardswish Hardtanh HingeEmbeddingLoss HuberLoss Identity InstanceNorm1d InstanceNorm2d InstanceNorm3d "
        "KLDivLoss L1Loss LPPool1d LPPool2d LSTM LSTMCell LayerNorm LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d "
        "LazyConv1d LazyConv2d LazyConv3d LazyLinear LeakyReLU Linear LocalResponseNorm LogSigmoid LogSoftmax MSELoss "
        "MarginRankingLoss MaxPool1d MaxPool2d MaxPool3d Mish ModuleDict ModuleList MultiLabelMarginLoss "
        "MultiLabelSoftMarginLoss MultiMarginLoss MultiheadAttention NLLLoss PReLU PairwiseDistance PixelShuffle "
        "PixelUnshuffle PoissonNLLLoss RMSNorm RNN RNNCell RReLU ReLU ReLU6 ReflectionPad1d ReflectionPad2d "
        "ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d SELU Sequential SiLU Sigmoid SmoothL1Loss "
        "SoftMarginLoss Softmax Softmax2d Softmin Softplus Softshrink Softsign SyncBatchNorm Tanh Tanhshrink Threshold "
        "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer "
        "TripletMarginLoss Unflatten Unfold Upsample UpsamplingBilinear2d UpsamplingNearest2d ZeroPad1d ZeroPad2d "
        "ZeroPad3d",
    ),
    *_below(
        "torch.optim",
        "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS NAdam RAdam RMSprop Rprop SGD SparseAdam",
    ),
    *_below(
        "torch.optim.lr_scheduler",
        "ChainedScheduler ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR LambdaLR "
        "LinearLR MultiStepLR MultiplicativeLR OneCycleLR PolynomialLR ReduceLROnPlateau SequentialLR StepLR",
    ),
    *_below("math", " ".join(name for name in vars(math) if not name.startswith("_"))),  # numbers in, numbers out
)
"""Of other packages, by name. None of these takes a name to import, or code."""

WRITES = {"default_root_dir": (), "save_dir": ("name", "version", "sub_dir"), "dirpath": ("filename",), "cache_dir": ()}
"""Arguments that say where something is written, and those that are joined to them."""

CONSENT = "LIGHTNING_MIXUP_ALLOW_TARGETS"
"""Environment variable with the packages that the user allows. The processes that a run starts, its other ranks or the
workers of a launcher, find it there."""
SAID = "LIGHTNING_MIXUP_ALLOW_WRITES"
"""Likewise, with the paths of the arguments in ``WRITES`` that the user gave on the command line."""


def check_names(node: object, where: str) -> None:
    """Refuse a configuration that names what is not allowed. None of it is imported.

    Args:
        node: any part of a configuration, as plain dictionaries and lists.
        where: its path.

    Raises:
        ConfigError: a ``_target_`` is not allowed, or not spelled out.
    """
    foreign: dict[str, str] = {}
    for path, part in _nodes(node, where):
        name = part["_target_"]
        if name != "???" and not _is_allowed(f"{path}_target_", name):
            foreign[f"{path}_target_"] = name
    if foreign:
        key, name = next(iter(foreign.items()))
        packages = dict.fromkeys(name.partition(".")[0] for name in foreign.values())
        raise ConfigError(
            f"{key} must name a public class of lightning_mixup, or one of the names of other packages that are listed "
            f"in lightning_mixup/lab/app/allowed.py; got {name!r}.\n"
            f"Packages that you trust are allowed on the command line: 'allow_targets=[{','.join(packages)}]'"
        )


def check_built(node: object, where: str, run_dir: Path) -> None:
    """Check once more what is about to be built; what it names is imported.

    Args:
        node: part of a configuration, as plain dictionaries and lists, with all interpolations resolved.
        where: its path.
        run_dir: the only folder into which it may write, unless the command line says another.

    Raises:
        ConfigError: a name is not allowed or leads out of its package (``torch.optim.lr_scheduler.partial``), a text
            would be interpolated anew, or something would be written elsewhere.
    """
    check_names(node, where)
    for path, text in _texts(node, where):
        if "${" in text:
            raise ConfigError(f"{path} must not make new interpolations; got {text!r}.")
    for path, part in _nodes(node, where):
        name = part["_target_"]
        if name == "???":
            continue
        found = locate(name)
        home = str(getattr(found, "__module__", "elsewhere"))
        if found is not None and home.partition(".")[0] != name.partition(".")[0]:
            raise ConfigError(f"{path}_target_ must name what its package defines; {name} comes from {home}.")
        if not consented(name):
            _check_writes(_arguments(found, part), path, run_dir)


def _is_allowed(key: str, name: object) -> bool:
    if not isinstance(name, str) or "${" in name:
        raise ConfigError(f"{key} must be spelled out, so that it can be checked; got {name}.")
    if name == "hydra.utils.get_method":
        raise ConfigError(f"{key} must name the function itself: {{_target_: math.sqrt, _partial_: true}}.")
    return _is_ours(current(name)) or name in OTHERS or consented(name)


def consented(name: str) -> bool:
    """Whether the user has allowed a package, or a name in it, on the command line."""
    packages = os.environ.get(CONSENT, "").split(",")
    return any(name == package or name.startswith(f"{package}.") for package in packages if package)


def current(name: str) -> str:
    """Give the name of today for one of an earlier version.

    Examples:
        >>> current("lightning_mixup.data.Digits")
        'lightning_mixup.lab.data.Digits'
        >>> current("torch.nn.Linear")
        'torch.nn.Linear'
    """
    package, _, rest = name.partition(".")
    first, dot, last = rest.partition(".")
    moved = lightning_mixup._MOVED.get(first) if package == "lightning_mixup" and dot else None
    return f"{moved}.{last}" if moved else name


@cache
def named_by_us() -> frozenset[str]:
    """Every ``_target_`` in the configurations and recipes that are installed with this package, comments included."""
    return frozenset(
        name
        for package in ("lightning_mixup.conf", "lightning_mixup.recipes")
        for path in _yamls(files(package))
        for name in re.findall(r"_target_: *([\w.]+)", path.read_text(encoding="utf-8"))
        if "." in name
    )


def _yamls(folder: "Traversable") -> Iterator["Traversable"]:
    for path in folder.iterdir():
        if path.is_dir():
            yield from _yamls(path)
        elif path.name.endswith(".yaml"):
            yield path


def _is_ours(name: str) -> bool:
    if name in named_by_us():
        return True
    package, _, last = name.rpartition(".")
    if package not in PUBLIC:
        return False
    module = importlib.import_module(package)
    return last in module.__all__ and isinstance(getattr(module, last), type)


def _check_writes(arguments: Mapping[str, Any], where: str, run_dir: Path) -> None:
    said = os.environ.get(SAID, "").split(",")
    for argument, pieces in WRITES.items():
        given = arguments.get(argument)
        root = run_dir if given is None else Path(str(given)).expanduser().absolute()
        if given is not None and f"{where}{argument}" not in said:
            _require_within(root, run_dir, f"{where}{argument}", str(given))
        for piece in pieces if given is not None or argument == "dirpath" else ():
            if isinstance(text := arguments.get(piece), str) and f"{where}{piece}" not in said:
                _require_within(root / text, root, f"{where}{piece}", text)


def _require_within(path: Path, folder: Path, key: str, given: str) -> None:
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    if not inside or "://" in given:
        raise ConfigError(
            f"{key} must stay in the run folder, {folder}, where a file gives it; got {given!r}. "
            f"The command line may say another: {key}=FOLDER"
        )


def _arguments(function: Any, node: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Arguments by name, those given by their place included."""
    named = {key: value for key, value in node.items() if key not in ("_target_", "_args_", "_partial_")}
    named = {key: value for key, value in named.items() if key not in ("_convert_", "_recursive_")}
    try:
        placed = inspect.signature(function).bind_partial(*node.get("_args_", ())).arguments
    except (TypeError, ValueError):  # it will be refused when it is called
        placed = {}
    return {**placed, **named}


def _nodes(node: object, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Everything with a ``_target_``, however deep, with the beginning of the paths of its keys."""
    if isinstance(node, list | tuple):
        node = dict(enumerate(node))
    if isinstance(node, Mapping):
        start = f"{where}." if where else ""
        if "_target_" in node:
            yield start, node
        for key, value in node.items():
            yield from _nodes(value, f"{start}{key}")


def _texts(node: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield where, node
    elif isinstance(node, Mapping | list | tuple):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _texts(value, f"{where}.{key}" if where else str(key))
