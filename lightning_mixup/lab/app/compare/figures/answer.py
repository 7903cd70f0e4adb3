"""The picture that a report opens with: which method, how much better, how sure."""

import math
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_mixup.lab.app.compare.comparison import SHOWN, Comparison
from lightning_mixup.lab.app.compare.figures.style import (
    GREY,
    Facet,
    Look,
    crop,
    facets,
    grid,
    lines_of,
    looks,
    note,
)
from lightning_mixup.lab.app.compare.words import difference_words, value_words
from lightning_mixup.lab.evaluation.measures import Measure, measure

COLUMNS = 3
BETTER, WORSE = "#117733", "#AA3333"


def answer(comparison: Comparison) -> Figure | None:
    """Draw the differences of the first measure from the baseline, a panel for each of the surroundings.

    Args:
        comparison: what to show.

    Returns:
        The figure; ``None`` where nothing is compared.
    """
    name = comparison.headlines[0]
    one, look = measure(name), looks(comparison)
    parts = [
        Facet(part.title, [row for row in part.rows if (name, row.label) in comparison.cells])
        for part in facets(comparison)
    ]
    parts = [part for part in parts if any(not look[row.label].reference for row in part.rows)]
    if not parts:
        return None
    methods = list(
        dict.fromkeys(look[row.label].label for part in parts for row in part.rows if not look[row.label].reference)
    )
    places = {label: place for place, label in enumerate(methods)}
    columns = min(COLUMNS, len(parts))
    lines = lines_of(len(parts), columns)
    figure, panels = grid(lines, columns, 0.9 + 0.42 * len(methods), extra=0.7, sharey=True)
    for axes in panels.flat[len(parts) :]:
        axes.remove()
    cropped = False
    for number, (part, axes) in enumerate(zip(parts, panels.flat, strict=False)):
        cropped |= _panel(axes, comparison, name, part, look, places)
        if number + columns >= len(parts):
            axes.set_xlabel(_axis(one), fontsize=9)
    panels[0, 0].set_yticks(range(len(methods)), [fill(label, 30) for label in methods])
    panels[0, 0].set_ylim(len(methods) - 0.4, -0.7)
    told = (
        f"{one.title} minus that of the baseline, seed by seed, with 95 % confidence intervals. filled: a difference "
    )
    told += "was shown, hollow: none was"
    note(figure, told + (". intervals at an edge go on beyond it" if cropped else ""))
    return figure


def _panel(
    axes: Axes, comparison: Comparison, name: str, part: Facet, look: dict[str, Look], places: dict[str, int]
) -> bool:
    one, seeds, base = measure(name), [np.zeros(1)], ""
    axes.axvline(0, color=GREY, linewidth=1.2, zorder=0)
    for row in part.rows:
        cell, drawn = comparison.cells[name, row.label], look[row.label]
        if cell.difference is None:
            base = f"0 = {drawn.label.removesuffix(' (baseline)')}: {value_words(cell, one)}"
            continue
        place = places[drawn.label]
        words, shown = difference_words(cell, one), cell.verdict in SHOWN
        if not words:
            axes.annotate(
                cell.verdict,
                (0.5, place),
                xycoords=("axes fraction", "data"),
                ha="center",
                va="center",
                fontsize=7.5,
                color=GREY,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
            continue
        mean, margin = one.factor * cell.difference.mean, one.factor * cell.difference.margin
        seeds.append(_differences(comparison, name, row.label) * one.factor)
        axes.errorbar(
            mean, place, xerr=0 if math.isnan(margin) else margin, color=drawn.colour, marker=drawn.marker,
            markerfacecolor=drawn.colour if shown else "white", capsize=3, zorder=3,
        )  # fmt: skip
        colour = {"better": BETTER, "worse": WORSE}.get(cell.verdict, GREY)
        text = f"{words} {cell.verdict}" if shown else words
        axes.annotate(
            text,
            (0.98, place),
            xytext=(0, 7),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=7.5,
            color=colour,
            fontweight="bold" if shown else "normal",
            zorder=4,
        )
    cropped = crop(axes, seeds)
    left, right = axes.get_xlim()
    if one.better:
        ends = (max(0.0, left), right) if one.better > 0 else (left, min(0.0, right))
        axes.axvspan(*ends, color=BETTER, alpha=0.06, linewidth=0, zorder=-1)
        axes.set_xlim(left, right)
    axes.set_title("\n".join(filter(None, (part.title, base))), fontsize=8.5, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(visible=False, axis="y")
    return cropped


def _differences(comparison: Comparison, name: str, label: str) -> np.ndarray:
    rows = {row.label: row.values(name) for row in comparison.rows}
    mine, base = rows[label], rows.get(comparison.against[label], {})
    return np.array([mine[seed] - base[seed] for seed in mine if seed in base])


def _axis(one: Measure) -> str:
    better = {1: "better to the right", -1: "better to the left"}.get(one.better, "")
    return "\n".join(filter(None, (f"difference in {one.title}", better)))
