"""Compare the runs of a sweep: which rows there are, what they measured, what that shows."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.records import read_record
from lightning_mixup.lab.app.sweep import planned
from lightning_mixup.lab.evaluation.measures import HEADLINES, measure, part_of
from lightning_mixup.lab.evaluation.statistics import Difference, Estimate, estimate, holm, paired_difference, verdict

ENOUGH = 5
"""From so many seeds on nothing is said about their number."""


UNJUDGED = "not judged"
"""Verdict on the training time: jobs run one after another, and a machine gets busier without any method's doing."""


class Run(NamedTuple):
    """One job of a sweep."""

    folder: Path
    settings: dict[str, str]
    """Config key to value, as on the command line."""
    results: dict[str, Any]
    """Of ``results.json``; empty if there is none."""

    @property
    def seed(self) -> int:
        """Seed of a finished run."""
        return int(self.results["seed"])


class Row(NamedTuple):
    """Finished runs that differ in nothing but their seed."""

    settings: dict[str, str]
    """What tells this row from others: config key to value."""
    runs: dict[int, Run]
    """By seed."""

    @property
    def label(self) -> str:
        """The settings as on the command line."""
        return _words(self.settings) or "all runs"

    def values(self, name: str) -> dict[int, float]:
        """Give a measure, by seed, of the runs that have it."""
        return {seed: float(run.results[name]) for seed, run in self.runs.items() if name in run.results}


class Cell(NamedTuple):
    """One measure of one row."""

    value: Estimate
    difference: Difference | None
    """From the baseline; ``None`` for a baseline."""
    p_value: float
    """After Holm's correction over the rows; NaN for a baseline."""
    verdict: str
    """``baseline``, ``better``, ``worse``, that nothing was shown, or that nothing could be compared."""


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


def read_sweep(folder: Path) -> tuple[list[Run], list[str]]:
    """Read what the jobs of a sweep left.

    Args:
        folder: of the sweep: each job has a folder in it.

    Returns:
        The runs in order, and a line for every reason why some have no results.
    """
    records = sorted(folder.rglob(".hydra/overrides.yaml"), key=lambda path: [_natural(part) for part in path.parts])
    runs = [_read_run(record.parents[1]) for record in records]
    varied = _varied(runs)
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if not run.results:
            words = _words({key: value for key, value in run.settings.items() if key in (*varied, "seed")})
            reasons.setdefault(_why(run.folder), []).append(f"{run.folder.relative_to(folder)} ({words})")
    missing = [f"{_some(jobs)}: {why}" for why, jobs in reasons.items()]
    jobs = planned(folder).jobs
    if jobs > len(records):
        missing.append(f"{jobs - len(records)} of {jobs} jobs have not begun")
    return runs, missing


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
    planned_rows = _rows(runs, _varied(runs))
    rows = [row for row in planned_rows if row.runs]
    labels = [row.label for row in rows]
    if baseline is not None and baseline not in labels:
        raise ConfigError(f"baseline must be one of {labels}; got {baseline!r}.")
    against = {row.label: baseline or _baseline(row, rows) for row in rows}
    wished = {row.label: baseline or _baseline(row, planned_rows) for row in rows}
    absent = list(dict.fromkeys(label for label in wished.values() if label not in labels))
    return Comparison(folder, rows, _names(finished), judge(rows, against, _names(finished)), missing, absent)


def judge(rows: Sequence[Row], against: Mapping[str, str], names: Sequence[str]) -> dict[tuple[str, str], Cell]:
    """Judge every measure of every row that has it.

    Args:
        rows: with a finished run at least.
        against: label of a row to that of its baseline, which may be itself.
        names: of the measures.
    """
    cells = {}
    for name in names:
        values = {row.label: row.values(name) for row in rows}
        values = {label: found for label, found in values.items() if found}
        others = [label for label in values if against[label] != label]
        differences = {label: _difference(values[label], values.get(against[label], {})) for label in others}
        adjusted = dict(zip(others, holm([differences[label].p_value for label in others]), strict=True))
        for label, found in values.items():
            value = estimate(list(found.values()))
            if label in differences:
                judged = verdict(differences[label], adjusted[label], measure(name).better)
                judged = UNJUDGED if name == "duration" else judged
                cells[name, label] = Cell(value, differences[label], adjusted[label], judged)
            else:
                cells[name, label] = Cell(value, None, float("nan"), "baseline")
    return cells


