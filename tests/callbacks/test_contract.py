"""What every method promises, tested on all of them."""

import copy
import io
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, seed_everything
from support import Spy, halves, make, methods, takes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import ManifoldMixup, MixCallback, MixedTarget, Mixup, RandomChoice, RegMixup
from lightning_mixup.callbacks.composite import Composite
from lightning_mixup.targets import MixedTargetError

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
BOTH = pytest.mark.parametrize("per_sample", [False, True], ids=["per_batch", "per_sample"])


class Recorder(Callback):
    """Remembers the draws of another callback, and the batches that callbacks see."""

    def __init__(self, mix: MixCallback) -> None:
        self.mix, self.draws, self.batches, self.logged = mix, [], [], []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.draws.append(self.mix.last)
        self.batches.append(batch)
        self.logged.append(float(trainer.callback_metrics["mix/lam"]))


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@ALL
@BOTH
def test_loss_is_the_mix_of_the_losses(method, per_sample, spy, loader, trainer):
    mix = make(method, seed=3, per_sample=per_sample)
    recorder = Recorder(mix)
    trainer(mix, recorder, max_epochs=3).fit(spy, loader)
    steps = list(zip(recorder.draws, recorder.batches, spy.seen["logits"], spy.seen["loss"], strict=True))
    assert len(steps) == 9
    for draw, (_, y), logits, loss in steps:
        lam = torch.as_tensor(draw.lam, dtype=torch.float32)
        own, others = (F.cross_entropy(logits, half, reduction="none") for half in halves(y, draw))
        torch.testing.assert_close(loss, (lam * own + (1 - lam) * others).mean())


@ALL
@BOTH
def test_accuracy_is_that_of_the_dominant_labels(method, per_sample, spy, loader, trainer):
    mix = make(method, seed=3, per_sample=per_sample)
    recorder = Recorder(mix)
    trainer(mix, recorder, max_epochs=10).fit(spy, loader)
    for draw, (_, y), logits, accuracy in zip(
        recorder.draws, recorder.batches, spy.seen["logits"], spy.seen["accuracy"], strict=True
    ):
        dominant = torch.where(torch.as_tensor(draw.lam) >= 0.5, *halves(y, draw))
        torch.testing.assert_close(accuracy, (logits.argmax(1) == dominant).float().mean())
    assert max(spy.seen["accuracy"]) > 0


@ALL
@BOTH
def test_logged_lam_is_the_one_that_was_used(method, per_sample, spy, loader, trainer):
    mix = make(method, seed=3, per_sample=per_sample)
    recorder = Recorder(mix)
    trainer(mix, recorder).fit(spy, loader)
    assert recorder.logged == pytest.approx([torch.as_tensor(draw.lam).mean().item() for draw in recorder.draws])
    assert len(set(recorder.logged)) > 1


@ALL
@BOTH
def test_only_training_step_sees_the_mix(method, per_sample, spy, images, trainer):
    before = [tensor.clone() for tensor in images.tensors]
    mix = make(method, seed=3, per_sample=per_sample)
    recorder = Recorder(mix)
    fit = trainer(mix, recorder, num_sanity_val_steps=2, val_check_interval=2)
    loader = DataLoader(images, batch_size=8)
    fit.fit(spy, loader, loader)
    fit.test(spy, loader, verbose=False)
    clean = list(loader)
    assert all(isinstance(y, MixedTarget) for _, y in spy.seen["train"])
    for batches in (recorder.batches, spy.seen["val"][:2], spy.seen["val"][2:5], spy.seen["test"]):
        for (x, y), (clean_x, clean_y) in zip(batches, clean, strict=False):
            assert torch.equal(x, clean_x)
            assert type(y) is torch.Tensor
            assert torch.equal(y, clean_y)
    assert all(torch.equal(tensor, old) for tensor, old in zip(images.tensors, before, strict=True))


@ALL
@pytest.mark.parametrize("off", [{"prob": 0.0}, {"alpha": 0.0}], ids=["prob=0", "alpha=0"])
def test_switched_off_it_is_as_if_it_were_not_there(method, off, images, trainer):
    if not takes(method, *off):
        pytest.skip("has no such argument")

    def train(*callbacks: Callback) -> Spy:
        seed_everything(5, verbose=False)
        module = Spy()
        trainer(*callbacks, max_epochs=2).fit(module, DataLoader(images, batch_size=8, shuffle=True))
        return module

    plain, off_module = train(), train(make(method, **off))
    assert equal(weights(plain), weights(off_module))
    assert not any(isinstance(y, MixedTarget) for _, y in off_module.seen["train"])


