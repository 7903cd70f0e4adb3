"""Callbacks made of callbacks: a choice for each batch or sample, and clean samples beside mixed ones."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningCLI
from support import Spy, halves
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, LabelSmoothing, ManifoldMixup, MixCallback, Mixup, RandomChoice, RegMixup
from lightning_mixup.functional import cutmix, mixup
from lightning_mixup.schedules import Linear

NAMED = {"mixup": Mixup(0.8), "cutmix": CutMix(1.0)}


class Recorder(Callback):
    def __init__(self, mix: MixCallback) -> None:
        self.mix, self.draws = mix, []

    def on_train_batch_end(self, *args: Any) -> None:
        self.draws.append(self.mix.last)


def test_methods_and_weights_by_name():
    mix = RandomChoice(NAMED, weights={"cutmix": 3, "mixup": 1})
    shown = "RandomChoice(methods={'mixup': Mixup(alpha=0.8), 'cutmix': CutMix()}, weights={'cutmix': 3, 'mixup': 1})"
    assert repr(mix) == shown
    assert eval(shown) == mix
    inputs = [torch.zeros(4, 1, 8, 8)]
    named, listed = (
        [type(choice.draw(np.random.default_rng(step), inputs, 0.0).method) for step in range(100)]
        for choice in (mix, RandomChoice([Mixup(0.8), CutMix(1.0)], weights=[1, 3]))
    )
    assert named == listed
    assert named.count(CutMix) > 60


@pytest.mark.parametrize(
    ("methods", "weights"),
    [
        (NAMED, {"mixup": 1}),
        (NAMED, {"mixup": 1, "cutmix": 1, "other": 1}),
        ([*NAMED.values()], {"mixup": 1, "cutmix": 1}),
        (NAMED, [1]),
        (NAMED, {"mixup": 0, "cutmix": 0}),
        (NAMED, {"mixup": -1, "cutmix": 1}),
        (NAMED, []),
    ],
)
def test_weights_are_one_for_each_method(methods, weights):
    with pytest.raises(ValueError, match=r"RandomChoice: weights must be .*, got"):
        RandomChoice(methods, weights)


@pytest.mark.parametrize("methods", [[], {}, [Mixup(), "cutmix"], {"mixup": None}])
def test_methods_are_mix_callbacks(methods):
    with pytest.raises(ValueError, match="RandomChoice: methods must be mix callbacks, at least one, got"):
        RandomChoice(methods)


def test_what_doubles_the_batch_stands_around_a_choice():
    with pytest.raises(ValueError, match=r"RegMixup makes another batch .* put it around: RegMixup\(RandomChoice\("):
        RandomChoice([RegMixup(), CutMix()])
    with pytest.raises(ValueError, match="RegMixup makes another batch"):
        RegMixup(RegMixup())
    with pytest.raises(ValueError, match=r"RegMixup: method must be out of place, .*, got RandomChoice\("):
        RegMixup(RandomChoice([Mixup(), CutMix(inplace=True)]))
    with pytest.raises(ValueError, match="RegMixup: methods must be mix callbacks"):
        RegMixup(20.0)


EACH = [Mixup(1.0, per_sample=True, seed=0), CutMix(1.0, 0.8, per_sample=True, seed=0)]


@pytest.mark.parametrize("pairing", ["shift", "same_class", "memory"])
def test_a_method_for_each_sample(pairing, spy, images, trainer):
    methods = [type(m)(1.0, m.prob, per_sample=True, seed=0, pairing=pairing) for m in EACH]
    mix = RandomChoice(methods, weights=[1, 2], per_sample=True)
    recorder = Recorder(mix)
    loader = DataLoader(images, batch_size=11)
    trainer(mix, recorder, max_epochs=20).fit(spy, loader)
    counts = {"mixup": 0, "cutmix": 0, "clean": 0}
    for draw, (x, y), (clean_x, clean_y) in zip(recorder.draws, spy.seen["train"], list(loader) * 20, strict=True):
        (image, pasted), (own, other) = halves(clean_x, draw, key=0), halves(clean_y, draw)
        assert torch.equal(y.original, own)
        assert torch.equal(y.partner, other)
        lam = torch.as_tensor(draw.lam, dtype=torch.float32)
        torch.testing.assert_close(y.lam, lam)
        blended = mixup(image, lam, 0, memory=pasted)
        for i in range(len(x)):
            if torch.equal(image[i], pasted[i]):  # the only one of its class
                assert torch.equal(x[i], image[i])
            elif lam[i] == 1:
                counts["clean"] += 1
                assert torch.equal(x[i], image[i])
            elif torch.allclose(x[i], blended[i], atol=1e-6):
                counts["mixup"] += 1
            else:
                counts["cutmix"] += 1
                cut = x[i] != image[i]
                assert torch.equal(x[i], torch.where(cut, pasted[i], image[i]))
                assert cut.float().mean() == pytest.approx(1 - lam[i].item(), abs=1e-6)
    # One in three by Mixup; of the others, a fifth not at all and some with a box of no area.
    assert counts["mixup"] / sum(counts.values()) == pytest.approx(1 / 3, abs=0.07)
    assert counts["cutmix"] > 150


def test_both_in_one_batch_and_the_same_again():
    mix, inputs = RandomChoice(EACH, per_sample=True), [torch.rand(16, 1, 8, 8)]
    draws = [mix.draw(np.random.default_rng(3), inputs, 0.0) for _ in range(2)]
    assert draws[0] == draws[1] != mix.draw(np.random.default_rng(4), inputs, 0.0)
    assert [type(part.method) for part in draws[0].parts] == [Mixup, CutMix]
    assert all(0 < np.sum(part.lam < 1) < 16 for part in draws[0].parts)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ([Mixup(), CutMix(per_sample=True)], r"methods must be per_sample=True.*, got Mixup\(\)"),
        ([Mixup(per_sample=True, inplace=True)], "methods must be per_sample=True, out of place"),
        ([ManifoldMixup(per_sample=True)], "methods must be .* of inputs"),
        ([Mixup(per_sample=True, pairing="flip"), CutMix(per_sample=True)], "pairing must be the same of all methods"),
    ],
)
def test_what_cannot_be_chosen_for_each_sample(methods, message):
    with pytest.raises(ValueError, match=f"RandomChoice: {message}"):
        RandomChoice(methods, per_sample=True)


def test_masks_are_cut_or_mixed_but_not_both(trainer):
    class Segmentation(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Conv2d(1, 3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen["train"].append(batch)
            return F.cross_entropy(self.net(batch[0]), batch[1])

    masks = torch.randint(0, 3, (8, 8, 8))
    loader = DataLoader(TensorDataset(masks[:, None].float(), masks), batch_size=8)
    with pytest.raises(
        MisconfigurationException, match="RandomChoice: a mask is cut by some of the methods and mixed by others"
    ):
        trainer(RandomChoice(EACH, per_sample=True)).fit(Segmentation(), loader)
    module = Segmentation()
    cuts = [CutMix(alpha, per_sample=True, seed=0) for alpha in (0.5, 2.0)]
    trainer(RandomChoice(cuts, per_sample=True)).fit(module, loader)
    x, y = module.seen["train"][0]
    assert torch.equal(x[:, 0].long(), y)
    assert not torch.equal(y, masks)


def test_a_choice_within_regmixup_is_the_choice_behind_the_clean_batch(spy, images, trainer):
    inner = RandomChoice(EACH, per_sample=True)
    mix = RegMixup(inner)
    trainer(mix).fit(spy, DataLoader(images, batch_size=22))
    x, y = spy.seen["train"][0]
    assert torch.equal(x[:22], images.tensors[0])
    assert torch.equal(y.lam[:22], torch.ones(22))
    assert not torch.equal(x[22:], x[:22])
    assert torch.equal(y.original, images.tensors[1].repeat(2))


@pytest.mark.parametrize("method", [Mixup(2.0, seed=1), CutMix(seed=1), Mixup(2.0, seed=1, targets="soft")])
def test_regmixup_is_the_clean_and_the_mixed_loss(method, loader, trainer):
    """Against the authors' formula: the mean over the clean samples and over the mixed ones, half each."""

    class Classes(Spy):
        num_classes = 10

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen["train"].append(batch)
            self.seen["logits"].append(self(batch[0]))
            self.seen["loss"].append(F.cross_entropy(self.seen["logits"][-1], batch[1]))
            return self.seen["loss"][-1]

    alone, both = Classes(), Classes()
    recorder = Recorder(method)
    trainer(method, recorder).fit(alone, loader)
    trainer(RegMixup(method)).fit(both, loader)
    steps = zip(recorder.draws, loader, alone.seen["train"], both.seen["train"], strict=True)
    for step, (draw, (x, y), (mixed, _), (doubled, _)) in enumerate(steps):
        assert torch.equal(doubled[: len(x)], x)
        torch.testing.assert_close(doubled[len(x) :], mixed)
        clean_logits, mixed_logits = both.seen["logits"][step].chunk(2)
        other = y.roll(-draw.shift)
        mixed_loss = draw.lam * F.cross_entropy(mixed_logits, y) + (1 - draw.lam) * F.cross_entropy(mixed_logits, other)
        expected = 0.5 * F.cross_entropy(clean_logits, y) + 0.5 * mixed_loss
        torch.testing.assert_close(both.seen["loss"][step], expected)


