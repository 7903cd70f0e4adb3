"""Compiled networks: which run trains is known there, too, and layers stay few graphs."""

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from lightning_mixup.callbacks.hidden import HiddenLayers
from lightning_mixup.functional import mixup

# torch 2.13's own compiler warns of these, as it looks at the tensors and functions that it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]
CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self, times: int = 1, layer: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.times = layer or nn.Linear(3, 3), times

    def forward(self, x: Tensor) -> Tensor:
        outputs = [self.layer(x + i) for i in range(self.times)]
        return torch.stack([h if isinstance(h, Tensor) else h[0] for h in outputs])


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()


X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("known", [True, False], ids=["compiled before", "compiled by the step"])
def test_one_graph_for_all_draws(known):
    net, counter = Net(), CompileCounter()
    if known:
        net.compile(backend=counter)
    hidden = HiddenLayers(["layer"])
    hidden.attach(net)
    run = net if known else torch.compile(lambda x: net(x), backend=counter)
    for step in range(12):
        lam = step / 13 if step % 2 else torch.tensor(step / 13)
        hidden.arm("layer", 4, lam, 1 + step % 3, CPU)
        torch.testing.assert_close(run(X)[0], mixup(net.layer.forward(X), float(lam), 1 + step % 3))
        hidden.verify()
        hidden.disarm()
    # The first step that compiles by itself does so with numbers.
    assert counter.frame_count == (1 if known else 2)


def test_pseudo_labels_and_training_are_two_graphs():
    net, counter = Net(), CompileCounter()
    net.compile(backend=counter)
    hidden = HiddenLayers(["layer"])
    hidden.attach(net)
    for step in range(6):
        hidden.arm("layer", 4, step / 7, 1, CPU)
        with torch.no_grad():
            torch.testing.assert_close(net(X)[0], net.layer.forward(X))
        torch.testing.assert_close(net(X)[0], mixup(net.layer.forward(X), step / 7, 1))
        hidden.verify()
        hidden.disarm()
    assert counter.frame_count == 2


@pytest.mark.parametrize("run", [0, 1, "all"])
def test_runs_are_counted(run):
    net, counter = Net(times=2), CompileCounter()
    net.compile(backend=counter)
    hidden = HiddenLayers(["layer"], run=run)
    hidden.attach(net)
    for step in range(6):
        hidden.arm("layer", 4, step / 7, 1, CPU)
        for at, h in enumerate(net(X)):
            clean = net.layer.forward(X + at)
            torch.testing.assert_close(h, mixup(clean, step / 7, 1) if run in (at, "all") else clean)
        hidden.verify()
    assert counter.frame_count == 1


def test_two_runs_are_ambiguous():
    net = Net(times=2)
    net.compile(backend="eager")
    hidden = HiddenLayers(["layer"])
    hidden.attach(net)
    hidden.arm("layer", 4, 0.5, 1, CPU)
    net(X)
    with pytest.raises(MisconfigurationException, match="runs more than once while it trains"):
        hidden.verify()


class Two(nn.Module):
    """Returns two states of time first."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.one(x), self.one(x) + 1


def test_tuples_and_orders():
    net, counter = Net(layer=Two()), CompileCounter()
    net.compile(backend=counter)
    hidden = HiddenLayers({"layer": "t b"})
    hidden.attach(net)
    x = torch.randn(5, 4, 3)
    for step in range(4):
        hidden.arm("layer", 4, step / 7, 1, CPU)
        clean = net.layer.one(x).transpose(0, 1)
        torch.testing.assert_close(net(x)[0], mixup(clean, step / 7, 1).transpose(0, 1))
        hidden.verify()
    assert counter.frame_count == 1
