"""Carry out many runs in worker processes, each run through the command's own code, until all are done or time is up.

A worker loads torch once and then carries out one run after another. A run that fails leaves its log and does not hurt
the others; a worker that dies is replaced. ``python -m benchmarks.cells`` is such a worker: it reads one run a line.
"""

import contextlib
import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from benchmarks.recipes import ROOT

OPTIONS = ROOT / "conf"
HOPELESS = 3  # so many failures of a study without a single result have one cause, as missing data


class Cell(NamedTuple):
    """One run: what stands on its command line, and where it goes."""

    folder: Path
    words: tuple[str, ...]

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.value("seed"))

    @property
    def results(self) -> Path:
        """What a finished run has left."""
        return self.folder / "results.json"

    def value(self, key: str) -> str:
        """What the command line gives to a key; empty if nothing."""
        return next((word.partition("=")[2] for word in self.words if word.partition("=")[0] == key), "")

    def offered(self) -> bool:
        """Whether the library has the method that the run asks for."""
        method = self.value("mix")
        return not method or (OPTIONS / "mix" / f"{method}.yaml").is_file()


def expand(folder: Path, line: Sequence[str]) -> Iterator[Cell]:
    """Take a sweep apart as Hydra does.

    Args:
        folder: of the sweep; its runs have numbers.
        line: what stands on its command line.

    Yields:
        The runs, in the order of the sweep.
    """
    parsed = OverridesParser.create().parse_overrides(list(line))
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    for number, words in enumerate(jobs):
        yield Cell(folder / str(number), tuple(words))


def carry_out(
    cells: Sequence[Cell],
    extra: Sequence[str] = (),
    workers: int = 1,
    deadline: float | None = None,
    grace: float = 60,
) -> None:
    """Run what has no results yet, in the order given, unless the first few of a study all fail.

    Args:
        cells: what to run.
        extra: further words for each command line.
        workers: processes at a time.
        deadline: seconds after which no run begins; ``None`` for no limit.
        grace: seconds after the deadline at which runs that still go on are stopped.

    Raises:
        SystemExit: a folder holds a run of other words: the study has changed since.
    """
    waiting = [cell for cell in cells if not _done(cell)]
    missing = {cell.value("mix") for cell in waiting if not cell.offered()}
    if missing:
        print(f"Passed over, for the library has no such mix: {', '.join(sorted(missing))}", flush=True)
    pool = _Pool([cell for cell in waiting if cell.offered()], extra, deadline, proven=len(waiting) < len(cells))
    print(f"{len(cells) - len(waiting)} of {len(cells)} runs were done before.", flush=True)
    threads = [threading.Thread(target=pool.serve, args=(number,), daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(None if deadline is None else max(0.0, pool.began + deadline + grace - time.monotonic()))
    pool.stop()


def _done(cell: Cell) -> bool:
    record = cell.folder / ".hydra" / "overrides.yaml"
    if not cell.results.is_file():
        return False
    recorded = list(OmegaConf.load(record))
    if strange := [word for word in cell.words if word not in recorded]:
        raise SystemExit(f"{cell.folder} holds another run, without {' '.join(strange)}: take another --folder.")
    return True


class _Pool:
    """Workers, and the runs that wait for them."""

    def __init__(self, cells: Sequence[Cell], extra: Sequence[str], deadline: float | None, proven: bool) -> None:
        self.cells, self.extra = list(cells), tuple(extra)
        self.began = time.monotonic()
        self.deadline = None if deadline is None else self.began + deadline
        self.total, self.begun, self.ended = len(self.cells), 0, 0
        self.proven = proven  # whether any run of the study has results
        self.lock = threading.Lock()
        self.workers: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def serve(self, number: int) -> None:
        """Hand runs to one worker after another dies, until there are no more."""
        worker: subprocess.Popen[str] | None = None
        while (cell := self._next()) is not None:
            if worker is None or worker.poll() is not None:
                _dismiss(worker)
                worker = self._start(number, cell.folder.parents[1])
            began = time.monotonic()
            answer = self._ask(worker, cell)
            self._tell(cell, answer, time.monotonic() - began)
        _dismiss(worker)

    def stop(self) -> None:
        """End whatever still runs."""
        with self.lock:
            self.stopped = True
            left = self.total - self.ended
            for worker in self.workers:
                if worker.poll() is None:
                    worker.kill()
            hopeless = self._hopeless()
        if left and hopeless:
            print("All runs so far failed, so no more were begun. Mend the cause, and run the study again.", flush=True)
        if left:
            print(f"{left} of {self.total} runs were not reached, or were stopped.", flush=True)

    def _tell(self, cell: Cell, answer: str, seconds: float) -> None:
        outcome = _headline(cell) if cell.results.is_file() else f"FAILED ({answer or 'the worker died'})"
        with self.lock:
            self.ended += 1
            self.proven |= cell.results.is_file()
            if not self.stopped:
                clock = f"[{time.monotonic() - self.began:4.0f} s] {self.ended}/{self.total}"
                print(f"{clock} {' '.join(cell.words)}: {outcome}, {seconds:.0f} s", flush=True)

    def _next(self) -> Cell | None:
        with self.lock:
            late = self.deadline is not None and time.monotonic() >= self.deadline
            if self.stopped or late or self._hopeless() or self.begun == self.total:
                return None
            self.begun += 1
            return self.cells[self.begun - 1]

    def _hopeless(self) -> bool:
        return not self.proven and self.ended >= HOPELESS

    def _start(self, number: int, folder: Path) -> "subprocess.Popen[str]":
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / f"worker{number}.log").open("a")
        worker = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cells"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        log.close()
        with self.lock:
            self.workers.add(worker)
        return worker

    def _ask(self, worker: "subprocess.Popen[str]", cell: Cell) -> str:
        assert worker.stdin is not None
        assert worker.stdout is not None
        shutil.rmtree(cell.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            worker.stdin.write(json.dumps([str(cell.folder.absolute()), [*cell.words, *self.extra]]) + "\n")
            worker.stdin.flush()
            return worker.stdout.readline().strip()
        return ""


def _dismiss(worker: "subprocess.Popen[str] | None") -> None:
    if worker is not None:
        with contextlib.suppress(OSError):
            worker.communicate(timeout=60)  # closes its input, at which it ends


def _headline(cell: Cell) -> str:
    found = json.loads(cell.results.read_text())
    name = next((name for name in ("test/accuracy", "test/rmse") if name in found), None)
    return "done" if name is None else f"{name} {found[name]:.4f}"


def work() -> None:
    """Carry out runs as they come in, a line each, and answer each with a line."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # whatever is printed goes to the log: the other end waits for answers alone
        for line in sys.stdin:
            folder, words = json.loads(line)
            print(_run(Path(folder), words), file=answers, flush=True)
            gc.collect()


def _run(folder: Path, words: Sequence[str]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    outcome = "done"
    with (folder / "log.txt").open("w") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            from benchmarks.report import machine
            from lightning_mixup.__main__ import main

            (folder / "machine.txt").write_text(machine())
            sys.argv = ["lightning-mixup", *words, f'hydra.run.dir="{folder}"']
            main()
        except SystemExit as end:
            if end.code:
                outcome = str(end.code).replace("\n", " ")
                print(outcome)
        except BaseException as error:  # the next run may do better
            traceback.print_exc()
            outcome = f"{type(error).__name__}: {error}".replace("\n", " ")
    return outcome


if __name__ == "__main__":
    work()
