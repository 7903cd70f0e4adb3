"""check_mixing: exact steps pass with numbers, silent ones raise, whatever mixes."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import Accuracy

from lightning_mixup import CutMix, ManifoldMixup, Mixup, RandomChoice, RegMixup, check_mixing
from lightning_mixup.callbacks.check import MixingCheck, MixingError
from lightning_mixup.targets import MixedTargetError

X = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 1, 2, 0, 1, 2, 1])
MIXES = [
    None,
    Mixup(alpha=1.0),
    Mixup(alpha=1.0, prob=0.5),
    CutMix(),
    ManifoldMixup(layers=["body.0"]),
    RegMixup(Mixup(alpha=1.0)),
    RandomChoice([Mixup(alpha=1.0), CutMix()]),
    Mixup(alpha=1.0, per_sample=True),
    Mixup(alpha=1.0, targets="soft", num_classes=3),
]
ALL = pytest.mark.parametrize("mix", MIXES, ids=repr)


def focal(z: Tensor, y: Tensor) -> Tensor:
    own = z.log_softmax(1).gather(1, y[:, None])
    return ((1 - own.exp()) ** 2 * -own).mean()


class Net(LightningModule):
    def __init__(self, loss):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(16, 3)
        self.accuracy = Accuracy(task="multiclass", num_classes=3)
        self.loss = loss

    def forward(self, x):
        return self.head(self.body(x))

    def training_step(self, batch, batch_idx):
        x, y = batch
        z = self(x)
        loss = self.loss(z, y)
        self.log("loss", loss)
        if not y.is_floating_point():
            self.accuracy(z, y)
            self.log_dict({"accuracy": self.accuracy})
        return {"loss": loss}


@ALL
def test_exact_steps_pass(mix):
    found = check_mixing(Net(F.cross_entropy), (X, Y), mix)
    assert isinstance(found, MixingCheck)
    assert found.loss == pytest.approx(found.expected, rel=1e-5)
    assert found.differences.keys() == dict(Net(focal).named_parameters()).keys()
    assert 0.3 < found.lam < 0.9


def blind(z, y):
    return focal(z, y) if type(y) is Tensor else 2 * focal(z, y)


def blind_in_the_gradient(z, y):
    loss = focal(z, y)
    return loss if type(y) is Tensor else loss + (z - z.detach()).mean()


@pytest.mark.parametrize("mix", [mix for mix in MIXES if "soft" not in repr(mix)], ids=repr)
def test_a_look_at_the_type_is_found(mix):
    with pytest.raises(MixingError, match=r"the loss of mixed labels is .*\n.*type\(y\)(.|\n)*interpolate_loss"):
        check_mixing(Net(blind), (X, Y), mix)
    with pytest.raises(AssertionError, match="the loss is right, and the gradient of parameter '"):
        check_mixing(Net(blind_in_the_gradient), (X, Y), mix)


def counted(read):
    return lambda z, y: focal(z, y) * read((y[:3] == 1).sum().item())


@pytest.mark.parametrize("read", [math.log1p, np.log1p, np.exp, torch.tensor, lambda n: torch.tensor([n, 1.0]).sum()])
@pytest.mark.parametrize("mix", [Mixup(alpha=1.0), Mixup(alpha=1.0, per_sample=True)], ids=repr)
def test_numbers_that_slip_away_are_found(mix, read):
    with pytest.raises((MixedTargetError, MixingError)):
        check_mixing(Net(counted(read)), (X, Y), mix)


class Extension(torch.autograd.Function):
    """As an extension in C++: torch's dispatch does not see into it."""

    @staticmethod
    def forward(ctx, z, y):
        p = z.softmax(1)
        ctx.save_for_backward(p, y)
        return -p.gather(1, y[:, None]).log().mean()

    @staticmethod
    def backward(ctx, gradient):
        p, y = ctx.saved_tensors
        return gradient * (p - F.one_hot(y, 3)) / len(y), None


def test_extensions_are_found():
    with pytest.raises(MixedTargetError, match="interpolate_loss"):
        check_mixing(Net(lambda z, y: Extension.apply(z, y) + focal(z, y)), (X, Y), Mixup(1.0))
    check_mixing(Net(Cured()), (X, Y), Mixup(1.0))


class Cured(nn.Module):
    def forward(self, z, y):
        return Extension.apply(z, y) + focal(z, y)


def test_manual_optimization():
    class Manual(Net):
        def __init__(self, loss):
            super().__init__(loss)
            self.automatic_optimization = False

        def configure_optimizers(self):
            return [torch.optim.SGD(self.parameters(), 0.1), torch.optim.SGD(self.head.parameters(), 0.1)], []

        def training_step(self, batch, batch_idx):
            first, second = self.optimizers()
            for optimizer in (first, second):
                optimizer.zero_grad()
                self.manual_backward(self.loss(self(batch[0]), batch[1]))
                self.clip_gradients(optimizer, gradient_clip_val=0.5)
                optimizer.step()

    check_mixing(Manual(focal), (X, Y), Mixup(1.0))
    with pytest.raises(MixingError, match="the gradient of parameter"):
        check_mixing(Manual(blind), (X, Y), Mixup(1.0))


def test_dicts_values_and_float64():
    class Values(LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def training_step(self, batch):
            return F.mse_loss(self.layer(batch["x"]).squeeze(1), batch["y"])

    x = torch.randn(6, 3, dtype=torch.float64)
    found = check_mixing(Values().double(), {"x": x, "y": x[:, 0]}, Mixup(1.0, input_key="x", target_key="y"))
    assert max(found.differences.values()) < 1e-8


def test_the_module_and_the_callback_stay_as_they_are():
    module, mix = Net(focal), Mixup(alpha=1.0)
    module.head.weight.grad = torch.ones_like(module.head.weight)
    before, keys = copy.deepcopy(module.state_dict()), set(module.__dict__)
    torch.manual_seed(5)
    check_mixing(module, (X, Y), mix)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    torch.testing.assert_close(torch.rand(3), drawn)
    assert set(module.__dict__) == keys
    assert module.head.weight.grad.sum() == 48
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert mix == Mixup(alpha=1.0)


def test_a_batch_that_shows_nothing():
    with pytest.raises(ValueError, match="partners have the same labels"):
        check_mixing(Net(focal), (X, torch.zeros_like(Y)), Mixup(1.0))
    with pytest.raises(ValueError, match="mixed none of 64 batches"):
        check_mixing(Net(focal), (X, Y), Mixup(1.0, prob=0.0))
    with pytest.raises(MixedTargetError, match="none of its losses used"):
        check_mixing(Net(lambda z, y: z.mean()), (X, Y), Mixup(1.0))
