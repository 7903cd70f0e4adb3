"""How training went, epoch by epoch."""

import csv
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.figures.style import (
    CROWD,
    Facet,
    Look,
    facets,
    family,
    grid,
    heading,
    legend,
    lines_in,
    looks,
    note,
)
from lightning_mixup.lab.app.compare.rows import Row
from lightning_mixup.lab.evaluation.epochs import read_epochs
from lightning_mixup.lab.evaluation.measures import measure, part_of

CURVES = ("val/accuracy", "val/nll", "val/rmse", "val/r2")
Log = dict[str, dict[int, float]]
"""Of a run: metric to epoch to value."""


def curves(comparison: Comparison) -> Figure | None:
    """Draw training loss and validation against epochs, a line of panels for each of the surroundings.

    Args:
        comparison: what to show.

    Returns:
        The figure; ``None`` where no run has a log of several epochs.
    """
    logs = {row.label: [_read(run.folder) for run in row.runs.values()] for row in comparison.rows}
    found = {name for runs in logs.values() for log in runs for name, series in log.items() if len(series) > 1}
    judged = [name for name in CURVES if name in found] or sorted(name for name in found if part_of(name) == "val")
    names = [*(name for name in ("train/loss", "train_loss") if name in found), *judged[:2]]
    if not names:
        return None
    look = looks(comparison)
    parts = [part for whole in facets(comparison) for part in _uncrowded(whole, look)]
    figure, panels = grid(len(parts), len(names), 2.7, extra=0.9 + 0.05 * len(comparison.rows), sharex=True)
    titles = [fill(measure(name).title, 30) for name in names]
    for title, axes in zip(titles, panels[0], strict=True):
        axes.set_title(title, fontsize=9)
    for number, (part, line) in enumerate(zip(parts, panels, strict=True)):
        heading(line[0], part.title, titled=0 if number else lines_in(titles))
        for name, axes in zip(names, line, strict=True):
            _panel(axes, name, part.rows, logs, look)
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    legend(figure, [look[row.label] for part in parts for row in part.rows])
    told = "lines: mean over seeds, shades: from the least to the greatest. "
    grey = "grey: measured on mixed labels, compare it neither with validation nor between methods"
    note(figure, told + (grey if part_of(names[0]) == "train" else ""))
    return figure


def _panel(axes: Axes, name: str, rows: list[Row], logs: dict[str, list[Log]], look: dict[str, Look]) -> None:
    one = measure(name)
    for row in rows:
        series = [log[name] for log in logs[row.label] if name in log]
        epochs = sorted(set(series[0]).intersection(*series[1:])) if series else []
        if not epochs:
            continue
        stacked = one.factor * np.array([[values[epoch] for epoch in epochs] for values in series])
        drawn, at = look[row.label], np.array(epochs) + 1
        few: dict[str, Any] = {"marker": drawn.marker, "markersize": 4} if len(epochs) < 8 else {}
        axes.plot(at, stacked.mean(0), **drawn.line, **few, zorder=3 if drawn.reference else 2)
        axes.fill_between(at, stacked.min(0), stacked.max(0), color=drawn.colour, alpha=0.12, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if part_of(name) == "train":
        axes.set_facecolor("#f3f3f3")


def _uncrowded(part: Facet, look: dict[str, Look]) -> list[Facet]:
    """A facet as it is or, with too many rows to tell apart, method by method, each with the baseline."""
    groups: dict[str, list[Row]] = {}
    for row in part.rows:
        if not look[row.label].reference:
            groups.setdefault(family(row), []).append(row)
    if len(part.rows) <= CROWD or len(groups) < 2:
        return [part]
    alone = [row for rows in groups.values() if len(rows) == 1 for row in rows]
    wholes = {name: rows for name, rows in groups.items() if len(rows) > 1}
    base = [row for row in part.rows if look[row.label].reference]
    found = [(name.replace("_", " "), rows) for name, rows in wholes.items()]
    found += [("other methods", alone[start : start + CROWD - 1]) for start in range(0, len(alone), CROWD - 1)]
    return [Facet(", ".join(filter(None, (part.title, name))), [*base, *rows]) for name, rows in found]


def _read(folder: Path) -> Log:
    """All that a run has logged; one that went on after an interruption has several files."""
    found: Log = {}
    for path in sorted(folder.rglob("metrics.csv")):
        for name, series in _epochs(path).items():
            found.setdefault(name, {}).update(series)
    return found


def _epochs(path: Path) -> Log:
    try:
        return read_epochs(path)
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
