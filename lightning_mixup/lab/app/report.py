"""What a run leaves behind, and what it tells the person who started it."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import nn

from lightning_mixup.lab.app.records import settings_of, write_record
from lightning_mixup.lab.evaluation.measures import HEADLINES, measure


def show_start(network: nn.Module, data: object, mix: object | None, seed: int, console: Console) -> None:
    """Print what is about to be trained.

    Args:
        network: what learns.
        data: the data module.
        mix: the mixing callback, if any.
        seed: the seed of the run.
        console: where to print.

    Examples:
        >>> show_start(nn.Linear(3, 2), data={}, mix=None, seed=1, console=Console(force_terminal=False))
        Training Linear (8 parameters) on dict, seed 1
    """
    size = sum(weight.numel() for weight in network.parameters())
    how = f" with {mix!r}" if mix else ""
    line = f"Training {type(network).__name__} ({size:,} parameters) on {type(data).__name__}{how}, seed {seed}"
    console.print(line, markup=False)  # the brackets of a list are no markup


def write_results(path: Path, scores: Mapping[str, float], **facts: float | str) -> None:
    """Write one flat JSON object: every metric, some facts, the settings of the run, the versions.

    Args:
        path: the file.
        scores: metric name to number.
        facts: such as the seed of the run, and the seconds of training.
    """
    packages = ("torch", "lightning", "torchmetrics", "lightning-mixup")
    versions = {package.replace("-", "_"): version(package) for package in packages}
    settings = settings_of(path.parent)
    write_record(path, {**scores, **facts, "settings": settings, "python": platform.python_version(), **versions})


def show_scores(scores: Mapping[str, float], console: Console) -> None:
    """Print scores as a table, the most asked for first; without any, say what would give some.

    Args:
        scores: metric name to number.
        console: where to print.

    Examples:
        >>> show_scores({"test/accuracy": 0.9875, "test/nll": 0.05}, Console(width=60, force_terminal=False))
                         Scores
        ┌─────────────────────────┬─────────────┐
        │ accuracy                │      98.75% │
        │ negative log-likelihood │ 0.0500 nats │
        └─────────────────────────┴─────────────┘
    """
    if not scores:
        console.print("No scores: the module has no test_step. evaluate=full judges any that gives logits.")
        return
    table = Table(title="Scores", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, score in sorted(scores.items(), key=lambda item: [*HEADLINES, item[0]].index(item[0])):
        known = measure(name)
        unit = known.unit if known.unit == "%" else f" {known.unit}"
        table.add_row(known.label, f"{known.factor * score:.{known.digits + 1}f}{unit}".rstrip())
    console.print(table)


def headline(scores: Mapping[str, float]) -> str:
    """Say the scores of a first look in one line.

    Args:
        scores: metric name to number.

    Examples:
        >>> headline({"test/accuracy": 0.9875, "test/brier": 0.1, "duration": 61})
        'accuracy 98.8 %, training time 61.0 s'
    """
    known = [(measure(name), scores[name]) for name in HEADLINES if name in scores]
    return ", ".join(f"{one.label} {one.show(score)} {one.unit}".rstrip() for one, score in known)
