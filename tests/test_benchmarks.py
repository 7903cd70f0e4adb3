"""The benchmarks measure what they say; how fast anything is, no test can tell."""

import dataclasses
import functools
import importlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_mixup import MixedTarget

ROOT = Path(__file__).resolve().parents[1]


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


@pytest.mark.parametrize("group", ["draw", "kernels", "loss"])
def test_all_contenders_of_a_race_run(group, monkeypatch):
    def once(contenders, rounds=31, turn=0.005):
        for contender in contenders.values():
            contender()
        return {name: [1.0] for name in contenders}

    monkeypatch.setattr(load("timing"), "take_turns", once)
    monkeypatch.setattr(load("loss"), "SIZES", [(8, 10)])
    monkeypatch.setattr(load("kernels"), "SHAPES", [(4, 3, 16, 16), (2, 3, 4, 16, 16), (4, 32)])
    rows = list(load(group).rows())
    assert rows
    assert all(row.median or row.note for row in rows)


def test_peak_memory_counts_what_is_there_at_once():
    def two_at_once():
        first = torch.empty(1000)
        del first
        second, third = torch.empty(1000), torch.empty(1000)
        return second, third

    assert 8000 <= load("timing").peak_memory(two_at_once) < 9000


def test_the_parts_of_a_step_are_timed_and_put_back():
    parts = load("parts")
    before = [getattr(owner, name) for _, owner, name, _ in parts.PARTS]
    found = {row.name: row for row in parts.measure("Mixup", "tiny", steps=16)}
    assert list(found) == [name for name, *_ in parts.PARTS]
    assert all(0 < row.low <= row.median <= row.high for row in found.values())
    assert {name for name, row in found.items() if row.ratios} == {name for name, *_, again in parts.PARTS if again}
    assert before == [getattr(owner, name) for _, owner, name, _ in parts.PARTS]


def small(step, *chosen):
    """A network of one layer, a cycle of steps of the chosen ways."""
    build = functools.partial(nn.Sequential, nn.Flatten(), nn.Linear(4, step.CLASSES))
    return step.Network("one layer", build, (4, 1, 2, 2), ("network.0", "network.1"), 16, chosen=chosen)


def test_all_ways_take_their_steps_in_turns():
    step = load("step")
    found, _ = load("ways").ways(("network.0",))
    rows = {row.name: row for row in step.compare(small(step), 1)}
    assert set(found) <= set(rows)
    assert "at most the cheapest peer" in " ".join(rows["Mixup"].verdicts)
    assert "times the floor" in " ".join(rows["ManifoldMixup"].verdicts)
    assert not rows["plain again"].verdicts


@pytest.mark.parametrize("turn", [1, 2])
def test_turns_alternate_and_are_timed_one_by_one(turn):
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
    seconds = turns.step_times(ways, (torch.rand(4, 1, 2, 2), torch.arange(4)), 4, turn)
    assert {name: len(values) for name, values in seconds.items()} == {"fast": 4, "slow": 4}
    # Lightning fetches a batch ahead: the first turn is a step short, and the last steps wait for nothing.
    taken = [order[i : i + turn] for i in range(2 * (turn - 1), len(order) - 4 * turn, turn)]
    assert all(len(set(steps)) == 1 for steps in taken)
    assert all({*one, *other} == {"fast", "slow"} for one, other in zip(taken[::2], taken[1::2], strict=False))
    row = turns.difference("case", "slow", seconds["slow"], seconds["fast"])
    assert 0.01 < row.low <= row.median <= row.high
    assert turns.difference("case", "fast", seconds["fast"], seconds["fast"]).median == 0


def test_what_takes_long_in_one_step_of_a_cycle_is_counted_and_what_disturbs_one_is_not():
    turns = load("turns")
    base = np.ones(8 * turns.CYCLE)
    values = base + 1.0
    values[3 :: turns.CYCLE] += turns.CYCLE  # as often as draws are made
    values[40] += 1e6
    row = turns.difference("case", "name", turns.in_cycles(values), turns.in_cycles(base))
    assert (row.low, row.median, row.high) == (2.0, 2.0, 2.0)
    assert turns.typical(np.array([1.0, 2.0, 9.0])) == 2.0
    assert turns.in_cycles(np.arange(2.5 * turns.CYCLE)).shape == (2, turns.CYCLE)  # no half one


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


@pytest.mark.parametrize(("way", "base"), [("Mixup", "plain"), ("Mixup, logged", "plain, logged")])
def test_a_way_alone_in_its_process_is_compared_with_its_base_turn_by_turn(way, base, monkeypatch):
    alone = load("alone")
    monkeypatch.setattr(alone, "TURN", 16)
    turns = alone.measure("tiny", way, turns=3)
    assert {name: len(medians) for name, medians in turns.items()} == {base: 3, way: 3}
    assert all(1e-5 < median < 10 for medians in turns.values() for median in medians)
    row = alone.compared("digits", way, {base: [2.0, 1.0, 4.0], way: [2.2, 1.1, 4.8]})
    assert row.median == pytest.approx(0.2)
    assert row.verdicts == {"+10.0 % of 2000.00 ms, at most 3 %": False}


