"""End runs and sweeps by signals at random moments, continue each, and compare it with one that was left alone.

    python -m benchmarks.interrupted --times 20

Every run and every sweep is a command in a process of its own. A signal comes at a moment that is uniform over the time
of an undisturbed one, during imports, training, a checkpoint or the test; ``resume`` goes on, and may be interrupted
again. What has come to its end is compared: weights, optimizer, scheduler, loops, streams of random numbers, curves and
results, bit for bit.
Prints a table, and ends with an error if anything differs.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from lightning_mixup.lab.app.records import as_settings

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
BRIEF = ("model.width=2", "data.train_size=300", "callbacks.progress=null", "threads=1")
COMMANDS = {
    "run": ("hydra.run.dir", (*BRIEF, "mix=manifold_mixup", "trainer.max_epochs=30")),
    "sweep": ("hydra.sweep.dir", ("-m", *BRIEF, "mix=mixup,cutmix", "seed=0,1", "trainer.max_epochs=10")),
}
COMPARED = ("state_dict", "optimizer_states", "lr_schedulers", "loops")


def main() -> None:
    """Parse the command line, interrupt, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="signals of each kind (default: %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="what to interrupt")
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=list(SIGNALS), help="by what")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    args = parser.parse_args()
    if args.times < 1:
        parser.error(f"--times must be at least 1, or nothing is interrupted; got {args.times}")
    moments = random.Random(args.seed)
    print("| what | by | times | exit codes | ended | as if left alone |\n| --- | --- | ---: | --- | ---: | ---: |")
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for kind in args.kinds:
            began = time.monotonic()
            whole = Path(name, kind)
            if (code := start(kind, whole).wait()) != 0:
                raise SystemExit(f"The undisturbed {kind} ended with {code}.")
            seconds = time.monotonic() - began
            expected = left(whole)
            if not expected:
                raise SystemExit(f"The undisturbed {kind} left nothing to compare.")
            for what in args.signals:
                codes, ended = campaign(kind, what, args.times, seconds, moments, Path(name, what, kind))
                same = sum(equal(left(folder), expected) for folder in ended)
                wrong += len(ended) - same
                shown = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
                print(f"| {kind} | {what} | {codes.total()} | {shown} | {len(ended)} | {same} |", flush=True)
    if wrong:
        raise SystemExit(f"{wrong} did not end as if left alone.")


def campaign(
    kind: str, what: str, times: int, seconds: float, moments: random.Random, folder: Path
) -> tuple[Counter[int], list[Path]]:
    """Interrupt one after another until enough signals have arrived, and let the last go on to its end.

    Args:
        kind: a key of ``COMMANDS``.
        what: name of the signal.
        times: signals to send.
        seconds: what an undisturbed one takes.
        moments: chooses when.
        folder: to work in.

    Returns:
        The exit codes of the processes that were interrupted, and the folders of all that came to their ends.
    """
    codes: Counter[int] = Counter()
    ended: list[Path] = []
    while codes.total() < times:
        one = folder / str(len(ended))
        process = start(kind, one)
        while True:
            interrupted = False
            if codes.total() < times:
                try:
                    process.wait(moments.uniform(0, seconds))
                except subprocess.TimeoutExpired:
                    process.send_signal(getattr(signal, what))
                    interrupted = True
            code = process.wait()
            if code == 0:  # it may have been done when the signal came
                break
            if not interrupted:
                raise SystemExit(f"{one} failed by itself, with {code}.")
            codes[code] += 1
            # Killed before it wrote down what it is, it has to be begun anew, as a user would.
            process = start(kind, one) if not begun(one) else resume(one)
        ended.append(one)
    return codes, ended


def begun(folder: Path) -> bool:
    """Whether a run or a sweep has written down what it is."""
    return (folder / "multirun.yaml").is_file() or (folder / ".hydra" / "overrides.yaml").is_file()


def start(kind: str, folder: Path) -> "subprocess.Popen[bytes]":
    """Begin a run or a sweep in a process of its own."""
    key, words = COMMANDS[kind]
    return _command(*words, f"{key}='{folder}'")


def resume(folder: Path) -> "subprocess.Popen[bytes]":
    """Continue it."""
    return _command("resume", str(folder))


def _command(*words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "lightning_mixup", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def left(folder: Path) -> dict[str, Any]:
    """What a run, or each job of a sweep, left behind, by its folder."""
    runs = [path.parents[1] for path in sorted(folder.rglob("last.ckpt"))]
    return {str(run.relative_to(folder)): lasting(run) for run in runs}


def lasting(run: Path) -> dict[str, Any]:
    """All that a run left behind and that depends neither on the clock nor on the folder."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    results = json.loads((run / "results.json").read_text())
    results.pop("duration")
    results["settings"] = as_settings(results["settings"])
    return {
        **{part: state[part] for part in COMPARED},
        "streams": state["callbacks"]["RunState"]["streams"],
        "kept": torch.load(run / "checkpoints" / "model.ckpt", weights_only=True)["state_dict"],
        "curves": (run / "log" / "metrics.csv").read_text(),
        "results": results,
    }


def equal(one: object, other: object) -> bool:
    """Whether two nests of plain data and tensors are the same, to the bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


if __name__ == "__main__":
    main()
