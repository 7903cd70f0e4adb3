"""What the clocks of a Trainer say, whatever happens to the length of training."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from support import Spy
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from lightning_mixup.callbacks.progress import Moment, lengths, moment
from lightning_mixup.schedules import Linear, Schedule, Step, Window


class Clocks(Callback):
    def __init__(self, *schedules: Schedule) -> None:
        self.schedules, self.moments, self.values, self.lengths = schedules, [], [], None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.lengths = lengths(trainer)

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        now = moment(trainer)
        self.moments.append(now)
        self.values.append([schedule(now) for schedule in self.schedules])

    def progress(self) -> list[float | None]:
        return [now.progress for now in self.moments]


@pytest.fixture
def four(images: TensorDataset) -> DataLoader:
    return DataLoader(images, batch_size=6)  # four batches an epoch


def fit(
    trainer: Any, data: Any, *schedules: Schedule, callbacks: tuple[Callback, ...] = (), **arguments: Any
) -> Clocks:
    clocks = Clocks(*schedules)
    given = {"datamodule": data} if isinstance(data, LightningDataModule) else {"train_dataloaders": data}
    trainer(clocks, *callbacks, **arguments).fit(Spy(), **given)
    return clocks


def test_every_batch_moves_progress_and_the_clocks(four, trainer):
    clocks = fit(trainer, four, max_epochs=3)
    assert clocks.progress() == pytest.approx([batch / 12 for batch in range(12)])
    assert [now.epoch for now in clocks.moments] == pytest.approx([batch / 4 for batch in range(12)])
    assert [now.step for now in clocks.moments] == list(range(12))
    assert clocks.lengths == (3, 12)
    assert {now[3:] for now in clocks.moments} == {(3, 12)}


def test_optimizer_steps_are_the_unit_of_max_steps(four, trainer):
    clocks = fit(trainer, four, max_epochs=-1, max_steps=5, accumulate_grad_batches=2)
    assert [now.step for now in clocks.moments] == [batch // 2 for batch in range(10)]
    assert clocks.progress() == pytest.approx([batch // 2 / 5 for batch in range(10)])
    assert clocks.lengths == (2.5, 5)


def test_the_limit_that_comes_first_counts(four, trainer):
    steps = fit(trainer, four, max_epochs=10, max_steps=6)
    assert steps.progress() == pytest.approx([batch / 6 for batch in range(6)])
    assert steps.lengths == (1.5, 6)
    epochs = fit(trainer, four, max_epochs=2, max_steps=100)
    assert epochs.progress() == pytest.approx([batch / 8 for batch in range(8)])
    assert epochs.lengths == (2, 8)


def test_a_window_in_steps_under_scheduled_accumulation(four, trainer):
    """Four batches a step in the first two epochs, then one."""
    window = Window(1, stop=4, unit="steps")
    scheduler = GradientAccumulationScheduler({0: 4, 2: 1})
    clocks = fit(trainer, four, window, Linear(0, 1), callbacks=(scheduler,), max_epochs=4)
    assert [now.step for now in clocks.moments] == [0] * 4 + [1] * 4 + list(range(2, 10))
    assert [values[0] for values in clocks.values] == [1] * 10 + [0] * 6
    assert [values[1] for values in clocks.values] == pytest.approx([batch / 16 for batch in range(16)])
    assert clocks.lengths == (4, 10)
    limited = fit(
        trainer, four, Linear(0, 1), callbacks=(GradientAccumulationScheduler({0: 4}),), max_epochs=-1, max_steps=3
    )
    assert limited.progress() == pytest.approx([batch // 4 / 3 for batch in range(12)])
    assert limited.lengths == (3, 3)


class Growing(LightningDataModule):
    def __init__(self, images: Dataset, sizes: list[int]) -> None:
        super().__init__()
        self.images, self.sizes, self.epoch = images, sizes, 0

    def train_dataloader(self) -> DataLoader:
        size = self.sizes[min(self.epoch, len(self.sizes) - 1)]
        self.epoch += 1
        return DataLoader(Subset(self.images, range(size)), batch_size=4)


@pytest.mark.parametrize("sizes", [[8, 16, 20], [20, 16, 8]])
def test_data_that_grow_or_shrink_move_no_epoch(sizes, images, trainer):
    schedules = Window(1, stop=2, unit="epochs"), Step([1, 0], [2 / 3])
    clocks = fit(trainer, Growing(images, sizes), *schedules, max_epochs=3, reload_dataloaders_every_n_epochs=1)
    first, second, third = (size // 4 for size in sizes)
    assert len(clocks.moments) == first + second + third
    assert [now.step for now in clocks.moments] == list(range(first + second + third))
    assert clocks.values == [[1, 1]] * (first + second) + [[0, 0]] * third
    assert [now.epoch for now in clocks.moments] == pytest.approx(
        [epoch + batch / count for epoch, count in enumerate((first, second, third)) for batch in range(count)]
    )


class Liar(IterableDataset):
    """Says that it is longer than it is."""

    def __len__(self) -> int:
        return 24

    def __iter__(self) -> Any:
        for _ in range(12):
            yield torch.randn(1, 8, 8), 1


@pytest.mark.filterwarnings("ignore:Your `IterableDataset` has `__len__`")
def test_a_length_that_lies_moves_no_epoch(trainer):
    clocks = fit(trainer, DataLoader(Liar(), 4), Window(1, stop=2, unit="epochs"), max_epochs=3)
    epochs = [int(now.epoch) for now in clocks.moments]
    assert epochs == sorted(epochs)
    assert set(epochs) == {0, 1, 2}
    assert [value for (value,) in clocks.values] == [epoch < 2 for epoch in epochs]


class Unsized(IterableDataset):
    def __iter__(self) -> Any:
        for _ in range(8):
            yield torch.randn(1, 8, 8), 1


def test_without_a_length_epochs_and_steps_are_counted_all_the_same(trainer):
    schedules = Window(1, stop=1, unit="epochs"), Window(1, stop=3, unit="steps")
    clocks = fit(trainer, DataLoader(Unsized(), 4), *schedules, max_epochs=3)
    assert clocks.lengths == (None, None)
    assert clocks.progress() == [None] * 6
    assert clocks.values == [[1, 1]] * 2 + [[0, 1]] + [[0, 0]] * 3
    limited = fit(trainer, DataLoader(Unsized(), 4), max_epochs=-1, max_steps=4)
    assert limited.progress() == [0, 0.25, 0.5, 0.75]
    assert limited.lengths == (None, 4)


def test_a_limit_of_time_has_no_length(four, trainer):
    class Stop(Callback):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            trainer.should_stop = trainer.global_step == 6

    clocks = fit(trainer, four, callbacks=(Stop(),), max_epochs=-1, max_time="00:01:00:00")
    assert clocks.lengths == (None, None)
    assert set(clocks.progress()) == {None}
    assert [now.epoch for now in clocks.moments][:6] == [0, 0.25, 0.5, 0.75, 1, 1.25]


@pytest.mark.parametrize("steps", [4, 6])
def test_a_resumed_run_goes_on_where_it_was(steps, images, trainer, tmp_path):
    loader = DataLoader(images, batch_size=6)
    whole = fit(trainer, loader, max_epochs=4)

    class Save(Callback):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            if trainer.global_step == steps:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    fit(trainer, loader, callbacks=(Save(),), max_epochs=4)
    clocks = Clocks()
    trainer(clocks, max_epochs=4).fit(Spy(), loader, ckpt_path=tmp_path / "middle.ckpt")
    assert clocks.moments == whole.moments[steps:]


def test_more_epochs_than_before_are_other_shares(four, trainer):
    assert fit(trainer, four, max_epochs=1).progress() == [0, 0.25, 0.5, 0.75]
    assert fit(trainer, four, max_epochs=2).moments[4] == Moment(0.5, 1, 4, 2, 8)
