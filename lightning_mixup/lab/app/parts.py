"""What training and judging have in common: the parts of a run, and a quiet console."""

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from lightning.pytorch import LightningDataModule, LightningModule, seed_everything
from lightning.pytorch.utilities.model_helpers import is_overridden
from omegaconf import DictConfig, OmegaConf
from torch import nn

from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.evaluation import Evaluation

FACTS = ("num_classes", "num_outputs", "input_shape", "vocab_size")
"""What a data module may announce, so that nobody has to type it."""


class Parts(NamedTuple):
    """What is trained, on what, and how it is judged."""

    data: LightningDataModule
    network: nn.Module | None
    module: LightningModule
    evaluation: Evaluation | None


def assemble(cfg: DictConfig) -> Parts:
    """Build data, network, module and judge, handing on what the data announce.

    A class of the user's own takes what its constructor has a name for, of ``num_classes`` (or, of a regression,
    ``num_outputs``), ``input_shape``, ``vocab_size``, ``network``, ``optimizer`` and ``lr_scheduler``, and nothing
    else. What the configuration gives by itself stays.

    Args:
        cfg: what ``conf/train.yaml`` describes.

    Raises:
        ConfigError: the configuration asks for something that cannot be.
    """
    if not isinstance(cfg.seed, int):
        raise ConfigError(f"seed must be a whole number, so that the run can be repeated; got {cfg.seed!r}.")
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    seed_everything(cfg.seed, workers=True, verbose=False)
    data = _require("data", build(cfg, "data"), LightningDataModule, "Loaders are handed over by a DataModule.")
    if not is_overridden("test_dataloader", data):
        raise ConfigError(
            f"data must have a test_dataloader, for a run ends with its test; {type(data).__name__} has none."
            " To judge on the validation samples, let it return self.val_dataloader()."
        )
    evaluation = build(cfg, "evaluate")
    if hasattr(evaluation, "check"):
        try:
            evaluation.check(data)
        except ValueError as error:
            raise ConfigError(f"evaluate: {error}") from error
    facts = {name: getattr(data, name) for name in FACTS if getattr(data, name, None) is not None}
    outputs = {"num_classes": facts["num_outputs"]} if "num_outputs" in facts else {}  # of the network's last layer
    network = _build_with(cfg, "model", outputs | facts, data)
    learning = {name: build(cfg, name) for name in ("optimizer", "lr_scheduler")}
    module = _build_with(cfg, "module", {**facts, **learning, "network": network}, data)
    hint = "A plain network is a model: model._target_=..., which module=classifier trains."
    return Parts(data, network, _require("module", module, LightningModule, hint), evaluation)


def _build_with(cfg: DictConfig, key: str, offers: dict[str, object], data: object) -> Any:  # noqa: ANN401
    node = OmegaConf.select(cfg, key)
    if not node:
        return None
    factory = build(OmegaConf.create({key: {**node, "_partial_": True}}), key)
    parameters = inspect.signature(factory.func).parameters
    everything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    wanted = {name: value for name, value in offers.items() if everything or name in parameters}
    given = {name: value for name, value in wanted.items() if name not in node}
    for name in FACTS:
        if name in parameters and parameters[name].default is inspect.Parameter.empty and name not in {*node, *given}:
            told = [fact for fact in FACTS if hasattr(data, fact)]
            raise ConfigError(
                f"{key} needs {name}, which {type(data).__name__} does not announce"
                f" (it announces {', '.join(told) or 'nothing'}): set it as an attribute of the data module, or give"
                f" +{key}.{name}=NUMBER. module=classifier is for classes, module=regressor for values."
            )
    return build(cfg, key, **given)


T = TypeVar("T")


def _require(key: str, built: object, kind: type[T], hint: str) -> T:
    if not isinstance(built, kind):
        raise ConfigError(f"{key} must be a {kind.__name__}; got {type(built).__name__}. {hint}")
    return built


@contextmanager
def tidy() -> Iterator[None]:
    """Keep from the console what Lightning says about choices made on purpose."""
    package = str(Path(__file__).parents[2])

    def ours(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or record.pathname.startswith(package)

    # Devices found, tips, the seed: nothing to act on. What the callbacks say goes through the same logger, and stays.
    levels = {
        "lightning.pytorch": "WARNING",
        "lightning.fabric": "WARNING",
        "lightning.pytorch.utilities.rank_zero": "INFO",
    }
    logging.getLogger("lightning").handlers.clear()  # Hydra's handlers show and keep the same lines
    loggers = {name: logging.getLogger(name) for name in levels}
    before = {name: logger.level for name, logger in loggers.items()}
    for name, logger in loggers.items():
        logger.setLevel(levels[name])
        logger.addFilter(ours)
    try:
        with warnings.catch_warnings():
            # Data in memory: loader processes would only add time.
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            # Lightning 2.6 beside torch 2.13.
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.", category=FutureWarning)
            # A run that goes on, or may overwrite, does so in its folder.
            warnings.filterwarnings("ignore", message="(Checkpoint|Experiment logs) directory .* exists and is not")
            # A short epoch still logs its averages.
            warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
            yield
    finally:
        for name, logger in loggers.items():
            logger.setLevel(before[name])
            logger.removeFilter(ours)
