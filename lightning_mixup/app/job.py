"""What training and judging have in common: the parts of a run, and a quiet console."""

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule, LightningModule, seed_everything
from omegaconf import DictConfig, OmegaConf
from torch import nn

from lightning_mixup.app.build import build
from lightning_mixup.app.errors import ConfigError


class Parts(NamedTuple):
    """What is trained, and on what."""

    data: LightningDataModule
    network: nn.Module | None
    module: LightningModule


def assemble(cfg: DictConfig) -> Parts:
    """Build data, network and module, handing on what the data announce.

    A class of the user's own takes what its constructor has a name for, of ``num_classes``, ``input_shape``,
    ``network``, ``optimizer`` and ``lr_scheduler``, and nothing else.

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
    data: LightningDataModule = build(cfg, "data")
    facts = {name: getattr(data, name) for name in ("num_classes", "input_shape") if hasattr(data, name)}
    network = _build_with(cfg, "model", facts)
    learning = {name: build(cfg, name) for name in ("optimizer", "lr_scheduler")}
    return Parts(data, network, _build_with(cfg, "module", {**facts, **learning, "network": network}))


def _build_with(cfg: DictConfig, key: str, offers: dict[str, object]) -> Any:  # noqa: ANN401
    node = OmegaConf.select(cfg, key)
    if not node:
        return None
    factory = build(OmegaConf.create({key: {**node, "_partial_": True}}), key)
    parameters = inspect.signature(factory.func).parameters
    everything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    wanted = {name: value for name, value in offers.items() if everything or name in parameters}
    return build(cfg, key, **wanted)


@contextmanager
def tidy() -> Iterator[None]:
    """Keep from the console what Lightning says about choices made on purpose."""
    package = str(Path(__file__).parents[1])

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
            # A short epoch still logs its averages.
            warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
            yield
    finally:
        for name, logger in loggers.items():
            logger.setLevel(before[name])
            logger.removeFilter(ours)
