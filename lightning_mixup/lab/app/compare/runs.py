"""The runs of a sweep: what each was told, what it measured, and why some measured nothing."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from lightning_mixup.lab.app.plans import planned
from lightning_mixup.lab.app.records import read_record


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


def read_sweep(folder: Path) -> tuple[list[Run], list[str]]:
    """Read what the jobs of a sweep left.

    Args:
        folder: of the sweep: each job has a folder in it.

    Returns:
        The runs in order, and a line for every reason why some have no results.
    """
    records = sorted(folder.rglob(".hydra/overrides.yaml"), key=lambda path: [_natural(part) for part in path.parts])
    runs = [_read_run(record.parents[1]) for record in records]
    keys = varied(runs)
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if not run.results:
            said = words_of({key: value for key, value in run.settings.items() if key in (*keys, "seed")})
            reasons.setdefault(_why(run.folder), []).append(f"{run.folder.relative_to(folder)} ({said})")
    missing = [f"{_some(jobs)}: {why}" for why, jobs in reasons.items()]
    jobs = planned(folder).jobs
    if jobs > len(records):
        missing.append(f"{jobs - len(records)} of {jobs} jobs have not begun")
    return runs, missing


def varied(runs: Sequence[Run]) -> list[str]:
    """Give the config keys, but the seed, in which runs differ."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if key != "seed")
    return [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]


def words_of(settings: Mapping[str, str]) -> str:
    """Write settings as on the command line."""
    return " ".join(f"{key}={value}" for key, value in settings.items())


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
