import sys
from pathlib import Path

import pytest
import torch
from application import FAST, in_this_process

from lightning_mixup import CutMix, ManifoldMixup, Mixup, RandomChoice
from lightning_mixup.__main__ import main
from lightning_mixup.lab.app.preview import schedules_of
from lightning_mixup.schedules import Constant, Cosine, Linear

WITH_PREVIEW = ["callbacks=[default,preview]", "callbacks.preview.batches=3", "callbacks.preview.samples=2"]


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.png"))}


@pytest.mark.parametrize("mix", ["mix=mixup", "mix=cutmix mix.per_sample=true", "mix=manifold_mixup mix.prob=0.5"])
def test_it_shows_what_training_will_do(app, tmp_path, capsys, mix):
    # More batches than an epoch has, so that the order of the second depends on all that has happened in the first.
    options = [
        *mix.split(),
        "callbacks.preview.every_n_epochs=1",
        "data.batch_size=24",
        "trainer.max_epochs=3",
        "seed=3",
    ]
    (trained,) = app(*WITH_PREVIEW, *options)
    capsys.readouterr()
    assert app(*WITH_PREVIEW, *options, "preview=4") == []
    previewed = pictures(next(path for path in tmp_path.glob("outputs/*/*") if path != trained))
    assert len(previewed) == 4
    assert previewed.items() <= pictures(trained).items()
    assert {name[:9] for name in previewed} > {"epoch_000"}


def test_it_tells_what_it_has_seen_and_trains_nothing(app, tmp_path, capsys):
    app("mix=manifold_mixup", "preview=true", "data.batch_size=8")
    (folder,) = tmp_path.glob("outputs/*/*")
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["config.yaml", "lightning-mixup.log", "mix_preview"]
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if "│" in line and "ManifoldMixup" in line]
    assert len(lines) == 4
    assert all("input" in line or "network.stage" in line for line in lines)
    paths = [Path(line) for line in shown.splitlines() if line.endswith(".png")]
    assert [path.name for path in paths] == [f"epoch_000_batch_000{batch}.png" for batch in range(4)]
    assert all(path.is_file() for path in paths)


def test_every_schedule_is_plotted_over_training(app, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("lightning_mixup.lab.app.preview.plot", lambda *arguments: asked.append(arguments))
    app(
        "preview=1",
        "+schedule@mix.prob=cosine",
        "+schedule@mix.alpha=linear",
        "mix.alpha.end=2",
        "trainer.max_epochs=3",
    )
    (folder,) = tmp_path.glob("outputs/*/*")
    ((schedules, path, epochs, steps),) = asked
    assert schedules == {"alpha": Linear(1, 2), "prob": Cosine(1, 0)}
    assert (path, epochs, steps) == (folder / "schedules.png", 3, 6)
    assert str(path) in capsys.readouterr().out


def test_a_schedule_that_needs_a_length_finds_it(app, tmp_path):
    app("preview=1", "+schedule@mix.prob=window", "mix.prob.stop=5", "mix.prob.unit=epochs", "trainer.max_epochs=9")
    assert list(tmp_path.rglob("schedules.png"))


def test_schedules_of_chosen_methods_are_found():
    mix = RandomChoice(
        [Mixup(alpha=Linear(0, 1)), CutMix(prob=0.5), ManifoldMixup(prob=Cosine(0, 1))], [1, 2, Constant(1)]
    )
    assert dict(schedules_of(mix)) == {
        "methods[0].alpha": Linear(0, 1),
        "methods[2].prob": Cosine(0, 1),
        "weights[2]": Constant(1),
    }
    assert not dict(schedules_of(Mixup(alpha=0.3)))


def test_batches_that_are_left_alone_are_counted(app, tmp_path, capsys):
    app("preview=3", "mix.prob=0", "trainer.max_epochs=2")
    assert "Of the first 4 batches 0 are mixed" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.png"))


def test_a_distributed_run_is_shown_by_one_process(app, tmp_path):
    app("preview=1", "trainer=ddp_cpu")
    assert len(list(tmp_path.rglob("*.png"))) == 1
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mix=none"], "preview shows what is mixed, and this run mixes nothing; choose a method"),
        (["ckpt=model.ckpt"], "give one of the two"),
        (["preview=yes"], "preview must be true, false or a number of batches, at least 1; got 'yes'"),
        (["preview=-1"], "got -1"),
        (["preview=1.5"], "got 1.5"),
    ],
)
def test_what_cannot_be_shown_is_refused(app, monkeypatch, words, message):
    monkeypatch.setattr(sys, "argv", ["lightning-mixup", *FAST, "preview=true", *words])
    with pytest.raises(SystemExit) as raised:
        main()
    assert message in str(raised.value)


def test_an_error_of_the_run_is_not_hidden(app, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lightning-mixup", *FAST, "preview=true", "mix.input_key=image"])
    with pytest.raises(SystemExit) as raised:
        main()
    assert "Name the right one with input_key" in str(raised.value)
