"""A comparison as tables: the report, numbers as CSV, and the terminal."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lightning_mixup.lab.app.compare.blocks import Block, Grid, Heading, Picture
from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.words import difference_words, value_words
from lightning_mixup.lab.evaluation.measures import measure


def every_measure(comparison: Comparison) -> Grid:
    """Give everything, a row for each measure and setting.

    Args:
        comparison: what to show.
    """
    rows = []
    for name in comparison.names:
        one = measure(name)
        for row in comparison.rows_with(name):
            cell = comparison.cells[name, row.label]
            rows.append(
                [
                    one.title,
                    row.label,
                    value_words(cell, one),
                    difference_words(cell, one),
                    "" if math.isnan(cell.p_value) else f"{cell.p_value:.2g}",
                    cell.verdict,
                ]
            )
    return Grid(["measure", "row", "value", "minus baseline", "p (Holm)", "verdict"], rows)


def blocks(comparison: Comparison, pictures: Sequence[Picture]) -> list[Block]:
    """Compose the report that Markdown and HTML share.

    Args:
        comparison: what to show.
        pictures: the one that answers the question first.
    """
    missing: list[Block] = [Heading(2, "Runs without results"), *comparison.missing] if comparison.missing else []
    return [
        Heading(1, "Comparison"),
        *comparison.answer,
        *pictures[:1],
        comparison.first_look(),
        *comparison.notes,
        *missing,
        *pictures[1:],
        Heading(2, "Every measure"),
        f"{len(comparison.names)} measures, each judged by itself: expect one in twenty to have a verdict by chance. "
        "Decide beforehand which one counts.",
        every_measure(comparison),
    ]


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write everything as numbers, in the units of ``results.json``.

    Args:
        comparison: what to write.
        path: the file. Texts that a spreadsheet would take for a formula begin with an apostrophe.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["measure", "row", "seeds", "mean", "margin", "difference", "difference_margin", "p_holm", "verdict"]
        )
        for (name, label), cell in comparison.cells.items():
            difference = cell.difference[:2] if cell.difference else ("", "")
            p_value = "" if cell.difference is None else cell.p_value
            value = cell.value
            texts = (_no_formula(name), _no_formula(label))
            table.writerow([*texts, value.seeds, value.mean, value.margin, *difference, p_value, cell.verdict])


def show(comparison: Comparison, console: Console) -> None:
    """Print the first look, what has to be said beside it, and the runs that are missing.

    Args:
        comparison: what to show.
        console: where.
    """
    table = Table(title="Comparison", box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    for name in ("value", "minus baseline"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for name in comparison.headlines:
        one = measure(name)
        table.add_row(f"[bold]{escape(one.title)}[/bold]")
        for row in comparison.rows_with(name):
            cell = comparison.cells[name, row.label]
            verdict = f"[bold]{cell.verdict}[/bold]" if cell.verdict in ("better", "worse") else cell.verdict
            table.add_row(escape(row.label), value_words(cell, one), difference_words(cell, one), verdict)
        table.add_section()
    console.print(table)
    for note in (*comparison.answer, *comparison.notes):
        console.print(note, highlight=False, markup=False)
    for line in comparison.missing:
        console.print(f"No results: {line}", style="yellow", highlight=False, markup=False)


def _no_formula(text: str) -> str:
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
