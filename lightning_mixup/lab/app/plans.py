"""What a sweep is made of, as its ``multirun.yaml`` says.

This module loads with the command: nothing in it is heavy.
"""

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from lightning_mixup.lab.app.allowed import CONSENT

# Found by every job of the sweep, wherever a launcher runs it, and by every process of a distributed run.
RESUMING = "LIGHTNING_MIXUP_RESUMING"


def is_resumed() -> bool:
    """Whether the command line says ``resume``."""
    return RESUMING in os.environ


def resume_command(folder: Path) -> str:
    """Give the command line that goes on."""
    allowed = os.environ.get(CONSENT)  # no file may give it
    consent = f" {shlex.quote(f'allow_targets=[{allowed}]')}" if allowed else ""
    return f"lightning-mixup resume {shlex.quote(str(folder))}{consent}"


class Plan(NamedTuple):
    """What a sweep is made of."""

    jobs: int
    """How many; 0 if that cannot be told, as with other sweepers than Hydra's own."""
    keys: tuple[str, ...]
    """What varies."""


def planned(folder: Path) -> Plan:
    """Read what a sweep is made of from its ``multirun.yaml``.

    Args:
        folder: of the sweep.
    """
    record = folder / "multirun.yaml"
    if not record.is_file():
        return Plan(0, ())
    given = words_of(record)["task"]
    try:
        overrides = OverridesParser.create().parse_overrides(given)
        (jobs,) = BasicSweeper.split_arguments(overrides, None)
    except (HydraException, ValueError, AttributeError):
        return Plan(0, ())
    return Plan(len(jobs), tuple(override.get_key_element() for override in overrides if override.is_sweep_override()))


def words_of(record: Path) -> dict[str, list[str]]:
    """Read what was said on the command line, to Hydra and to us, with interpolations as they were written."""
    overrides: Any = OmegaConf.to_container(OmegaConf.select(OmegaConf.load(record), "hydra.overrides"), resolve=False)
    return {part: [str(word) for word in words] for part, words in overrides.items()}
