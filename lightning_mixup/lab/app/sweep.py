"""What is done with a sweep as a whole: say how far it is, compare its runs.

This module loads with the command: all that is heavy waits.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.plans import is_resumed, planned, resume_command
from lightning_mixup.lab.app.records import read_record
from lightning_mixup.lab.app.stopping import Stopped, unwound

COMPARE, BASELINE, TEST = "compare=", "baseline=", "test="

_sweeps: dict[Path, None] = {}  # that began in this process
_begun: list[float] = []  # when each job of this process did, those left out that were done before


def asked_to_compare(arguments: Sequence[str]) -> bool:
    """Carry out ``compare=FOLDER``, with ``baseline=ROW`` and ``test=TEST``, if that is what the command line says.

    Args:
        arguments: of the command, without its name.

    Returns:
        Whether it was.

    Raises:
        ConfigError: there is more on the command line, no sweep in the folder, no such row or no such test.
    """
    if not any(word.startswith(COMPARE) for word in arguments):
        return False
    folder, baseline, test = (_value(arguments, word) for word in (COMPARE, BASELINE, TEST))
    others = [word for word in arguments if not word.startswith((COMPARE, BASELINE, TEST))]
    if folder is None or others:
        raise ConfigError(
            "compare=FOLDER takes nothing but baseline=ROW and test=t or test=permutation beside it; "
            f"got {' '.join(others)}."
        )
    _report(Path(folder), baseline, test or "t")
    return True


def note_sweep() -> None:
    """Remember, in a job of a sweep, which sweep it is, and say how far it has come."""
    hydra: Any = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        _sweeps[Path(hydra.sweep.dir)] = None
        if not (is_resumed() and read_record(Path(hydra.runtime.output_dir)).results):
            from rich.console import Console
            from rich.markup import escape

            Console().rule(escape(progress()), align="left")


def progress() -> str:
    """Say, as a job of a sweep begins, which of how many it is, and how long the others have taken and will take."""
    hydra: Any = HydraConfig.get()
    folder, number = Path(hydra.sweep.dir), int(hydra.job.num)
    plan, now = planned(folder), time.monotonic()
    chosen = [word for word in hydra.overrides.task if word.partition("=")[0] in plan.keys]
    of = f" of {plan.jobs}" if plan.jobs else ""
    words = f"Job {number + 1}{of}: {' '.join(chosen or hydra.overrides.task) or 'the defaults'}"
    _begun.append(now)
    if len(_begun) > 1:
        gone = now - _begun[0]
        words += f", {_clock(gone)} gone"
        done = [path for path in folder.glob("*/results.json") if path.parent.name.isdigit()]
        left = plan.jobs - number - sum(int(path.parent.name) > number for path in done)
        if plan.jobs:
            words += f", about {_clock(gone / (len(_begun) - 1) * left)} to go"
    return words


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def reported_at_end() -> Iterator[None]:
    """Compare the runs of a sweep when it ends, in whatever way it does, and say how an interrupted one goes on."""
    _sweeps.clear()
    _begun.clear()
    try:
        yield
    except BaseException as error:
        unwound()
        for folder in _sweeps:
            if not (isinstance(error, Stopped) and error.signal == signal.SIGTERM):  # who sends it does not wait long
                _report_if_there_is_something(folder)
            error.add_note(f"To run what has no results yet:\n  {resume_command(folder.absolute())}")
        raise
    for folder in _sweeps:
        _report_if_there_is_something(folder)


def _value(arguments: Sequence[str], word: str) -> str | None:
    return next((argument.removeprefix(word) for argument in arguments if argument.startswith(word)), None)


def _report_if_there_is_something(folder: Path) -> None:
    if len(list(folder.rglob("results.json"))) > 1:
        _report(folder)


def _report(folder: Path, baseline: str | None = None, test: str = "t") -> None:
    from lightning_mixup.lab.app.compare import report

    report(folder, baseline, test)
