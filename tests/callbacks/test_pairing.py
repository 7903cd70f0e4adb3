"""Who is mixed with whom, in training."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.cli import LightningCLI
from support import Spy, halves, make, methods, regions
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, ManifoldMixup, MixCallback, MixedTarget, Mixup, Nearest, Pairing, RandomChoice
from lightning_mixup.functional import mixup, partners
from lightning_mixup.functional.pairing import PAIRINGS

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
BOTH = pytest.mark.parametrize("per_sample", [False, True], ids=["per_batch", "per_sample"])
FOR_LABELS = [name for name, pairing in PAIRINGS.items() if pairing.looks_at != "values"]


class Recorder(Callback):
    def __init__(self, mix: MixCallback) -> None:
        self.mix, self.draws = mix, []

    def on_train_batch_end(self, *args: Any) -> None:
        self.draws.append(self.mix.last)


def build(method: type[MixCallback], **kwargs: Any) -> MixCallback:
    if kwargs["pairing"] == "memory" and method is ManifoldMixup:
        pytest.skip("refused: hidden states are not remembered")
    return make(method, seed=3, **kwargs)


@ALL
@BOTH
@pytest.mark.parametrize("pairing", FOR_LABELS)
def test_inputs_and_labels_have_one_partner(method, per_sample, pairing, spy, loader, trainer):
    mix = build(method, pairing=pairing, per_sample=per_sample)
    recorder = Recorder(mix)
    fit = trainer(mix, recorder, max_epochs=2)
    fit.fit(spy, loader)
    clean = list(loader) * 2
    steps = zip(recorder.draws, clean, spy.seen["train"], spy.seen["logits"], spy.seen["loss"], strict=True)
    for draw, (clean_x, clean_y), (x, y), logits, loss in steps:
        assert draw.method is not None
        (own, other), (image, pasted) = halves(clean_y, draw), halves(clean_x, draw, key=0)
        assert torch.equal(y.original, own)
        assert torch.equal(y.partner, other)
        lam = torch.as_tensor(draw.lam, dtype=torch.float32).expand(len(own))
        each = (F.cross_entropy(logits, half, reduction="none") for half in (own, other))
        torch.testing.assert_close(loss, torch.stack([*each]).mul(torch.stack([lam, 1 - lam])).sum(0).mean())
        if method.__name__ == "ResizeMix":  # which shows the partner at another size
            changed = (x != image).flatten(1).float().mean(1)
            assert (changed <= 1 - lam + 1e-6).all()
        elif regions(draw):
            assert ((x == image) | (x == pasted)).all()
            shown = (x == image).flatten(1).float().mean(1)
            met_itself = (image == pasted).flatten(1).all(1)
            torch.testing.assert_close(shown.where(~met_itself, lam), lam)
        elif not draw.hidden:
            torch.testing.assert_close(x, mixup(image, lam, torch.arange(len(x)) * 0, memory=pasted))


@ALL
@pytest.mark.parametrize("pairing", FOR_LABELS)
def test_resumed_runs_repeat(method, pairing, images, trainer, tmp_path):
    def run(**kwargs: Any) -> Spy:
        seed_everything(2, verbose=False)
        module = Spy()
        module.net[4].p = 0.0
        ckpt_path = kwargs.pop("ckpt_path", None)
        fit = trainer(build(method, pairing=pairing), **kwargs)
        fit.fit(module, DataLoader(images, batch_size=8), ckpt_path=ckpt_path)
        fit.save_checkpoint(tmp_path / f"{kwargs['max_epochs']}.ckpt")
        return module

    whole, _ = run(max_epochs=2), run(max_epochs=1)
    resumed = run(max_epochs=2, ckpt_path=tmp_path / "1.ckpt")
    same = all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert same == (pairing != "memory")  # which the first batch after a resume has not


@pytest.mark.parametrize("method", [Mixup, CutMix, ManifoldMixup])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_nearest_mixes_like_with_like(method, shape, trainer):
    class Regression(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen["train"].append(batch)
            return F.mse_loss(self(batch[0])[:, :1], batch[1].reshape(-1, 1))

    y = torch.cat([torch.linspace(0, 1, 8), torch.linspace(100, 101, 8)])[torch.randperm(16)].reshape(shape)
    module, mix = Regression(), method(1.0, pairing=Nearest(2.0, "target"), seed=0)
    data = TensorDataset(torch.randn(16, 1, 8, 8), y)
    recorder = Recorder(mix)
    trainer(mix, recorder, max_epochs=3).fit(module, DataLoader(data, batch_size=16))
    for draw, (_, mixed) in zip(recorder.draws, module.seen["train"], strict=True):
        assert torch.equal(partners(y, draw.shift) > 50, y > 50)
        torch.testing.assert_close(mixed, draw.lam * y + (1 - draw.lam) * partners(y, draw.shift))


def test_nearest_in_several_dimensions(trainer):
    class Regression(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return F.mse_loss(self(batch[0])[:, :3], batch[1].float())

    x, y = torch.randn(8, 1, 8, 8), torch.randn(8, 3)
    trainer(Mixup(pairing="nearest")).fit(Regression(), DataLoader(TensorDataset(x, y), batch_size=8))
    whole = DataLoader(TensorDataset(x, y.round().long()), batch_size=8)
    trainer(Mixup(pairing="nearest", targets="values")).fit(Regression(), whole)
    with pytest.raises(MisconfigurationException, match=r"needs a target of values.*say targets='values'.*\(8, 3\)"):
        trainer(Mixup(pairing="nearest")).fit(Regression(), whole)


@pytest.mark.parametrize(
    ("pairing", "y", "message"),
    [
        (
            "same_class",
            torch.rand(4, 10),
            r"'same_class' needs .* class indices, integers \(B,\); batch entry 1 is .*10",
        ),
        ("different_class", torch.ones(4, 10).long(), r"class indices, integers \(B,\); batch entry 1 is torch.int64"),
        ("same_class", torch.ones(4, 8, 8).long(), r"class indices, integers \(B,\); .* shape \(4, 8, 8\)"),
        ("same_class", torch.rand(4), r"class indices, integers \(B,\); batch entry 1 is torch.float32"),
        ("nearest", torch.arange(4), r"pairing='nearest' needs a target of values, .* is torch.int64 of shape \(4,\)"),
        (Nearest(2.0), torch.ones(4, 8, 8), r"pairing=Nearest\(bandwidth=2.0, unit='std'\) needs a target of values"),
    ],
)
def test_targets_that_a_pairing_cannot_read_stop_before_the_first_step(pairing, y, message, spy, trainer):
    fit = trainer(Mixup(pairing=pairing))
    with pytest.raises(MisconfigurationException, match=message):
        fit.fit(spy, DataLoader([0], collate_fn=lambda _: [torch.rand(4, 1, 8, 8), y]))
    assert fit.global_step == 0


@pytest.mark.parametrize("method", [Mixup, CutMix, ManifoldMixup])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairing": "shfit"}, r"pairing must be one of shift, permutation, .*, memory, or a Pairing, got 'shfit'"),
        ({"pairing": 3}, "pairing must be one of"),
        (
            {"pairing": "same_class", "target_key": None},
            "target_key must be where pairing='same_class' finds the labels",
        ),
        ({"pairing": "nearest", "target_key": None}, "target_key must be where pairing='nearest' finds the values"),
        (
            {"pairing": "same_class", "targets": "mask"},
            "targets must be of labels for pairing='same_class', got 'mask'",
        ),
        ({"pairing": "nearest", "targets": "soft"}, "targets must be of values for pairing='nearest', got 'soft'"),
    ],
)
def test_constructors_refuse(method, arguments, message):
    with pytest.raises(ValueError, match=f"{method.__name__}: {message}"):
        method(**arguments)


def test_hidden_states_of_the_batch_before_are_gone():
    with pytest.raises(ValueError, match=r"ManifoldMixup: pairing must be one within the batch, or Mixup\(pairing="):
        ManifoldMixup(pairing="memory")


class Swap(Pairing):
    """Neighbours, by a user."""

    def __call__(self, rng: Any, batch_size: int, target: Any = None) -> Tensor:
        return torch.tensor([1, -1] * (batch_size // 2) + [0] * (batch_size % 2))


def test_a_pairing_of_ones_own(spy, loader, trainer):
    mix = Mixup(1.0, pairing=Swap(), seed=0)
    trainer(mix).fit(spy, loader)
    y = next(iter(loader))[1]
    assert torch.equal(spy.seen["train"][0][1].partner, y.view(-1, 2).flip(1).flatten())
    assert repr(mix) == "Mixup(alpha=1.0, pairing=Swap(), seed=0)"


@pytest.mark.parametrize("method", [Mixup, CutMix])
def test_batches_of_one_are_mixed_with_the_one_before(method, spy, images, trainer):
    trainer(method(1.0, pairing="memory", seed=0)).fit(spy, DataLoader(images, batch_size=1))
    first, *others = spy.seen["train"]
    assert type(first[1]) is Tensor
    labels = images.tensors[1]
    for index, (_, y) in enumerate(others):
        assert isinstance(y, MixedTarget)
        assert (y.original, y.partner) == (labels[index + 1], labels[index])


def test_maps_are_cut_from_the_batch_before(trainer):
    class Segmentation(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Conv2d(1, 3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen["train"].append(batch)
            return F.cross_entropy(self.net(batch[0]), batch[1])

    masks = torch.randint(0, 3, (4, 8, 8))
    module = Segmentation()
    mix = CutMix(1.0, pairing="memory", seed=0)
    trainer(mix).fit(module, DataLoader(TensorDataset(masks[:, None].float(), masks), batch_size=1))
    pasted = 0
    for x, y in module.seen["train"]:
        assert torch.equal(x[:, 0].long(), y)
        pasted += (y != masks[len(module.seen["train"]) - 4]).sum()
    assert pasted > 0


@BOTH
def test_the_batch_before_is_the_clean_one(per_sample, images, trainer):
    """Whoever changes a batch after us changes no memory of it, and nor do we in place."""

    class Scribbling(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.batch = batch[0]
            self.seen["train"].append((batch[0].clone(), batch[1]))
            return F.cross_entropy(self(batch[0]), batch[1])

        def on_after_backward(self) -> None:
            self.batch.mul_(0)

    def inputs(**kwargs: Any) -> list[Tensor]:
        seed_everything(1, verbose=False)
        module = Scribbling()
        data = DataLoader(images, batch_size=8)  # its collation copies
        trainer(Mixup(1.0, 0.7, pairing="memory", seed=0, per_sample=per_sample, **kwargs), max_epochs=2).fit(
            module, data
        )
        return [x for x, _ in module.seen["train"]]

    for one, other in zip(inputs(), inputs(inplace=True), strict=True):
        torch.testing.assert_close(one, other)
        assert one.abs().sum() > 0


def test_the_batch_before_has_to_have_the_shape_of_this_one(spy, trainer):
    batches = [[torch.rand(2, 1, size, 8), torch.tensor([1, 2])] for size in (8, 4)]
    with pytest.raises(MisconfigurationException, match=r"entry 0 was torch.float32 \(B, \*\(1, 8, 8\)\) before and"):
        trainer(Mixup(pairing="memory")).fit(spy, DataLoader(batches, batch_size=None))


@ALL
def test_nothing_is_remembered_after_a_fit(method, loader, trainer):
    class Failing(Spy):
        def on_after_backward(self) -> None:
            if self.fail and self.trainer.global_step == 2:
                raise ZeroDivisionError

    mix = build(method, pairing="memory")
    for fail in (False, True):
        module = Failing()
        module.fail = fail
        fit = trainer(mix)
        if fail:
            with pytest.raises(ZeroDivisionError):
                fit.fit(module, loader)
        else:
            fit.fit(module, loader)
        assert mix._memory is None
        assert not mix.last.memory
        assert not any(part.memory for part in getattr(mix.last, "parts", ()))


def test_methods_of_a_choice_may_pair_differently(spy, images, trainer):
    mix = RandomChoice([Mixup(1.0, pairing="memory", seed=0), CutMix(pairing="same_class", seed=0)])
    recorder = Recorder(mix)
    trainer(mix, recorder, max_epochs=3).fit(spy, DataLoader(images, batch_size=8))
    assert {(type(draw.method), bool(draw.memory)) for draw in recorder.draws[1:]} == {(Mixup, True), (CutMix, False)}


@pytest.mark.filterwarnings("ignore")  # between Lightning 2.6.6 and jsonargparse
@pytest.mark.parametrize(
    ("arguments", "pairing"),
    [
        (["--trainer.callbacks.pairing=same_class"], "same_class"),
        (
            ["--trainer.callbacks.pairing=lightning_mixup.Nearest", "--trainer.callbacks.pairing.bandwidth=0.5"],
            Nearest(0.5),
        ),
    ],
)
def test_from_the_command_line_of_lightning(arguments, pairing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    args = ["--trainer.callbacks=lightning_mixup.Mixup", *arguments, "--trainer.accelerator=cpu"]
    cli = LightningCLI(Spy, run=False, save_config_callback=None, args=args)
    mix = next(callback for callback in cli.trainer.callbacks if isinstance(callback, MixCallback))
    assert mix == Mixup(pairing=pairing)
