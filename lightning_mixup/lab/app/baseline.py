"""How a run compares with the same run without mixing, where there is one beside it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lightning_mixup.lab.app.records import RESULTS, read_record
from lightning_mixup.lab.evaluation.measures import HEADLINES, measure

SAME = ("data", "model", "module", "optimizer", "lr_scheduler", "trainer", "evaluate", "seed")
"""What two runs have to share to be compared."""


def against_baseline(run_dir: Path, scores: Mapping[str, float]) -> str:
    """Say how a run compares with its baseline.

    Args:
        run_dir: folder of the run, with its ``config.yaml``.
        scores: what it was judged.

    Returns:
        Lines of text; empty if the run mixes nothing, or if there is no baseline: the last run beside it, or in a
        folder of another time, that differs in nothing but that it mixes nothing.
    """
    ours = _configuration(run_dir)
    if not ours.get("mix"):
        return ""
    for folder in _runs_around(run_dir):
        theirs = _configuration(folder)
        results = read_record(folder).results
        if not results or theirs.get("mix") or any(theirs.get(key) != ours.get(key) for key in SAME):
            continue
        known = [
            (measure(name), scores[name], results[name])
            for name in HEADLINES
            if {name} <= scores.keys() & results.keys()
        ]
        if known:
            told = ", ".join(
                f"{one.label} {one.show(now)} against {one.show(before)} {one.unit}".rstrip()
                for one, now, before in known
            )
            return (
                f"Against the baseline in {folder}: {told}.\n"
                "One run of each shows little: compare over seeds with -m mix=none,... 'seed=range(5)'."
            )
    return ""


def _runs_around(run_dir: Path) -> Iterator[Path]:
    """Folders of other runs, the last one first."""
    found = {*run_dir.parent.glob(f"*/{RESULTS}"), *run_dir.parent.parent.glob(f"*/*/{RESULTS}")}
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        if path.parent != run_dir:
            yield path.parent


def _configuration(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    if not path.is_file():
        return {}
    found: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return found if isinstance(found, dict) else {}
