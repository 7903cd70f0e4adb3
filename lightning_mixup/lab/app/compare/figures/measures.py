"""Every headline measure of every row."""

import math
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_mixup.lab.app.compare.comparison import SHOWN, Comparison
from lightning_mixup.lab.app.compare.figures.style import Facet, Look, crop, facets, grid, heading, looks, note
from lightning_mixup.lab.evaluation.measures import measure


def measures(comparison: Comparison) -> Figure:
    """Draw values with their intervals: a line of panels for each of the surroundings, a column for each measure.

    Args:
        comparison: what to show.
    """
    names, parts, look = comparison.headlines, facets(comparison), looks(comparison)
    most = max(len(part.rows) for part in parts)
    figure, panels = grid(len(parts), len(names), 0.8 + 0.3 * most, extra=0.6, sharey="row")
    cropped = False
    for part, line in zip(parts, panels, strict=True):
        for name, axes in zip(names, line, strict=True):
            cropped |= _panel(axes, comparison, name, part, look)
        line[0].set_yticks(range(len(part.rows)), [fill(look[row.label].label, 34) for row in part.rows])
        line[0].set_ylim(len(part.rows) - 0.5, -0.5)
        heading(line[0], part.title)
    for name, axes in zip(names, panels[-1], strict=True):
        one = measure(name)
        better = {1: "\nmore is better", -1: "\nless is better"}.get(one.better, "")
        axes.set_xlabel(fill(one.title, 18) + better)
    if len(comparison.rows) > 1:
        told = "squares and dotted lines: the baseline. filled: a difference from it was shown, hollow: none was. "
        note(figure, told + "strokes: seeds" + (". intervals at an edge go on beyond it" if cropped else ""))
    return figure


def _panel(axes: Axes, comparison: Comparison, name: str, part: Facet, look: dict[str, Look]) -> bool:
    one, seeds = measure(name), []
    for place, row in enumerate(part.rows):
        cell, drawn = comparison.cells.get((name, row.label)), look[row.label]
        if cell is None or math.isnan(cell.value.mean):
            continue
        values = one.factor * np.array(list(row.values(name).values()))
        seeds.append(values)
        filled = drawn.reference or cell.verdict in SHOWN
        axes.plot(values, [place] * len(values), "|", color=drawn.colour, alpha=0.4, markersize=9, zorder=1)
        axes.errorbar(
            one.factor * cell.value.mean,
            place,
            xerr=one.factor * np.nan_to_num(cell.value.margin),
            marker=drawn.marker,
            markerfacecolor=drawn.colour if filled else "white",
            color=drawn.colour,
            capsize=3,
        )
        if drawn.reference and len(part.rows) > 1:
            axes.axvline(one.factor * cell.value.mean, color="#999999", linestyle=":", zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    return crop(axes, seeds)
