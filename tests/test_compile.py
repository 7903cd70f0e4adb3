"""Under torch.compile mixing stays effective, and nothing of ours is compiled more often than a layer."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import ManifoldMixup, MixCallback, Mixup, RandomChoice, RegMixup

# torch 2.13's own compiler warns of these, as it looks at the tensors and functions that it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace:UserWarning"),
]
LAYERS = ["input", "net.0", "net.1", "net.2"]


class Blocks(nn.Sequential):
    """With a forward of its own: of torch's own classes ``Module.compile`` compiles nothing."""

    def forward(self, x: Tensor) -> Tensor:
        for part in self:
            x = part(x)
        return x


class Net(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = Blocks(*[Blocks(nn.Linear(6, 6), nn.Tanh()) for _ in range(4)], nn.Linear(6, 10))
        self.losses: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self(batch[0]), batch[1])

    def on_before_backward(self, loss: Tensor) -> None:
        self.losses.append(loss.detach().clone())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def network(module: Net, backend: Any) -> Net:
    module.net = torch.compile(module.net, backend=backend)
    return module


def part(module: Net, backend: Any) -> Net:
    module.net[1] = torch.compile(module.net[1], backend=backend)
    return module


def in_place(module: Net, backend: Any) -> Net:
    module.net.compile(backend=backend)
    return module


def whole(module: Net, backend: Any) -> Any:
    return torch.compile(module, backend=backend)


def losses(mix: MixCallback, compiled: Any, backend: Any, trainer: Any, steps: int) -> Tensor:
    torch._dynamo.reset()
    counters.clear()
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(64, 6, generator=generator), torch.randint(0, 10, (64,), generator=generator)
    module = Net()
    fit: Trainer = trainer(mix, max_steps=steps, max_epochs=-1)
    fit.fit(compiled(module, backend) if compiled else module, DataLoader(TensorDataset(x, y), 8))
    return torch.stack(module.losses)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("compiled", [network, in_place])
def test_at_most_one_graph_a_layer_and_no_break(compiled, per_sample, trainer):
    counter = CompileCounter()
    mix = ManifoldMixup(layers=LAYERS, seed=0, per_sample=per_sample)
    got = losses(mix, compiled, counter, trainer, 200)
    assert 1 < counter.frame_count <= len(LAYERS)
    assert not counters["graph_break"]
    torch.testing.assert_close(got, losses(mix, None, None, trainer, 200))


@pytest.mark.parametrize("compiled", [network, part, in_place])
@pytest.mark.parametrize("mix", [ManifoldMixup(layers=LAYERS, seed=0), Mixup(seed=0)], ids=["manifold", "input"])
def test_compiled_equals_eager(compiled, mix, trainer):
    got = losses(mix, compiled, "aot_eager", trainer, 20)
    torch.testing.assert_close(got, losses(mix, None, None, trainer, 20))


@pytest.mark.parametrize("compiled", [network, in_place])
@pytest.mark.parametrize(
    "mix",
    [
        ManifoldMixup(layers=LAYERS, seed=0, pairing="different_class"),
        RegMixup(ManifoldMixup(layers=LAYERS, seed=0)),
        RegMixup(ManifoldMixup(layers=LAYERS, seed=0, pairing="same_class", per_sample=True)),
    ],
    ids=["pairing", "regmixup", "both"],
)
def test_a_shift_for_each_sample_makes_no_more_graphs(mix, compiled, trainer):
    counter = CompileCounter()
    got = losses(mix, compiled, counter, trainer, 60)
    assert 1 < counter.frame_count <= len(LAYERS)
    assert not counters["graph_break"]
    torch.testing.assert_close(got, losses(mix, None, None, trainer, 60))


def test_one_of_several_methods(trainer):
    mix = RandomChoice([Mixup(seed=0), ManifoldMixup(layers=LAYERS, seed=0)])
    counter = CompileCounter()
    got = losses(mix, network, counter, trainer, 60)
    assert counter.frame_count <= len(LAYERS)
    torch.testing.assert_close(got, losses(mix, None, None, trainer, 60))


@pytest.mark.slow
def test_generated_code_equals_eager(trainer):
    mix = ManifoldMixup(layers=LAYERS, seed=0)
    torch.testing.assert_close(
        losses(mix, network, "inductor", trainer, 20), losses(mix, None, None, trainer, 20), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("targets", ["auto", "soft"])
@pytest.mark.parametrize("method", [Mixup, ManifoldMixup])
def test_compiled_lightning_module(method, targets, trainer):
    options = {"layers": LAYERS} if method is ManifoldMixup else {}
    mix = method(1.0, seed=0, targets=targets, num_classes=10, **options)
    got = losses(mix, whole, "eager", trainer, 20)
    torch.testing.assert_close(got, losses(mix, None, None, trainer, 20))


def test_attached_to_a_network_that_ran_compiled_before(trainer):
    """Code that was compiled without a hook ignores it: then the step stops, rather than mix the labels alone."""
    module, mix = network(Net(), "eager"), ManifoldMixup(layers=["net.1"], seed=0)
    module.train()
    module.net(torch.randn(8, 6))
    fit = trainer(mix, max_epochs=1)
    data = DataLoader(TensorDataset(torch.randn(8, 6), torch.arange(8)), 8)
    with pytest.raises(MisconfigurationException, match=r"layer 'net\.1' did not run.*torch\.compiler\.reset"):
        fit.fit(module, data)
    assert fit.global_step == 0
