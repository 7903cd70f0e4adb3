"""What needs a GPU. Where there is none, the tests say so and are skipped."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule
from support import Spy, make, methods
from test_distributed import launch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, LabelSmoothing, ManifoldMixup

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # Once a process each: of the mode that finds waiting, and of a thread of the backward pass that meets the device.
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning"),
    pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS, but there was no current CUDA context:UserWarning"),
]
ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
BOTH = pytest.mark.parametrize("per_sample", [False, True], ids=["per_batch", "per_sample"])


class NoWaiting(Callback):
    """Makes whatever waits for the device an error, from before the draw until the backward pass is over."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx > 0:  # in the first step, cuDNN and the allocator set up
            torch.cuda.set_sync_debug_mode("error")

    def on_after_backward(self, *args: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, *args: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")


class Quiet(Spy):
    """Keeps nothing: what is kept would have to be looked at."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self(batch[0]), batch[1])


@ALL
@BOTH
def test_no_step_waits_for_the_device(method, per_sample, loader, trainer):
    trainer(NoWaiting(), make(method, per_sample=per_sample), accelerator="cuda", devices=1, max_epochs=2).fit(
        Quiet(), loader
    )


@pytest.mark.parametrize("pairing", ["permutation", "flip", "same_class", "different_class", "memory"])
def test_no_pairing_waits_for_the_device(pairing, loader, trainer):
    mix = CutMix(1.0, pairing=pairing, per_sample=True)
    trainer(NoWaiting(), mix, LabelSmoothing(), accelerator="cuda", devices=1, max_epochs=2).fit(Quiet(), loader)


@ALL
def test_draws_are_those_of_the_cpu(method, images, trainer):
    def draws(accelerator: str) -> list[Any]:
        class Recorder(Callback):
            def on_train_batch_end(self, *args: Any) -> None:
                seen.append(mix.last)

        seen: list[Any] = []
        mix = make(method, seed=3)
        trainer(mix, Recorder(), accelerator=accelerator, devices=1).fit(Spy(), DataLoader(images, batch_size=8))
        return seen

    assert draws("cuda") == draws("cpu")


class Coloured(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 10))
        self.net.to(memory_format=torch.channels_last)
        self.seen: list[Tensor] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.seen.append(batch[0])
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


@ALL
@BOTH
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true"])
def test_precision_and_layout_stay(method, per_sample, precision, trainer):
    x = torch.randn(8, 3, 8, 8).to(memory_format=torch.channels_last)
    loader = DataLoader(
        TensorDataset(x, torch.arange(8)),
        batch_size=4,
        collate_fn=lambda rows: [
            torch.stack([row[0] for row in rows]).to(memory_format=torch.channels_last),
            torch.stack([row[1] for row in rows]),
        ],
    )
    module = Coloured()
    options = {"layers": ["net.0"]} if method is ManifoldMixup else {}
    mix = make(method, per_sample=per_sample, **options)
    trainer(mix, accelerator="cuda", devices=1, precision=precision).fit(module, loader)
    expected = {"bf16-true": torch.bfloat16, "16-true": torch.float16}.get(precision, torch.float32)
    assert {seen.dtype for seen in module.seen} == {expected}
    assert all(seen.is_contiguous(memory_format=torch.channels_last) for seen in module.seen)
    assert all(weight.isfinite().all() for weight in module.parameters())


@BOTH
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch's compiler
def test_generated_code_mixes_as_eager_code(per_sample, images, trainer):
    def weights(compiled: bool) -> Tensor:
        torch.manual_seed(0)
        module = Quiet()
        module.net[4].p = 0.0
        if compiled:
            module.net = torch.compile(module.net)
        trainer(ManifoldMixup(seed=1, per_sample=per_sample), accelerator="cuda", devices=1, max_epochs=2).fit(
            module, DataLoader(images, batch_size=8, drop_last=True)
        )
        return torch.cat([weight.flatten() for weight in module.parameters()]).cpu()

    torch.testing.assert_close(weights(compiled=True), weights(compiled=False), rtol=1e-3, atol=1e-3)


@pytest.mark.ddp
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    "how",
    [
        {"strategy": "ddp"},
        {"strategy": "ddp", "module": "Normalised", "sync_batchnorm": True},
        {"strategy": "fsdp"},
        {"strategy": "fsdp2", "module": "Sharded"},
    ],
    ids=["ddp", "sync_batchnorm", "fsdp", "fsdp2"],
)
def test_strategies(how, precision, tmp_path):
    devices = torch.cuda.device_count()
    run = {"devices": devices, "backend": "nccl", "precision": precision, **how}
    names = [method.__name__ for method in methods()]
    found = launch(tmp_path, [{"name": name, "method": name, **run} for name in names])
    for ranks in found.values():
        assert len(ranks) == devices
        assert len({rank["weights"] for rank in ranks}) == 1 or how["strategy"] == "fsdp"  # where each holds a part
        assert all(rank["norm"] > 0 for rank in ranks)
        assert len({str(rank["draws"]) for rank in ranks}) == devices
