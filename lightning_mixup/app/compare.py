"""Compare the runs of a sweep: which rows there are, what they measured, what that shows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from lightning_mixup.app.errors import ConfigError
from lightning_mixup.evaluation.measures import HEADLINES, measure
from lightning_mixup.evaluation.statistics import Difference, Estimate, estimate, holm, paired_difference, verdict

ENOUGH = 5
"""From so many seeds on nothing is said about their number."""


class Run(NamedTuple):
    """One finished job."""

    folder: Path
    settings: dict[str, str]
    seed: int
    results: dict[str, Any]


class Row(NamedTuple):
    """Runs that differ in nothing but their seed."""

    settings: dict[str, str]
    """What tells this row from others: config key to value."""
    runs: dict[int, Run]
    """By seed."""

    @property
    def label(self) -> str:
        """The settings as on the command line."""
        return " ".join(f"{key}={value}" for key, value in self.settings.items()) or "all runs"

    def values(self, name: str, seeds: Sequence[int] | None = None) -> list[float]:
        """Give a measure, seed by seed."""
        return [float(self.runs[seed].results[name]) for seed in (self.runs if seeds is None else seeds)]


class Cell(NamedTuple):
    """One measure of one row."""

    value: Estimate
    difference: Difference | None
    """From the baseline; ``None`` for a baseline."""
    p_value: float
    """After Holm's correction over the rows; NaN for a baseline."""
    verdict: str
    """``baseline``, ``better``, ``worse`` or that nothing was shown."""


@dataclass(frozen=True)
class Comparison:
    """All that a sweep shows."""

    folder: Path
    rows: list[Row]
    names: list[str]
    """Of the measures, the most asked for first."""
    cells: dict[tuple[str, str], Cell]
    """By name of the measure and label of the row."""
    missing: list[str]
    """Runs without results, and why."""

    @property
    def headlines(self) -> list[str]:
        """The measures of a first look."""
        return [name for name in self.names if name in HEADLINES] or self.names[:4]

    @property
    def notes(self) -> list[str]:
        """What has to be said beside the tables."""
        seeds = {row.label: len(row.runs) for row in self.rows}
        single = [label for label, count in seeds.items() if count == 1]
        few = [label for label, count in seeds.items() if 1 < count < ENOUGH]
        told = []
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
        return told


def read_sweep(folder: Path) -> tuple[list[Run], list[str]]:
    """Read what the jobs of a sweep left.

    Args:
        folder: of the sweep: each job has a folder in it.

    Returns:
        The finished runs in order, and a line for every one that is missing.
    """
    runs, missing = [], []
    records = sorted(folder.rglob(".hydra/overrides.yaml"), key=lambda path: [_natural(part) for part in path.parts])
    for record in records:
        job = record.parents[1]
        settings = _settings(str(override) for override in OmegaConf.load(record))
        path = job / "results.json"
        if path.is_file():
            results = json.loads(path.read_text())
            runs.append(Run(job, settings, int(results["seed"]), results))
        else:
            words = " ".join(f"{key}={value}" for key, value in settings.items())
            missing.append(f"{job.relative_to(folder)} ({words}): {_why(job)}")
    planned = _planned(folder / "multirun.yaml")
    if planned > len(records):
        missing.append(f"{planned - len(records)} of {planned} jobs have not begun")
    return runs, missing