def test_each_row_is_raced_with_that_of_an_earlier_state(monkeypatch):
    """Of the last commit, which knows the same rows; each state calls functions of its own."""
    before, taken = load("before"), {}

    def once(contenders, rounds=31, turn=0.005):
        taken.update(contenders)
        return {"before": [2.0, 4.0], "now": [3.0, 6.0]}

    monkeypatch.setattr(before, "take_turns", once)
    rows = list(before.rows("HEAD", ["draw"]))
    assert {"Mixup", "CutMix, per sample", "torch.distributions.Beta"} <= {row.name for row in rows}
    assert all(row.low == row.median == row.high == 1.5 for row in rows)
    assert not any(verdict for row in rows for verdict in row.verdicts.values())
    assert re.fullmatch(r"benchmarks_[0-9a-f]+\.draw", taken["before"].__module__)
    assert taken["now"].__module__ == "benchmarks.draw"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no_such draw", "no commit, branch or tag 'no_such'"),
        ("HEAD drawn", "no group drawn; there are kernels, draw, loss"),
        ("HEAD draw --threads 0", "--threads must be at least 1; got 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(line, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["before", *line.split()])
    with pytest.raises(SystemExit):
        load("before").main()
    assert words in capsys.readouterr().err


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


def test_the_summary_sets_ours_beside_others():
    timing, summary = load("timing"), load("summary")
    case = "tiny network, (32, 1, 8, 8), 1 thread: added to a step, median"
    added = {"Mixup": 300e-6, "Mixup by hand": 150e-6, "timm mixup": 140e-6, "floor Mixup": 200e-6, "plain again": 2e-6}
    added |= {"Mixup, logged": 400e-6, "Mixup by hand, logged": 160e-6}
    rows = [
        timing.Row(case, name, value, value - 5e-6, value + 5e-6, note=f"{value * 1e4:+.1f} %")
        for name, value in added.items()
    ]
    text = summary.markdown(rows)
    assert "| Mixup | **300** ± 5 | 150 | 140 |  |  | 200 | 1.50 |" in text
    assert "| Mixup, logged | **400** ± 5 | 160 |  |  |  |  |  |" in text
    assert "plain against plain, reads 2 ± 5" in text
    assert summary.markdown([]) == "Not measured yet."


def test_the_picture_of_the_summary_is_drawn(tmp_path):
    timing, summary = load("timing"), load("summary")
    case = "tiny network: added to a step"
    rows = [timing.Row(case, name, 1e-4, 9e-5, 2e-4) for name in ("Mixup", "timm mixup", "floor Mixup")]
    summary.draw(rows, tmp_path / "step.png")
    assert (tmp_path / "step.png").stat().st_size > 1000


def test_what_was_measured_is_written_again_without_measuring(tmp_path, monkeypatch):
    main, timing = load("__main__"), load("timing")
    row = dataclasses.asdict(timing.Row("case", "what was drawn", 1e-6))
    (tmp_path / "numbers.json").write_text(json.dumps({"machine": "M", "draw": {"quietness": "Q", "rows": [row]}}))
    (tmp_path / "draw.md").write_text("# Draw\n<!-- draw -->\n<!-- /draw -->\n")
    monkeypatch.setattr(main, "RESULTS", tmp_path)
    numbers = str(tmp_path / "numbers.json")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "draw", "--read", "--write", "--json", numbers])
    main.main()
    assert "| what was drawn | 1.0 us |" in (tmp_path / "draw.md").read_text()


def test_mixed_labels_train_as_the_formula_says():
    loss = load("loss")
    logits, y, z = torch.randn(6, 4, requires_grad=True), torch.randint(4, (6,)), torch.randint(4, (6,))
    for name, function in loss.BY_HAND.items():
        mixed = function(logits, MixedTarget(y, z, 0.25)).value
        torch.testing.assert_close(mixed, 0.25 * function(logits, y) + 0.75 * function(logits, z), msg=name)
    assert set(loss.trained(loss.dice, (2, 3, 4, 4))) == {"plain labels", "mixed labels"}
    for contender in loss.trained(loss.dice, (2, 3, 4, 4)).values():
        contender()


@pytest.mark.slow
def test_a_run_that_is_interrupted_at_a_random_moment_ends_as_one_left_alone():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.interrupted", "--times", "1", "--kinds", "run", "--signals", "SIGTERM"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, row = done.stdout.splitlines()
    _, what, by, times, _, ended, same, _ = (cell.strip() for cell in row.split("|"))
    assert (what, by, times) == ("run", "SIGTERM", "1")
    assert ended == same >= "1"


@pytest.mark.parametrize("times", ["0", "-3"])
def test_an_interruption_that_never_comes_is_refused(times, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["interrupted", "--times", times])
    with pytest.raises(SystemExit):
        load("interrupted").main()
    assert f"--times must be at least 1, or nothing is interrupted; got {times}" in capsys.readouterr().err


def test_a_run_that_ended_otherwise_is_found_out():
    equal = load("interrupted").equal
    left = {"0": {"state": [torch.zeros(2), 1], "curves": "loss\n0.5\n"}}
    assert equal(left, {"0": {"state": [torch.zeros(2), 1], "curves": "loss\n0.5\n"}})
    assert not equal(left, {"0": {"state": [torch.tensor([0, 1e-9]), 1], "curves": "loss\n0.5\n"}})
    assert not equal(left, {"0": {"state": [torch.zeros(2), 1], "curves": "loss\n0.6\n"}})
    assert not equal(left, {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["parst"], "no group parst; there are kernels"),
        (["draw", "--threads", "0"], "--threads must be at least 1; got 0"),
        (["draw", "--read", "--json", "nowhere.json"], "there is no nowhere.json; measure first"),
        (["draw", "--read", "--json", "empty.json"], "empty.json has no draw"),
        (["draw", "--json", "nowhere/numbers.json"], "nowhere; make it first, or name another file"),
    ],
    ids=str,
)
def test_a_careless_command_line_is_refused_in_a_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    with pytest.raises(SystemExit) as refused:
        load("__main__").main()
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
