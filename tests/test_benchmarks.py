"""The benchmarks measure what they say; how fast anything is, no test can tell."""

import functools
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


def load(name):
    return importlib.import_module(f"benchmarks.{name}")


def test_ratios_are_taken_round_by_round():
    timing = load("timing")
    rounds = {"floor": [1.0, 2.0, 40.0], "ours": [3.0, 6.0, 40.0]}
    targets = {"ours": [timing.Target(3, "floor"), timing.Target(5.0)]}
    floor, ours = timing.rows_of("case", rounds, ("floor",), targets)
    assert ours.ratios == {"floor": 3}
    assert ours.verdicts == {"at most 3x floor": True, "at most 5.00 s": False}
    assert floor.disturbed


def test_a_race_tells_the_slow_from_the_fast():
    contenders = {"fast": lambda: None, "slow": lambda: time.sleep(0.002)}
    fast, slow = load("timing").race("case", contenders, ("fast",), rounds=5, turn=0.001)
    assert slow.median > 0.002 > fast.median
    assert slow.ratios["fast"] > 10


def test_peak_memory_counts_what_is_there_at_once():
    def two_at_once():
        first = torch.empty(1000)
        del first
        second, third = torch.empty(1000), torch.empty(1000)
        return second, third

    assert 8000 <= load("timing").peak_memory(two_at_once) < 9000


def small(step, *chosen):
    """A network of one layer, three steps of the chosen ways."""
    build = functools.partial(nn.Sequential, nn.Flatten(), nn.Linear(4, step.CLASSES))
    return step.Network("one layer", build, (4, 1, 2, 2), ("network.0", "network.1"), 3, chosen)


def test_all_ways_take_their_steps_in_turns():
    step = load("step")
    found, _ = load("ways").ways(("network.0",))
    rows = {row.name: row for row in step.compare(small(step), 1)}
    assert set(found) <= set(rows)
    assert "at most the cheapest peer" in " ".join(rows["Mixup"].verdicts)
    assert "times the floor" in " ".join(rows["ManifoldMixup"].verdicts)
    assert not rows["plain again"].verdicts


def test_turns_alternate_and_are_timed_one_by_one():
    turns, order = load("turns"), []

    class Slow(nn.Module):
        def __init__(self, name, wait):
            super().__init__()
            self.linear, self.name, self.wait = nn.Linear(4, 10), name, wait

        def forward(self, x):
            order.append(self.name)
            time.sleep(self.wait)
            return self.linear(x.flatten(1))

    way = load("ways").Way()
    waits = {"fast": 0.0, "slow": 0.02}
    ways = {name: functools.partial(way.build, functools.partial(Slow, name, wait)) for name, wait in waits.items()}
    seconds = turns.step_times(ways, (torch.rand(4, 1, 2, 2), torch.arange(4)), 4)
    assert {name: len(values) for name, values in seconds.items()} == {"fast": 4, "slow": 4}
    # Of the last steps nothing is measured: there is no batch left to wait for.
    assert all(set(order[i : i + 2]) == {"fast", "slow"} for i in range(0, len(order) - 4, 2))
    row = turns.difference("case", "slow", seconds["slow"], seconds["fast"])
    assert 0.01 < row.low <= row.median <= row.high
    assert turns.difference("case", "fast", seconds["fast"], seconds["fast"]).median == 0


def test_what_costs_more_than_its_peers_or_the_floor_is_told():
    step, ways = load("step"), load("ways")
    way = ways.Way(peers=("peer", "not installed"), floor="floor")
    seconds = {
        name: np.full(3, value) for name, value in {"plain": 1.0, "peer": 3.0, "floor": 2.0, "ours": 2.2}.items()
    }
    verdicts = step.verdicts(way, "ours", seconds)
    assert list(verdicts.values()) == [True, True]
    assert list(step.verdicts(way, "ours", seconds | {"ours": np.full(3, 3.1)}).values()) == [False, False]


def test_the_floor_mixes_as_the_formula_says():
    floor = load("floor")
    x, y = torch.rand(6, 1, 4, 4), torch.arange(6)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    for callback in (floor.Floor(), floor.Floor(per_sample=True), floor.Floor(cut=True)):
        module, _ = load("ways").Way().build(lambda: network)
        callback.on_fit_start(None, module)
        callback.on_train_batch_start(None, module, (x, y), 0)
        lam = torch.as_tensor(callback.lam, dtype=torch.float32)
        mixed, partner = callback._mix(x), y.roll(callback.shift)
        if callback.cut:
            top, bottom, left, right = callback.box
            assert lam.item() == pytest.approx(1 - (bottom - top) * (right - left) / 16)
        else:
            torch.testing.assert_close(mixed, torch.lerp(x.roll(callback.shift, 0), x, lam.view(-1, 1, 1, 1)))
        first, second = (F.cross_entropy(network(mixed), half, reduction="none") for half in (y, partner))
        torch.testing.assert_close(module.training_step((x, y), 0), (lam * first + (1 - lam) * second).mean())


def test_a_way_alone_in_its_process_is_timed_by_its_thread():
    alone = load("alone")
    seconds = alone.measure("tiny", "Mixup", steps=5)
    assert 1e-5 < seconds < 10


def test_the_step_that_a_graph_captures_trains_on_the_mix():
    gpu = load("gpu")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))
    x, y, lam, shift = gpu.batch_and_draw(0, "cpu")
    partner = (torch.arange(len(x)) + shift) % len(x)
    weight = lam.view(-1, 1, 1, 1)
    logits = network(weight * x + (1 - weight) * x[partner])
    first, second = (F.cross_entropy(logits, half, reduction="none") for half in (y, y[partner]))
    expected = torch.autograd.grad((lam * first + (1 - lam) * second).mean(), tuple(network.parameters()))
    torch.testing.assert_close(gpu.gradient(network, x, y, lam, shift), expected)


def test_laws_are_told_from_what_is_no_line():
    law = load("scaling")._law
    sizes = [1, 2, 4, 8]
    assert all(law("case", "time", sizes, [5 + 3 * size for size in sizes]).verdicts.values())
    assert not any(law("case", "time", sizes, [2.0**size for size in sizes]).verdicts.values())


def test_a_part_can_be_run_alone(tmp_path):
    numbers = tmp_path / "numbers.json"
    command = [sys.executable, "-m", "benchmarks", "gpu", "--json", str(numbers), "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "synchronisation" in done.stdout
    assert set(json.loads(numbers.read_text())) == {"machine", "gpu"}


def test_filling_changes_one_table():
    text = "a\n<!-- draw -->\nold\n<!-- /draw -->\nb\n<!-- loss -->\nkept\n<!-- /loss -->\n"
    assert load("__main__").fill(text, "draw", "new") == text.replace("old", "new")
