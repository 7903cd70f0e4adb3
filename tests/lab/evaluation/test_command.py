"""Judging, comparing and resuming through the command."""

import csv
import math
import re

import application
import pytest
import torch
import yaml
from application import results

import lightning_mixup.lab.app.train
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.evaluate import find_checkpoint

QUICK = ["evaluate.pgd_steps=1", "evaluate.epsilons=[0.1]", "evaluate.zooms=[0.8]"]


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from application.in_this_process(tmp_path, monkeypatch)


def test_a_full_evaluation_adds_to_the_basic_one(app):
    (basic,), (full,) = app("mix=none"), app("mix=none", "evaluate=full", *QUICK, "trainer.max_epochs=2")
    short, long = results(basic), results(full)
    assert set(short) < set(long)
    assert {"test/fgsm_0.1/accuracy", "test/brier", "test/temperature", "test/ood_auroc"} <= set(long)
    assert long["val/accuracy_last"] == pytest.approx(long["val/accuracy"])
    assert long["val/nll_best"] <= long["val/nll_last"]
    assert not (basic / "reliability.csv").exists()
    with (full / "reliability.csv").open() as file:
        bars = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    right = sum(bar["size"] * bar["accuracy"] for bar in bars if bar["size"])
    assert right / sum(bar["size"] for bar in bars) == pytest.approx(long["test/accuracy"])


@pytest.mark.parametrize("given", ["", "checkpoints", "checkpoints/model.ckpt"], ids=["run", "folder", "file"])
def test_a_checkpoint_is_judged_as_its_run_was(app, given):
    (run,) = app("mix=mixup", "seed=4", "evaluate=full", *QUICK, "data.label_noise=0.4")
    (judged,) = app(f"ckpt={run / given}")
    before, after = results(run), results(judged)
    assert after["ckpt"] == str(run / "checkpoints" / "model.ckpt")
    assert after["seed"] == 4
    tested = {name: value for name, value in before.items() if name.startswith("test/")}
    assert {name: after[name] for name in tested} == pytest.approx(tested, abs=1e-6)
    assert not (judged / "checkpoints").exists()
    assert not (judged / "log").exists()


def test_the_command_line_wins_over_the_run_of_a_checkpoint(app):
    (run,) = app("mix=none", "seed=4")
    (judged,) = app(f"ckpt={run}", "evaluate=full", *QUICK, "evaluate.noise=[0.2]", "data.test_share=0.2")
    found = results(judged)
    assert "test/noise_0.2/accuracy" in found
    config = yaml.safe_load((judged / "config.yaml").read_text())
    assert config["data"]["test_share"] == 0.2
    assert config["data"]["seed"] == 4


def test_what_is_no_checkpoint_is_refused(app, tmp_path):
    torch.save({"weights": 1}, tmp_path / "x.ckpt")
    for ckpt, message in (
        (tmp_path / "none.ckpt", "ckpt must be a checkpoint, or the folder of a run with one; got"),
        (tmp_path / "x.ckpt", "ckpt must be a whole checkpoint of Lightning"),
    ):
        with pytest.raises(SystemExit, match=message):
            app(f"ckpt={ckpt}")
    (run,) = app("mix=none", "model.width=2")
    with pytest.raises(SystemExit, match="ckpt must fit model, data and module"):
        app(f"ckpt={run}", "model.width=4")
    (tmp_path / "y.ckpt").touch()
    with pytest.raises(ConfigError, match=r"with one, of .*x\.ckpt, y\.ckpt; got"):
        find_checkpoint(tmp_path)


def test_a_verb_judges_with_all_judges(app):
    (run,) = app("mix=none", "seed=4")
    (judged,) = app("evaluate", f"ckpt={run}", *QUICK)
    found = results(judged)
    assert found["test/accuracy"] == pytest.approx(results(run)["test/accuracy"])
    assert {"test/brier", "test/pgd_0.1/accuracy", "test/temperature"} <= set(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "evaluate must be told what to judge: lightning-mixup evaluate ckpt=PATH"),
        (["compare"], "compare must be followed by the folder of a sweep"),
        (["resume", "seed=1"], "resume must be followed by the folder of a run or a sweep"),
        (["compare", "nowhere"], "compare must be the folder of a sweep with results.json in it; got 'nowhere'"),
        (["evaluate", "nowhere"], "ckpt must be a checkpoint, or the folder of a run with one; got 'nowhere'"),
    ],
)
def test_a_verb_without_its_object_is_explained(monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["lightning-mixup", *arguments])
    with pytest.raises(SystemExit, match=message):
        application.main()


def test_what_cannot_be_judged_keeps_its_weights(app, tmp_path):
    with pytest.raises(SystemExit) as end:
        app("mix=none", "evaluate=full", "evaluate.target_key=label")
    said = str(end.value.code)
    assert "evaluate: evaluate.target_key='label' must lead to a tensor in a batch" in said
    run = re.search(r"judged again by: lightning-mixup evaluate ckpt=(\S+)", said)[1]
    (judged,) = app("evaluate", f"ckpt={run}", "evaluate.target_key=1", *QUICK)
    assert "test/brier" in results(judged)


def test_a_sweep_ends_with_its_comparison_and_can_be_resumed(app, tmp_path, monkeypatch, capsys):
    train, calls = lightning_mixup.lab.app.train.train, []

    def stumble(cfg):
        calls.append((str(cfg.mix.get("_target_")), cfg.seed))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(cfg)

    monkeypatch.setattr(lightning_mixup.lab.app.train, "train", stumble)
    with pytest.raises(SystemExit) as end:
        app("-m", "mix=none,mixup", "seed=0,1")
    (sweep,) = tmp_path.glob("multirun/*/*")
    assert end.value.code == 130
    shown, errors = capsys.readouterr()
    assert f"Interrupted by Ctrl-C.\nTo run what has no results yet:\n  lightning-mixup resume {sweep}\n" in errors
    assert "unfinished" in shown
    assert "1 of 4 jobs have not begun" in shown
    assert "Job 1 of 4: mix=none seed=0 ──" in shown
    assert re.search(r"Job 3 of 4: mix=mixup seed=0, 0:00:\d\d gone, about 0:00:\d\d to go ──", shown)
    assert shown.count("Scores") == 0  # a line for each job, not a table
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("*/results.json")}
    assert len(before) == 2

    monkeypatch.setattr("sys.argv", ["lightning-mixup", f"resume={sweep}"])
    application.main()
    after = {path: path.stat().st_mtime_ns for path in sweep.glob("*/results.json")}
    assert len(after) == 4
    assert all(after[path] == time for path, time in before.items())  # left as they were
    assert [results(sweep / str(number))["seed"] for number in range(4)] == [0, 1, 0, 1]
    with (sweep / "comparison" / "comparison.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "test/accuracy"]
    assert [(row["row"], row["seeds"]) for row in rows] == [("mix=none", "2"), ("mix=mixup", "2")]
    assert all(math.isfinite(float(row["margin"])) for row in rows)
    shown = capsys.readouterr().out
    assert shown.count("Done before") == 2
    assert re.findall(r"Job (\d) of 4", shown) == ["3", "4"]