def test_regmixup_of_a_hidden_layer_leaves_the_clean_half_alone(trainer):
    class Hidden(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 10))

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.x, self.h = batch[0], self.net[0](batch[0])
            return F.cross_entropy(self.net[1](self.h), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.0)

    module, mix = Hidden(), RegMixup(ManifoldMixup(layers=["net.0"], seed=0))
    x, y = torch.randn(8, 6), torch.arange(8)
    trainer(mix).fit(module, DataLoader(TensorDataset(x, y), batch_size=8))
    clean = module.net[0](x)
    torch.testing.assert_close(module.h[:8], clean)
    _, other = halves(clean, mix.last)
    lam = float(mix.last.lam[-1])
    torch.testing.assert_close(module.h[8:], lam * clean + (1 - lam) * other[8:])
    assert torch.equal(module.x, x.repeat(2, 1))


def test_regmixup_leaves_other_entries_and_unmixed_batches(trainer):
    class Indexed(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen["train"].append(batch)
            return F.cross_entropy(self(batch["x"]), batch["y"])

    module = Indexed()
    rows = [{"x": torch.randn(1, 8, 8), "y": i % 10, "index": i} for i in range(40)]
    trainer(RegMixup(Mixup(1.0, 0.5, input_key="x", target_key="y", seed=0))).fit(
        module, DataLoader(rows, batch_size=4)
    )
    sizes = {(len(batch["x"]), len(batch["y"]), len(batch["index"])) for batch in module.seen["train"]}
    assert sizes == {(4, 4, 4), (8, 8, 4)}


def test_regmixup_mixes_values_and_masks(trainer):
    class Both(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Conv2d(1, 3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen["train"].append(batch)
            out = self.net(batch[0])
            return F.cross_entropy(out, batch[1]) + F.mse_loss(out.mean((1, 2, 3)), batch[2])

    masks, values = torch.randint(0, 3, (8, 8, 8)), torch.randn(8)
    module, mix = Both(), RegMixup(CutMix(target_key=(1, 2), seed=0))
    trainer(mix).fit(module, DataLoader(TensorDataset(masks[:, None].float(), masks, values), batch_size=8))
    x, mask, value = module.seen["train"][0]
    assert torch.equal(x[:, 0].long(), mask)
    assert torch.equal(mask[:8], masks)
    own, other = halves(values, mix.last, key=2)
    lam = torch.as_tensor(mix.last.lam, dtype=torch.float32)
    torch.testing.assert_close(value, lam * own + (1 - lam) * other)
    inner = mix.last.parts[0]
    assert torch.equal(cutmix(masks[:, None], inner.box, inner.shift)[:, 0], mask[8:])


CONFIG = """
trainer:
  accelerator: cpu
  callbacks:
    - class_path: lightning_mixup.LabelSmoothing
      init_args: {smoothing: 0.2}
    - class_path: lightning_mixup.RegMixup
      init_args:
        method:
          class_path: lightning_mixup.RandomChoice
          init_args:
            weights: {mixup: 1, cutmix: {class_path: lightning_mixup.schedules.Linear, init_args: {start: 1, end: 0}}}
            methods:
              mixup: {class_path: lightning_mixup.Mixup, init_args: {alpha: 0.8}}
              cutmix: {class_path: lightning_mixup.CutMix}
"""


@pytest.mark.filterwarnings("ignore")  # between Lightning 2.6.6 and jsonargparse
def test_from_the_configuration_of_lightning(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    cli = LightningCLI(Spy, run=False, save_config_callback=None, args=["--config=config.yaml"])
    expected = RegMixup(RandomChoice(NAMED, {"mixup": 1, "cutmix": Linear(1, 0)}))
    assert expected in cli.trainer.callbacks
    assert LabelSmoothing(0.2) in cli.trainer.callbacks
