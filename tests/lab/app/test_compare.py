"""What a sweep ends with, on sweeps written by hand."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lightning_mixup.lab.app.compare import Row, Run, compare, judge, read_sweep, report, tables
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.plans import planned
from lightning_mixup.lab.app.sweep import RESUMING, asked_to_compare, reported_at_end, resumed


def job(sweep, overrides, results=None, failed=None):
    """One job's folder, as Hydra and a run leave it."""
    folder = sweep / str(len([path for path in sweep.iterdir() if path.is_dir()]))
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    if results is not None:
        seed = next(int(override.removeprefix("seed=")) for override in overrides if override.startswith("seed="))
        (folder / "results.json").write_text(json.dumps({"seed": seed, "torch": "2", **results}))
    if failed:
        (folder / "failed.txt").write_text(failed)
    return folder


def numbers(accuracy, rng=None):
    return {"test/accuracy": accuracy, "test/nll": 2 - accuracy, "duration": 1.0 + (rng.random() if rng else 0)}


@pytest.fixture
def sweep(tmp_path):
    """Twelve runs, in which mixup gains ten points, cutmix loses ten, and manifold_mixup changes nothing."""
    rng = np.random.default_rng(0)
    for mix, gain in (("mixup", 0.1), ("none", 0), ("cutmix", -0.1), ("manifold_mixup", 0)):
        for seed in range(5):
            luck = np.random.default_rng(seed).normal(0, 0.05)
            score = 0.7 + luck + gain + rng.normal(0, 0.01)
            job(tmp_path, [f"mix={mix}", f"seed={seed}", "trainer.max_epochs=3"], numbers(score, rng))
    return tmp_path


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


def test_missing_runs_are_listed(sweep):
    job(sweep, ["mix=mixup", "seed=9"], failed="Traceback\nZeroDivisionError: on purpose\n")
    job(sweep, ["mix=cutmix", "seed=9"])
    (sweep / "multirun.yaml").write_text(
        "hydra: {overrides: {hydra: [], task: ['mix=none,mixup,cutmix,manifold_mixup', 'seed=range(6)']}}"
    )
    runs, missing = read_sweep(sweep)
    assert [run.folder.name for run in runs] == [str(number) for number in range(22)]  # not 0, 1, 10, 11
    assert missing == [
        "20 (mix=mixup seed=9): failed: ZeroDivisionError: on purpose",
        "21 (mix=cutmix seed=9): unfinished",
        "2 of 24 jobs have not begun",
    ]
    console = Console(record=True, width=100)
    tables.show(compare(sweep), console)
    assert "ZeroDivisionError: on purpose" in console.export_text()


def test_many_failures_for_one_reason_are_one_line(tmp_path):
    for seed in range(12):
        job(tmp_path, ["mix=none", f"seed={seed}", "trainer.max_epochs=3"], failed="ImportError: no such thing\n")
    _, (line,) = read_sweep(tmp_path)
    assert line.startswith("0 (seed=0), 1 (seed=1), ")
    assert line.endswith(" and 8 more: failed: ImportError: no such thing")


def test_a_method_without_results_keeps_its_place(tmp_path):
    for mix in ("none", "mixup", "cutmix"):
        for seed in (0, 1):
            failed = {"failed": "RuntimeError: no"} if mix == "none" else {"results": numbers(0.5 + seed / 10)}
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], **failed)
    found = compare(tmp_path)
    assert [row.label for row in found.rows] == ["mix=mixup", "mix=cutmix"]
    assert found.notes[0] == "Without results of mix=none, other rows had to be the baseline."
    assert found.missing == ["0 (mix=none seed=0), 1 (mix=none seed=1): failed: RuntimeError: no"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_that_diverged_wins_and_loses_nothing(tmp_path, value):
    for mix in ("none", "mixup", "cutmix"):
        for seed in range(5):
            scores = numbers(0.5 + seed / 10 + (mix == "cutmix") * (0.2 + seed / 100))
            diverged = {"test/nll": value} if (mix, seed) == ("mixup", 3) else {}
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], scores | diverged)
    report(tmp_path)
    cells = compare(tmp_path).cells
    assert cells["test/nll", "mix=mixup"].verdict == "not compared: not finite for every seed"
    assert cells["test/nll", "mix=cutmix"].verdict == "better"
    assert cells["test/accuracy", "mix=mixup"].verdict == "no difference shown at n = 5 seeds"


def test_a_measure_that_only_some_runs_have_is_shown_for_those(tmp_path):
    for noise in ("0", "0.4"):
        for mix in ("none", "mixup"):
            for seed in range(3):
                wrong = {"train/memorised": 0.5 + seed / 10 + (mix == "none") / 4} if noise != "0" else {}
                job(tmp_path, [f"mix={mix}", f"data.label_noise={noise}", f"seed={seed}"], numbers(0.5) | wrong)
    report(tmp_path)
    found = compare(tmp_path)
    assert [row.label for row in found.rows_with("train/memorised")] == [
        "mix=none data.label_noise=0.4",
        "mix=mixup data.label_noise=0.4",
    ]


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


