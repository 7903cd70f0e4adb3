"""Label smoothing as a baseline, for modules that do not smooth labels themselves."""

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule
from support import Spy, make, methods
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from lightning_mixup import LabelSmoothing, Mixup

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)


class Imported(Spy):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        self.logits = self(x)
        self.plain = F.cross_entropy(self.logits.detach(), y)
        with torch.no_grad():
            self.measured = F.cross_entropy(self.logits, y)
        loss = self.loss(self.logits, y)
        self.seen["loss"].append((self.logits.detach(), y, loss.detach(), self.plain, self.measured))
        return loss

    loss = staticmethod(cross_entropy)


class Weighted(Imported):
    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        return nn.CrossEntropyLoss(weight=torch.arange(1.0, 11), ignore_index=3)(logits, y)


class Positional(Imported):
    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y, None, None, -100, None, "mean", 0.0)


class Soft(Imported):
    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(input=logits, target=F.one_hot(y, 10).float())


@pytest.mark.parametrize("module", [Imported, Positional, Soft])
def test_losses_that_train_are_smooth_and_others_are_not(module, loader, trainer):
    spy = module()
    trainer(LabelSmoothing(0.2)).fit(spy, loader)
    assert len(spy.seen["loss"]) == 3
    for logits, y, loss, plain, measured in spy.seen["loss"]:
        torch.testing.assert_close(loss, F.cross_entropy(logits, y, label_smoothing=0.2))
        torch.testing.assert_close(plain, F.cross_entropy(logits, y))
        torch.testing.assert_close(measured, plain)


def test_with_the_options_of_the_loss(loader, trainer):
    spy = Weighted()
    trainer(LabelSmoothing(0.2)).fit(spy, loader)
    for logits, y, loss, *_ in spy.seen["loss"]:
        weight = torch.arange(1.0, 11)
        expected = F.cross_entropy(logits, y, weight=weight, ignore_index=3, label_smoothing=0.2)
        torch.testing.assert_close(loss, expected)


@ALL
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
def test_mixed_labels_are_smooth_too(method, first, per_sample, spy, loader, trainer):
    mix, smooth = make(method, seed=1, per_sample=per_sample), LabelSmoothing(0.2)
    callbacks = (smooth, mix) if first else (mix, smooth)
    trainer(*callbacks).fit(spy, loader)
    for (_, y), logits, loss in zip(spy.seen["train"], spy.seen["logits"], spy.seen["loss"], strict=True):
        halves = [
            F.cross_entropy(logits, half, reduction="none", label_smoothing=0.2) for half in (y.original, y.partner)
        ]
        lam = torch.as_tensor(y.lam)
        torch.testing.assert_close(loss, (lam * halves[0] + (1 - lam) * halves[1]).mean())
    assert "training_step" not in spy.__dict__
    assert not any(part._forward_hooks for part in spy.modules())


def test_nobody_else_sees_it(spy, loader, trainer):
    class Validating(Callback):
        losses: list[Tensor] = []  # noqa: RUF012

        def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *args: Any) -> None:
            with torch.enable_grad():
                logits = pl_module(batch[0])
                self.losses.append((F.cross_entropy(logits, batch[1]), logits, batch[1]))

    watching = Validating()
    fit = trainer(LabelSmoothing(0.5), watching, val_check_interval=1, num_sanity_val_steps=1)
    fit.fit(spy, loader, loader)
    for loss, logits, y in watching.losses:
        torch.testing.assert_close(loss, -logits.log_softmax(1).gather(1, y[:, None]).mean())
    assert "training_step" not in spy.__dict__


def test_zero_is_as_if_it_were_not_there(spy, loader, trainer):
    class Squares(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            assert "training_step" not in self.__dict__
            return self(batch[0]).square().mean()

    trainer(LabelSmoothing(0.0)).fit(Squares(), loader)


class Squares(Spy):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        F.cross_entropy(self(batch[0]).detach(), batch[1])
        return self(batch[0]).square().mean()


class Smooth(Spy):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.CrossEntropyLoss(label_smoothing=0.3)(self(batch[0]), batch[1])


class SmoothByPosition(Spy):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self(batch[0]), batch[1], None, None, -100, None, "mean", 0.3)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Squares,
            r"LabelSmoothing: training_step computed no F.cross_entropy or nn.CrossEntropyLoss.* leave the callback",
        ),
        (
            Smooth,
            r"LabelSmoothing\(smoothing=0.1\): the loss of training_step .* by label_smoothing=0.3; smooth in one",
        ),
        (SmoothByPosition, "by label_smoothing=0.3"),
    ],
)
def test_nothing_to_smooth_and_smooth_already_stop(module, message, loader, trainer):
    fit, victim = trainer(LabelSmoothing()), module()
    with pytest.raises(MisconfigurationException, match=message):
        fit.fit(victim, loader)
    assert fit.global_step == 0
    assert "training_step" not in victim.__dict__


