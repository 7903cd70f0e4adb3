"""Compare the runs of a sweep: which rows there are, what they measured, what that shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_mixup.lab.app.compare.rows import Row, baseline_of, rows_of
from lightning_mixup.lab.app.compare.runs import Run, read_sweep, varied
from lightning_mixup.lab.app.compare.verdicts import Cell, judge
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.evaluation.measures import HEADLINES, part_of

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
    def notes(self) -> list[str]:
        """What has to be said beside the tables."""
        seeds = {row.label: len(row.runs) for row in self.rows}
        single = [label for label, count in seeds.items() if count == 1]
        few = [label for label, count in seeds.items() if 1 < count < ENOUGH]
        told = []
        if self.absent:
            told.append(f"Without results of {', '.join(self.absent)}, other rows had to be the baseline.")
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
                "Differences from the baseline are paired by seed. Verdicts are corrected for the number of rows "
                "(Holm): of tables without any true difference, at most 5 % have a verdict, measure by measure."
            )
            told.append("Training time is not judged: it depends on what else the machine does.")
        return told


def compare(folder: Path, baseline: str | None = None) -> Comparison:
    """Compare the methods of a sweep.

    Rows are the different settings, whatever the seed. A row is compared with the row of the same data and training
    that mixes nothing: whose mix is ``none``, or whose strength is 0; if there is none, with the first of the same data
    and training; in a sweep that does not vary the mix, with the first of all.

    Args:
        folder: of the sweep.
        baseline: label of the row that all others are compared with instead.

    Raises:
        ConfigError: there are no results, or no such baseline.
    """
    runs, missing = read_sweep(folder)
    finished = [run for run in runs if run.results]
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
    return Comparison(folder, rows, _names(finished), judge(rows, against, _names(finished)), missing, absent)


def _which(labels: Sequence[str], among: Mapping[str, int]) -> str:
    return f" ({', '.join(labels)})" if len(labels) < len(among) else ""


def _names(runs: Sequence[Run]) -> list[str]:
    """The numbers that any run has, the most asked for first, those of the test before the others."""
    found = dict.fromkeys(name for run in runs for name, value in run.results.items() if isinstance(value, float))
    parts = ("test", "train", "val", "")
    order = {name: number for number, name in enumerate(HEADLINES)}
    return sorted(found, key=lambda name: (order.get(name, len(order)), parts.index(part_of(name))))
