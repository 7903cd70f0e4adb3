"""Each way to mix alone in its process, by the CPU time of its thread: caches are as warm as a user's are.

python -m benchmarks.alone digits Mixup      # median seconds of a step
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Row, Target, rows_of
from benchmarks.turns import WARM, Source, fit, quiet
from benchmarks.ways import CLASSES, ways

ROUNDS = 5
STEPS = {"tiny": 500, "digits": 200}
CHOSEN = (
    "plain",
    "Mixup",
    "CutMix",
    "Mixup, per sample",
    "ManifoldMixup",
    "Mixup by hand",
    "timm mixup",
)
LIMITS = {"digits": 3.0}
"""Percent that ours may add."""


def rows() -> Iterator[Row]:
    """Percent that each way adds to a step, process by process in turns."""
    found, _ = ways(())
    chosen = [name for name in CHOSEN if name in found]
    for network in STEPS:
        taken: dict[str, list[float]] = {name: [] for name in chosen}
        for _ in range(ROUNDS):
            for name in chosen:
                taken[name].append(in_process(network, name))
        case = f"{network} network, 1 thread, alone in its process"
        yield from rows_of(f"{case}: CPU time of a step", taken, ("plain",))
        plain = np.array(taken.pop("plain"))
        extra = {name: (100 * (np.array(values) / plain - 1)).tolist() for name, values in taken.items()}
        targets = (
            {name: [Target(LIMITS[network])] for name in extra if found[name].callback} if network in LIMITS else {}
        )
        yield from rows_of(f"{case}: added", extra, (), targets, unit="%")


def in_process(network: str, way: str) -> float:
    """Median seconds of a step in a new process."""
    command = [sys.executable, "-m", "benchmarks.alone", network, way]
    root = Path(__file__).resolve().parents[1]
    return float(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure(network: str, way: str, steps: int) -> float:
    """Median seconds of CPU time of a step in this process."""
    from benchmarks.step import NETWORKS  # it reports our rows

    torch.set_num_threads(1)
    known = NETWORKS[network]
    found, _ = ways(known.layers)
    torch.manual_seed(0)
    batch = torch.rand(known.shape), torch.randint(CLASSES, known.shape[:1])
    seconds: list[float] = []
    with quiet():
        fit(*found[way].build(known.build), Source(batch, steps + WARM, seconds, time.thread_time))
    return float(np.median(seconds[WARM:]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(STEPS))
    parser.add_argument("way")
    arguments = parser.parse_args()
    if arguments.way not in (known := ways(())[0]):
        parser.error(f"no way {arguments.way!r}; there are {', '.join(map(repr, known))}")
    print(measure(arguments.network, arguments.way, STEPS[arguments.network]))
