"""Draws are made for several steps at once where that changes nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, FMix, ManifoldMixup, Mixup, RandomChoice, RegMixup
from lightning_mixup.callbacks.mixup import Blend
from lightning_mixup.functional.sampling import Stream, sample_lam
from lightning_mixup.schedules import Linear

COUNT, SIZE = 83, 8
IMAGES = torch.rand(COUNT, 1, 4, 4, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(IMAGES, torch.arange(COUNT) % 3)  # ten batches, and a smaller one

NET = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(16, 4), nn.Linear(4, 3)

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.last(self.first(batch[0].flatten(1)).relu()), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


class Notes(Callback):
    """Notes each batch with its draw."""

    def __init__(self, mix):
        self.mix, self.taken = mix, []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.taken.append((*batch, self.mix.last))


METHODS = {
    "Mixup": lambda: Mixup(1.0, seed=7),
    "Mixup, per sample": lambda: Mixup(1.0, prob=0.7, per_sample=True, seed=7),
    "Mixup, sampled": lambda: Mixup(1.0, targets="sampled", pairing="permutation", seed=7),
    "Mixup, same class": lambda: Mixup(1.0, pairing="same_class", seed=7),
    "Mixup, in place": lambda: Mixup(1.0, inplace=True, seed=7),
    "CutMix": lambda: CutMix(1.0, prob=0.5, seed=7),
    "CutMix, per sample": lambda: CutMix(1.0, per_sample=True, seed=7),
    "FMix": lambda: FMix(1.0, seed=7),
    "ManifoldMixup": lambda: ManifoldMixup(1.0, layers=["first", "input"], seed=7),
    "RandomChoice": lambda: RandomChoice([Mixup(1.0, seed=7), CutMix(1.0, seed=7)]),
    "RegMixup": lambda: RegMixup(Mixup(1.0, seed=7)),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_step_has_the_draw_that_it_has_by_itself(name, trainer):
    mix = METHODS[name]()
    notes, module = Notes(mix), Module()
    trainer(mix, notes, max_epochs=2).fit(module, DataLoader(DATA, SIZE))
    assert len({repr(draw) for *_, draw in notes.taken}) > 8
    alone = METHODS[name]()
    alone.attach(module)
    for step, (x, y, draw) in enumerate(notes.taken):
        assert alone.draw(Stream(7, 0).at(step), [x], 0.0, [y]) == draw
    alone.detach()


def test_a_step_that_is_taken_out_of_order_has_its_own_draw():
    alone, mix, batch = Mixup(1.0, seed=7), Mixup(1.0, seed=7), (IMAGES[:SIZE], torch.arange(SIZE) % 3)
    for step in (0, 1, 2, 9, 10, 3, 3, 4, 30, 5):
        with mix.step(batch, step=step) as (x, y):
            F.cross_entropy(NET(x), y).backward()
            drawn = mix.last
        assert drawn == alone.draw(Stream(7, 0).at(step), [batch[0]])


def test_ranks_in_one_loop_draw_their_own():
    mix, batch = Mixup(1.0, seed=7), (IMAGES[:SIZE], torch.arange(SIZE) % 3)
    for step in range(4):
        for rank in (0, 1):
            with mix.step(batch, step=step, rank=rank) as (x, y):
                F.cross_entropy(NET(x), y).backward()
                drawn = mix.last
            assert drawn == mix.draw(Stream(7, rank).at(step), [batch[0]])


def test_a_schedule_is_asked_in_every_step(trainer):
    mix = Mixup(Linear(0.5, 2.0), seed=7)
    notes = Notes(mix)
    trainer(mix, notes).fit(Module(), DataLoader(DATA, SIZE))
    alphas = [draw.values["alpha"] for *_, draw in notes.taken]
    assert alphas == sorted(set(alphas))
    assert len(alphas) == 11


def test_a_method_that_looks_at_its_inputs_sees_each_batch(trainer):
    class Brighter(Mixup):
        def decide(self, rng, count, inputs, values):
            return Blend(float(inputs[0].mean()))

    mix = Brighter(seed=7)
    notes = Notes(mix)
    trainer(mix, notes, max_epochs=2).fit(Module(), DataLoader(DATA, SIZE))
    assert [draw.lam for *_, draw in notes.taken] == [float(x.mean()) for x, *_ in notes.taken]


def test_a_method_may_say_that_shapes_are_all_it_looks_at():
    calls = []

    class Noted(Mixup):
        by_shapes = True

        def decide(self, rng, count, inputs, values):
            calls.append(len(calls))
            return Blend(sample_lam(rng, values["alpha"], count))

    for mix, at_once in ((Noted(1.0, seed=7), 16), (Noted(Linear(0, 1), seed=7), 1)):
        made = []
        for step in range(4):
            with mix.step((IMAGES[:SIZE], torch.arange(SIZE) % 3), step=step) as (x, y):
                F.cross_entropy(NET(x), y).backward()
            made.append(len(calls))
            if step == 1:
                calls.clear()
        assert made[2:] == ([0, 0] if at_once > 1 else [1, 2])


LOOKS = {
    "mean": lambda x: float(x.mean()),
    "numpy": lambda x: x.numpy().mean(),
    "truth": lambda x: 0.5 if x.any() else 0.1,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_method_that_says_so_and_looks_at_numbers_is_refused_in_its_first_step(look, trainer):
    class Brighter(Mixup):
        by_shapes = True

        def decide(self, rng, count, inputs, values):
            return Blend(look(inputs[0]))

    with pytest.raises(MisconfigurationException, match=r"Brighter: decide.* leave by_shapes out of the class"):
        trainer(Brighter(seed=7)).fit(Module(), DataLoader(DATA, SIZE))

    class Cured(Brighter):
        def decide(self, rng, count, inputs, values):
            return Blend(float(look(inputs[0])))

    trainer(Cured(seed=7)).fit(Module(), DataLoader(DATA, SIZE))


def test_an_error_of_a_method_is_its_own():
    class Other(Mixup):
        by_shapes = True

        def decide(self, rng, count, inputs, values):
            raise RuntimeError("out of paper")

    batch = IMAGES[:SIZE], torch.arange(SIZE) % 3
    with pytest.raises(RuntimeError, match=r"^out of paper$"), Other(seed=7).step(batch, step=0):
        pass


@pytest.mark.parametrize("argument", ["step", "rank"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", None, 2**64])
def test_steps_and_ranks_are_whole_numbers(argument, value):
    batch = IMAGES[:SIZE], torch.arange(SIZE) % 3
    with (
        pytest.raises(ValueError, match=f"^Mixup: {argument} must be a whole number of at least 0: the "),
        Mixup(seed=7).step(batch, **{"step": 0, argument: value}),
    ):
        pass


@pytest.mark.parametrize("step", [torch.tensor(3), np.int64(3), np.array(3)])
def test_a_number_of_numpy_or_torch_is_a_step(step):
    mix, batch = Mixup(1.0, seed=7), (IMAGES[:SIZE], torch.arange(SIZE) % 3)
    with mix.step(batch, step=step) as (x, y):
        F.cross_entropy(NET(x), y).backward()
    assert mix.last == mix.draw(Stream(7, 0).at(3), [batch[0]])
