"""One job: build, train, test, report."""

from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar, Timer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lightning_mixup.lab.app.baseline import against_baseline
from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.evaluate import judge
from lightning_mixup.lab.app.folders import LAST
from lightning_mixup.lab.app.launch import own_processes, run_apart, starts_processes
from lightning_mixup.lab.app.objective import find_objective
from lightning_mixup.lab.app.parts import Parts, assemble, tidy
from lightning_mixup.lab.app.plans import is_resumed
from lightning_mixup.lab.app.records import read_record
from lightning_mixup.lab.app.report import headline, show_scores, show_start, write_results
from lightning_mixup.lab.app.state import RunState, keep_rows, kept_state, told_how_to_go_on
from lightning_mixup.lab.app.words import READ
from lightning_mixup.lab.evaluation.epochs import read_epochs, summarise_epochs


def train(cfg: DictConfig) -> float | None:
    """Carry out one run and write its ``config.yaml`` and ``results.json``.

    Args:
        cfg: what ``conf/train.yaml`` describes.

    Returns:
        The metric named by ``cfg.objective``, for a sweeper; ``None`` if there is none, and in every process of a
        distributed run but the first.

    Raises:
        ConfigError: the configuration asks for something that cannot be.
    """
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    console = Console()
    OmegaConf.resolve(cfg)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    if is_resumed() and (done := read_record(run_dir).results):
        longer = "" if in_sweep else ". trainer.max_epochs=... beside it trains longer."
        console.print(f"Done before: {run_dir}{longer}", soft_wrap=True, markup=False)
        return find_objective(cfg.objective, done)
    with tidy():
        parts = assemble(cfg)
        mix = build(cfg, "mix")
        attachments = _attachments(cfg, mix)
        state = RunState(run_dir) if attachments.get("enable_checkpointing") else None
        trainer = build(cfg, "trainer", **attachments, default_root_dir=run_dir)
        config = run_dir / "config.yaml"
        # Resolved, nothing needs what is at the top level for others to read.
        rank_zero_only(OmegaConf.save)(OmegaConf.masked_copy(cfg, [key for key in cfg if key in READ]), config)
        if in_sweep and starts_processes(trainer):
            if is_resumed() and kept_state(run_dir, strict=False)[0] is None:
                (run_dir / LAST).unlink(missing_ok=True)
            run_apart(config)
            return find_objective(cfg.objective, read_record(run_dir).results)
        rank_zero_only(show_start)(parts.network or parts.module, parts.data, mix, cfg.seed, console)
        # The first batch starts the clock: the first job of a sweep loads packages and data for all.
        clock = Timer(verbose=False)
        trainer.callbacks.append(clock)
        with told_how_to_go_on(trainer, state, run_dir, in_sweep):
            ckpt = _attach(state, trainer, run_dir, strict=not in_sweep, console=console)
            with own_processes(trainer, config):
                trainer.fit(parts.module, parts.data, ckpt_path=ckpt, weights_only=True)
            duration = clock.time_elapsed("train")
            if not trainer.is_global_zero:
                return None
            if state is not None:
                state.draw_on(trainer)  # where it had only its test before it
            scores = _test(cfg, trainer, parts, run_dir)
    before = {} if state is None else state.metrics
    logged = before | {name: float(value) for name, value in trainer.callback_metrics.items()} | scores
    write_results(run_dir / "results.json", logged, seed=cfg.seed, duration=round(duration, 2))
    if in_sweep:
        console.print(headline({**scores, "duration": duration}), highlight=False)
        return find_objective(cfg.objective, logged)
    show_scores(scores, console)
    console.print(f"{duration:.0f} s of training. Configuration, metrics, weights and results.json are in")
    console.print(str(run_dir), soft_wrap=True)
    if compared := against_baseline(run_dir, scores):
        console.print(compared, soft_wrap=True, markup=False, highlight=False)
    return find_objective(cfg.objective, logged)


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


def _attach(state: RunState | None, trainer: Trainer, run_dir: Path, strict: bool, console: Console) -> str | None:
    """Have a trainer keep its state, and go on from the one that an interrupted run left, if this one resumes it."""
    if state is None:
        return None
    # First, so that others find streams and loops as they would have been.
    trainer.callbacks.insert(0, state)  # type: ignore[attr-defined]
    if not is_resumed():
        return None
    kept, why = kept_state(run_dir, strict)
    if trainer.is_global_zero:
        told = f"Going on from the end of epoch {kept.epochs}" if kept else f"Starting at the beginning: {why}"
        console.print(f"{told}.", markup=False)
        for logger in trainer.loggers:
            keep_rows(logger, kept.epochs if kept else 0)
        if kept is None:
            (run_dir / LAST).unlink(missing_ok=True)
    if kept is None:
        return None
    state.epochs = kept.epochs
    return str(kept.path)


def _test(cfg: DictConfig, fitted: Trainer, parts: Parts, run_dir: Path) -> dict[str, float]:
    kept = getattr(fitted.checkpoint_callback, "best_model_path", "")
    if kept:  # nothing is kept by a dry run, nor without the callback: then the weights are those of the last step
        parts.module.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True)["state_dict"])
    try:
        scores = judge(cfg, parts, fitted.strategy.root_device, run_dir)
    except ConfigError as error:
        again = f"\nThe weights are kept, and judged again by: lightning-mixup evaluate ckpt={run_dir}" if kept else ""
        raise ConfigError(f"{error}{again}") from error
    if cfg.get("evaluate"):
        logs = [Path(logger.log_dir, "metrics.csv") for logger in fitted.loggers if isinstance(logger, CSVLogger)]
        for log in logs:
            scores |= summarise_epochs(read_epochs(log)) if log.is_file() else {}
    for logger in fitted.loggers:
        logger.log_metrics(scores, step=fitted.global_step)
        logger.finalize("success")
    return scores
