"""One job: build, train, test, report."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lightning_mixup.app.build import build
from lightning_mixup.app.errors import ConfigError
from lightning_mixup.app.launch import own_processes
from lightning_mixup.app.report import show_scores, show_start, write_results
from lightning_mixup.data import ArrayDataModule


def train(cfg: DictConfig) -> float | None:
    """Carry out one run and write its ``config.yaml`` and ``results.json``.

    Args:
        cfg: what ``conf/train.yaml`` describes.

    Returns:
        The metric named by ``cfg.objective``, for a sweeper; ``None`` if it names none, and in every process of a
        distributed run but the first.

    Raises:
        ConfigError: the configuration asks for something that cannot be.
    """
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    console = Console()
    OmegaConf.resolve(cfg)
    if not isinstance(cfg.seed, int):
        raise ConfigError(f"seed must be a whole number, so that the run can be repeated; got {cfg.seed!r}.")
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    with _tidy():
        seed_everything(cfg.seed, workers=True, verbose=False)
        data: ArrayDataModule = build(cfg, "data")
        facts = {"num_classes": data.num_classes}
        network = build(cfg, "model", input_shape=data.input_shape, **facts)
        optimizer, lr_scheduler = build(cfg, "optimizer"), build(cfg, "lr_scheduler")
        module = build(cfg, "classifier", network=network, optimizer=optimizer, lr_scheduler=lr_scheduler, **facts)
        mix = build(cfg, "mix")
        trainer = build(cfg, "trainer", **_attachments(cfg, mix), default_root_dir=run_dir)
        config = run_dir / "config.yaml"
        rank_zero_only(OmegaConf.save)(cfg, config)
        rank_zero_only(show_start)(network, data, mix, cfg.seed, console)
        start = time.perf_counter()
        with own_processes(trainer, config):
            trainer.fit(module, data)
        duration = time.perf_counter() - start
        if not trainer.is_global_zero:
            return None
        scores = _test(cfg, trainer, module, data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()} | scores
    write_results(run_dir / "results.json", logged, seed=cfg.seed, duration=duration)
    show_scores(scores, console)
    console.print(f"{duration:.0f} s of training. Configuration, metrics, weights and results.json are in")
    console.print(str(run_dir), soft_wrap=True)
    return _objective(cfg, logged)


def _attachments(cfg: DictConfig, mix: Callback | None) -> dict[str, object]:
    named = [build(cfg, f"callbacks.{name}") for name in cfg.callbacks or ()]
    callbacks: list[Callback] = [callback for callback in (*named, mix) if callback is not None]
    attachments = {
        "callbacks": callbacks,
        "logger": build(cfg, "logger") or False,
        # Lightning adds its own where there is none; here what the configuration lists is what there is.
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "enable_model_summary": False,
    }
    return {name: value for name, value in attachments.items() if name not in cfg.trainer}


def _test(cfg: DictConfig, fitted: Trainer, module: LightningModule, data: ArrayDataModule) -> dict[str, float]:
    """Judge the kept weights on one device: a distributed sampler repeats samples to fill its last batch."""
    device = fitted.strategy.root_device
    alone = {
        "devices": 1 if device.index is None else [device.index],
        "num_nodes": 1,
        "strategy": "auto",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    kept = getattr(fitted.checkpoint_callback, "best_model_path", "")
    if kept:  # nothing is kept by a dry run, nor without the callback: then the weights are those of the last step
        module.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True)["state_dict"])
    judge: Trainer = build(cfg, "trainer", **alone)
    scores = {name: float(value) for name, value in judge.test(module, data, verbose=False)[0].items()}
    for logger in fitted.loggers:
        logger.log_metrics(scores, step=fitted.global_step)
        logger.finalize("success")
    return scores


def _objective(cfg: DictConfig, logged: dict[str, float]) -> float | None:
    if cfg.objective is None:
        return None
    if cfg.objective not in logged:
        raise ConfigError(f"objective must be null or a logged metric ({', '.join(logged)}); got {cfg.objective!r}.")
    return logged[cfg.objective]


@contextmanager
def _tidy() -> Iterator[None]:
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
