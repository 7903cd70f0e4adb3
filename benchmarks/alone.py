"""Each way to mix alone with its baseline in a process, in long turns, by the CPU time of the thread.

Caches are then as warm as a user's are, where `benchmarks.step` keeps them cold. Both trainings share the process, its
place in memory and the state of the machine: medians of turns are compared, each with that of the turn beside it.

python -m benchmarks.alone digits Mixup      # what Mixup adds to a step of the digits network
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from benchmarks.report import table
from benchmarks.step import NETWORKS
from benchmarks.timing import Row
from benchmarks.turns import CYCLE, difference, in_cycles, step_times, typical
from benchmarks.ways import CLASSES, ways

PROCESSES = 3
TURNS = 20
TURN = 3 * CYCLE
"""Steps of a turn."""
CHOSEN = (
    "plain again",
    "Mixup",
    "CutMix",
    "Mixup, per sample",
    "ManifoldMixup",
    "Mixup by hand",
    "timm mixup",
    "floor Mixup",
    "Mixup, logged",
    "CutMix, logged",
    "Mixup by hand, logged",
)
LIMITS = {"tiny": None, "digits": 3.0}
"""The networks, and how many percent ours may add."""


def rows() -> Iterator[Row]:
    """What each way adds to a step, process by process in turns."""
    found, _ = ways(())
    chosen = [name for name in CHOSEN if name in found]
    for network in LIMITS:
        turns: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in chosen}
        for _ in range(PROCESSES):
            for name in chosen:
                for part, seconds in _in_process(network, name).items():
                    turns[name][part] += seconds
        for name in chosen:
            yield compared(network, name, turns[name])


def compared(network: str, name: str, turns: dict[str, list[float]]) -> Row:
    """What a way adds to a step.

    Args:
        network: Of `benchmarks.step`.
        name: Of the way.
        turns: Seconds of a step in each turn, of the way and of its base.
    """
    way = ways(())[0][name]
    own, base = np.array(turns[name]), np.array(turns[way.base])
    case = f"{network} network, 1 thread, alone: added to a step, median of {len(own)} turns with its 95 % interval"
    row = difference(case, name, own, base)
    percent, limit = 100 * float(np.median(own / base - 1)), LIMITS[network]
    row.note = f"{percent:+.1f} % of {1e3 * float(np.median(base)):.2f} ms"
    if limit is not None and way.callback is not None and not name.startswith("floor"):
        row.verdicts = {f"{row.note}, at most {limit:g} %": percent <= limit}
    return row


def measure(network: str, name: str, turns: int = TURNS) -> dict[str, list[float]]:
    """Seconds of CPU time of a step in each turn, of a way and of its base, in this process."""
    torch.set_num_threads(1)
    known = NETWORKS[network]
    found, _ = ways(known.layers)
    torch.manual_seed(0)
    batch = torch.rand(known.shape), torch.randint(CLASSES, known.shape[:1])
    builds = {part: partial(found[part].build, known.build) for part in (found[name].base, name)}
    seconds = step_times(builds, batch, turns * TURN, TURN, time.thread_time)
    return {
        part: [typical(in_cycles(turn)) for turn in values.reshape(turns, TURN)] for part, values in seconds.items()
    }


def _in_process(network: str, name: str) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "benchmarks.alone", network, name, "--json"]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    measured: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(LIMITS))
    parser.add_argument("way")
    parser.add_argument("--json", action="store_true", help="print the seconds of each turn")
    arguments = parser.parse_args()
    known, missing = ways(())
    others = [name for name, way in known.items() if name != way.base]
    if arguments.way not in others:
        absent = "".join(f"; {library} is {reason}" for library, reason in missing.items())
        parser.error(f"no way {arguments.way!r} to compare; there are {', '.join(map(repr, others))}{absent}")
    measured = measure(arguments.network, arguments.way)
    if arguments.json:
        print(json.dumps(measured))
    else:
        console = Console(width=None if sys.stdout.isatty() else 160)
        console.print(table("alone", [compared(arguments.network, arguments.way, measured)]))