@ALL
def test_moves_no_other_random_stream(method, images, trainer):
    def train(*callbacks: Callback) -> tuple[Spy, torch.Tensor]:
        seed_everything(5, verbose=False)
        module = Spy()
        module.net[4].p = 0.0  # dropout of more samples draws more numbers
        trainer(*callbacks).fit(module, DataLoader(images, batch_size=8, shuffle=True))
        return module, torch.rand(4)

    (_, plain), (_, mixed) = train(), train(make(method))
    assert torch.equal(plain, mixed)


@ALL
def test_follows_seed_everything_and_differs_by_step(method, images, trainer):
    def draws(seed: int) -> list[float]:
        seed_everything(seed, verbose=False)
        mix = make(method)
        recorder = Recorder(mix)
        trainer(mix, recorder, max_epochs=2).fit(Spy(), DataLoader(images, batch_size=8))
        return recorder.logged

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert len(set(draws(1))) > 3


@ALL
def test_without_any_seed_the_checkpoint_keeps_it(method, spy, loader, trainer, monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    first = make(method)
    trainer(first).fit(spy, loader)
    state = first.state_dict()
    second, third = make(method), make(method, seed=11)
    for resumed in (second, third):
        resumed.setup(SimpleNamespace(callbacks=[resumed]), spy, "fit")
        resumed.load_state_dict(state)
    assert second.state_dict() == state
    assert third.state_dict() == {"seed": 11}


@ALL
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 7])
def test_any_batch_size(method, batch_size, spy, images, trainer):
    trainer(make(method, seed=0)).fit(spy, DataLoader(images, batch_size=batch_size))
    mixed = [isinstance(y, MixedTarget) for _, y in spy.seen["train"]]
    assert mixed == [len(x) > 1 for x, _ in spy.seen["train"]]


@ALL
def test_module_leaves_as_it_came(method, spy, loader, trainer):
    before = set(spy.__dict__)
    mix = make(method)
    for _ in range(2):
        trainer(mix).fit(spy, loader)
        assert set(spy.__dict__) - before <= {"_trainer", "_hparams"}
        assert "training_step" not in spy.__dict__
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in spy.modules())


class Failing(Spy):
    fail_at = 1

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        if batch_idx == self.fail_at:
            raise ZeroDivisionError
        return loss


@ALL
def test_after_an_exception_too(method, loader, trainer):
    module, mix = Failing(), make(method)
    with pytest.raises(ZeroDivisionError):
        trainer(mix).fit(module, loader)
    assert "training_step" not in module.__dict__
    assert not any(part._forward_hooks for part in module.modules())
    module.fail_at = None
    trainer(mix).fit(module, loader)


class Copier(Callback):
    """Copies the module and the mix callback in mid-step, as weight averaging and tuners do."""

    def __init__(self, mix: MixCallback) -> None:
        self.mix = mix

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        trainer_reference, pl_module._trainer = pl_module._trainer, None
        seen, pl_module.seen = pl_module.seen, {}
        try:
            self.module = copy.deepcopy(pl_module)
            self.pickled = pickle.loads(pickle.dumps(pl_module))
            self.callback = pickle.loads(pickle.dumps(copy.deepcopy(self.mix)))
        finally:
            pl_module._trainer, pl_module.seen = trainer_reference, seen


@ALL
def test_copies_in_mid_fit_are_not_attached(method, spy, loader, trainer):
    mix = make(method)
    copier = Copier(mix)
    trainer(mix, copier, max_steps=2).fit(spy, loader)
    x, y = next(iter(loader))
    for module in (copier.module, copier.pickled):
        module.seen = Spy().seen
        module.training_step((x, y), 0)
        assert type(module.seen["train"][0][1]) is torch.Tensor
        assert module.training_step.__self__ is module
    trainer(copier.callback).fit(Spy(), loader)


SINGLE = [method for method in methods() if not issubclass(method, Composite)]


