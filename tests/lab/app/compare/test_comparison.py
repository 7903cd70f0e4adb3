"""What a sweep shows, on sweeps written by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sweeps import job, numbers

from lightning_mixup.lab.app.compare import Row, Run, compare, judge
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.plans import planned


def test_runs_are_grouped_by_what_varies_and_compared_with_no_mixing(sweep):
    found = compare(sweep)
    assert [row.label for row in found.rows] == ["mix=mixup", "mix=none", "mix=cutmix", "mix=manifold_mixup"]
    assert found.names == ["test/accuracy", "test/nll", "duration"]
    verdicts = {label: found.cells["test/accuracy", label].verdict for label in (row.label for row in found.rows)}
    assert verdicts == {
        "mix=mixup": "better",
        "mix=none": "baseline",
        "mix=cutmix": "worse",
        "mix=manifold_mixup": "no difference shown at n = 5 seeds",
    }
    assert found.cells["test/nll", "mix=mixup"].verdict == "better"  # lower is


def test_numbers_agree_with_scipy(sweep):
    found = compare(sweep)
    mixup, none = (list(row.values("test/accuracy").values()) for row in found.rows[:2])
    cell = found.cells["test/accuracy", "mix=mixup"]
    assert cell.value.mean == pytest.approx(np.mean(mixup))
    assert cell.difference.p_value == pytest.approx(stats.ttest_rel(mixup, none).pvalue)
    others = [found.cells["test/accuracy", row.label] for row in found.rows if row.label != "mix=none"]
    smallest = min(others, key=lambda other: other.difference.p_value)
    assert smallest.p_value == pytest.approx(3 * smallest.difference.p_value)  # Holm's first step, of three


def test_seeds_are_paired_whatever_their_order_and_number(tmp_path):
    scores = {0: 0.5, 1: 0.6, 2: 0.7}
    for seed in (2, 0, 1):
        job(tmp_path, ["mix=none", f"seed={seed}"], numbers(scores[seed]))
    for seed in (0, 1, 3):
        job(tmp_path, ["mix=mixup", f"seed={seed}"], numbers(scores.get(seed, 0.9) + 0.1 + seed / 100))
    difference = compare(tmp_path).cells["test/accuracy", "mix=mixup"].difference
    assert (difference.seeds, difference.mean) == (2, pytest.approx(0.105))


def test_every_noise_rate_has_its_own_baseline(tmp_path):
    for noise in ("0", "0.4"):
        for mix, gain in (("none", 0.0), ("mixup", 0.1)):
            for seed in range(3):
                score = 0.9 - float(noise) + gain + seed / 50 * (1 + gain)
                job(tmp_path, [f"mix={mix}", f"data.label_noise={noise}", f"seed={seed}"], numbers(score))
    found = compare(tmp_path)
    for noise in ("0", "0.4"):
        assert found.cells["test/accuracy", f"mix=none data.label_noise={noise}"].verdict == "baseline"
        cell = found.cells["test/accuracy", f"mix=mixup data.label_noise={noise}"]
        assert cell.difference.mean == pytest.approx(0.102)


def test_a_strength_is_no_surrounding(tmp_path):
    for overrides in (["mix=none"], ["mix=mixup", "mix.alpha=1"], ["mix=mixup", "mix.alpha=8"]):
        for seed in (0, 1):
            job(tmp_path, [*overrides, f"seed={seed}"], numbers(0.5 + seed / 10))
    found = compare(tmp_path)
    assert [found.cells["test/nll", row.label].verdict == "baseline" for row in found.rows] == [True, False, False]


def test_without_a_plain_row_the_first_strength_of_every_noise_rate_is_the_baseline(tmp_path):
    for noise in ("0", "0.4"):
        for alpha in ("0", "1"):
            job(tmp_path, [f"data.label_noise={noise}", f"mix.alpha={alpha}", "seed=0"], numbers(0.5))
    found = compare(tmp_path)
    assert [found.cells["test/nll", row.label].verdict == "baseline" for row in found.rows] == [True, False] * 2


def test_interpolations_are_compared_as_they_are_written(tmp_path):
    for mix in ("none", "mixup"):
        job(tmp_path, [f"mix={mix}", "data.seed=${seed}", "seed=0", "mix.prob=${oc.env:NOTHING}"], numbers(0.5))
    task = "['mix=none,mixup', 'data.seed=${seed}', 'seed=0', 'mix.prob=${oc.env:NOTHING}']"
    (tmp_path / "multirun.yaml").write_text(f"hydra: {{overrides: {{hydra: [], task: {task}}}}}")
    assert [row.label for row in compare(tmp_path).rows] == ["mix=none", "mix=mixup"]
    assert planned(tmp_path) == (2, ("mix",))


def test_rows_with_fewer_seeds_than_others_are_named(tmp_path):
    for mix, seeds in (("none", 5), ("mixup", 1), ("cutmix", 2)):
        for seed in range(seeds):
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], numbers(0.5))
    single, few, *_ = compare(tmp_path).notes
    assert single.startswith("One seed shows nothing (mix=mixup):")
    assert few.startswith("Fewer than 5 seeds (mix=cutmix):")


def test_without_a_plain_row_the_first_is_the_baseline_or_the_one_named(tmp_path):
    for recipe in ("b", "a"):
        for seed in (0, 1):
            job(tmp_path, [f"recipe={recipe}", f"seed={seed}"], numbers(0.5))
    assert compare(tmp_path).cells["test/nll", "recipe=b"].verdict == "baseline"
    assert compare(tmp_path, "recipe=a").cells["test/nll", "recipe=a"].verdict == "baseline"
    with pytest.raises(ConfigError, match=r"baseline must be one of \['recipe=b', 'recipe=a'\]; got 'c'"):
        compare(tmp_path, "c")


@pytest.mark.parametrize(
    ("seeds", "said"),
    [(1, "One seed shows nothing"), (3, "Fewer than 5 seeds: only large"), (5, "mean ± half of the 95 %")],
)
def test_says_when_seeds_are_too_few(tmp_path, seeds, said):
    for mix in ("none", "mixup"):
        for seed in range(seeds):
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], numbers(0.9 if mix == "mixup" else 0.5))
    found = compare(tmp_path)
    assert said in found.notes[0]
    if seeds == 1:
        assert found.cells["test/accuracy", "mix=mixup"].verdict == "too few seeds to say (n = 1)"


def test_measures_that_modules_of_others_log_are_compared(tmp_path):
    for mix, gain in (("none", 0.0), ("mixup", 0.2)):
        for seed in range(5):
            score = 0.5 + seed / 50 + gain * (1 + seed / 50)
            scores = {"test_acc": score, "val_loss": 1 - score, "depth": 3.0, "duration": 1.0}
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], scores)
    found = compare(tmp_path)
    assert found.headlines == ["test_acc", "duration"]
    verdicts = {name: found.cells[name, "mix=mixup"].verdict for name in found.names}
    assert verdicts == {
        "duration": "not judged",
        "test_acc": "better",
        "val_loss": "better",
        "depth": "no difference shown at n = 5 seeds",
    }


def test_no_strength_at_all_is_the_baseline_wherever_it_stands(tmp_path):
    for alpha in ("1", "0", "8"):
        for seed in (0, 1):
            job(tmp_path, ["mix=mixup", f"mix.alpha={alpha}", f"seed={seed}"], numbers(0.5))
    assert compare(tmp_path).cells["test/nll", "mix.alpha=0"].verdict == "baseline"


def test_a_schedule_of_the_mix_is_no_surrounding(tmp_path):
    for overrides in (["mix=none"], ["mix=mixup"], ["mix=mixup", "+schedule@mix.prob=warmup"]):
        for seed in (0, 1):
            job(tmp_path, [*overrides, f"seed={seed}"], numbers(0.5))
    found = compare(tmp_path)
    assert [found.cells["test/nll", row.label].verdict == "baseline" for row in found.rows] == [True, False, False]


def test_judged_checkpoints_are_told_apart_as_their_runs_were(tmp_path):
    (trained := tmp_path / "trained").mkdir()
    (judged := tmp_path / "judged").mkdir()
    for mix in ("none", "mixup"):
        for seed in (0, 1):
            run = job(trained, [f"mix={mix}", f"seed={seed}"], numbers(0.5))
            ckpt = str(run / "checkpoints" / "model.ckpt")
            folder = job(judged, [f"ckpt={run}", "evaluate=full"])
            (folder / "results.json").write_text(json.dumps({"seed": seed, "ckpt": ckpt, **numbers(0.6)}))
    found = compare(judged)
    assert [(row.label, sorted(row.runs)) for row in found.rows] == [("mix=none", [0, 1]), ("mix=mixup", [0, 1])]


@pytest.mark.parametrize("images", [None, 300], ids=["smooth", "in steps"])
@pytest.mark.parametrize("seeds", [3, 5])
def test_without_a_true_difference_few_comparisons_have_any_verdict(images, seeds):
    """The whole procedure on simulated sweeps of five methods; accuracy on few images comes in steps, and has ties."""
    rng = np.random.default_rng(0)
    labels = ["mix=none", *(f"mix=method{number}" for number in range(4))]
    sweeps = 800
    wrong = 0
    for _ in range(sweeps):
        luck = rng.normal(0.9, 0.02, seeds)  # of a seed, which all methods share
        rows = []
        for label in labels:
            scores = luck + rng.normal(0, 0.005, seeds)
            if images:
                scores = rng.binomial(images, np.clip(scores, 0, 1)) / images
            runs = {seed: Run(Path(), {}, {"test/accuracy": score}) for seed, score in enumerate(scores)}
            rows.append(Row(dict([label.split("=")]), runs))
        cells = judge(rows, dict.fromkeys(labels, "mix=none"), ["test/accuracy"])
        wrong += any(cell.verdict in ("better", "worse") for cell in cells.values())
    assert wrong <= stats.binom.ppf(0.999, sweeps, 0.05)
