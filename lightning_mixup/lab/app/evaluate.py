"""Judge trained weights: at the end of a run, or those of a checkpoint."""

import csv
from collections.abc import Iterable
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.folders import LAST
from lightning_mixup.lab.app.parts import Parts, assemble, tidy
from lightning_mixup.lab.app.report import show_scores, write_results

# A distributed sampler repeats samples to fill its last batch: scores are made by one process on one device.
ALONE = {
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def evaluate(cfg: DictConfig) -> None:
    """Judge the checkpoint that ``cfg.ckpt`` names, without training, and write ``results.json``.

    A checkpoint that a run of ours left is judged with the configuration of that run, and with what the command line
    says on top.

    Args:
        cfg: what ``conf/train.yaml`` describes.

    Raises:
        ConfigError: the configuration asks for something that cannot be.
    """
    hydra = HydraConfig.get()
    run_dir, console = Path(hydra.runtime.output_dir), Console()
    ckpt = find_checkpoint(Path(cfg.ckpt))
    OmegaConf.resolve(cfg)
    cfg = configuration_of(ckpt, cfg, hydra.overrides.task)
    with tidy():
        parts = assemble(cfg)
        load_weights(ckpt, parts)
        parts.data.prepare_data()
        parts.data.setup("fit")  # the temperature is fitted on validation, memory is judged on training samples
        trainer: Trainer = build(cfg, "trainer", **ALONE)
        parts.data.trainer = trainer  # hooks that batches pass on their way to the device may ask it
        scores = judge(cfg, parts, trainer.strategy.root_device, run_dir)
    OmegaConf.save(cfg, run_dir / "config.yaml")
    write_results(run_dir / "results.json", scores, seed=cfg.seed, ckpt=str(ckpt))
    show_scores(scores, console)
    console.print("results.json is in")
    console.print(str(run_dir), soft_wrap=True)


def judge(cfg: DictConfig, parts: Parts, device: torch.device, run_dir: Path) -> dict[str, float]:
    """Test a module, and carry out the evaluation that is asked for, if one is.

    Args:
        cfg: its ``trainer`` tests.
        parts: data, set up, and module, with the weights to be judged.
        device: where.
        run_dir: where a full evaluation leaves its ``reliability.csv`` and ``confusion.csv``.

    Returns:
        Name to score.

    Raises:
        ConfigError: the evaluation cannot judge this module on these data.
    """
    scores: dict[str, float] = {}
    if is_overridden("test_step", parts.module):
        index = {} if device.index is None else {"devices": [device.index]}
        trainer: Trainer = build(cfg, "trainer", **{**ALONE, **index})
        tested = trainer.test(parts.module, parts.data, verbose=False)
        scores = {name: float(value) for name, value in tested[0].items()}
    else:
        parts.data.setup("test")
    if parts.evaluation is None:
        return scores
    try:
        report = parts.evaluation(parts.module.to(device), parts.data)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ConfigError(f"evaluate: {error}") from error
    _write_table(run_dir / "reliability.csv", report.reliability[0]._fields, report.reliability)
    if report.confusion:
        names = getattr(parts.data, "class_names", None) or range(len(report.confusion))
        rows = ((name, *counts) for name, counts in zip(names, report.confusion, strict=True))
        _write_table(run_dir / "confusion.csv", ("true, predicted:", *names), rows)
    for note in getattr(report, "notes", ()):
        Console().print(note, highlight=False, markup=False)
    return scores | report.scores


def _write_table(path: Path, head: Iterable[object], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(rows)


def find_checkpoint(path: Path) -> Path:
    """Give the checkpoint that is meant by a file, or by the folder of a run that left one.

    Raises:
        ConfigError: there is none, or there are several.
    """
    found = sorted(path.rglob("*.ckpt")) if path.is_dir() else [path] if path.is_file() else []
    if len(found) > 1:  # the state that a run goes on from is not what it was judged by
        found = [one for one in found if one.name != LAST.name]
    if len(found) != 1:
        many = f", of {', '.join(str(one.relative_to(path)) for one in found)}" if found else ""
        raise ConfigError(f"ckpt must be a checkpoint, or the folder of a run with one{many}; got {str(path)!r}.")
    return found[0]


def configuration_of(ckpt: Path, cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Give the configuration of the run that left a checkpoint, changed by the command line.

    Args:
        ckpt: a checkpoint in the folder of its run or in one below.
        cfg: what the command line composes by itself.
        overrides: the command line.

    Returns:
        ``cfg`` itself if there is no ``config.yaml`` near, or if the command line names a recipe.
    """
    near = [folder / "config.yaml" for folder in list(ckpt.absolute().parents)[:2]]
    keys = [override.partition("=")[0].lstrip("+~").partition("@")[0].replace("/", ".") for override in overrides]
    saved = next((path for path in near if path.is_file()), None)
    if saved is None or "recipe" in keys:
        return cfg
    before = cast(DictConfig, OmegaConf.load(saved))
    for key in keys:
        OmegaConf.update(before, key, OmegaConf.select(cfg, key), merge=False, force_add=True)
    return before


def load_weights(ckpt: Path, parts: Parts) -> None:
    """Put the weights of a checkpoint into a module.

    Raises:
        ConfigError: the file holds no weights, code besides weights, or those of another network.
    """
    try:
        # weights_only: a checkpoint from elsewhere runs no code.
        weights = torch.load(ckpt, map_location="cpu", weights_only=True)["state_dict"]
    except (EOFError, KeyError, OSError, RuntimeError, TypeError, UnpicklingError, ValueError) as error:
        what = f"{type(error).__name__}: {error}".rstrip(" :")
        raise ConfigError(
            f"ckpt must be a whole checkpoint of Lightning, with nothing but plain data in it; {ckpt}: {what}"
        ) from error
    try:
        parts.module.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"ckpt must fit model, data and module as configured: {error}") from error
