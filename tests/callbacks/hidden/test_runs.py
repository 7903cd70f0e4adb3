"""Mixed is the run that trains: never a teacher, a pseudo-label, or a copy."""

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import ManifoldMixup
from lightning_mixup.functional import mixup

DATA = TensorDataset(torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3)


class Module(LightningModule):
    """A network of two layers, which keeps what the hidden one returned in each run, and what it was given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f, self.o = nn.Linear(4, 8), nn.Linear(8, 3)
        self.runs: list[tuple[Tensor, Tensor]] = []

    def hidden(self, x: Tensor) -> Tensor:
        h = self.f(x)
        self.runs.append((x.detach(), h.detach()))
        return h

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.o(self.hidden(batch[0])), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def fit(module: LightningModule, trainer: Any, layers: Any = ("f",), **kwargs: Any) -> ManifoldMixup:
    mix = ManifoldMixup(1.0, layers=layers, seed=1, **kwargs)
    trainer(mix, max_steps=1).fit(module, DataLoader(DATA, 8))
    return mix


def mixed(module: Module, mix: ManifoldMixup) -> list[bool]:
    """Which runs were mixed."""
    found = []
    for x, h in module.runs:
        clean = F.linear(x, module.f.weight, module.f.bias)
        want = mixup(clean, mix.last.lam, mix.last.shift)
        found.append(not torch.allclose(h, clean))
        torch.testing.assert_close(h, want if found[-1] else clean)
    return found


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("first", [True, False])
def test_a_pseudo_label_is_not_mixed(off, first, trainer):
    class Pseudo(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = None if first else super().training_step(batch, batch_idx)
            with off():
                self.o(self.hidden(batch[0]))
            return super().training_step(batch, batch_idx) if first else loss

    module = Pseudo()
    assert mixed(module, fit(module, trainer)) == ([False, True] if first else [True, False])


def test_an_attack_trains_too_and_has_to_be_told_apart(trainer):
    class Attacked(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x = batch[0].clone().requires_grad_()
            loss = F.cross_entropy(self.o(self.hidden(x)), torch.zeros(8, dtype=torch.long))
            (slope,) = torch.autograd.grad(loss, x)
            return super().training_step([x.detach() + 0.1 * slope.sign(), batch[1]], batch_idx)

    with pytest.raises(MisconfigurationException, match=r"layer 'f' runs more than once while it trains.*run=0, run=1"):
        fit(Attacked(), trainer)
    module = Attacked()
    assert mixed(module, fit(module, trainer, run=1)) == [False, True]


def test_each_of_two_views_is_mixed_if_told(trainer):
    class Views(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x, y = batch
            return sum(F.cross_entropy(self.o(self.hidden(view)), y) for view in (x, x + 1))

    module = Views()
    assert mixed(module, fit(module, trainer, run="all")) == [True, True]


@pytest.mark.parametrize("layers", [["teacher.0"], ["teacher"]])
@pytest.mark.parametrize("quiet", [True, False])
def test_a_frozen_teacher_is_refused_by_name(layers, quiet, trainer):
    class Taught(Module):
        def __init__(self) -> None:
            super().__init__()
            self.teacher = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).requires_grad_(False)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            with torch.set_grad_enabled(not quiet):
                aim = self.teacher(batch[0]).softmax(1)
            return F.cross_entropy(self.o(self.f(batch[0])), batch[1]) + F.cross_entropy(self.o(self.f.bias), aim[0])

    with pytest.raises(MisconfigurationException, match=r"layer 'teacher.*' ran in training_step, but not to train"):
        fit(Taught(), trainer, layers)
    with pytest.raises(MisconfigurationException, match=r"all layers called 'teacher\.\*' are frozen.*'teacher.0'"):
        fit(Taught(), trainer, ["teacher.*"])


def test_a_pattern_means_what_trains(trainer):
    class Pair(Module):
        def __init__(self) -> None:
            super().__init__()
            self.teacher = nn.ModuleDict({"f": nn.Linear(4, 8), "act": nn.ReLU()}).requires_grad_(False)
            self.average = AveragedModel(nn.ModuleDict({"f": nn.Linear(4, 8)}))

    assert fit(Pair(), trainer, ["**f"]).eligible == ("f",)


@pytest.mark.parametrize("table", [nn.Embedding, nn.EmbeddingBag])
def test_word_vectors_that_stay_as_they_are_can_be_mixed(table, trainer):
    class Words(Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = table(9, 4).requires_grad_(False)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            ids = torch.arange(8)[:, None] % 5
            h = self.words(ids).view(8, 4)
            self.kept = self.words.weight[ids[:, 0]], h
            return super().training_step([h, batch[1]], batch_idx)

    module = Words()
    mix = fit(module, trainer, ["words"])
    clean, found = module.kept
    torch.testing.assert_close(found, mixup(clean, mix.last.lam, mix.last.shift))


def test_a_layer_without_weights_can_be_mixed(trainer):
    class Spectrum(Module):
        def __init__(self) -> None:
            super().__init__()
            self.loud = nn.Sigmoid()

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.kept = batch[0].sigmoid(), self.loud(batch[0])
            return super().training_step([self.kept[1], batch[1]], batch_idx)

    module = Spectrum()
    mix = fit(module, trainer, ["loud"])
    torch.testing.assert_close(module.kept[1], mixup(module.kept[0], mix.last.lam, mix.last.shift))


def test_a_run_on_the_labels_is_not_the_one(trainer):
    class Told(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.f(F.one_hot(batch[1], 4).float())
            return super().training_step(batch, batch_idx)

    module = Told()
    assert mixed(module, fit(module, trainer)) == [True]

    class Only(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.f(F.one_hot(batch[1], 4).float()).sum()

    with pytest.raises(MisconfigurationException, match=r"layer 'f' ran in training_step on the labels alone"):
        fit(Only(), trainer)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")  # of the run without gradients
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("run", [None, 0, 1, "all"])
def test_a_checkpointed_run_is_found_again(run, reentrant, trainer):
    """What recomputes a run has to mix it again, and none but it."""

    class Checkpointed(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x = batch[0].requires_grad_()
            with torch.no_grad():
                checkpoint(self.block, x.detach(), use_reentrant=reentrant)
            for _ in range(1 if run is None else 2):
                h = checkpoint(self.block, x, use_reentrant=reentrant)
            return F.cross_entropy(self.o(h), batch[1])

        def block(self, x: Tensor) -> Tensor:
            return self.f(x).tanh()

        def on_after_backward(self) -> None:
            self.gradient = self.f.weight.grad.clone()

    module = Checkpointed()
    if run in (0, 1):
        with pytest.raises(MisconfigurationException, match=r"layer 'f' ran 2 times.*runs it again without telling"):
            fit(module, trainer, run=run)
        return
    mix = fit(module, trainer, run=run)
    x, y = next(iter(DataLoader(DATA, 8)))
    module.f.zero_grad()
    scores = module.o(mixup(module.f(x), mix.last.lam, mix.last.shift).tanh())
    lam = mix.last.lam
    loss = lam * F.cross_entropy(scores, y) + (1 - lam) * F.cross_entropy(scores, y.roll(-mix.last.shift))
    loss.backward()
    torch.testing.assert_close(module.gradient, module.f.weight.grad)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_made_in_the_step_is_not_mixed(how, trainer):
    class Copying(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            other = how(self.f)
            h = other(batch[0])
            self.runs.append((batch[0], h.detach()))
            return loss

    module = Copying()
    assert mixed(module, fit(module, trainer)) == [True, False]


def test_a_layer_that_is_replaced_is_found_again(trainer):
    class Adapted(Module):
        def on_fit_start(self) -> None:
            self.old, self.f = self.f, nn.Linear(4, 8)

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            self.f = nn.Sequential(nn.Linear(4, 8), nn.Tanh())

        def hidden(self, x: Tensor) -> Tensor:
            h = self.f(x)
            self.kept = self.f[1](self.f[0](x)), h
            return h

    module = Adapted()
    mix = fit(module, trainer)
    torch.testing.assert_close(module.kept[1], mixup(module.kept[0], mix.last.lam, mix.last.shift))
    assert not any(part._forward_hooks for part in module.modules())


def test_a_layer_that_is_gone_is_named(trainer):
    class Shrinking(Module):
        def on_fit_start(self) -> None:
            self.fc = self.f
            del self.f

    with pytest.raises(MisconfigurationException, match=r"layer 'f' was there when the fit began and is no longer.*fc"):
        fit(Shrinking(), trainer)


def test_a_layer_that_is_replaced_in_the_step_is_named(trainer):
    class Growing(Module):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.f = nn.Linear(4, 8)
            return super().training_step(batch, batch_idx)

    with pytest.raises(MisconfigurationException, match=r"layer 'f' was replaced by another module during"):
        fit(Growing(), trainer)


def test_layers_of_two_branches_are_mixed_together(trainer):
    class Branches(Module):
        def __init__(self) -> None:
            super().__init__()
            self.g = nn.Linear(4, 8)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x, y = batch
            f, g = self.f(x), self.g(x)
            self.kept = [(F.linear(x, part.weight, part.bias), h) for part, h in ((self.f, f), (self.g, g))]
            self.given = x
            return F.cross_entropy(self.o(f + g), y)

    for layers in (["f + g"], ["input + g"]):
        module = Branches()
        mix = fit(module, trainer, layers)
        draw = mix.last
        assert draw.layer == layers[0]
        (clean_f, f), (clean_g, g) = module.kept
        torch.testing.assert_close(f, mixup(clean_f, draw.lam, draw.shift) if layers == ["f + g"] else clean_f)
        torch.testing.assert_close(g, mixup(clean_g, draw.lam, draw.shift))
        clean = DATA.tensors[0]
        torch.testing.assert_close(module.given, clean if layers == ["f + g"] else mixup(clean, draw.lam, draw.shift))
