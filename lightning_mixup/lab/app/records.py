"""``results.json``, what a run leaves for others to read: written whole or not at all, and read with distrust.

This module loads with the command: nothing in it is heavy.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

RESULTS = "results.json"
OVERRIDES = Path(".hydra", "overrides.yaml")
# They change nothing about what a run measures.
SILENT = ("allow_targets", "overwrite", "objective")


class Record(NamedTuple):
    """What a run folder says that was measured."""

    results: dict[str, Any]
    """Of ``results.json``; empty if there is none that can be trusted."""
    trouble: str
    """Why ``results.json`` cannot be trusted; empty if it can, or if there is none."""


def read_record(folder: Path, settings: Iterable[str] | None = None) -> Record:
    """Read the results of a run.

    Args:
        folder: of the run.
        settings: overrides that the run has to have had; ``None`` takes those that Hydra noted in the folder.

    Returns:
        The results, or what is wrong with them: cut off, not ours, or of other settings than the run's.
    """
    path = folder / RESULTS
    if not path.is_file():
        return Record({}, "")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        return Record({}, f"{RESULTS} is damaged ({error})")
    if not isinstance(found, dict) or type(found.get("seed")) is not int:
        return Record({}, f"{RESULTS} is no record of a run (it has no seed)")
    wanted = as_settings(settings_of(folder) if settings is None else settings)
    noted = found.get("settings")
    if noted is None:  # of version 0.1
        had = {"seed": str(found["seed"])} if "seed" in wanted and "ckpt" not in found else {}
        differ = {key for key in had if had[key] != wanted[key]}
    elif isinstance(noted, list):
        had = as_settings(noted)
        differ = {key for key in {*had, *wanted} if had.get(key) != wanted.get(key)}
    else:
        return Record({}, f"{RESULTS} is no record of a run (its settings are no list)")
    if differ:
        return Record({}, f"{RESULTS} is of other settings ({_told(differ, had)} instead of {_told(differ, wanted)})")
    return Record(found, "")


def write_record(path: Path, results: Mapping[str, Any]) -> None:
    """Write one JSON object, so that a reader finds the old file or the new one and never a part.

    Args:
        path: the file.
        results: what it shall hold.
    """
    write_whole(path, json.dumps(results, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Replace a text file at once, whatever happens meanwhile.

    Args:
        path: the file; its folder exists.
        text: all that it shall hold.
    """
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        mask = os.umask(0)
        os.umask(mask)
        Path(part).chmod(0o666 & ~mask)  # a temporary file is private, a result is not
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def settings_of(folder: Path) -> list[str]:
    """Give the overrides that Hydra noted in the folder of a run; none if it noted nothing."""
    path = folder / OVERRIDES
    if not path.is_file():
        return []
    words: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return [str(word) for word in words]


def as_settings(overrides: Iterable[str]) -> dict[str, str]:
    """Turn overrides into key and value; the last one counts, and what changes no result is left out.

    Examples:
        >>> as_settings(["mix=none", "+trainer.precision=16", "seed=1", "allow_targets=[mine]", "seed=2", "~model"])
        {'mix': 'none', 'trainer.precision': '16', 'seed': '2', 'model': ''}
    """
    pairs = (word.lstrip("+~").partition("=") for word in overrides)
    return {key: value for key, _, value in pairs if key not in SILENT}


def _told(keys: Iterable[str], settings: Mapping[str, str]) -> str:
    said = [f"{key}={settings[key]}" for key in sorted(keys) if key in settings]
    return " ".join(said) or "the defaults"
