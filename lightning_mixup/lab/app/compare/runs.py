"""The runs of a sweep: what each was told, what it measured, and why some measured nothing.

Folders may come from others: what is read here is text and numbers, cleaned once for every way of showing it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from lightning_mixup.lab.app.plans import planned
from lightning_mixup.lab.app.records import OVERRIDES, read_record
from lightning_mixup.lab.evaluation.measures import measure

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_DAMAGED = Exception  # YAML, OmegaConf and the file system fail in many ways
_NAMES = 300
"""So many characters of a name are kept."""


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

    @property
    def diverged(self) -> str:
        """The first loss, or measure with a direction, that is not finite, as after a divergence; empty if all are.

        Summaries of several epochs are not asked: one epoch may be lost and won back.
        """
        for name, value in self.results.items():
            judged = (measure(name).better or name.endswith("loss")) and not name.endswith(("_best", "_median10"))
            if isinstance(value, float) and not math.isfinite(value) and judged:
                return f"{name} is {value}"
        return ""

    @property
    def counts(self) -> bool:
        """Whether its numbers are compared: it has finished, and has not diverged."""
        return bool(self.results) and not self.diverged


def read_sweep(folder: Path) -> tuple[list[Run], list[str]]:
    """Read what the jobs of a sweep left.

    Args:
        folder: of the sweep: each job has a folder in it.

    Returns:
        The runs in order, and a line for every reason why some have no results, or none that count.
    """
    records = sorted(folder.rglob(str(OVERRIDES)), key=lambda path: [_natural(part) for part in path.parts])
    runs = [_read_run(record.parents[1]) for record in records]
    keys = varied(runs)
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if not run.counts:
            said = words_of({key: value for key, value in run.settings.items() if key in (*keys, "seed")})
            reasons.setdefault(_why(run), []).append(f"{clean(str(run.folder.relative_to(folder)))} ({said})")
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


def setting(run: Run, key: str) -> str | None:
    """Give a setting of a run: what it was told, else what its ``config.yaml`` says by default.

    Args:
        run: of a sweep.
        key: path of the setting, such as ``mix.alpha``.

    Returns:
        The value as text; ``None`` where the run has no such setting.
    """
    if key in run.settings:
        return run.settings[key]
    node = _config(run.folder)
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return None if node is None or isinstance(node, Mapping | list) else clean(str(node))


def clean(text: str) -> str:
    r"""Take out of a text of others what a terminal or a page would obey instead of showing it.

    Examples:
        >>> clean("mix=\x1b[31mred\nnext")
        'mix=?[31mred?next'
    """
    return _CONTROL.sub("?", text)[:_NAMES]


@cache
def _config(folder: Path) -> object:
    try:
        return OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=False)
    except _DAMAGED:
        return None


def _read_run(job: Path) -> Run:
    try:
        results = {clean(str(name)): value for name, value in read_record(job).results.items()}
        settings = _settings(job)
        ckpt = results.get("ckpt")
        for trained in list(Path(ckpt).parents)[:2] if isinstance(ckpt, str) else ():
            if (trained / ".hydra").is_dir():  # what was judged is what tells it from others, not where it lies
                settings.pop("ckpt", None)
                settings = _settings(trained) | settings
    except _DAMAGED:
        return Run(job, {}, {})
    return Run(job, settings, results)


def _settings(job: Path) -> dict[str, str]:
    overrides: Any = OmegaConf.to_container(OmegaConf.load(job / OVERRIDES), resolve=False)
    if not isinstance(overrides, list):
        raise TypeError("overrides must be a list")
    pairs = (clean(str(override)).lstrip("+~").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs if key != "allow_targets"}


def _some(jobs: Sequence[str], shown: int = 4) -> str:
    more = f" and {len(jobs) - shown} more" if len(jobs) > shown else ""
    return ", ".join(jobs[:shown]) + more


def _why(run: Run) -> str:
    if run.diverged:
        return f"diverged: {run.diverged}"
    try:
        if trouble := read_record(run.folder).trouble:
            return clean(trouble)
        _settings(run.folder)
    except _DAMAGED:
        return f"{OVERRIDES} is damaged"
    failed = run.folder / "failed.txt"
    lines = failed.read_text(encoding="utf-8", errors="replace").strip().splitlines() if failed.is_file() else []
    if not lines:
        return "unfinished"
    # A traceback ends with the kind of error and its message, of one line or several.
    named = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt)\b", line)]
    return clean(f"failed: {(named or lines)[-1].removeprefix('lightning_mixup.lab.app.errors.ConfigError: ')}")


def _natural(part: str) -> tuple[bool, int, str]:
    return not part.isdigit(), int(part) if part.isdigit() else 0, part
