"""Words that mean nothing, or not that, are refused early; paths are taken as they are written."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from application import in_this_process, results, started

from lightning_mixup.lab.app.verbs import quoted, spelled_out


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


@pytest.mark.parametrize("plus", ["", "+"])
@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("alpha=8", "mix.alpha"),
        ("max_epochs=3", "trainer.max_epochs"),
        ("lr=0.1", "optimizer.lr"),
        ("label_noise=0.1", "data.label_noise"),
        ("ckpt_path=x", "ckpt=PATH"),
        ("ckpt_path=x", "lightning-mixup resume RUN"),
        ("sede=1", "'seed'"),
        ("zzz=1", "It takes: "),
    ],
)
def test_a_key_that_nothing_reads_is_refused_with_the_path_that_was_meant(app, plus, word, path):
    with pytest.raises(SystemExit) as end:
        app(f"{plus}{word}")
    assert path in str(end.value.code)
    assert f"+{word.partition('=')[0]}" not in str(end.value.code)  # following it would change nothing


def test_a_key_that_another_one_reads_is_taken(app):
    (run,) = app("+noise=0.25", "data.label_noise=${noise}")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["label_noise"] == 0.25
    assert "noise" not in config


def test_a_configuration_file_of_ones_own_is_held_to_it_too(app, tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults: [train, _self_]\nmax_epochs: 3\n")
    with pytest.raises(SystemExit, match=r"max_epochs is given as trainer\.max_epochs=VALUE"):
        app(f"--config-dir={tmp_path}", "--config-name=mine")


PROBE = (
    "import sys; from lightning_mixup.__main__ import main\n"
    "try: main()\n"
    "finally: print('HEAVY', [name for name in ('torch', 'lightning', 'sklearn') if name in sys.modules])"
)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mix.alpha=abc", "mix.alpha must be float; got 'abc'"),
        ("trainer.max_epochs=many", "trainer.max_epochs must be int; got 'many'"),
        ("seed=first", "seed must be int; got 'first'"),
        ("+alpha=8", "alpha is given as mix.alpha=VALUE"),
    ],
)
def test_it_is_refused_before_torch_is_loaded(tmp_path, word, message):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, word], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout.endswith("HEAVY []\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["version", "--version"])
def test_the_version_is_ours(app, monkeypatch, capsys, word):
    monkeypatch.setattr(sys, "argv", ["lightning-mixup", word])
    from lightning_mixup.__main__ import main

    main()
    assert capsys.readouterr().out.startswith(f"lightning-mixup {version('lightning-mixup')} (lightning ")


def test_recipes_and_help_are_words(app, monkeypatch, capsys):
    from lightning_mixup.__main__ import main

    for word in ("recipes", "list"):
        monkeypatch.setattr(sys, "argv", ["lightning-mixup", word])
        main()
        shown = capsys.readouterr().out
        for recipe in Path(__file__).parents[3].glob("recipes/*.yaml"):
            assert f"recipe={recipe.stem} " in shown
    assert spelled_out(["help"]) == ["--help"]
    monkeypatch.setattr(sys, "argv", ["lightning-mixup", "trian"])
    with pytest.raises(SystemExit, match=r"knows no 'trian'.*evaluate PATH, compare SWEEP, resume FOLDER"):
        main()


def test_a_list_may_be_cut_off_by_who_reads_it(tmp_path):
    with started("recipes", cwd=tmp_path) as listing:
        listing.stdout.close()  # before anything is said
        assert listing.stderr.read() == ""
        assert listing.wait(60) == 141


@pytest.mark.parametrize("name", ["epoch=1-step=8", "two words", "[a], {b}", "Grüße 模型", "it's", "1e3"])
def test_paths_are_taken_as_they_are_written(app, tmp_path, name):
    folder = tmp_path / f"in {name}"
    (run,) = app("mix=none", f"hydra.run.dir={folder}")
    assert run == folder
    trained = results(run)["test/nll"]
    ckpt = (run / "checkpoints" / "model.ckpt").rename(run / "checkpoints" / f"{name}.ckpt")
    app("resume", str(folder))  # done, and found
    for number, words in enumerate((["evaluate", str(ckpt), "evaluate=basic"], [f"ckpt={ckpt}"], [f"ckpt={folder}"])):
        judged = tmp_path / f"judged {number} {name}"
        sys.argv = ["lightning-mixup", *words, f"hydra.run.dir={judged}"]
        from lightning_mixup.__main__ import main

        main()
        assert results(judged)["test/nll"] == pytest.approx(trained, rel=1e-5)
        assert results(judged)["ckpt"] == str(ckpt)


def test_several_checkpoints_of_lightning_make_a_sweep(tmp_path):
    paths = [tmp_path / f"epoch={number}.ckpt" for number in (1, 2)]
    for path in paths:
        path.touch()
    assert spelled_out(["-m", "evaluate", f"ckpt={paths[0]},{paths[1]}"])[1] == (
        f"ckpt={quoted(str(paths[0]))},{quoted(str(paths[1]))}"
    )


@pytest.mark.parametrize(
    ("data", "model", "module"),
    [
        ("wine", "MLP", "Classifier"),
        ("breast_cancer", "MLP", "Classifier"),
        ("moons", "MLP", "Classifier"),
        ("diabetes", "MLP", "Regressor"),
        ("digits", "SmallResNet", "Classifier"),
    ],
)
def test_data_choose_a_network_that_suits_them(app, monkeypatch, tmp_path, data, model, module):
    words = [f"data={data}", "trainer.max_epochs=1", "callbacks.progress=null", "hydra.run.dir=run"]
    monkeypatch.setattr(sys, "argv", ["lightning-mixup", *words])
    from lightning_mixup.__main__ import main

    main()
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["model"]["_target_"].endswith(f".{model}")
    assert config["module"]["_target_"].endswith(f".{module}")
    assert results(tmp_path / "run")["seed"] == 0
