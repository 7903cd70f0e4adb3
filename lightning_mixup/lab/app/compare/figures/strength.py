"""Measures against the numbers that a sweep varies: the strength of mixing, the share of wrong labels."""

import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.figures.style import (
    Facet,
    Look,
    facets,
    grid,
    heading,
    legend,
    lines_in,
    looks,
    note,
)
from lightning_mixup.lab.app.compare.rows import Row, as_number, is_of_mix, mixes_nothing
from lightning_mixup.lab.app.compare.words import KEYS, short
from lightning_mixup.lab.evaluation.measures import measure


def numbers(comparison: Comparison) -> list[str]:
    """Give the config keys that take several numbers, defaults included, within one method.

    Args:
        comparison: of a sweep.
    """
    keys = dict.fromkeys(key for row in comparison.rows for key in row.settings)
    return [key for key in keys if _are_numbers(key, comparison.rows) and _lines(comparison, key)]


def against(comparison: Comparison, key: str) -> Figure:
    """Draw measures against a number, a line for each method, a line of panels for each of the other surroundings.

    Args:
        comparison: what to show.
        key: config key of the number.
    """
    names = [name for name in comparison.headlines if name != "duration"] or comparison.headlines
    lines, look = _lines(comparison, key), looks(comparison)
    parts = [
        part._replace(rows=[row for row in part.rows if _drawn(row, key, lines)]) for part in _facets(comparison, key)
    ]
    parts = [part for part in parts if part.rows]
    figure, panels = grid(len(parts), len(names), 2.7, extra=1.1)
    place = Places([number for row in comparison.rows if (number := number_of(row, key)) is not None])
    shown: dict[str, Look] = {}
    titles = [fill(measure(name).title, 30) for name in names]
    for number, (part, line) in enumerate(zip(parts, panels, strict=True)):
        heading(line[0], part.title, titled=0 if number else lines_in(titles))
        for name, axes in zip(names, line, strict=True):
            shown |= _panel(axes, comparison, name, key, part, place, look)
    for title, axes in zip(titles, panels[0], strict=True):
        axes.set_title(title, fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel(fill(KEYS.get(key, key), 30), fontsize=9)
    legend(figure, list(shown.values()))
    levels = ". level lines: without such a number" if is_of_mix(key) else ""
    note(figure, f"bars: 95 % confidence intervals over seeds{levels}")
    return figure


def number_of(row: Row, key: str) -> float | None:
    """Give the number that a setting has in a row, the default where the row does not say it."""
    return as_number(row.setting(key))


def _panel(
    axes: Axes, comparison: Comparison, name: str, key: str, part: Facet, place: "Places", look: dict[str, Look]
) -> dict[str, Look]:
    one, shown = measure(name), {}
    lines: dict[str, list[Row]] = {}
    for row in part.rows:
        lines.setdefault(_identity(row, key), []).append(row)
    for number, (label, rows) in enumerate(lines.items()):
        found = [(number_of(row, key), comparison.cells.get((name, row.label))) for row in rows]
        cells = [(at, cell.value) for at, cell in found if cell is not None]
        points = sorted((at, value) for at, value in cells if at is not None)
        reference = all(look[row.label].reference for row in rows)
        first = next((row for row in rows if not look[row.label].reference), rows[0])
        drawn = look[first.label]._replace(label=_name(label, reference))
        shown[drawn.label] = drawn
        if points:
            x, y, margins = np.array([(at, value.mean, value.margin) for at, value in points]).T
            # A little aside, so that intervals do not hide each other.
            aside = 0.012 * (number - (len(lines) - 1) / 2)
            bars = one.factor * np.nan_to_num(margins)
            axes.errorbar(
                place.of(x) + aside,
                one.factor * y,
                yerr=bars,
                marker=drawn.marker,
                markersize=5,
                capsize=3,
                **drawn.line,
            )
        for at, value in cells:
            if at is None:
                axes.axhline(one.factor * value.mean, color=drawn.colour, linestyle=drawn.dashes)
    axes.set_xticks(*place.ticks())
    return shown


def _facets(comparison: Comparison, key: str) -> list[Facet]:
    if any(row.method for row in comparison.rows):
        return facets(comparison, leave_out=key)
    return [Facet("", comparison.rows)]


def _identity(row: Row, key: str) -> str:
    of = row.method if any(map(is_of_mix, row.settings)) else row.settings
    return short({name: value for name, value in of.items() if name != key})


def _name(identity: str, reference: bool) -> str:
    return f"{identity or 'as configured'}{' (baseline)' if reference else ''}"


def _lines(comparison: Comparison, key: str) -> set[str]:
    """The lines along which the number varies: in the same facet and of the same method."""
    values: dict[tuple[str, str], set[float]] = {}
    for part in _facets(comparison, key):
        for row in part.rows:
            if (number := number_of(row, key)) is not None:
                values.setdefault((part.title, _identity(row, key)), set()).add(number)
    return {identity for (_, identity), found in values.items() if len(found) > 1}


def _drawn(row: Row, key: str, lines: set[str]) -> bool:
    return _identity(row, key) in lines or mixes_nothing(row)


def _are_numbers(key: str, rows: Sequence[Row]) -> bool:
    given = [row.settings[key] for row in rows if key in row.settings]
    return None not in map(as_number, given)


class Places:
    """Where numbers go on an axis from 0 to 1: by their size or, where they differ by much, by its logarithm.

    Args:
        numbers: two different ones at least.

    Examples:
        >>> Places([0, 1, 10, 100]).of(np.array([0, 1, 10, 100])).round(2).tolist()
        [0.0, 0.33, 0.67, 1.0]
    """

    def __init__(self, numbers: Sequence[float]) -> None:
        self.numbers = sorted(set(numbers))
        positive = [number for number in self.numbers if number > 0]
        self.logarithmic = min(self.numbers) >= 0 and len(positive) > 1 and positive[-1] > 20 * positive[0]
        # Zero has no logarithm: it stands as far from the first as the first from the second.
        self.zero = math.log(positive[0] ** 2 / positive[1]) if self.logarithmic else 0.0

    def of(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the places of some numbers."""
        first, last = self._raw(np.array([self.numbers[0], self.numbers[-1]]))
        places: np.ndarray[Any, Any] = (self._raw(x) - first) / (last - first)
        return places

    def ticks(self) -> tuple[list[float], list[str]]:
        """Give places and labels of the numbers, as far as labels have room; the first and the last always have one."""
        all_places = self.of(np.array(self.numbers)).tolist()
        shown: list[tuple[float, str]] = []
        for number, at in zip(self.numbers, all_places, strict=True):
            if at == 1 and shown and at - shown[-1][0] <= 0.12 and len(shown) > 1:
                shown.pop()
            if not shown or at - shown[-1][0] > 0.12 or at == 1:
                shown.append((at, f"{number:g}"))
        return [at for at, _ in shown], [label for _, label in shown]

    def _raw(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not self.logarithmic:
            return np.asarray(x, dtype=float)
        with np.errstate(divide="ignore"):
            return np.where(x > 0, np.log(x), self.zero)
