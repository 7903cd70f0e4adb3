"""Strengths that change in the course of training."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, seed_everything
from lightning.pytorch.cli import LightningCLI
from support import Spy, make, methods, takes
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lightning_mixup import CutMix, MixCallback, Mixup, RandomChoice
from lightning_mixup.schedules import Linear, Step, Window

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)


class Record(Callback):
    def __init__(self, mix: MixCallback) -> None:
        self.mix, self.draws, self.logged = mix, [], []

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.draws.append(self.mix.last)
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.fixture
def four(images: TensorDataset) -> DataLoader:
    return DataLoader(images, batch_size=6)  # four batches an epoch


@ALL
def test_values_follow_progress_and_are_logged(method, spy, four, trainer):
    strength = {"alpha": Linear(2, 0)} if takes(method, "alpha") else {}
    mix = make(method, prob=Linear(0, 1), seed=0, **strength)
    record = Record(mix)
    trainer(mix, record, max_epochs=5).fit(spy, four)
    expected = [step / 20 for step in range(20)]
    assert [draw.values["prob"] for draw in record.draws] == pytest.approx(expected)
    if strength:
        assert [draw.values["alpha"] for draw in record.draws] == pytest.approx([2 - 2 * value for value in expected])
    if method is not RandomChoice:
        assert [logged["mix/prob"] for logged in record.logged] == pytest.approx(expected)
    if strength and method is not RandomChoice:
        assert [logged["mix/alpha"] for logged in record.logged] == pytest.approx([2 - 2 * value for value in expected])


@ALL
def test_off_for_the_last_part(method, spy, four, trainer):
    mix = make(method, prob=Window(1.0, stop=0.5), seed=0)
    record = Record(mix)
    trainer(mix, record, max_epochs=4).fit(spy, four)
    assert [draw.method is not None for draw in record.draws] == [True] * 8 + [False] * 8


@pytest.mark.parametrize(
    ("schedule", "arguments"),
    [
        (Window(1.0, stop=2, unit="epochs"), {"max_epochs": 4}),
        (Window(1.0, stop=8, unit="steps"), {"max_epochs": 4}),
        (Window(1.0, stop=8, unit="steps"), {"max_steps": 16, "max_epochs": -1}),
        (Window(1.0, stop=4, unit="steps"), {"max_steps": 8, "max_epochs": -1, "accumulate_grad_batches": 2}),
        (Window(1.0, stop=2, unit="epochs"), {"max_steps": 16, "max_epochs": 100}),
    ],
)
def test_epochs_and_steps_are_counted_as_the_trainer_does(schedule, arguments, spy, four, trainer):
    mix = Mixup(prob=schedule, seed=0)
    record = Record(mix)
    trainer(mix, record, **arguments).fit(spy, four)
    assert [draw.method is not None for draw in record.draws] == [True] * 8 + [False] * 8


@ALL
def test_every_fit_has_a_length_of_its_own(method, spy, four, trainer):
    mix = make(method, prob=Window(1.0, stop=1, unit="epochs"), seed=0)
    for epochs in (4, 2):
        record = Record(mix)
        trainer(mix, record, max_epochs=epochs).fit(spy, four)
        assert [draw.method is not None for draw in record.draws] == [True] * 4 + [False] * 4 * (epochs - 1)


def test_progress_counts_steps_if_an_epoch_ends_in_mid_accumulation(spy, images, trainer):
    mix = Mixup(prob=Linear(0, 1), seed=0)
    record = Record(mix)
    five = DataLoader(images, batch_size=5)  # three steps of two, two and one batch
    trainer(mix, record, max_steps=6, max_epochs=-1, accumulate_grad_batches=2).fit(spy, five)
    assert [draw.values["prob"] for draw in record.draws] == pytest.approx(
        [step / 6 for step in (0, 0, 1, 1, 2, 3, 3, 4, 4, 5)]
    )


def test_nothing_is_mixed_while_all_weights_are_0(spy, four, trainer):
    mix = RandomChoice([Mixup(1.0, seed=0), CutMix(seed=0)], weights=[Window(1, stop=0.25), Window(1, start=0.5)])
    record = Record(mix)
    trainer(mix, record, max_epochs=4).fit(spy, four)
    assert [draw.method and type(draw.method) for draw in record.draws] == [Mixup] * 4 + [None] * 4 + [CutMix] * 8


class Endless(IterableDataset):
    def __iter__(self) -> Any:
        while True:
            yield torch.randn(1, 8, 8), 1


@pytest.mark.parametrize(
    ("data", "arguments"), [("four", {"max_epochs": -1, "max_time": "00:00:01:00"}), ("endless", {"max_epochs": 2})]
)
def test_training_of_unknown_length_is_refused(data, arguments, spy, four, trainer):
    loader = four if data == "four" else DataLoader(Endless(), 4)
    fit = trainer(Mixup(prob=Linear(1, 0)), **arguments)
    with pytest.raises(MisconfigurationException, match=r"Mixup: .*length of training.*unknown"):
        fit.fit(spy, loader)
    assert fit.global_step == 0


def test_of_known_length_although_the_data_is_endless(spy, trainer):
    mix = Mixup(prob=Linear(1, 0), seed=0)
    record = Record(mix)
    trainer(mix, record, max_steps=4, max_epochs=-1).fit(spy, DataLoader(Endless(), 4))
    assert [draw.values["prob"] for draw in record.draws] == [1, 0.75, 0.5, 0.25]


@ALL
def test_values_out_of_range_stop_before_the_first_step(method, spy, four, trainer):
    fit = trainer(make(method, prob=Linear(0.5, 2)))
    with pytest.raises(MisconfigurationException, match=r"prob must stay in \[0, 1\].* at progress 0.3"):
        fit.fit(spy, four)
    assert fit.global_step == 0


def test_functions_are_schedules(spy, four, trainer):
    mix = Mixup(prob=math.sqrt, seed=0)
    record = Record(mix)
    trainer(mix, record).fit(spy, four)
    assert [draw.values["prob"] for draw in record.draws] == pytest.approx([0, 0.5, 0.5**0.5, 0.75**0.5])


def test_weights_of_a_choice(spy, four, trainer):
    mix = RandomChoice([Mixup(1.0, seed=0), CutMix(seed=0)], weights=[Step([1, 0], [0.5]), Step([0, 1], [0.5])])
    record = Record(mix)
    trainer(mix, record, max_epochs=4).fit(spy, four)
    assert [type(draw.method) for draw in record.draws] == [Mixup] * 8 + [CutMix] * 8


def test_choice_has_the_given_frequencies():
    mix = RandomChoice([Mixup(1.0), CutMix(1.0)], weights=[1, 3])
    inputs = [torch.zeros(4, 1, 8, 8)]
    drawn = [type(mix.draw(np.random.default_rng(step), inputs, 0.0).method) for step in range(2_000)]
    assert drawn.count(CutMix) / 2_000 == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, math.inf], [1, "a"]])
def test_weights_are_checked(weights):
    with pytest.raises(ValueError, match=r"RandomChoice: weights must be .*, got"):
        RandomChoice([Mixup(), CutMix()], weights=weights)


class Save(Callback):
    def __init__(self, path: Any) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 6:
            trainer.save_checkpoint(self.path)


@ALL
def test_resumes_in_mid_schedule(method, images, trainer, tmp_path):
    def run(*others: Callback, ckpt: Any = None) -> list[Any]:
        seed_everything(4, verbose=False)
        mix = make(method, prob=Linear(1, 0.2))
        record = Record(mix)
        trainer(mix, record, *others, max_epochs=4).fit(Spy(), DataLoader(images, batch_size=6), ckpt_path=ckpt)
        return [(draw.values["prob"], np.asarray(draw.shift).tolist(), np.mean(draw.lam)) for draw in record.draws]

    whole = run(Save(tmp_path / "in_mid_epoch.ckpt"))
    assert run(ckpt=tmp_path / "in_mid_epoch.ckpt") == whole[6:]


@pytest.mark.filterwarnings("ignore")  # between Lightning 2.6.6 and jsonargparse
@pytest.mark.parametrize(
    "arguments",
    [
        ["--trainer.callbacks=lightning_mixup.Mixup", "--trainer.callbacks.alpha=0.4"],
        [
            "--trainer.callbacks=lightning_mixup.Mixup",
            "--trainer.callbacks.alpha=0.4",
            "--trainer.callbacks.prob=lightning_mixup.schedules.Linear",
            "--trainer.callbacks.prob.start=1",
            "--trainer.callbacks.prob.end=0",
        ],
    ],
    ids=["number", "schedule"],
)
def test_from_the_command_line_of_lightning(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])

    class Module(LightningModule):
        pass

    cli = LightningCLI(Module, run=False, save_config_callback=None, args=[*arguments, "--trainer.accelerator=cpu"])
    mix = next(callback for callback in cli.trainer.callbacks if isinstance(callback, MixCallback))
    assert mix == Mixup(0.4, prob=Linear(1, 0) if len(arguments) > 2 else 1.0)