def test_two_of_them_are_one_too_many_or_one(spy, loader, trainer):
    class Another(LabelSmoothing):
        pass

    with pytest.raises(MisconfigurationException, match="smooth in one place"):
        trainer(LabelSmoothing(0.1), Another(0.2)).fit(spy, loader)
    spy.seen = Spy().seen
    trainer(LabelSmoothing(0.2), Another(0.2)).fit(spy, loader)
    for (_, y), logits, loss in zip(spy.seen["train"], spy.seen["logits"], spy.seen["loss"], strict=True):
        torch.testing.assert_close(loss, F.cross_entropy(logits, y, label_smoothing=0.2))


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")
def test_skipped_steps_and_manual_optimisation(loader, trainer):
    class Skipping(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
            return super().training_step(batch, batch_idx) if batch_idx else None

    class Manual(Spy):
        smooth = True

        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            loss = super().training_step(batch, batch_idx) if self.smooth else self(batch[0]).sum()
            self.manual_backward(loss)

    for module in (Skipping(), Manual()):
        trainer(LabelSmoothing()).fit(module, loader)
        assert module.seen["loss"]
    module.smooth = False
    with pytest.raises(MisconfigurationException, match="computed no"):
        trainer(LabelSmoothing()).fit(module, loader)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_after_an_exception_the_module_is_as_it_came(first, mixed, loader, trainer):
    class Failing(Spy):
        def on_after_backward(self) -> None:
            raise ZeroDivisionError

    module, smooth = Failing(), LabelSmoothing()
    others = [Mixup()] if mixed else []
    with pytest.raises(ZeroDivisionError):
        trainer(*([smooth, *others] if first else [*others, smooth])).fit(module, loader)
    assert "training_step" not in module.__dict__
    assert F.cross_entropy(torch.zeros(1, 2, requires_grad=True), torch.tensor([0])).item() == pytest.approx(
        0.6931, 1e-3
    )


def test_copies_in_mid_fit_are_not_attached(spy, loader, trainer):
    smooth = LabelSmoothing(0.2)

    class Copier(Callback):
        def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            reference, pl_module._trainer = pl_module._trainer, None
            self.modules = copy.deepcopy(pl_module), pickle.loads(pickle.dumps(pl_module))
            self.callbacks = copy.deepcopy(smooth), pickle.loads(pickle.dumps(smooth))
            pl_module._trainer = reference

    copier = Copier()
    trainer(smooth, Mixup(), copier, max_steps=1).fit(spy, loader)
    x, y = next(iter(loader))
    for module in copier.modules:
        loss = module.training_step((x, y), 0)
        torch.testing.assert_close(loss, F.cross_entropy(module.seen["logits"][-1], y).requires_grad_())
    for callback in copier.callbacks:
        assert callback == smooth
        trainer(callback).fit(Spy(), loader)


class Net(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def network(module: Net, backend: Any) -> Net:
    module.net = torch.compile(module.net, backend=backend)
    return module


def whole(module: Net, backend: Any) -> Any:
    return torch.compile(module, backend=backend)


# torch 2.13's own compiler warns of these, as it looks at the tensors and functions that it traces.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("compiled", [network, whole])
def test_compiled_modules_train_as_eager_ones(compiled, images, trainer):
    def train(module: Net, *wrap: Any) -> list[Tensor]:
        torch._dynamo.reset()
        loader = DataLoader(images, batch_size=11)
        trainer(LabelSmoothing(0.2), max_epochs=4).fit(compiled(module, *wrap) if wrap else module, loader)
        return [parameter.detach() for parameter in module.parameters()]

    counter = CompileCounter()
    for one, other in zip(train(Net(), counter), train(Net()), strict=True):
        torch.testing.assert_close(one, other)
    assert counter.frame_count <= 2


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan"), "0.1", True])
def test_constructor_refuses(smoothing):
    with pytest.raises(ValueError, match=r"LabelSmoothing: smoothing must be a number in \[0, 1\), got"):
        LabelSmoothing(smoothing)