@pytest.mark.parametrize("method", SINGLE, ids=lambda method: method.__name__)
@pytest.mark.parametrize("around", ["RegMixup", "RandomChoice", "each sample"])
def test_every_method_can_be_a_part(method, around, spy, loader, trainer):
    single = make(method, seed=3, per_sample=around == "each sample")
    if around == "each sample" and single.hidden:
        pytest.skip("hidden states cannot be chosen for each sample")
    other = Mixup(1.0, seed=3, per_sample=around == "each sample")
    mix = (
        RegMixup(single) if around == "RegMixup" else RandomChoice([single, other], per_sample=around != "RandomChoice")
    )
    recorder = Recorder(mix)
    trainer(mix, recorder, max_epochs=3).fit(spy, loader)
    for draw, (_, y), logits, loss in zip(
        recorder.draws, recorder.batches, spy.seen["logits"], spy.seen["loss"], strict=True
    ):
        lam = torch.as_tensor(draw.lam, dtype=torch.float32)
        own, others = (F.cross_entropy(logits, half, reduction="none") for half in halves(y, draw))
        torch.testing.assert_close(loss, (lam * own + (1 - lam) * others).mean())


@ALL
@BOTH
def test_sampled_targets_are_plain_and_of_one_of_the_two(method, per_sample, spy, loader, trainer):
    mix = make(method, seed=3, per_sample=per_sample, targets="sampled")
    recorder = Recorder(mix)
    trainer(mix, recorder, max_epochs=2).fit(spy, loader)
    others = 0
    for draw, (_, y), (_, sampled) in zip(recorder.draws, recorder.batches, spy.seen["train"], strict=True):
        assert type(sampled) is torch.Tensor
        own, partner = halves(y, draw)
        assert ((sampled == own) | (sampled == partner)).all()
        others += int((sampled != own).sum())
    assert others > 0


class Forgetful(Spy):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self(batch[0]).square().mean()


@ALL
@pytest.mark.parametrize("module", [Forgetful])
def test_a_step_that_would_train_on_wrong_labels_stops_at_once(method, module, loader, trainer):
    mix = make(method)
    fit, victim = trainer(mix), module()
    before = weights(victim)
    with pytest.raises(MixedTargetError, match=r"interpolate_loss\(my_loss\)"):
        fit.fit(victim, loader)
    assert fit.global_step == 0
    assert equal(before, weights(victim))


@ALL
def test_soft_targets_are_probabilities(method, loader, trainer):
    class SoftSpy(Spy):
        num_classes = 10

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            self.seen["train"].append(batch)
            return F.cross_entropy(self(batch[0]), batch[1])

    module = SoftSpy()
    mix = make(method, targets="soft", seed=3)
    recorder = Recorder(mix)
    trainer(mix, recorder).fit(module, loader)
    for draw, (_, y), (_, soft) in zip(recorder.draws, recorder.batches, module.seen["train"], strict=True):
        assert type(soft) is torch.Tensor
        lam = torch.as_tensor(draw.lam, dtype=torch.float32).view(-1, 1)
        own, others = (F.one_hot(half, 10) for half in halves(y, draw))
        torch.testing.assert_close(soft, lam * own + (1 - lam) * others)


@ALL
def test_resume_draws_on(method, images, trainer, tmp_path):
    def run(**kwargs: Any) -> tuple[Spy, list[float]]:
        seed_everything(2, verbose=False)
        module, mix = Spy(), make(method)
        module.net[4].p = 0.0
        recorder = Recorder(mix)
        ckpt_path = kwargs.pop("ckpt_path", None)
        fit = trainer(mix, recorder, **kwargs)
        fit.fit(module, DataLoader(images, batch_size=8), ckpt_path=ckpt_path)
        fit.save_checkpoint(tmp_path / f"{kwargs['max_epochs']}.ckpt")
        return module, recorder.logged

    whole, all_draws = run(max_epochs=2)
    _, first = run(max_epochs=1)
    resumed, second = run(max_epochs=2, ckpt_path=tmp_path / "1.ckpt")
    assert first + second == all_draws
    assert equal(weights(whole), weights(resumed))
    torch.load(tmp_path / "2.ckpt", weights_only=True)


