"""What is done with a sweep as a whole: say how far it is, compare its runs.

This module loads with the command: all that is heavy waits.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from lightning_mixup.lab.app.errors import ConfigError, note_failures
from lightning_mixup.lab.app.plans import is_resumed, planned, resume_command
from lightning_mixup.lab.app.records import read_record, settings_of
from lightning_mixup.lab.app.stopping import Stopped, unwound

COMPARE, BASELINE, TEST = "compare=", "baseline=", "test="

BEGUN = "LIGHTNING_MIXUP_BEGUN"
"""Environment variable with the time when a sweep began, and the process in which it did."""
_sweeps: list[Path] = []  # that began in this process
_watches: list["_Watch"] = []


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


def note_sweep(folder: Path, launcher: str) -> None:
    """Remember which sweep begins in this process.

    Args:
        folder: of the sweep.
        launcher: ``_target_`` of what starts its jobs. Unless that is Hydra's own, they run in other processes, and
            this one tells what has become of them.
    """
    _sweeps.append(folder)
    os.environ[BEGUN] = f"{time.time()} {os.getpid()}"
    if not launcher.endswith(".BasicLauncher"):
        _watches.append(_Watch(folder))


def show_progress() -> None:
    """Say, as a job of a sweep begins in the process of the sweep, how far that has come."""
    hydra: Any = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    if hydra.mode != RunMode.MULTIRUN or _begun()[1] != os.getpid():
        return
    if not (is_resumed() and read_record(folder).results):
        sweeper = OmegaConf.to_container(hydra.sweeper, resolve=False)
        trials = sweeper.get("n_trials", 0) if isinstance(sweeper, dict) else 0
        _say(Path(hydra.sweep.dir), int(hydra.job.num), list(hydra.overrides.task), int(trials))


def _say(sweep: Path, number: int, words: Sequence[str], jobs: int = 0, end: str = "") -> None:
    from rich.console import Console
    from rich.markup import escape

    Console().rule(escape(_progress(sweep, number, words, jobs, end)), align="left")


def _progress(sweep: Path, number: int, words: Sequence[str], jobs: int, end: str) -> str:
    """Which job of how many, how long the others have taken, and how long they will take."""
    plan = planned(sweep)
    jobs = plan.jobs or jobs
    varied = [word for word in words if word.partition("=")[0] in plan.keys or not (plan.keys or word in sys.argv)]
    told = f"Job {number + 1}{f' of {jobs}' if jobs else ''}: {' '.join(varied or words) or 'the defaults'}{end}"
    begun, gone = _begun()[0], time.time() - _begun()[0]
    ended = [path.stat().st_mtime for path in sweep.glob("*/results.json") if path.parent.name.isdigit()]
    since = sum(when >= begun for when in ended)
    if since:
        told += f", {_clock(gone)} gone"
    if since and jobs > len(ended):
        told += f", about {_clock(gone / since * (jobs - len(ended)))} to go"
    return told


def _begun() -> tuple[float, int]:
    """When the sweep of this process, or of the one that started it, began, and in which process."""
    when, _, process = os.environ.get(BEGUN, f"{time.time()} 0").partition(" ")
    return float(when), int(process)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class _Watch(threading.Thread):
    """Tells of jobs in other processes as they end, and counts those that fail."""

    def __init__(self, sweep: Path) -> None:
        super().__init__(daemon=True)
        self.sweep, self.told, self.over = sweep, set[Path](), threading.Event()
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.5):
            self.look()

    def look(self) -> None:
        for name in ("results.json", "failed.txt"):
            for path in sorted(self.sweep.glob(f"*/{name}")):
                number = path.parent.name
                if path in self.told or not number.isdigit() or path.stat().st_mtime < _begun()[0]:
                    continue
                self.told.add(path)
                if name == "failed.txt":
                    lines = path.read_text().strip().splitlines()
                    self.failures.append(f"{path.parent}: {lines[-1].rpartition('.ConfigError: ')[2] if lines else ''}")
                _say(self.sweep, int(number), settings_of(path.parent), end=" failed" if name == "failed.txt" else "")

    def end(self) -> list[str]:
        """Stop, and give what has failed."""
        self.over.set()
        self.join()
        self.look()
        return self.failures


@contextmanager
def reported_at_end() -> Iterator[None]:
    """Compare the runs of a sweep when it ends, in whatever way it does, and say how an interrupted one goes on."""
    _sweeps.clear()
    try:
        yield
    except BaseException as error:
        unwound()
        _end_watches()
        for folder in _sweeps:
            if not (isinstance(error, Stopped) and error.signal == signal.SIGTERM):  # who sends it does not wait long
                _report_if_there_is_something(folder)
            if (folder / "multirun.yaml").is_file():  # other sweepers than Hydra's own choose anew
                error.add_note(f"To run what has no results yet:\n  {resume_command(folder.absolute())}")
        raise
    _end_watches()
    for folder in _sweeps:
        _report_if_there_is_something(folder)


def _end_watches() -> None:
    while _watches:
        note_failures(_watches.pop().end())


def _value(arguments: Sequence[str], word: str) -> str | None:
    return next((argument.removeprefix(word) for argument in arguments if argument.startswith(word)), None)


def _report_if_there_is_something(folder: Path) -> None:
    if len(list(folder.rglob("results.json"))) > 1:
        _report(folder)


def _report(folder: Path, baseline: str | None = None, test: str = "t") -> None:
    from lightning_mixup.lab.app.compare import report

    report(folder, baseline, test)
