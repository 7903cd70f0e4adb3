"""Runs that are cut in two, and checkpoints that meet another set of callbacks."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from support import Spy, make, methods
from torch.utils.data import DataLoader

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)


class Resumable(DataLoader):
    """Goes on in mid-epoch, in the order of that epoch, as loaders with a state do."""

    epoch = done = 0

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(len(self.dataset), generator=torch.Generator().manual_seed(self.epoch)).tolist()
        for index in range(self.done, len(self)):
            # Before the batch goes out: nobody asks for one more than there are.
            self.epoch, self.done = self.epoch + (index + 1) // len(self), (index + 1) % len(self)
            yield self.collate_fn([self.dataset[i] for i in order[index * self.batch_size :][: self.batch_size]])

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.done = state["epoch"], state["done"]


class Recorder(Callback):
    """Remembers draws, and saves a checkpoint after some steps."""

    def __init__(self, mix: Any, at: int | None = None, path: Any = None) -> None:
        self.mix, self.at, self.path, self.draws = mix, at, path, []

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.draws.append(str(self.mix.last))
        if trainer.global_step == self.at:
            trainer.save_checkpoint(self.path)


class Momentum(Spy):
    """Without dropout, whose random numbers no checkpoint of Lightning keeps; with a state of the optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.net[4].p = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.05, momentum=0.9)


@pytest.fixture
def run(images, trainer, tmp_path):
    """Train for ten steps or fewer, five to an epoch; gives the weights and the draws."""

    def fit(mix: Any, steps: int = 10, save: int | None = None, **kwargs: Any) -> tuple[list[torch.Tensor], list[str]]:
        seed_everything(4, verbose=False)
        module = Momentum()
        recorder = Recorder(mix, save, tmp_path / "cut.ckpt")
        trainer(mix, recorder, max_steps=steps, max_epochs=2).fit(module, Resumable(images, 5), **kwargs)
        return [weight.detach().clone() for weight in module.parameters()], recorder.draws

    return fit


@ALL
@pytest.mark.parametrize("per_sample", [False, True], ids=["per_batch", "per_sample"])
@pytest.mark.parametrize("cut", [2, 5, 8], ids=["mid-epoch", "end of an epoch", "second epoch"])
def test_cut_in_two_it_ends_the_same(method, per_sample, cut, run, tmp_path):
    whole, draws = run(make(method, per_sample=per_sample), save=cut)
    torch.load(tmp_path / "cut.ckpt", weights_only=True)
    resumed, rest = run(make(method, per_sample=per_sample), ckpt_path=tmp_path / "cut.ckpt")
    assert rest == draws[cut:]
    assert all(torch.equal(first, second) for first, second in zip(whole, resumed, strict=True))


@ALL
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
def test_a_checkpoint_needs_the_callback_neither_when_written_nor_when_read(method, images, trainer, tmp_path):
    def fit(*callbacks: Callback, **kwargs: Any) -> int:
        fitted = trainer(*callbacks, max_epochs=2)
        fitted.fit(Momentum(), DataLoader(images, 5), **kwargs)
        fitted.save_checkpoint(tmp_path / f"{len(callbacks)}.ckpt")
        return fitted.global_step

    for callbacks in ([make(method, seed=1)], []):
        fit(*callbacks)
    mix = make(method)
    first = fit(mix, ckpt_path=tmp_path / "0.ckpt")
    second = fit(ckpt_path=tmp_path / "1.ckpt")
    assert first == second == 10
