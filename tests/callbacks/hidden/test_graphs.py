"""Graphs: a batch of nodes of all graphs, without an input that has a row for each sample."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_mixup import ManifoldMixup, RandomChoice
from lightning_mixup.functional import mixup


@dataclasses.dataclass
class Graphs:
    """Like a batch of graph libraries: nodes of all graphs, and which graph each belongs to."""

    x: Tensor
    batch: Tensor
    y: Tensor


class Pool(nn.Module):
    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        return torch.zeros(int(batch.max()) + 1, x.shape[1]).index_add(0, batch, x)


class Molecules(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.head = nn.Linear(3, 5), Pool(), nn.Linear(5, 2)

    def training_step(self, batch: Graphs, batch_idx: int) -> Tensor:
        assert isinstance(batch, Graphs)
        h = self.conv(batch.x)
        pooled = self.pool(h, batch.batch)
        self.kept = Pool()(h, batch.batch), pooled
        self.loss = F.cross_entropy(self.head(pooled), batch.y)
        return self.loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


@pytest.fixture
def graphs() -> DataLoader:
    nodes = torch.arange(4).repeat_interleave(torch.tensor([2, 1, 3, 4]))
    return DataLoader([Graphs(torch.randn(10, 3), nodes, torch.tensor([0, 1, 1, 0]))], batch_size=None)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("wrap", [lambda mix: mix, lambda mix: RandomChoice([mix])], ids=["alone", "chosen"])
def test_pooled_graphs_are_mixed(wrap, per_sample, graphs, trainer):
    module = Molecules()
    part = ManifoldMixup(1.0, layers=["pool"], input_key=None, target_key="y", seed=0, per_sample=per_sample)
    mix = wrap(part)
    trainer(mix).fit(module, graphs)
    clean, pooled = module.kept
    lam, shift = mix.last.lam, mix.last.shift
    torch.testing.assert_close(pooled, mixup(clean, lam, shift))
    y = next(iter(graphs)).y
    scores, lam = module.head(pooled), torch.as_tensor(lam, dtype=torch.float32)
    losses = [F.cross_entropy(scores, labels, reduction="none") for labels in (y, y.roll(-shift))]
    torch.testing.assert_close(module.loss.detach(), (lam * losses[0] + (1 - lam) * losses[1]).mean().detach())


def test_nodes_are_no_samples(graphs, trainer):
    with pytest.raises(ValueError, match=r"layer 'conv' returned shape \(10, 5\), .* not the batch of 4"):
        trainer(ManifoldMixup(layers=["conv"], input_key=None, target_key="y")).fit(Molecules(), graphs)


@pytest.mark.parametrize("layers", [["input"], ["pool", "input + pool"]])
def test_an_input_cannot_be_named_as_well(layers, graphs, trainer):
    with pytest.raises(MisconfigurationException, match=r"layers may not name the input, for input_key=None"):
        trainer(ManifoldMixup(layers=layers, input_key=None, target_key="y")).fit(Molecules(), graphs)


def test_by_default_the_input_is_left_out(graphs, trainer):
    mix = ManifoldMixup(input_key=None, target_key="y")
    with pytest.raises(ValueError, match="'conv' returned shape"):
        trainer(mix).fit(Molecules(), graphs)
    assert mix.eligible == ("conv",)


def test_targets_are_needed_to_count_samples():
    with pytest.raises(ValueError, match=r"target_key must be .*if input_key is None, got None"):
        ManifoldMixup(layers=["pool"], input_key=None, target_key=None)