def test_a_folder_without_results_is_refused_with_what_it_has(tmp_path):
    job(tmp_path, ["mix=none", "seed=0"])
    with pytest.raises(ConfigError, match=r"compare must be the folder of a sweep.*unfinished"):
        compare(tmp_path)


class Cells(HTMLParser):
    """Text of all table cells, and pictures."""

    def __init__(self):
        super().__init__()
        self.texts, self.pictures = [], 0

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "th"):
            self.texts.append("")
        self.pictures += tag == "img" and dict(attributes)["src"].startswith("data:image/png;base64,iVBOR")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data


def test_the_report_is_complete_in_every_format(sweep, capsys):
    job(sweep, ["mix=a|b<c>", "seed=0", "trainer.max_epochs=3"], numbers(0.7))
    report(sweep)
    home = sweep / "comparison"
    assert {path.name for path in home.iterdir()} == {
        "comparison.csv",
        "comparison.html",
        "comparison.md",
        "measures.png",
    }
    with (home / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 5
    mixup = next(row for row in rows if (row["measure"], row["row"]) == ("test/accuracy", "mix=mixup"))
    assert mixup["verdict"] == "better"
    assert float(mixup["difference"]) == pytest.approx(0.1, abs=0.02)
    shown = f"{100 * float(mixup['difference']):+.1f} ± {100 * float(mixup['difference_margin']):.1f}"
    markdown = (home / "comparison.md").read_text()
    assert shown in markdown
    assert "mix=a\\|b<c>" in markdown
    assert "![Measures by method" in markdown
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {6, 7}  # every line of a table has as many cells as its head
    page = Cells()
    page.feed((home / "comparison.html").read_text())
    assert any(shown in text for text in page.texts)
    assert "mix=a|b<c>" in page.texts
    assert page.pictures == 1
    output = capsys.readouterr().out
    assert shown in output
    assert "no difference shown" in output


def test_pictures_are_drawn_of_what_there_is(tmp_path):
    header = "low,high,size,confidence,accuracy\n"
    for alpha in (0.1, 1, 8):
        for seed in (0, 1):
            folder = job(tmp_path, [f"mix.alpha={alpha}", f"seed={seed}"], numbers(0.5 + seed / 9 + alpha / 99))
            (folder / "reliability.csv").write_text(f"{header}0.0,0.5,0,nan,nan\n0.5,1.0,9,0.8,0.7\n")
            (folder / "log").mkdir()
            epochs = "".join(f"{epoch},{epoch},{3 - epoch / 2},\n{epoch},{epoch},,0.{epoch}\n" for epoch in range(4))
            (folder / "log" / "metrics.csv").write_text("epoch,step,train/loss,val/accuracy\n" + epochs)
    report(tmp_path)
    pictures = {path.name for path in (tmp_path / "comparison").glob("*.png")}
    assert pictures == {"measures.png", "reliability.png", "curves.png", "by_mix_alpha.png"}


def test_the_command_compares_and_nothing_else(sweep, capsys):
    assert asked_to_compare([f"compare={sweep}", "baseline=mix=cutmix"])
    with (sweep / "comparison" / "comparison.csv").open() as file:
        verdicts = {row["row"]: row["verdict"] for row in csv.DictReader(file) if row["measure"] == "test/accuracy"}
    assert verdicts["mix=cutmix"] == "baseline"
    assert verdicts["mix=none"] == "better"
    assert not asked_to_compare(["mix=none"])
    with pytest.raises(ConfigError, match="compare=FOLDER takes nothing but baseline=ROW beside it; got seed=1"):
        asked_to_compare([f"compare={sweep}", "seed=1"])


def test_an_interrupted_sweep_is_taken_up_with_its_own_words(tmp_path, monkeypatch):
    monkeypatch.setenv(RESUMING, "")  # so that it is restored
    folder = tmp_path / "a sweep"
    folder.mkdir()
    (folder / "multirun.yaml").write_text(
        "hydra:\n  overrides:\n    hydra: [hydra.mode=MULTIRUN, hydra.sweep.dir=elsewhere, hydra/launcher=basic]\n"
        "    task: ['mix=none,mixup', 'seed=range(5)', 'allow_targets=[evil]', '--config-path=/evil', '+mix.x=1', "
        "'data.seed=${seed}']\n"
    )
    words = resumed(["allow_targets=[mine]", f"resume={folder}"])
    assert words == [
        "-m",
        "hydra/launcher=basic",
        "mix=none,mixup",
        "seed=range(5)",
        "+mix.x=1",
        "data.seed=${seed}",
        "allow_targets=[mine]",
        f'hydra.sweep.dir="{folder}"',
    ]
    assert resumed(["mix=none"]) == ["mix=none"]
    with pytest.raises(ConfigError, match="resume must be the folder of a sweep"):
        resumed([f"resume={tmp_path}"])


def test_outside_of_a_sweep_nothing_is_reported(capsys):
    with reported_at_end():
        pass
    assert not capsys.readouterr().out
