"""Whatever goes wrong, nothing of ours is left behind, and the run can go on."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import OnExceptionCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from support import Spy, make, methods
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_mixup import CutMix, ManifoldMixup, Mixup, RandomChoice

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)


def interrupt() -> None:
    raise KeyboardInterrupt


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def run_out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


class Faulty(Spy):
    fault: Any = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        if batch_idx == 1 and self.fault:
            self.fault()
        return loss


class FaultyNeighbour(Callback):
    def __init__(self, hook: str) -> None:
        self.hook = hook
        setattr(self, hook, self.fail)

    def fail(self, *args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError(self.hook)


def untouched(module: nn.Module) -> bool:
    parts = list(module.modules())
    return "training_step" not in module.__dict__ and not any(
        part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__ for part in parts
    )


@ALL
@pytest.mark.parametrize(
    ("fault", "error"),
    [(interrupt, SystemExit), (terminate, SIGTERMException), (run_out_of_memory, torch.OutOfMemoryError)],
    ids=["Ctrl-C", "SIGTERM", "out of memory"],
)
def test_a_fault_in_the_step(method, fault, error, loader, trainer):
    module, mix = Faulty(), make(method)
    module.fault = fault
    with pytest.raises(error):
        trainer(mix).fit(module, loader)
    assert untouched(module)
    module.fault = None
    trainer(mix).fit(module, loader)
    assert untouched(module)


@ALL
@pytest.mark.parametrize(
    "hook", ["on_fit_start", "on_train_batch_start", "on_before_backward", "on_train_batch_end", "on_train_epoch_end"]
)
@pytest.mark.parametrize("first", [False, True])
def test_a_fault_in_another_callback(method, hook, first, spy, loader, trainer):
    mix, neighbour = make(method), FaultyNeighbour(hook)
    with pytest.raises(ZeroDivisionError):
        trainer(*((neighbour, mix) if first else (mix, neighbour))).fit(spy, loader)
    assert untouched(spy)
    trainer(mix).fit(spy, loader)


@ALL
@pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning warns of its own OnExceptionCheckpoint
def test_the_checkpoint_of_an_exception_resumes(method, images, trainer, tmp_path):
    loader = DataLoader(images, batch_size=11)
    module, mix = Faulty(), make(method)
    module.fault = run_out_of_memory
    with pytest.raises(torch.OutOfMemoryError):
        trainer(mix, OnExceptionCheckpoint(tmp_path), enable_checkpointing=True).fit(module, loader)
    module, mix = Faulty(), make(method)
    resumed = trainer(mix, max_epochs=2)
    resumed.fit(module, loader, ckpt_path=tmp_path / "on_exception.ckpt")
    assert resumed.current_epoch == 2


@ALL
def test_equal_by_arguments_before_during_and_after_a_fit(method, spy, loader, trainer):
    mix, equal, other = make(method), make(method), make(method, prob=0.5)
    copies = []

    class Copy(Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            copies.extend([copy.deepcopy(mix), pickle.loads(pickle.dumps(mix))])

    trainer(mix, Copy(), max_steps=2).fit(spy, loader)
    copies.extend([copy.deepcopy(mix), pickle.loads(pickle.dumps(mix))])
    assert len(copies) == 6
    for twin in (equal, *copies):
        assert twin == mix
        assert hash(twin) == hash(mix)
        assert repr(twin) == repr(mix)
    assert mix != other


@pytest.mark.parametrize(
    ("mix", "shown"),
    [
        (Mixup(), "Mixup()"),
        (CutMix(0.5, per_sample=True, input_key="x"), "CutMix(alpha=0.5, per_sample=True, input_key=('x',))"),
        (
            RandomChoice([Mixup(0.8), ManifoldMixup(layers=["a"])], [1, 3]),
            "RandomChoice(methods=(Mixup(alpha=0.8), ManifoldMixup(layers=('a',))), weights=(1, 3))",
        ),
    ],
)
def test_printed_as_constructed(mix, shown):
    assert repr(mix) == shown
    assert eval(shown) == mix


@ALL
def test_nothing_piles_up(method, trainer):
    class Tiny(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 10))
            self.objects: list[int] = []

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            if batch_idx in (500, 1_500):
                gc.collect()
                self.objects.append(len(gc.get_objects()))
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    module = Tiny()
    loader = DataLoader(range(1_501), collate_fn=lambda _: [torch.randn(4, 1, 2, 2), torch.arange(4)])
    free = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "log_every_n_steps"))
    trainer(make(method), barebones=True, **free).fit(module, loader)
    before, after = module.objects
    assert after - before < 50


@pytest.mark.slow
def test_killed_and_resumed_it_ends_the_same():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--kills", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed and resumed 2 times; weights equal: True" in done.stdout