@ALL
def test_constructor_refuses_what_cannot_be(method):
    bad = {
        "alpha": [-1.0, float("nan"), float("inf")],
        "prob": [-0.1, 1.1, 20.0, float("nan")],
        "targets": ["hard"],
        "num_classes": [0, "10"],
        "seed": [-1, "a"],
        "loss": [nn.CrossEntropyLoss(), ""],
        "input_key": [(0, 0), 1.5],
        "per_sample": ["no", 1],
        "sync_ranks": ["yes"],
        "ignore_value": ["nan"],
    }
    for argument, values in bad.items():
        for value in values if takes(method, argument) else ():
            with pytest.raises(ValueError, match=rf"^\w+: {argument} must be .*, got "):
                make(method, **{argument: value})


def test_two_callbacks_are_refused(spy, loader, trainer):
    with pytest.raises(MisconfigurationException, match=r"Mixup and ManifoldMixup; join them: RandomChoice"):
        trainer(Mixup(), ManifoldMixup()).fit(spy, loader)


@ALL
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            lambda x, y: [(x * 9).to(torch.uint8), y],
            r"input 0 is torch.uint8 of shape \(2, 1, 8, 8\), not floating point.*x.float\(\) / 255",
        ),
        (lambda x, y: [(x * 9).long(), y], r"input 0 is torch.int64 .*, not floating point.* ManifoldMixup\(layers="),
        (lambda x, y: [x, y[:1]], r"differ in their number of samples.*\{0: \(2, 1, 8, 8\), 1: \(1,\)\}"),
        (lambda x, y: [x, ["cat", "dog"]], r"batch entry 1 is a list, not a tensor: \['cat', 'dog'\]"),
        (lambda x, y: [x, y[0]], r"batch entry 1 is a single number"),
        (lambda x, y: {"image": x, "label": y}, r"no entry 0: it is a dict with \['image', 'label'\].*input_key="),
        (lambda x, y: [x], r"no entry 1: it is a list of 1.*target_key="),
    ],
)
def test_bad_batches_stop_with_the_cure(method, batch, message, spy, trainer):
    if method.__name__ in ("CutMix", "FMix") and "not floating" in message:
        pytest.skip("pixels of any type can be pasted")
    x, y = torch.rand(2, 1, 8, 8), torch.tensor([1, 2])
    fit = trainer(make(method))
    with pytest.raises(MisconfigurationException, match=message):
        fit.fit(spy, DataLoader([0], collate_fn=lambda _: batch(x, y)))
    assert fit.global_step == 0


@ALL
def test_dataloader_iter_is_refused(method, loader, trainer):
    class Iterating(Spy):
        def training_step(self, dataloader_iter: Any) -> torch.Tensor:
            raise AssertionError("never reached")

    with pytest.raises(MisconfigurationException, match="dataloader_iter"):
        trainer(make(method)).fit(Iterating(), loader)


@ALL
def test_draws_once_a_batch_for_closures(method, images, trainer):
    class Lbfgs(Spy):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.LBFGS(self.parameters(), max_iter=4)

    module, mix = Lbfgs(), make(method, seed=1)
    module.net[4].p = 0.0
    recorder = Recorder(mix)
    trainer(mix, recorder, max_steps=2).fit(module, DataLoader(images, batch_size=8))
    assert len(recorder.draws) == 2
    batches = [x for x, _ in module.seen["train"]]
    assert len(batches) > 4
    assert len({x.data_ptr() for x in batches}) <= 4


@ALL
def test_written_checkpoint_needs_no_callback(method, spy, loader, trainer):
    fit = trainer(make(method))
    fit.fit(spy, loader)
    buffer = io.BytesIO()
    torch.save(fit._checkpoint_connector.dump_checkpoint(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    Spy().load_state_dict(state["state_dict"])


def test_dataset_of_one_kind_of_everything(trainer):
    """Series, volumes and plain features, as the shapes a method accepts."""
    for shape in [(5,), (3, 9), (1, 4, 5, 6)]:
        module = Spy()
        module.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
        module.net(torch.zeros(2, *shape))
        data = TensorDataset(torch.randn(9, *shape), torch.randint(0, 10, (9,)))
        for method in methods():
            if shape == (5,) and method.__name__ in ("CutMix", "FMix", "RandomChoice", "ResizeMix"):
                with pytest.raises(MisconfigurationException, match="features without spatial dimensions"):
                    trainer(make(method)).fit(module, DataLoader(data, batch_size=4))
            else:
                trainer(make(method)).fit(module, DataLoader(data, batch_size=4))
