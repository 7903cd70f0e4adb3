"""A comparison in words and tables: on the terminal, as Markdown, CSV and HTML."""

import base64
import csv
import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.verdicts import Cell
from lightning_mixup.lab.evaluation.measures import Measure, measure


class Grid(NamedTuple):
    """A table."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A figure beside the report."""

    path: Path
    title: str


Block = str | Grid | Picture
"""A piece of a report. Text that begins with ``#`` is a heading."""


def first_look(comparison: Comparison) -> Grid:
    """Give the most asked for measures, a row for each setting: value, difference from the baseline, verdict."""
    known = {name: measure(name) for name in comparison.headlines}
    header = [
        "",
        "seeds",
        *(one.title for one in known.values()),
    ]
    rows = []
    for row in comparison.rows:
        cells = [comparison.cells.get((name, row.label)) for name in known]
        words = ["" if cell is None else _words(cell, one) for cell, one in zip(cells, known.values(), strict=True)]
        rows.append([row.label, str(len(row.runs)), *words])
    return Grid(header, rows)


def every_measure(comparison: Comparison) -> Grid:
    """Give everything, a row for each measure and setting."""
    rows = []
    for name in comparison.names:
        one = measure(name)
        for row in comparison.rows_with(name):
            cell = comparison.cells[name, row.label]
            rows.append(
                [
                    one.title,
                    row.label,
                    _value(cell, one),
                    _difference(cell, one),
                    "" if math.isnan(cell.p_value) else f"{cell.p_value:.2g}",
                    cell.verdict,
                ]
            )
    return Grid(["measure", "row", "value", "minus baseline", "p (Holm)", "verdict"], rows)


def blocks(comparison: Comparison, pictures: Sequence[Picture]) -> list[Block]:
    """Compose the report that Markdown and HTML share."""
    missing = ["## Runs without results", *comparison.missing] if comparison.missing else []
    return [
        "# Comparison",
        first_look(comparison),
        *comparison.notes,
        *missing,
        *pictures,
        "## Every measure",
        f"{len(comparison.names)} measures, each judged by itself: expect one in twenty to have a verdict by chance. "
        "Decide beforehand which one counts.",
        every_measure(comparison),
    ]


def markdown(report: Sequence[Block]) -> str:
    r"""Write a report as Markdown.

    Examples:
        >>> print(markdown(["# A", Grid(["x", "y"], [["a|b", "1"]]), "Text."]))
        # A
        <BLANKLINE>
        | x | y |
        | --- | --- |
        | a\|b | 1 |
        <BLANKLINE>
        Text.
        <BLANKLINE>
    """
    parts = []
    for block in report:
        if isinstance(block, Grid):
            lines = [block.header, ["---"] * len(block.header), *block.rows]
            parts.append("\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines))
        elif isinstance(block, Picture):
            parts.append(f"![{block.title}]({block.path.name})")
        else:
            parts.append(block)
    return "\n\n".join(parts) + "\n"


def page(report: Sequence[Block]) -> str:
    """Write a report as one HTML file that needs no other."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Comparison</title>',
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.3em .8em;text-align:left}"
        "img{max-width:100%}</style>",
    ]
    for block in report:
        if isinstance(block, Grid):
            head, *body = ([f"<{tag}>{html.escape(text)}" for text in line] for tag, line in _lines(block))
            parts.append("<table><tr>" + "<tr>".join("".join(line) for line in (head, *body)) + "</table>")
        elif isinstance(block, Picture):
            image = base64.b64encode(block.path.read_bytes()).decode()
            parts.append(f'<p><img alt="{html.escape(block.title)}" src="data:image/png;base64,{image}">')
        else:
            text = block.lstrip("#")
            level = len(block) - len(text)
            parts.append(f"<h{level}>{html.escape(text)}</h{level}>" if level else f"<p>{html.escape(text)}")
    return "\n".join(parts) + "\n"


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write everything as numbers, in the units of ``results.json``."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["measure", "row", "seeds", "mean", "margin", "difference", "difference_margin", "p_holm", "verdict"]
        )
        for (name, label), cell in comparison.cells.items():
            difference = cell.difference[:2] if cell.difference else ("", "")
            p_value = "" if cell.difference is None else cell.p_value
            value = cell.value
            table.writerow([name, label, value.seeds, value.mean, value.margin, *difference, p_value, cell.verdict])


def show(comparison: Comparison, console: Console) -> None:
    """Print the first look, what has to be said beside it, and the runs that are missing."""
    table = Table(title="Comparison", box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    for name in ("value", "minus baseline"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for name in comparison.headlines:
        one = measure(name)
        table.add_row(f"[bold]{one.title}[/bold]")
        for row in comparison.rows_with(name):
            cell = comparison.cells[name, row.label]
            verdict = f"[bold]{cell.verdict}[/bold]" if cell.verdict in ("better", "worse") else cell.verdict
            table.add_row(escape(row.label), _value(cell, one), _difference(cell, one), verdict)
        table.add_section()
    console.print(table)
    for note in comparison.notes:
        console.print(note, highlight=False)
    for line in comparison.missing:
        console.print(f"No results: {line}", style="yellow", highlight=False, markup=False)


def _words(cell: Cell, one: Measure) -> str:
    if cell.difference is None:
        return _value(cell, one)
    # The difference alone would pass for a finding: it comes with what it shows.
    return f"{_value(cell, one)}\n{_difference(cell, one)}: {cell.verdict}"


def _value(cell: Cell, one: Measure) -> str:
    return one.show(cell.value.mean) + _margin(cell.value.margin, one)


def _difference(cell: Cell, one: Measure) -> str:
    if cell.difference is None or math.isnan(cell.difference.mean):
        return ""
    return one.show(cell.difference.mean, signed=True) + _margin(cell.difference.margin, one)


def _margin(margin: float, one: Measure) -> str:
    return "" if math.isnan(margin) else f" ± {one.show(margin)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def _lines(grid: Grid) -> list[tuple[str, Sequence[str]]]:
    return [("th", grid.header), *(("td", row) for row in grid.rows)]
