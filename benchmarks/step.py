"""Whole training steps of a Trainer with each way to mix, beside other libraries, by hand, and what is possible."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.timing import Row
from benchmarks.turns import difference, in_cycles, step_times, typical
from benchmarks.ways import CLASSES, Way, ways
from lightning_mixup.lab.models import ResNet, SmallResNet

LIMIT = 1.25
"""How much more than the floor a way may cost."""


@dataclass(frozen=True)
class Network:
    """What is trained.

    Attributes:
        name: For the report.
        build: Makes it.
        shape: Of a batch.
        layers: Names of layers for Manifold Mixup.
        steps: How many are measured, in whole cycles of `benchmarks.turns`.
        threads: Numbers of threads to measure with; a second one has nothing to do in a small network.
        chosen: The ways to take a step; all of them if empty.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    layers: tuple[str, ...]
    steps: int
    threads: tuple[int, ...] = (1, 2)
    chosen: tuple[str, ...] = ()


def tiny() -> nn.Module:
    """Two convolutions and a linear layer: so small that little is left to see but the mixing."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    )


MAIN = (
    "plain",
    "plain again",
    "Mixup",
    "CutMix",
    "Mixup, per sample",
    "CutMix, per sample",
    "ManifoldMixup",
    "RandomChoice",
    "plain, logged",
    "Mixup, logged",
    "CutMix, logged",
    "Mixup by hand, logged",
    "Mixup by hand",
    "timm mixup",
    "timm cutmix",
    "torchvision mixup",
    "torchvision cutmix",
)
NETWORKS = {
    "tiny": Network("tiny network", tiny, (32, 1, 8, 8), ("network.0", "network.2"), 992, (1,)),
    "digits": Network(
        "digits network",
        partial(SmallResNet, num_classes=CLASSES, input_shape=(1, 8, 8)),
        (64, 1, 8, 8),
        ("network.stage1", "network.stage2"),
        304,
        chosen=MAIN,
    ),
    "resnet18": Network(
        "ResNet-18",
        partial(ResNet, num_classes=CLASSES, input_shape=(3, 32, 32), depth=18),
        (32, 3, 32, 32),
        ("network.stage1", "network.stage2"),
        32,
        chosen=MAIN,
    ),
}


def rows() -> Iterator[Row]:
    before = torch.get_num_threads()
    try:
        for network in NETWORKS.values():
            for threads in network.threads:
                torch.set_num_threads(threads)
                yield from compare(network, threads)
    finally:
        torch.set_num_threads(before)


def compare(network: Network, threads: int) -> Iterator[Row]:
    """What each way adds to a step of its base, in seconds, all in turns; see `benchmarks.turns`."""
    found, missing = ways(network.layers)
    chosen = {name: way for name, way in found.items() if name in (network.chosen or found)}
    batch = torch.rand(network.shape), torch.randint(CLASSES, network.shape[:1])
    builds = {name: partial(way.build, network.build) for name, way in chosen.items()}
    seconds = {name: in_cycles(values) for name, values in step_times(builds, batch, network.steps).items()}
    gc.collect()  # Trainers and modules refer to each other
    words = "1 thread" if threads == 1 else f"{threads} threads"
    where = f"{network.name}, {network.shape}, {words}"
    plain = typical(seconds["plain"])
    low, high = map(float, np.quantile(seconds["plain"], (0.25, 0.75)))
    yield Row(f"{where}: a step", "plain", plain, low, high)
    case = f"{where}: added to a step, median of {network.steps} paired differences with its 95 % interval"
    for name, way in chosen.items():
        if (name != "plain" and name == way.base) or name == "plain":
            continue
        row = difference(case, name, seconds[name], seconds[way.base])
        row.note = f"{100 * (row.median or 0) / plain:+.1f} %"
        row.verdicts = verdicts(way, name, seconds)
        yield row
    yield from (Row(case, library, note=reason) for library, reason in missing.items())


def verdicts(way: Way, name: str, seconds: dict[str, np.ndarray]) -> dict[str, bool]:
    """Whether a way costs no more than its cheapest peer, and not much more than the floor."""
    found = {}
    extra = typical(seconds[name] - seconds[way.base])
    if present := [peer for peer in way.peers if peer in seconds]:
        best = min(present, key=lambda peer: typical(seconds[peer] - seconds[way.base]))
        # Paired, for the two may be closer than either is known.
        found[f"at most the cheapest peer ({best})"] = typical(seconds[name] - seconds[best]) <= 0
    if way.floor in seconds:
        floor = typical(seconds[way.floor] - seconds[way.base])
        found[f"at most {LIMIT:g} times the floor ({extra / floor:.2f})"] = extra <= LIMIT * floor
    return found
