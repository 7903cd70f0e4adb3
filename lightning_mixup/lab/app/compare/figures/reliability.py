"""Reliability diagrams: accuracy of the predictions by their confidence."""

import csv
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.figures.style import GREY, OTHERS, facets, grid, heading, lines_of, looks, note
from lightning_mixup.lab.app.compare.rows import Row
from lightning_mixup.lab.evaluation.measures import measure

FEWEST = 10
"""A bin with fewer predictions says nothing, and is left out."""
COLUMNS = 4


class Diagram(NamedTuple):
    """The bins of all seeds of a row together."""

    edges: np.ndarray[Any, Any]
    """In percent."""
    confidence: np.ndarray[Any, Any]
    accuracy: np.ndarray[Any, Any]
    share: np.ndarray[Any, Any]
    """Of the predictions."""


def reliability(comparison: Comparison) -> Figure | None:
    """Draw a panel for each row, those of the same surroundings together, each with its baseline in grey.

    Args:
        comparison: what to show.

    Returns:
        The figure; ``None`` where no run has a ``reliability.csv``.
    """
    diagrams = {row.label: diagram for row in comparison.rows if (diagram := _read(row)) is not None}
    parts = [part._replace(rows=[row for row in part.rows if row.label in diagrams]) for part in facets(comparison)]
    parts = [part for part in parts if part.rows]
    if not parts:
        return None
    look = looks(comparison)
    columns = max(3, min(COLUMNS, max(len(part.rows) for part in parts)))
    lines = [lines_of(len(part.rows), columns) for part in parts]
    figure, panels = grid(sum(lines), columns, 0.1 + 8.6 / columns, extra=0.9, sharex=True, sharey=True)
    first = 0
    for part, count in zip(parts, lines, strict=True):
        mine = list(panels[first : first + count].flat)
        first += count
        heading(mine[0], part.title, titled=2)
        for axes in mine[len(part.rows) :]:
            axes.remove()
        for row, axes in zip(part.rows, mine, strict=False):
            _panel(axes, diagrams[row.label], diagrams.get(comparison.against[row.label]), look[row.label].colour)
            cell = comparison.cells.get(("test/ece", row.label))
            error = f"\ncalibration error {measure('test/ece').show(cell.value.mean)} %" if cell else ""
            axes.set_title(fill(look[row.label].label, 26) + error, fontsize=8.5)
    figure.supxlabel("confidence (%)", fontsize=10)
    figure.supylabel("accuracy (%)", fontsize=10)
    note(
        figure,
        f"dots: bins of {FEWEST} or more predictions, of all seeds together; below the dotted line a classifier is "
        "over-confident, above it under-confident. grey: the baseline. bars: share of the predictions (%)",
    )
    return figure


def _panel(axes: Any, mine: Diagram, base: Diagram | None, colour: str) -> None:  # noqa: ANN401
    axes.plot([0, 100], [0, 100], color="#999999", linestyle=":")
    axes.bar(
        mine.edges[:-1], 100 * mine.share, np.diff(mine.edges), align="edge", color=OTHERS[5], alpha=0.4, linewidth=0
    )
    if base is not None and base is not mine:
        axes.plot(100 * base.confidence, 100 * base.accuracy, color=GREY, alpha=0.5, linewidth=1, zorder=2)
    axes.plot(
        100 * mine.confidence, 100 * mine.accuracy, color=colour, marker="o", markersize=4, clip_on=False, zorder=3
    )
    axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal", xticks=(0, 50, 100), yticks=(0, 50, 100))


def _read(row: Row) -> Diagram | None:
    tables = []
    for run in row.runs.values():
        path = run.folder / "reliability.csv"
        if path.is_file():
            try:
                with path.open(newline="", encoding="utf-8") as file:
                    table = np.array([[float(text) for text in line[:5]] for line in list(csv.reader(file))[1:]])
            except (ValueError, OSError, csv.Error):
                continue
            if table.ndim == 2 and table.shape[1] == 5:
                tables.append(table)
    if not tables or len({len(table) for table in tables}) > 1:
        return None
    low, high, size, confidence, accuracy = np.moveaxis(np.array(tables), 2, 0)
    total = size.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [np.nansum(size * part, axis=0) / total for part in (confidence, accuracy)]
        share = total / total.sum()
    filled = np.where(total >= FEWEST, 1.0, np.nan)
    return Diagram(100 * np.append(low[0], high[0, -1]), means[0] * filled, means[1] * filled, share)