def _difference(method: Mapping[int, float], baseline: Mapping[int, float]) -> Difference:
    shared = [seed for seed in method if seed in baseline]
    if not shared:
        return Difference(float("nan"), float("nan"), 1.0, 0)
    return paired_difference([method[seed] for seed in shared], [baseline[seed] for seed in shared])


def _varied(runs: Sequence[Run]) -> list[str]:
    keys = dict.fromkeys(key for run in runs for key in run.settings if key != "seed")
    return [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]


def _rows(runs: Sequence[Run], varied: Sequence[str]) -> list[Row]:
    rows: dict[tuple[str | None, ...], Row] = {}
    for run in runs:
        identity = tuple(run.settings.get(key) for key in varied)
        settings = {key: run.settings[key] for key in varied if key in run.settings}
        row = rows.setdefault(identity, Row(settings, {}))
        if run.results:
            row.runs[run.seed] = run
    return list(rows.values())


def _which(labels: Sequence[str], among: Mapping[str, int]) -> str:
    return f" ({', '.join(labels)})" if len(labels) < len(among) else ""


def _baseline(row: Row, rows: Sequence[Row]) -> str:
    def surroundings(of: Row) -> dict[str, str]:
        return {key: value for key, value in of.settings.items() if not _is_of_mix(key)}

    if all(surroundings(other) == other.settings for other in rows):  # a sweep over something else than mixing
        return rows[0].label
    like = [other for other in rows if surroundings(other) == surroundings(row)]
    return next((other.label for other in like if _mixes_nothing(other)), like[0].label)


def _is_of_mix(key: str) -> bool:
    placed = key.partition("@")[2] or key  # schedule@mix.prob=warmup
    return placed.partition(".")[0] == "mix"


def _mixes_nothing(row: Row) -> bool:
    strengths = [row.settings.get(key) for key in ("mix.alpha", "mix.prob")]
    return row.settings.get("mix") == "none" or any(text is not None and as_number(text) == 0 for text in strengths)


def as_number(text: str) -> float | None:
    """Read a setting that is a finite number; ``None`` if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _names(runs: Sequence[Run]) -> list[str]:
    """The numbers that any run has, the most asked for first, those of the test before the others."""
    found = dict.fromkeys(name for run in runs for name, value in run.results.items() if isinstance(value, float))
    parts = ("test", "train", "val", "")
    order = {name: number for number, name in enumerate(HEADLINES)}
    return sorted(found, key=lambda name: (order.get(name, len(order)), parts.index(part_of(name))))


def _read_run(job: Path) -> Run:
    results = read_record(job).results
    settings = _settings(job)
    judged = Path(results.get("ckpt", ""))
    for trained in list(judged.parents)[:2]:
        if (trained / ".hydra").is_dir():  # what was judged is what tells it from others, not where it lies
            settings.pop("ckpt", None)
            settings = _settings(trained) | settings
    return Run(job, settings, results)


def _settings(job: Path) -> dict[str, str]:
    overrides: Any = OmegaConf.to_container(OmegaConf.load(job / ".hydra" / "overrides.yaml"), resolve=False)
    pairs = (str(override).lstrip("+~").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs if key != "allow_targets"}


def _words(settings: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())


def _some(jobs: Sequence[str], shown: int = 4) -> str:
    more = f" and {len(jobs) - shown} more" if len(jobs) > shown else ""
    return ", ".join(jobs[:shown]) + more


def _why(job: Path) -> str:
    if trouble := read_record(job).trouble:
        return trouble
    failed = job / "failed.txt"
    lines = failed.read_text().strip().splitlines() if failed.is_file() else []
    if not lines:
        return "unfinished"
    # A traceback ends with the kind of error and its message, of one line or several.
    named = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt)\b", line)]
    return f"failed: {(named or lines)[-1].removeprefix('lightning_mixup.lab.app.errors.ConfigError: ')}"


def _natural(part: str) -> tuple[bool, int, str]:
    return not part.isdigit(), int(part) if part.isdigit() else 0, part