def compare(folder: Path, baseline: str | None = None) -> Comparison:
    """Compare the methods of a sweep.

    Rows are the different settings, whatever the seed. A row is compared with the row of the same data and training
    whose mix is ``none``; if there is none, with the first of the same data and training (such as the least strength);
    in a sweep that does not vary the mix, with the first of all.

    Args:
        folder: of the sweep.
        baseline: label of the row that all others are compared with instead.

    Raises:
        ConfigError: there are no results, or no such baseline.
    """
    runs, missing = read_sweep(folder)
    if not runs:
        found = f" It has: {'; '.join(missing)}." if missing else ""
        raise ConfigError(f"compare must be the folder of a sweep with results.json in it; got {str(folder)!r}.{found}")
    rows = _rows(runs)
    labels = [row.label for row in rows]
    if baseline is not None and baseline not in labels:
        raise ConfigError(f"baseline must be one of {labels}; got {baseline!r}.")
    against = {row.label: baseline or _baseline(row, rows) for row in rows}
    by_label = {row.label: row for row in rows}
    names = _names([run.results for run in runs])
    cells = {}
    for name in names:
        differences = {label: _difference(name, by_label[label], by_label[against[label]]) for label in labels}
        others = [label for label in labels if against[label] != label]
        adjusted = dict(zip(others, holm([differences[label].p_value for label in others]), strict=True))
        for label in labels:
            value = estimate(by_label[label].values(name))
            if label in adjusted:
                judged = verdict(differences[label], adjusted[label], measure(name).better)
                cells[name, label] = Cell(value, differences[label], adjusted[label], judged)
            else:
                cells[name, label] = Cell(value, None, float("nan"), "baseline")
    return Comparison(folder, rows, names, cells, missing)


def _difference(name: str, row: Row, baseline: Row) -> Difference:
    shared = [seed for seed in row.runs if seed in baseline.runs]
    if not shared:
        return Difference(float("nan"), float("nan"), 1.0, 0)
    return paired_difference(row.values(name, shared), baseline.values(name, shared))


def _rows(runs: Sequence[Run]) -> list[Row]:
    keys = list(dict.fromkeys(key for run in runs for key in run.settings if key != "seed"))
    varied = [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]
    rows: dict[tuple[str | None, ...], Row] = {}
    for run in runs:
        identity = tuple(run.settings.get(key) for key in varied)
        settings = {key: run.settings[key] for key in varied if key in run.settings}
        rows.setdefault(identity, Row(settings, {})).runs[run.seed] = run
    return list(rows.values())


def _which(labels: Sequence[str], among: Mapping[str, int]) -> str:
    return f" ({', '.join(labels)})" if len(labels) < len(among) else ""


def _baseline(row: Row, rows: Sequence[Row]) -> str:
    def surroundings(of: Row) -> dict[str, str]:
        return {key: value for key, value in of.settings.items() if key.partition(".")[0] != "mix"}

    if all(surroundings(other) == other.settings for other in rows):  # a sweep over something else than mixing
        return rows[0].label
    like = [other for other in rows if surroundings(other) == surroundings(row)]
    return next((other.label for other in like if other.settings.get("mix") == "none"), like[0].label)


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The numbers that all runs have, the most asked for first, those of the test before the others."""
    shared = [name for name in results[0] if all(isinstance(run.get(name), float) for run in results)]
    parts = ("test", "train", "val")
    order = {name: number for number, name in enumerate(HEADLINES)}
    return sorted(
        (name for name in shared if "/" in name or name in HEADLINES),
        key=lambda name: (order.get(name, len(order)), *(name.partition("/")[0] != part for part in parts)),
    )


def _settings(overrides: Any) -> dict[str, str]:  # noqa: ANN401
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs if key != "allow_targets"}


def _why(job: Path) -> str:
    failed = job / "failed.txt"
    lines = failed.read_text().strip().splitlines() if failed.is_file() else []
    return f"failed: {lines[-1]}" if lines else "unfinished"


def _planned(record: Path) -> int:
    """How many jobs a sweep has; 0 if that cannot be told, as with other sweepers than Hydra's own."""
    if not record.is_file():
        return 0
    given = [str(override) for override in OmegaConf.load(record).hydra.overrides.task]
    try:
        (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(given), None)
    except (HydraException, ValueError, AttributeError):
        return 0
    return len(jobs)


def _natural(part: str) -> tuple[bool, int, str]:
    return not part.isdigit(), int(part) if part.isdigit() else 0, part
