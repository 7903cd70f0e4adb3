"""Where to mix if nobody says: in what trains, and where all samples pass."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import ManifoldMixup
from lightning_mixup.callbacks.manifold_mixup import default_layers


def mlp(*sizes: int) -> nn.Sequential:
    layers = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class Module(LightningModule):
    """A student of 4 numbers and 3 classes, optimised without what is called a copy."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def logits(self, batch: Any) -> Tensor:
        return self.student(batch[0])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.logits(batch), batch[-1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [weight for name, weight in self.named_parameters() if not name.startswith("copy")]
        return torch.optim.SGD(trained, 0.1)


X, Y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3


def fit(module: LightningModule, trainer: Any, *data: Tensor, **kwargs: Any) -> ManifoldMixup:
    mix = ManifoldMixup(1.0, seed=0, **kwargs)
    trainer(mix).fit(module, DataLoader(TensorDataset(*(data or (X, Y))), 4))
    return mix


def test_a_frozen_teacher_is_passed_over(trainer):
    module = Module(teacher=mlp(4, 8, 3).requires_grad_(False), student=mlp(4, 8, 3))
    assert default_layers(module) == ("input", "student.0")
    assert fit(module, trainer).eligible == ("input", "student.0")


def test_averages_are_passed_over(trainer):
    student = mlp(4, 8, 8, 3)
    module = Module(average=AveragedModel(student), copy=mlp(4, 8, 3), student=student)
    assert fit(module, trainer).eligible == ("input", "student.0", "student.2")


def test_frozen_words_of_a_teacher_are_not_the_embedding():
    def words() -> nn.Module:
        return nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 2))

    frozen = nn.Sequential(nn.Embedding(9, 4).requires_grad_(False), nn.Linear(4, 4), nn.Linear(4, 2))
    pair = nn.ModuleDict({"teacher": words().requires_grad_(False), "student": frozen})
    assert default_layers(pair) == ("student.0", "student.1")
    pair = nn.ModuleDict({"teacher": words().requires_grad_(False), "student": mlp(4, 4, 2)})
    assert default_layers(pair) == ("input", "student.0")


def test_a_pretrained_part_that_is_frozen():
    net = nn.ModuleDict({"backbone": mlp(4, 8, 8).requires_grad_(False), "head": mlp(8, 8, 8, 3)})
    assert default_layers(net) == ("input", "head.0", "head.2")
    assert default_layers(net.requires_grad_(False)) == ("input",)


def test_nothing_but_the_input_is_said(trainer, caplog):
    with caplog.at_level("INFO"):
        assert fit(Module(student=nn.Linear(4, 3)), trainer).eligible == ("input",)
        assert "Module has nothing to mix but its input" in caplog.text
        assert "this is Mixup; name hidden layers" in caplog.text
        caplog.clear()
        fit(Module(student=nn.Linear(4, 3)), trainer, layers=["input"])  # who names it knows it
    assert "nothing to mix" not in caplog.text


class TwoInputs(nn.Module):
    """A network of an image and a row of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten())
        self.table = mlp(4, 16, 16)
        self.head = mlp(32, 8, 3)

    def forward(self, image: Tensor, table: Tensor) -> Tensor:
        return self.head(torch.cat([self.image(image), self.table(table)], 1))


class Multimodal(Module):
    def logits(self, batch: Any) -> Tensor:
        return self.student(batch[0], batch[1])


IMAGES = torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(1))
BOTH = {"input_key": [0, 1], "target_key": 2}


def test_one_of_two_branches_is_not_taken_by_itself(trainer):
    module = Multimodal(student=TwoInputs())
    cure = r"name a layer of each branch.*layers=\['input', '(student.image \+ student.table)'\]"
    with pytest.raises(MisconfigurationException, match=cure):
        fit(module, trainer, IMAGES, X, Y, **BOTH)
    assert not any(part._forward_hooks for part in module.modules())
    mix = fit(module, trainer, IMAGES, X, Y, **BOTH, layers=["input", "student.image + student.table"])
    assert mix.last.method is mix


class Twisted(TwoInputs):
    """The branch of the table runs first, and is given as a keyword."""

    def forward(self, image: Tensor, table: Tensor) -> Tensor:
        rows = self.table(input=table)
        return self.head(torch.cat([self.image(image), rows], 1))


def test_whichever_runs_first(trainer):
    with pytest.raises(MisconfigurationException, match=r"'student.image' is not computed from 'student.table'"):
        fit(Multimodal(student=Twisted()), trainer, IMAGES, X, Y, **BOTH)


class Late(Module):
    """Branches that are direct parts of the module itself; one of them is a single layer."""

    def logits(self, batch: Any) -> Tensor:
        return self.head(torch.cat([self.image(batch[0].flatten(1)), self.table(batch[1])], 1))


def test_branches_of_the_module_itself(trainer):
    module = Late(image=mlp(36, 8, 8), table=nn.Linear(4, 8), head=mlp(16, 8, 3))
    with pytest.raises(MisconfigurationException, match="'table' is not computed from 'image'"):
        fit(module, trainer, IMAGES, X, Y, **BOTH)


class Skipping(nn.Module):
    """Stages with connections around them, heads beside each other, and one that runs twice: all one way."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.stage1, self.stage2, self.stage3 = mlp(8, 8, 8), mlp(8, 8, 8), mlp(8, 8, 8)
        self.head, self.other = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        for stage in (self.stage1, self.stage2, self.stage3, self.stage3):
            h = F.relu(h + stage(h))
        return self.head(h) + self.other(h * 2)


def test_stages_one_after_another_are_no_branches(trainer):
    module = Module(student=Skipping())
    assert fit(module, trainer).eligible == ("input", "student.stage1", "student.stage2")


def test_watching_ends_with_the_first_step(trainer):
    class Counting(Module):
        def on_train_batch_end(self, *args: Any) -> None:
            self.hooks = [len(part._forward_hooks) for part in self.student.children()]

    module = Counting(student=Skipping())
    fit(module, trainer)
    assert module.hooks == [0, 1, 1, 0, 0, 0]
    assert not any(part._forward_hooks for part in module.modules())
