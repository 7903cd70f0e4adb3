"""A comparison in pictures."""

import csv
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_mixup.app.compare import Comparison, Row
from lightning_mixup.app.tables import Picture
from lightning_mixup.evaluation.epochs import read_epochs
from lightning_mixup.evaluation.measures import measure

# Okabe and Ito's colours, told apart by everybody; markers and dashes tell them apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 3)))
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.dpi": 110,  # 8.5 inches are then no wider than a README shows
}
MANY = len(COLOURS)
"""So many rows can be told apart in one picture."""
FEWEST = 10
"""A bin of a reliability diagram with fewer predictions says nothing, and is left out."""


def draw(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw whatever the runs give, as PNG files.

    Args:
        comparison: what to show.
        folder: where the files go.

    Returns:
        The pictures that there are: measures by method always; reliability diagrams of full evaluations, training
        curves of runs with a metrics log, and measures against every number that the sweep varies.
    """
    jobs: dict[str, tuple[str, Callable[[Comparison], Figure | None]]] = {
        "measures.png": ("Measures by method, with 95 % confidence intervals over seeds", _measures),
        "reliability.png": ("Reliability diagrams: accuracy of predictions by their confidence", _reliability),
        "curves.png": ("Training curves, mean and range over seeds", _curves),
    }
    for key in _numbers(comparison.rows):
        jobs[f"by_{key.replace('.', '_')}.png"] = (f"Measures against {key}", partial(_against, key=key))
    pictures = []
    with mpl.rc_context(STYLE):
        for name, (title, job) in jobs.items():
            figure = job(comparison)
            if figure is not None:
                figure.savefig(folder / name)
                pictures.append(Picture(folder / name, title))
    return pictures


def _measures(comparison: Comparison) -> Figure:
    names, rows = comparison.headlines, comparison.rows
    figure = Figure(figsize=(8.5, 1.1 + 0.34 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for name, axes in zip(names, panels, strict=True):
        one = measure(name)
        for place, row in enumerate(rows):
            cell = comparison.cells[name, row.label]
            reference = cell.difference is None
            axes.errorbar(
                one.factor * cell.value.mean,
                place,
                xerr=one.factor * np.nan_to_num(cell.value.margin),
                marker="s" if reference else "o",
                color="#555555" if reference else COLOURS[0],
                capsize=3,
            )
            if reference and len(rows) > 1:
                axes.axvline(one.factor * cell.value.mean, color="#999999", linestyle=":", zorder=0)
        axes.set_xlabel(fill(one.title, 18))
        axes.xaxis.set_major_locator(MaxNLocator(3))
    panels[0].set_yticks(range(len(rows)), [fill(row.label, 40) for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _reliability(comparison: Comparison) -> Figure | None:
    found = {row.label: _bins(row) for row in comparison.rows}
    diagrams = {label: bins for label, bins in found.items() if bins is not None}
    if not diagrams:
        return None
    figure, panels = _panels(len(diagrams), "confidence (%)", "accuracy (%)")
    for (label, (edges, confidence, accuracy, share)), axes in zip(diagrams.items(), panels, strict=True):
        axes.plot([0, 100], [0, 100], color="#999999", linestyle=":")
        axes.bar(edges[:-1], 100 * share, np.diff(edges), align="edge", color=COLOURS[5], alpha=0.4, linewidth=0)
        axes.plot(100 * confidence, 100 * accuracy, color=COLOURS[0], marker="o", markersize=4)
        axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
        axes.set_title(fill(label, 24), fontsize=9)
    figure.suptitle(
        f"dots: bins of {FEWEST} or more predictions, right on the dotted line; bars: share of predictions (%)",
        fontsize=9,
    )
    return figure


def _curves(comparison: Comparison) -> Figure | None:
    logs = {row.label: _logs(row) for row in comparison.rows[:MANY]}
    names = [
        name
        for name in ("train/loss", "val/accuracy", "val/nll")
        if any(name in log and len(log[name]) > 1 for runs in logs.values() for log in runs)
    ]
    if not names:
        return None
    figure = Figure(figsize=(8.5, 3.2 + 0.2 * math.ceil(len(logs) / 2)), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for name, axes in zip(names, panels, strict=True):
        one = measure(name)
        for number, (label, runs) in enumerate(logs.items()):
            series = [log[name] for log in runs if name in log]
            if not series:
                continue
            length = min(len(values) for values in series)
            stacked = one.factor * np.array([values[:length] for values in series])
            epochs = np.arange(1, length + 1)
            style = {"color": COLOURS[number], "linestyle": DASHES[number]}
            axes.plot(epochs, stacked.mean(0), label=label, **style)
            axes.fill_between(epochs, stacked.min(0), stacked.max(0), color=COLOURS[number], alpha=0.12, linewidth=0)
        axes.set_xlabel("epoch")
        axes.set_title(fill(one.title, 24), fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _legend(figure, panels[0])
    return figure


def _against(comparison: Comparison, key: str) -> Figure:
    names = [name for name in comparison.headlines if name != "duration"] or comparison.headlines
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    lines: dict[str, list[Row]] = {}
    for row in comparison.rows:
        others = " ".join(f"{name}={value}" for name, value in row.settings.items() if name != key)
        lines.setdefault(others or "all", []).append(row)
    numbers = [float(row.settings[key]) for row in comparison.rows if key in row.settings]
    logarithmic = min(numbers) > 0 and max(numbers) / min(numbers) > 20
    for name, axes in zip(names, panels, strict=True):
        one = measure(name)
        for number, (label, rows) in enumerate(list(lines.items())[:MANY]):
            style: dict[str, Any] = {"color": COLOURS[number], "linestyle": DASHES[number], "label": label}
            cells = [(row.settings.get(key), comparison.cells[name, row.label].value) for row in rows]
            points = sorted((float(at), value) for at, value in cells if at is not None)
            if points:
                x, y, margins = np.array([(at, value.mean, value.margin) for at, value in points]).T
                # A little aside, so that intervals do not hide each other.
                aside = 0.015 * (number - (min(len(lines), MANY) - 1) / 2)
                x = x * (max(numbers) / min(numbers)) ** aside if logarithmic else x + aside * np.ptp(numbers)
                bars = one.factor * np.nan_to_num(margins)
                axes.errorbar(x, one.factor * y, yerr=bars, marker=MARKERS[number], capsize=3, **style)
            for at, value in cells:
                if at is None:  # a row without such a number, as a baseline without a strength: a level to compare with
                    axes.axhline(one.factor * value.mean, **style)
        axes.set_xscale("log" if logarithmic else "linear")
        axes.set_xlabel(key)
        axes.set_title(fill(one.title, 24), fontsize=10)
    _legend(figure, panels[0])
    return figure


def _panels(count: int, xlabel: str, ylabel: str) -> tuple[Figure, list[Axes]]:
    columns = min(count, 4)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(8.5, 0.7 + 2.3 * lines * 4 / max(columns, 3)), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[count:]:
        axes.remove()
    figure.supxlabel(xlabel, fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    return figure, list(grid.flat[:count])


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=2 if max(map(len, labels)) > 25 else 4)


def _bins(row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Edges in percent, and for each bin confidence, accuracy and share of predictions, of all seeds together."""
    tables = []
    for run in row.runs.values():
        path = run.folder / "reliability.csv"
        if path.is_file():
            with path.open(newline="") as file:
                tables.append([[float(value) for value in line.values()] for line in csv.DictReader(file)])
    if not tables or len({len(table) for table in tables}) > 1:
        return None
    low, high, size, confidence, accuracy = np.moveaxis(np.array(tables), 2, 0)
    total = size.sum(0)
    with np.errstate(invalid="ignore"):
        means = [np.nansum(size * part, axis=0) / total for part in (confidence, accuracy)]
    filled = np.where(total >= FEWEST, 1.0, np.nan)
    edges = 100 * np.append(low[0], high[0, -1])
    return edges, means[0] * filled, means[1] * filled, total / total.sum()


def _logs(row: Row) -> list[dict[str, list[float]]]:
    paths = [next(iter(sorted(run.folder.rglob("metrics.csv"))), None) for run in row.runs.values()]
    return [read_epochs(path) for path in paths if path is not None]


def _numbers(rows: Sequence[Row]) -> list[str]:
    """Config keys that take several numbers."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.settings.items():
            values.setdefault(key, set()).add(value)
    return [key for key, found in values.items() if len(found) > 1 and all(_is_number(value) for value in found)]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
