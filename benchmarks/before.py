"""Whether a kernel, a draw or a loss has become slower since an earlier state of the repository.

    python -m benchmarks.before main                # all three groups
    python -m benchmarks.before HEAD~3 draw         # some

Both states are loaded into one process, each with its own benchmarks, and take turns row by row. Rows that both have
are compared: how many times as long as before, with a 95 % interval. Copies, textbook and plain labels are the control.
"""

import argparse
import importlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks.report import table
from benchmarks.timing import Contender, Row, quantity, take_turns
from benchmarks.turns import interval

ROOT = Path(__file__).resolve().parents[1]
GROUPS = ("kernels", "draw", "loss")
PACKAGES = ("lightning_mixup", "benchmarks")
LIMIT = 1.05
"""How many times as long as before a row may take; one whose interval reaches below is not called slower."""


@dataclass(frozen=True)
class Case:
    """What would have taken turns."""

    contenders: Mapping[str, Contender]
    options: Mapping[str, Any]


def rows(revision: str, groups: Sequence[str] = GROUPS) -> Iterator[Row]:
    """Compare each row with the same one of an earlier state.

    Args:
        revision: Of the repository.
        groups: Of benchmarks that race functions.
    """
    with tempfile.TemporaryDirectory() as folder:
        suffix = unpack(revision, Path(folder))
        sys.path.insert(0, folder)
        try:
            for group in groups:
                before = cases(f"benchmarks{suffix}.{group}")
                for case, now in cases(f"benchmarks.{group}").items():
                    if case in before:
                        yield from compare(case, before[case], now)
        finally:
            sys.path.remove(folder)


def compare(case: str, before: Case, now: Case) -> Iterator[Row]:
    """Let the two states of each contender take turns."""
    for name, contender in now.contenders.items():
        if name in before.contenders:
            pair = {"before": before.contenders[name], "now": contender}
            seconds = {state: np.array(taken) for state, taken in take_turns(pair, **now.options).items()}
            ratios = seconds["now"] / seconds["before"]
            row = Row(case, name, float(np.median(ratios)), *interval(ratios), unit="times")
            words = f"{quantity(float(np.median(seconds['now'])), 's')}, at most {LIMIT:g} times"
            row.verdicts = {words: (row.low or 0) <= LIMIT}
            yield row


def unpack(revision: str, folder: Path) -> str:
    """Put the packages of a revision into a folder, under names of their own; give what these end in."""
    commit = _git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}").decode().strip()
    suffix = f"_{commit}"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, *PACKAGES))) as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob("*.py"):
        text = path.read_text()
        path.write_text(re.sub(rf"\b({'|'.join(PACKAGES)})\b", rf"\1{suffix}", text))
    for package in PACKAGES:
        (folder / package).rename(folder / f"{package}{suffix}")
    return suffix


def cases(module: str) -> dict[str, Case]:
    """What a group of benchmarks would let take turns, by case."""
    found: dict[str, Case] = {}
    group = importlib.import_module(module)
    kept = {name: getattr(group, name) for name in ("race", "peers", "peak_memory") if hasattr(group, name)}

    def note(
        case: str,
        contenders: Mapping[str, Contender],
        against: Sequence[str] = (),
        targets: object = None,
        **options: Any,  # noqa: ANN401
    ) -> Iterator[Row]:
        found[case] = Case(contenders, options)
        yield from ()

    instead = {"race": note, "peers": lambda x: ({}, {}), "peak_memory": lambda f: 1}
    try:
        for name in kept:
            setattr(group, name, instead[name])
        torch.manual_seed(0)
        list(group.rows())
    finally:
        for name, value in kept.items():
            setattr(group, name, value)
    return found


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def _exists(name: str) -> bool:
    return subprocess.run(["git", "cat-file", "-e", name], cwd=ROOT, capture_output=True, check=False).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="a commit, branch or tag")
    parser.add_argument("groups", nargs="*", default=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if arguments.threads < 1:
        parser.error(f"--threads must be at least 1; got {arguments.threads}")
    if not _exists("HEAD"):
        parser.error("this folder is no clone of the repository, and knows no earlier state; take one: git clone")
    if not _exists(f"{arguments.revision}^{{commit}}"):
        parser.error(f"the repository has no commit, branch or tag {arguments.revision!r}")
    if early := [name for name in arguments.groups if not _exists(f"{arguments.revision}:benchmarks/{name}.py")]:
        parser.error(f"{arguments.revision} comes before the benchmarks of {', '.join(early)}; take a later one")
    torch.set_num_threads(arguments.threads)
    console = Console(width=None if sys.stdout.isatty() else 160)
    found = list(rows(arguments.revision, arguments.groups))
    console.print(table(f"beside {arguments.revision}", found))
    slower = [f"{row.case}: {row.name}: {row.median:.2f}" for row in found if not all(row.verdicts.values())]
    console.print(f"{len(found)} rows compared, {len(slower)} slower:", *slower, sep="\n  ")


if __name__ == "__main__":
    main()
