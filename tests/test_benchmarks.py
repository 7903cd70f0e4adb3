"""The benchmarks measure what they say; how fast anything is, no test can tell."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

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


def test_callbacks_take_turns_and_leave_nothing():
    step = load("step")
    module = step.Bare((4, 1, 2, 2))
    before = module.training_step
    seconds = step.step_times(module, (4, 1, 2, 2), rounds=2, block=3)
    assert list(seconds) == ["no callback", "a callback that does nothing", *step.CALLBACKS]
    assert all(len(values) == 2 and min(values) > 0 for values in seconds.values())
    assert module.training_step == before
    assert not any(part._forward_hooks for part in module.modules())


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
