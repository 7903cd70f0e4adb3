import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from application import FAST, in_this_process, results

import lightning_mixup.lab.app.train
from lightning_mixup.__main__ import main
from lightning_mixup.lab.data import Digits
from lightning_mixup.lab.models import SmallResNet


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


@pytest.mark.parametrize("mix", ["none", "mixup"])
def test_a_run_leaves_what_it_takes_to_repeat_and_read_it(app, capsys, mix):
    (folder,) = app(f"mix={mix}", "trainer.max_epochs=2")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 2
    assert "${" not in (folder / "config.yaml").read_text()  # resolved
    with (folder / "log" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["epoch"] for row in rows if row["train/loss"]} == {"0", "1"}
    assert torch.load(folder / "checkpoints" / "model.ckpt", weights_only=True)["epoch"] == 1  # the last one
    found = results(folder)
    numbers = {name: value for name, value in found.items() if "/" in name} | {"duration": found["duration"]}
    versions = {"python", "torch", "lightning", "torchmetrics", "lightning_mixup"}
    assert set(found) - set(numbers) == {"seed", "settings"} | versions
    assert {"test/accuracy", "test/nll", "test/ece", "val/accuracy", "train/loss"} <= set(numbers)
    assert all(isinstance(value, float) and np.isfinite(value) for value in numbers.values())
    shown = capsys.readouterr().out
    assert f"{found['test/accuracy']:.2%}" in shown
    assert folder.name in shown


def test_scores_are_those_of_the_kept_weights_on_the_clean_test_images(app):
    (folder,) = app("mix=none", "data.label_noise=0.4", "seed=5", "trainer.max_epochs=3")
    state = torch.load(folder / "checkpoints" / "model.ckpt", weights_only=True)["state_dict"]
    network = SmallResNet(10, (1, 8, 8), width=2).eval()
    network.load_state_dict({key.removeprefix("network."): value for key, value in state.items() if "network" in key})
    data = Digits(seed=5)  # no noise: test labels are clean whatever training saw
    data.setup()
    x, y = (torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True))
    with torch.no_grad():
        logits = network(x)
    assert results(folder)["test/accuracy"] == pytest.approx((logits.argmax(1) == y).float().mean().item())
    assert results(folder)["test/nll"] == pytest.approx(torch.nn.functional.cross_entropy(logits, y).item(), rel=1e-4)


def test_the_command_line_reaches_training(app):
    (still,), (moving,) = app("mix=none", "optimizer.lr=0.0"), app("mix=none", "optimizer.lr=0.1")
    weights = [
        torch.load(run / "checkpoints" / "model.ckpt", weights_only=True)["state_dict"] for run in (still, moving)
    ]
    torch.manual_seed(0)
    untouched = SmallResNet(10, (1, 8, 8), width=2).head[2].weight
    torch.testing.assert_close(weights[0]["network.head.2.weight"], untouched.detach())
    assert not torch.equal(weights[1]["network.head.2.weight"], untouched)


def test_a_schedule_takes_the_place_of_a_number_with_or_without_a_plus(app):
    for plus in ("", "+"):
        (run,) = app(f"{plus}schedule@mix.prob=cosine", "mix.prob.start=0.2", "mix.alpha=1")
        prob = yaml.safe_load((run / "config.yaml").read_text())["mix"]["prob"]
        assert prob == {"_target_": "lightning_mixup.schedules.Cosine", "start": 0.2, "end": 0.0}


def test_the_seed_decides_everything(app):
    first, again, other = (results(*app("mix=mixup", f"seed={seed}")) for seed in (1, 1, 2))
    for timing in (first, again, other):
        del timing["duration"]
    assert first == again
    assert first["test/nll"] != other["test/nll"]


def test_mixing_changes_training_and_nothing_else(app):
    plain, mixed = (results(*app(f"mix={mix}")) for mix in ("none", "mixup"))
    assert plain["train/loss"] != mixed["train/loss"]


