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

from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.rows import Row, as_number
from lightning_mixup.lab.app.compare.tables import Picture
from lightning_mixup.lab.evaluation.epochs import read_epochs
from lightning_mixup.lab.evaluation.measures import measure, part_of

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
GREY = "#555555"
CURVES = ("val/accuracy", "val/nll", "val/rmse", "val/r2")
NAMES = {
    "mix.alpha": "strength (mix.alpha)",
    "mix.prob": "share of mixed batches (mix.prob)",
    "data.label_noise": "share of wrong training labels (data.label_noise)",
    "data.train_size": "training samples (data.train_size)",
}
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
    figure = Figure(figsize=(8.5, 1.5 + 0.34 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for name, axes in zip(names, panels, strict=True):
        one = measure(name)
        seeds = []
        for place, row in enumerate(rows):
            cell = comparison.cells.get((name, row.label))
            if cell is None or math.isnan(cell.value.mean):
                continue
            values = one.factor * np.array(list(row.values(name).values()))
            seeds.append(values)
            reference = cell.difference is None
            colour = GREY if reference else COLOURS[0]
            shown = reference or cell.verdict in ("better", "worse", "higher", "lower")
            axes.plot(values, [place] * len(values), "|", color=colour, alpha=0.4, markersize=9, zorder=1)
            axes.errorbar(
                one.factor * cell.value.mean,
                place,
                xerr=one.factor * np.nan_to_num(cell.value.margin),
                marker="s" if reference else "o",
                markerfacecolor=colour if shown else "white",
                color=colour,
                capsize=3,
            )
            if reference and len(rows) > 1:
                axes.axvline(one.factor * cell.value.mean, color="#999999", linestyle=":", zorder=0)
        axes.set_xlabel(fill(one.title, 18) + {1: "\nmore is better", -1: "\nless is better"}.get(one.better, ""))
        axes.xaxis.set_major_locator(MaxNLocator(3))
        _crop(axes, seeds)
    panels[0].set_yticks(range(len(rows)), [fill(row.label, 40) for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    if len(rows) > 1:
        _note(figure, "square: the baseline. filled: a difference from it was shown, hollow: none was. strokes: seeds")
    return figure


def _crop(axes: Axes, seeds: Sequence[np.ndarray]) -> None:
    """Keep the interval of two or three seeds, which may be a hundred times as wide as they lie, from filling all."""
    if seeds and (span := np.ptp(np.concatenate(seeds))) > 0:
        left, right = axes.get_xlim()
        values = np.concatenate(seeds)
        axes.set_xlim(max(left, values.min() - 2 * span), min(right, values.max() + 2 * span))


def _reliability(comparison: Comparison) -> Figure | None:
    found = {row.label: _bins(row) for row in comparison.rows}
    diagrams = {label: bins for label, bins in found.items() if bins is not None}
    if not diagrams:
        return None
    figure, panels = _panels(len(diagrams), "confidence (%)", "accuracy (%)")
    for (label, (edges, confidence, accuracy, share)), axes in zip(diagrams.items(), panels, strict=True):
        axes.plot([0, 100], [0, 100], color="#999999", linestyle=":")
        axes.bar(edges[:-1], 100 * share, np.diff(edges), align="edge", color=COLOURS[5], alpha=0.4, linewidth=0)
        axes.plot(100 * confidence, 100 * accuracy, color=COLOURS[0], marker="o", markersize=4, clip_on=False, zorder=3)
        axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal", xticks=(0, 50, 100), yticks=(0, 50, 100))
        cell = comparison.cells.get(("test/ece", label))
        error = f"\ncalibration error {measure('test/ece').show(cell.value.mean)} %" if cell else ""
        axes.set_title(fill(label, 20) + error, fontsize=9)
    _note(
        figure,
        f"dots: bins of {FEWEST} or more predictions, of all seeds together; above the dotted line the classifier is "
        "too timid, below it too sure. bars: share of the predictions (%)",
    )
    return figure


def _curves(comparison: Comparison) -> Figure | None:
    logs = {row.label: _logs(row) for row in comparison.rows[:MANY]}
    found = {name for runs in logs.values() for log in runs for name, series in log.items() if len(series) > 1}
    judged = [name for name in CURVES if name in found] or sorted(name for name in found if part_of(name) == "val")
    names = [*(name for name in ("train/loss", "train_loss") if name in found), *judged[:2]]
    if not names:
        return None
    figure = Figure(figsize=(8.5, 3.5 + 0.2 * math.ceil(len(logs) / 2)), layout="constrained")
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
        axes.set_title(fill(one.title, 26), fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if part_of(name) == "train":
            axes.set_facecolor("#f3f3f3")
    _legend(figure, panels[0])
    told = "lines: mean over seeds, shades: from the least to the greatest. "
    grey = "grey: measured on mixed labels, compare it neither with validation nor between methods"
    _note(figure, told + (grey if part_of(names[0]) == "train" else "") + _first(len(comparison.rows)))
    return figure


def _against(comparison: Comparison, key: str) -> Figure:
    names = [name for name in comparison.headlines if name != "duration"] or comparison.headlines
    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    lines: dict[str, list[Row]] = {}
    for row in comparison.rows:
        others = " ".join(f"{name}={value}" for name, value in row.settings.items() if name != key)
        lines.setdefault(others or "all", []).append(row)
    numbers = [float(row.settings[key]) for row in comparison.rows if key in row.settings]
    place = _Places(numbers)
    for name, axes in zip(names, panels, strict=True):
        one = measure(name)
        for number, (label, rows) in enumerate(list(lines.items())[:MANY]):
            style: dict[str, Any] = {"color": COLOURS[number], "linestyle": DASHES[number], "label": label}
            found = [(row.settings.get(key), comparison.cells.get((name, row.label))) for row in rows]
            cells = [(at, cell.value) for at, cell in found if cell is not None]
            points = sorted((float(at), value) for at, value in cells if at is not None)
            if points:
                x, y, margins = np.array([(at, value.mean, value.margin) for at, value in points]).T
                # A little aside, so that intervals do not hide each other.
                aside = 0.015 * (number - (min(len(lines), MANY) - 1) / 2)
                bars = one.factor * np.nan_to_num(margins)
                axes.errorbar(
                    place.of(x) + aside, one.factor * y, yerr=bars, marker=MARKERS[number], capsize=3, **style
                )
            for at, value in cells:
                if at is None:  # a row without such a number, as a baseline without a strength: a level to compare with
                    axes.axhline(one.factor * value.mean, **style)
        axes.set_xticks(*place.ticks())
        axes.set_xlabel(fill(NAMES.get(key, key), 26))
        axes.set_title(fill(one.title, 26), fontsize=10)
    _legend(figure, panels[0])
    _note(figure, "bars: 95 % confidence intervals over seeds" + _first(len(lines), "lines"))
    return figure


class _Places:
    """Where numbers go on an axis from 0 to 1: by their size or, where they differ by much, by its logarithm."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self.numbers = sorted(set(numbers))
        positive = [number for number in self.numbers if number > 0]
        self.logarithmic = min(self.numbers) >= 0 and len(positive) > 1 and positive[-1] > 20 * positive[0]
        # Zero has no logarithm: it stands as far from the first as the first from the second.
        self.zero = math.log(positive[0] ** 2 / positive[1]) if self.logarithmic else 0.0

    def of(self, x: np.ndarray) -> np.ndarray:
        first, last = self._raw(np.array([self.numbers[0], self.numbers[-1]]))
        places: np.ndarray = (self._raw(x) - first) / (last - first)
        return places

    def _raw(self, x: np.ndarray) -> np.ndarray:
        if not self.logarithmic:
            return x
        with np.errstate(divide="ignore"):
            return np.where(x > 0, np.log(x), self.zero)

    def ticks(self) -> tuple[list[float], list[str]]:
        """Where there are numbers, as far as their labels have room."""
        shown: list[tuple[float, str]] = []
        for number, at in zip(self.numbers, self.of(np.array(self.numbers)), strict=True):
            if not shown or at - shown[-1][0] > 0.12:
                shown.append((float(at), f"{number:g}"))
        return [at for at, _ in shown], [label for _, label in shown]


def _note(figure: Figure, text: str) -> None:
    figure.suptitle(fill(text, 140, replace_whitespace=False), fontsize=8, color=GREY)


def _first(count: int, what: str = "rows") -> str:
    return f". only the first {MANY} of {count} {what}" if count > MANY else ""


def _panels(count: int, xlabel: str, ylabel: str) -> tuple[Figure, list[Axes]]:
    columns = min(max(count, 3), 4)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(8.5, 1.1 + 2.1 * lines * 4 / columns), layout="compressed")
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
    return [{name: list(by.values()) for name, by in read_epochs(path).items()} for path in paths if path is not None]


def _numbers(rows: Sequence[Row]) -> list[str]:
    """Config keys that take several numbers."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.settings.items():
            values.setdefault(key, set()).add(value)
    return [key for key, found in values.items() if len(found) > 1 and None not in map(as_number, found)]
