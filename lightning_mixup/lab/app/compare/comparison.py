"""Compare the runs of a sweep: which rows there are, what they measured, what that shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_mixup.lab.app.compare.blocks import Grid, fragment
from lightning_mixup.lab.app.compare.rows import Row, baseline_of, rows_of
from lightning_mixup.lab.app.compare.runs import Run, read_sweep, varied
from lightning_mixup.lab.app.compare.verdicts import Cell, judge
from lightning_mixup.lab.app.compare.words import cell_words, difference_words
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.evaluation.calibration import at_bound
from lightning_mixup.lab.evaluation.measures import HEADLINES, measure, part_of

SHOWN = ("better", "worse", "higher", "lower")
"""Verdicts that a difference was shown."""
TESTS = {
    "t": "Student's t-test, which assumes that they are nearly normal",
    "permutation": "an exact test over their signs, which assumes that either is as likely without a true difference",
}
"""What each test of differences assumes."""
ENOUGH = 5
"""From so many seeds on nothing is said about their number."""


@dataclass(frozen=True)
class Comparison:
    """All that a sweep shows."""

    folder: Path
    rows: list[Row]
    names: list[str]
    """Of the measures, the most asked for first."""
    cells: dict[tuple[str, str], Cell]
    """By name of the measure and label of the row; rows without the measure have none."""
    missing: list[str]
    """Runs without results, and why."""
    absent: list[str]
    """Rows that no other is compared with, as they should be, because none of their runs has results."""
    against: dict[str, str]
    """Label of a row to that of its baseline, which may be itself."""
    test: str = "t"
    """Of differences; see ``paired_difference``."""

    @property
    def headlines(self) -> list[str]:
        """The measures of a first look."""
        known = [name for name in self.names if name in HEADLINES]
        if known and known != ["duration"]:
            return known
        tested = [name for name in self.names if part_of(name) == "test"] or self.names
        return [name for name in tested if name != "duration"][:3] + known

    def rows_with(self, name: str) -> list[Row]:
        """Rows that have a measure."""
        return [row for row in self.rows if (name, row.label) in self.cells]

    @property
    def answer(self) -> list[str]:
        """What the first measure shows, in a sentence or two: which method, how much better, how sure."""
        name = self.headlines[0]
        one = measure(name)
        compared = {label: cell for (of, label), cell in self.cells.items() if of == name and cell.difference}
        if not compared or name == "duration":
            return []
        shown = {label: cell for label, cell in compared.items() if cell.verdict in SHOWN}
        told = [f"{one.title[0].upper()}{one.title[1:]}: {_counted(shown)} of {len(compared)} compared rows"]
        told[0] += " differs from its baseline." if len(shown) == 1 else " differ from their baselines."
        best = [label for label, cell in shown.items() if cell.verdict in ("better", "higher")]
        if best:
            top = max(best, key=lambda label: abs(shown[label].difference.mean))  # type: ignore[union-attr]
            cell = shown[top]
            more = "The largest gain" if one.better else "The largest difference"
            told.append(
                f"{more}: {top}, {difference_words(cell, one)} from {self.against[top]} "
                f"(p = {cell.p_value:.2g}, {cell.value.seeds} seeds). The largest of several is flattered by luck."
            )
        elif not shown:
            told.append("That shows no difference, and not that there is none: more seeds show smaller ones.")
        return [" ".join(told)]

    def first_look(self) -> Grid:
        """Give the most asked for measures, a row for each setting: value, difference from the baseline, verdict."""
        known = {name: measure(name) for name in self.headlines}
        rows = []
        for row in self.rows:
            cells = [self.cells.get((name, row.label)) for name in known]
            words = [
                "" if cell is None else cell_words(cell, one) for cell, one in zip(cells, known.values(), strict=True)
            ]
            rows.append([row.label, _seeds(row), *words])
        return Grid(["", "seeds", *(one.title for one in known.values())], rows)

    def _repr_html_(self) -> str:
        """Show the answer and the first look, where a notebook asks for it."""
        return fragment([*self.answer, self.first_look(), *self.notes, *self.missing])

    @property
    def notes(self) -> list[str]:
        """What has to be said beside the tables."""
        seeds = {row.label: len(row.runs) for row in self.rows}
        single = [label for label, count in seeds.items() if count == 1]
        few = [label for label, count in seeds.items() if 1 < count < ENOUGH]
        told = []
        if self.absent:
            told.append(f"Without results of {', '.join(self.absent)}, other rows had to be the baseline.")
        told += [
            f"{row.label}: {len(row.diverged)} of {len(row.diverged) + len(row.runs)} runs diverged. They are "
            "failures, and in no mean; what is left is not compared, for it flatters."
            for row in self.rows
            if row.diverged
        ]
        if bound := _at_bound(self.rows):
            told.append(
                f"The fitted temperature of {bound} runs is at a bound of its range: their validation samples are too "
                "few, or all right, to fit one. Leave their scaled scores (*_scaled) alone."
            )
        if single:
            told.append(
                f"One seed shows nothing{_which(single, seeds)}: another seed may reverse every order seen here. "
                "Add 'seed=range(5)' to the sweep for intervals and verdicts."
            )
        if few:
            told.append(
                f"Fewer than {ENOUGH} seeds{_which(few, seeds)}: only large differences can be shown. "
                f"{ENOUGH} or more are advised."
            )
        if len(single) < len(seeds):
            told.append("Values are mean ± half of the 95 % confidence interval (Student's t) over seeds.")
        if len(single) < len(seeds) > 1:
            told.append(
                f"Differences from the baseline are paired by seed, and judged by {TESTS[self.test]}. Verdicts are "
                "corrected for the number of rows (Holm): of tables without any true difference at most 5 % have a "
                "verdict, measure by measure, if that holds; where the noise of one method alone is skewed, up to 18 %."
            )
            told.append("Training time is not judged: it depends on what else the machine does.")
        return told


def compare(folder: str | Path, baseline: str | None = None, test: str = "t") -> Comparison:
    """Compare the methods of a sweep.

    Rows are the different settings, whatever the seed. A row is compared with the row of the same data and training
    that mixes nothing: whose mix is ``none``, or whose strength is 0; if there is none, with the first of the same data
    and training; in a sweep that does not vary the mix, with the first of all.

    Args:
        folder: of the sweep.
        baseline: label of the row that all others are compared with instead.
        test: of differences: ``t`` or ``permutation``; see ``paired_difference``.

    Returns:
        The comparison, which a notebook shows as a table.

    Raises:
        ConfigError: there are no results, no such baseline or no such test.
    """
    if test not in TESTS:
        raise ConfigError(f"test must be one of {', '.join(TESTS)}; got {test!r}.")
    folder = Path(folder)
    runs, missing = read_sweep(folder)
    finished = [run for run in runs if run.counts]
    if not finished:
        found = f" It has: {'; '.join(missing)}." if missing else ""
        raise ConfigError(f"compare must be the folder of a sweep with results.json in it; got {str(folder)!r}.{found}")
    planned_rows = rows_of(runs, varied(runs))
    rows = [row for row in planned_rows if row.runs]
    labels = [row.label for row in rows]
    if baseline is not None and baseline not in labels:
        raise ConfigError(f"baseline must be one of {labels}; got {baseline!r}.")
    against = {row.label: baseline or baseline_of(row, rows) for row in rows}
    wished = {row.label: baseline or baseline_of(row, planned_rows) for row in rows}
    absent = list(dict.fromkeys(label for label in wished.values() if label not in labels))
    names = _names(finished)
    return Comparison(folder, rows, names, judge(rows, against, names, test), missing, absent, against, test)


def _counted(found: Mapping[str, Cell]) -> str:
    return str(len(found)) if found else "none"


def _seeds(row: Row) -> str:
    return f"{len(row.runs)} of {len(row.runs) + len(row.diverged)}" if row.diverged else str(len(row.runs))


def _at_bound(rows: Sequence[Row]) -> int:
    """How many runs have a fitted temperature that is none."""
    return sum(at_bound(value) for row in rows for value in row.values("test/temperature").values())


def _which(labels: Sequence[str], among: Mapping[str, int]) -> str:
    return f" ({', '.join(labels)})" if len(labels) < len(among) else ""


def _names(runs: Sequence[Run]) -> list[str]:
    """The numbers that any run has, the most asked for first, those of the test before the others."""
    found = dict.fromkeys(name for run in runs for name, value in run.results.items() if isinstance(value, float))
    parts = ("test", "train", "val", "")
    order = {name: number for number, name in enumerate(HEADLINES)}
    return sorted(found, key=lambda name: (order.get(name, len(order)), parts.index(part_of(name))))
