"""The rows of a comparison: runs that differ in nothing but their seed, and the row that each is compared with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lightning_mixup.lab.app.compare.runs import Run, setting, words_of


@dataclass(frozen=True)
class Row:
    """Finished runs that differ in nothing but their seed."""

    settings: dict[str, str]
    """What tells this row from others: config key to value."""
    runs: dict[int, Run]
    """By seed: those that count."""
    diverged: dict[int, Run] = field(default_factory=dict)
    """By seed: those with a measure that is not finite. They are failures, and in no mean."""

    @property
    def label(self) -> str:
        """The settings as on the command line."""
        return words_of(self.settings) or "all runs"

    @property
    def method(self) -> dict[str, str]:
        """Those of the settings that say how is mixed."""
        return {key: value for key, value in self.settings.items() if is_of_mix(key)}

    @property
    def surroundings(self) -> dict[str, str]:
        """Those of the settings that do not: data, training."""
        return {key: value for key, value in self.settings.items() if not is_of_mix(key)}

    def values(self, name: str) -> dict[int, float]:
        """Give a measure, by seed, of the runs that have it."""
        return {seed: float(run.results[name]) for seed, run in self.runs.items() if name in run.results}

    def setting(self, key: str) -> str | None:
        """Give a setting of its runs, defaults included; ``None`` where there is no such."""
        return next((setting(run, key) for run in self.runs.values()), self.settings.get(key))


def rows_of(runs: Sequence[Run], varied: Sequence[str]) -> list[Row]:
    """Group runs by the settings that vary; rows without a finished run are kept."""
    written = {key: _rounded([run.settings[key] for run in runs if key in run.settings]) for key in varied}
    rows: dict[tuple[str | None, ...], Row] = {}
    for run in runs:
        identity = tuple(run.settings.get(key) for key in varied)
        settings = {key: written[key][run.settings[key]] for key in varied if key in run.settings}
        row = rows.setdefault(identity, Row(settings, {}))
        if run.counts:
            row.runs[run.seed] = run
        elif run.diverged:
            row.diverged[run.seed] = run
    return list(rows.values())


def baseline_of(row: Row, rows: Sequence[Row]) -> str:
    """Give the label of the row that one is compared with by itself; see ``compare``."""
    if not any(other.method for other in rows):  # a sweep over something else than mixing
        return rows[0].label
    like = [other for other in rows if other.surroundings == row.surroundings]
    return next((other.label for other in like if mixes_nothing(other)), like[0].label)


def is_of_mix(key: str) -> bool:
    """Whether a config key is of the mixing method."""
    placed = key.partition("@")[2] or key  # schedule@mix.prob=warmup
    return placed.partition(".")[0] == "mix"


def mixes_nothing(row: Row) -> bool:
    """Whether a row has no mixing method, or one of strength 0."""
    strengths = [row.settings.get(key) for key in ("mix.alpha", "mix.prob")]
    return row.settings.get("mix") == "none" or any(text is not None and as_number(text) == 0 for text in strengths)


def as_number(text: str | None) -> float | None:
    """Read a setting that is a finite number; ``None`` if it is none."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _rounded(values: Sequence[str]) -> dict[str, str]:
    """Long numbers in short (0.30000000000000004), where that confuses none with another."""
    short = {
        text: text if (number := as_number(text)) is None else min(text, f"{number:.6g}", key=len) for text in values
    }
    return short if len(set(short.values())) == len(short) else {text: text for text in values}
