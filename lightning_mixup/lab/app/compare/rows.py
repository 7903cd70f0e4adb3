"""The rows of a comparison: runs that differ in nothing but their seed, and the row that each is compared with."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lightning_mixup.lab.app.compare.runs import Run, words_of


class Row(NamedTuple):
    """Finished runs that differ in nothing but their seed."""

    settings: dict[str, str]
    """What tells this row from others: config key to value."""
    runs: dict[int, Run]
    """By seed."""

    @property
    def label(self) -> str:
        """The settings as on the command line."""
        return words_of(self.settings) or "all runs"

    def values(self, name: str) -> dict[int, float]:
        """Give a measure, by seed, of the runs that have it."""
        return {seed: float(run.results[name]) for seed, run in self.runs.items() if name in run.results}


def rows_of(runs: Sequence[Run], varied: Sequence[str]) -> list[Row]:
    """Group runs by the settings that vary; rows without a finished run are kept."""
    rows: dict[tuple[str | None, ...], Row] = {}
    for run in runs:
        identity = tuple(run.settings.get(key) for key in varied)
        settings = {key: run.settings[key] for key in varied if key in run.settings}
        row = rows.setdefault(identity, Row(settings, {}))
        if run.results:
            row.runs[run.seed] = run
    return list(rows.values())


def baseline_of(row: Row, rows: Sequence[Row]) -> str:
    """Give the label of the row that one is compared with by itself; see ``compare``."""

    def surroundings(of: Row) -> dict[str, str]:
        return {key: value for key, value in of.settings.items() if not is_of_mix(key)}

    if all(surroundings(other) == other.settings for other in rows):  # a sweep over something else than mixing
        return rows[0].label
    like = [other for other in rows if surroundings(other) == surroundings(row)]
    return next((other.label for other in like if mixes_nothing(other)), like[0].label)


def is_of_mix(key: str) -> bool:
    """Whether a config key is of the mixing method."""
    placed = key.partition("@")[2] or key  # schedule@mix.prob=warmup
    return placed.partition(".")[0] == "mix"


def mixes_nothing(row: Row) -> bool:
    """Whether a row has no mixing method, or one of strength 0."""
    strengths = [row.settings.get(key) for key in ("mix.alpha", "mix.prob")]
    return row.settings.get("mix") == "none" or any(text is not None and as_number(text) == 0 for text in strengths)


def as_number(text: str) -> float | None:
    """Read a setting that is a finite number; ``None`` if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