def test_the_best_epoch_can_be_kept_instead_of_the_last(app):
    (folder,) = app("mix=none", "callbacks.checkpoint.monitor=val/accuracy", "trainer.max_epochs=3")
    with (folder / "log" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/accuracy"]]
    best = max(rows, key=lambda row: float(row["val/accuracy"]))
    kept = torch.load(folder / "checkpoints" / "model.ckpt", weights_only=True)
    assert kept["epoch"] == int(best["epoch"])


def test_threads_are_a_choice(app):
    app("mix=none", "threads=2")
    assert torch.get_num_threads() == 2
    app("mix=none", "threads=null")
    assert torch.get_num_threads() == 2


def test_a_callback_can_be_added_and_removed(app):
    lr_monitor = "+callbacks.lr._target_=lightning.pytorch.callbacks.LearningRateMonitor"
    (folder,) = app("mix=none", "~callbacks.checkpoint", "trainer.log_every_n_steps=1", lr_monitor)
    assert not (folder / "checkpoints").exists()
    assert "lr-SGD" in (folder / "log" / "metrics.csv").read_text()


def test_a_sweep_makes_one_folder_a_job(app, tmp_path):
    folders = app("-m", "mix=none,mixup", "seed=0,1")
    assert [folder.name for folder in folders] == ["0", "1", "2", "3"]
    assert len(list(tmp_path.glob("multirun/*/*"))) == 1
    assert not (tmp_path / "outputs").exists()
    assert [results(folder)["seed"] for folder in folders] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["mix.alhpa=1"], "mix has no key 'alhpa', did you mean 'alpha'? It takes: "),
        (["+mix.alhpa=1"], "mix has no key 'alhpa', did you mean 'alpha'? It takes: "),
        (["mix=none", "mix.alpha=1"], "mix has no key 'alpha'. It takes none."),
        (["mix=mixpu"], "mix has no option 'mixpu', did you mean 'mixup'? It takes: "),
        (["recpie=x"], "The configuration has no key 'recpie', did you mean 'recipe'?"),
        (["recipe=digit_mixup"], "recipe has no option 'digit_mixup', did you mean 'digits_mixup'?"),
        (["data.label_noise=2"], "data: label_noise must be a share in [0, 1]"),
        (["model.width=x"], "model.width must be int; got 'x'."),
        (["trainer.max_epochs=x"], "trainer.max_epochs must be"),
        (["+optimizer.lrr=1"], "optimizer has no key 'lrr', did you mean 'lr'?"),
        (["mix.alpha=-1"], "alpha"),
        (["mix.prob=2"], "prob"),
        (["seed=null"], "seed must be a whole number"),
        (["~mix._target_"], "mix needs a _target_"),
    ],
)
def test_mistakes_end_before_training_with_what_is_allowed(app, tmp_path, arguments, expected):
    with pytest.raises(SystemExit) as end:
        app(*arguments)
    message = str(end.value.code)  # what Python prints before it exits with 1
    assert expected in message
    assert len(message.splitlines()) <= 3
    assert not list(tmp_path.rglob("metrics.csv"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["recipe=digits_noisy_mixup"], ("Mixup", 1.0)),
        (["recipe=digits_noisy_mixup", "mix=mixup"], ("Mixup", 1.0)),
        (["recipe=digits_noisy_mixup", "mix=manifold_mixup"], ("ManifoldMixup", 2.0)),  # at its own strength
        (["recipe=digits_noisy_mixup", "mix=manifold_mixup", "mix.alpha=8"], ("ManifoldMixup", 8)),
        (["recipe=digits_noisy_mixup", "mix=none"], (None, None)),
        (["recipe=digits_noisy_weight_decay", "mix=mixup"], ("Mixup", 0.2)),  # a recipe on top of a recipe
    ],
)
def test_a_method_on_the_command_line_wins_over_a_recipe_as_a_whole(app, arguments, expected):
    (folder,) = app(*arguments, "+trainer.fast_dev_run=true")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    mix = config["mix"]
    assert (mix.get("_target_", "").rpartition(".")[2] or None, mix.get("alpha")) == expected
    assert config["data"]["label_noise"] == 0.4  # the rest is the recipe's


def test_methods_can_be_swept_beside_a_recipe_that_has_one(app):
    folders = app("-m", "recipe=digits_noisy_mixup", "mix=none,mixup,cutmix", "seed=range(2)")
    assert [results(folder)["seed"] for folder in folders] == [0, 1] * 3


def test_a_sweeper_is_handed_the_objective(app, monkeypatch):
    returned = []
    train = lightning_mixup.lab.app.train.train
    monkeypatch.setattr(lightning_mixup.lab.app.train, "train", lambda cfg: returned.append(train(cfg)))
    (folder,) = app("mix=none", "objective=val/nll")
    app("mix=none", "objective=null")
    (default,) = app("mix=none")
    app("mix=none", "data=diabetes", "module=regressor", "model=mlp")
    assert returned[:3] == [results(folder)["val/nll"], None, results(default)["val/accuracy"]]
    assert returned[3] > 0.1  # val/rmse


def test_an_unknown_objective_lists_the_metrics(app):
    with pytest.raises(
        SystemExit, match=r"objective must be auto, null or a logged metric \(.*val/accuracy.*got 'val/acc'"
    ):
        app("mix=none", "objective=val/acc")


def test_the_whole_traceback_is_a_switch_away(app, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="label_noise must be") as error:
        app("data.label_noise=2")
    assert not isinstance(error.value, SystemExit)


def test_without_hydra_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hydra", None)
    for name in [name for name in sys.modules if name.startswith("lightning_mixup.lab.app")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit, match=r'pip install "lightning-mixup\[recipes\]"'):
        main()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--cfg", "job"], ["-sc", "query=bash"]],
    ids=["help", "config", "completion"],
)
def test_looking_around_loads_no_torch(tmp_path, arguments):
    probe = (
        "import sys; from lightning_mixup.__main__ import main\n"
        "try: main()\n"
        "finally: print('HEAVY', [name for name in ('torch', 'lightning', 'sklearn') if name in sys.modules])"
    )
    env = {**os.environ, "COMP_LINE": "lightning-mixup mix=", "COMP_POINT": "20"}
    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("HEAVY []\n")
    assert "manifold_mixup" in done.stdout or "seed: 0" in done.stdout
    assert not list(tmp_path.iterdir())


def test_what_fails_while_lightning_is_loaded_is_noted_and_the_collector_works_on(tmp_path):
    probe = """
import gc, sys
from lightning_mixup.__main__ import main

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "lightning.pytorch":
            raise ImportError("libcudart is missing")

sys.meta_path.insert(0, Broken())
try:
    main()
finally:
    print("COLLECTS", gc.isenabled(), gc.get_freeze_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert "ImportError: libcudart is missing" in done.stderr
    assert done.stdout.endswith("COLLECTS True 0\n")
    (noted,) = tmp_path.glob("outputs/*/*/failed.txt")
    assert "libcudart is missing" in noted.read_text()


@pytest.mark.ddp
def test_a_single_distributed_run_makes_one_folder(tmp_path):
    script = Path(sys.executable).with_name("lightning-mixup")
    arguments = [*FAST, "trainer=ddp_cpu", "mix=manifold_mixup"]
    done = subprocess.run([script, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("outputs/*/*")
    assert results(folder)["seed"] == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "outputs"]
    assert done.stdout.count("Scores") == 1
