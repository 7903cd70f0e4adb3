"""What a run leaves behind, and what it tells the person who started it."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import nn

_LABELS = {
    "test/accuracy": ("accuracy", "{:.2%}"),
    "test/nll": ("negative log-likelihood", "{:.4f} nats"),
    "test/ece": ("calibration error (15 bins)", "{:.2%}"),
}


def show_start(network: nn.Module, data: object, mix: object | None, seed: int, console: Console) -> None:
    """Print what is about to be trained.

    Args:
        network: what learns.
        data: the data module.
        mix: the mixing callback, if any.
        seed: the seed of the run.
        console: where to print.

    Example:
        >>> show_start(nn.Linear(3, 2), data={}, mix=None, seed=1, console=Console(force_terminal=False))
        Training Linear (8 parameters) on dict, seed 1
    """
    size = sum(weight.numel() for weight in network.parameters())
    how = f" with {type(mix).__name__}" if mix else ""
    console.print(f"Training {type(network).__name__} ({size:,} parameters) on {type(data).__name__}{how}, seed {seed}")


def write_results(path: Path, scores: Mapping[str, float], *, seed: int, duration: float) -> None:
    """Write one flat JSON object: every metric, the seed, the seconds of training, the versions.

    Args:
        path: the file.
        scores: metric name to number.
        seed: the seed of the run.
        duration: seconds spent in training.
    """
    packages = ("torch", "lightning", "torchmetrics", "lightning-mixup")
    versions = {package.replace("-", "_"): version(package) for package in packages}
    results = {**scores, "seed": seed, "duration": round(duration, 2), "python": platform.python_version(), **versions}
    path.write_text(json.dumps(results, indent=2) + "\n")


def show_scores(scores: Mapping[str, float], console: Console) -> None:
    """Print the test scores as a table.

    Args:
        scores: metric name to number.
        console: where to print.

    Example:
        >>> show_scores({"test/accuracy": 0.9875, "test/nll": 0.05}, Console(width=60, force_terminal=False))
                       Test scores
        ┌─────────────────────────┬─────────────┐
        │ accuracy                │      98.75% │
        │ negative log-likelihood │ 0.0500 nats │
        └─────────────────────────┴─────────────┘
    """
    table = Table(title="Test scores", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, score in sorted(scores.items(), key=lambda item: [*_LABELS, item[0]].index(item[0])):
        label, form = _LABELS.get(name, (name.removeprefix("test/"), "{:.4f}"))
        table.add_row(label, form.format(score))
    console.print(table)
