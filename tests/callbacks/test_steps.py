"""Which step gets what: the batch drawn for, parts of it, other batches, and no batch at all."""

import copy
import functools
import threading

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, ManifoldMixup, MixedTarget, Mixup
from lightning_mixup.functional import cutmix, partners, unite

B = 8
X, Y = torch.randn(B, 4, generator=torch.Generator().manual_seed(0)), torch.arange(B) % 3


class Plain(LightningModule):
    """Notes what its steps get."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.steps = []

    def training_step(self, batch, batch_idx):
        self.steps.append(batch)
        self.loss = F.cross_entropy(self.net(batch[0]), batch[1])
        return self.loss

    def validation_step(self, batch, batch_idx):
        self.log("val", F.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


def loader(x=X, y=Y):
    return DataLoader(TensorDataset(x, y), batch_size=B)


def mixed(mix, rows=slice(None)):
    lam, shift = mix.last.lam, mix.last.shift
    return (lam * X + (1 - lam) * partners(X, shift))[rows], Y[rows], partners(Y, shift)[rows]


def test_a_step_on_another_batch_gets_it_as_it_is(trainer):
    class Replay(Plain):
        def on_before_optimizer_step(self, optimizer):
            self.training_step((torch.zeros(B, 4), torch.zeros(B, dtype=torch.long)), -1)

    module, mix = Replay(), Mixup(1.0, seed=0)
    trainer(mix).fit(module, loader())
    (first, labels), (memory, plain) = module.steps
    torch.testing.assert_close(first, mixed(mix)[0])
    assert isinstance(labels, MixedTarget)
    assert not memory.any()
    assert type(plain) is torch.Tensor


def test_a_step_on_rows_of_the_batch_gets_these_rows_mixed(trainer):
    class Chunks(Plain):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            self.seen_loss = outputs["loss"]

        def training_step(self, batch, batch_idx):
            if len(batch[0]) > 4:  # by itself again
                halves = [(batch[0][rows], batch[1][rows]) for rows in (slice(0, 4), slice(4, 8))]
                return sum(self.training_step(half, batch_idx) for half in halves) / 2
            self.parts = [*getattr(self, "parts", ()), (batch[0], batch[1].original, batch[1].partner)]
            return super().training_step(batch, batch_idx)

    mix, module = Mixup(1.0, seed=0), Chunks()
    draws = Keep(mix)
    trainer(mix, draws).fit(module, loader())
    for rows, part in zip((slice(0, 4), slice(4, 8)), module.parts, strict=True):
        for got, expected in zip(part, mixed(draws, rows), strict=True):
            torch.testing.assert_close(got, expected)
    logits = module.net(mixed(draws)[0])
    lam = draws.last.lam
    by_hand = lam * F.cross_entropy(logits, Y) + (1 - lam) * F.cross_entropy(logits, partners(Y, draws.last.shift))
    torch.testing.assert_close(module.seen_loss, by_hand.detach())


class Keep(Callback):
    """Keeps the draw of the last batch."""

    def __init__(self, mix):
        self.mix = mix

    def on_train_batch_end(self, *_):
        self.last = self.mix.last


def test_an_inner_validation_and_its_teardown_leave_the_fit_alone(trainer):
    class Inner(Callback):
        def on_train_batch_end(self, outer, module, *_):
            inner = Trainer(
                callbacks=[each for each in outer.callbacks if each is not self],
                accelerator="cpu",
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=False,
            )
            inner.validate(copy.copy(module), loader(), verbose=False)

    module, mix = Plain(), Mixup(1.0, seed=0)
    trainer(mix, Inner(), max_epochs=3).fit(module, loader())
    assert all(isinstance(step[1], MixedTarget) for step in module.steps)
    assert len(module.steps) == 3


def test_one_callback_or_one_module_serves_one_trainer_at_a_time(trainer):
    class Second(Callback):
        def __init__(self, module, *callbacks):
            self.module, self.callbacks = module, callbacks

        def on_train_batch_start(self, *_):
            trainer(*self.callbacks).fit(self.module, loader())

    mix = Mixup(1.0, seed=0)
    with pytest.raises(MisconfigurationException, match="at work in another Trainer"):
        trainer(mix, Second(Plain(), mix)).fit(Plain(), loader())
    module = Plain()
    with pytest.raises(MisconfigurationException, match="another Trainer is training this module"):
        trainer(Mixup(1.0, seed=0), Second(module, Mixup(1.0, seed=0))).fit(module, loader())
    # The cure: copies.
    trainer(Mixup(1.0, seed=0), Second(copy.deepcopy(module), Mixup(1.0, seed=0))).fit(module, loader())


def test_two_fits_in_threads(trainer):
    fits, errors = [], []
    for _ in range(2):
        module, mix = Plain(), Mixup(1.0, seed=0)
        fits.append((module, trainer(mix, max_epochs=20)))

    def run(module, fit):
        try:
            fit.fit(module, loader())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=each) for each in fits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for module, _ in fits:
        assert len(module.steps) == 20
        assert all(isinstance(step[1], MixedTarget) for step in module.steps)


def test_training_step_can_be_wrapped_at_the_start_of_a_fit(trainer):
    class Wrapped(Plain):
        def on_fit_start(self):
            step = self.training_step
            assert step.__code__.co_name
            self.calls = 0

            @functools.wraps(step)
            def counted(*args, **kwargs):
                self.calls += 1
                return step(*args, **kwargs)

            self.training_step = counted

    module, mix = Wrapped(), Mixup(1.0, seed=0)
    trainer(mix, max_epochs=2).fit(module, loader())
    assert module.calls == 2
    assert all(isinstance(step[1], MixedTarget) for step in module.steps)
    assert type(Plain().training_step((X, Y), 0)) is torch.Tensor


@pytest.mark.filterwarnings("ignore:.*If this was on purpose:UserWarning")
@pytest.mark.parametrize("signal", [None, "end", -1])
def test_signals_and_exhausted_streams_pass_untouched(signal, trainer):
    class Signals(Plain):
        def training_step(self, batch, batch_idx):
            if not isinstance(batch, list):
                self.steps.append(batch)
                return None
            return super().training_step(batch, batch_idx)

    batches = [[X, Y], signal, [X, Y]]
    module = Signals()
    trainer(Mixup(1.0, seed=0)).fit(module, DataLoader(range(3), batch_size=None, collate_fn=lambda i: batches[i]))
    mixed = [isinstance(step[1], MixedTarget) for step in module.steps if isinstance(step, list)]
    assert mixed == [True, True]
    # Lightning itself skips None.
    assert [step for step in module.steps if not isinstance(step, list)] == ([] if signal is None else [signal])


def test_a_stream_that_is_exhausted(trainer):
    class Two(Plain):
        def training_step(self, batch, batch_idx):
            if batch["long"] is None:
                return None
            return super().training_step(batch["long"], batch_idx)

    module = Two()
    streams = CombinedLoader({"long": loader(), "longer": loader(torch.cat([X, X]), torch.cat([Y, Y]))}, "max_size")
    trainer(Mixup(1.0, input_key="long.0", target_key="long.1", seed=0)).fit(module, streams)
    assert len(module.steps) == 1
    assert isinstance(module.steps[0][1], MixedTarget)


def test_a_batch_that_is_enlarged_behind_our_back_stops(trainer):
    class Twice(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            module.enlarged = [torch.cat([entry, entry]) for entry in batch]

    class Enlarged(Plain):
        def on_fit_start(self):
            step = self.training_step
            self.training_step = lambda batch, batch_idx: step(self.enlarged, batch_idx)

    with pytest.raises(MisconfigurationException, match="never with the batch that was drawn for"):
        trainer(Mixup(1.0, seed=0), Twice()).fit(Enlarged(), loader())


class Text(LightningModule):
    """Averages the words that the mask shows."""

    def __init__(self):
        super().__init__()
        self.words, self.net, self.seen = nn.Embedding(10, 4), nn.Linear(4, 3), None

    def logits(self, hidden, mask):
        weight = mask.unsqueeze(-1).float()
        return self.net((hidden * weight).sum(1) / weight.sum(1).clamp(min=1))

    def training_step(self, batch, batch_idx):
        self.seen = batch
        self.loss = F.cross_entropy(
            self.logits(self.words(batch["input_ids"]), batch["attention_mask"]), batch["label"]
        )
        return self.loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


@pytest.mark.parametrize("per_sample", [False, True])
def test_the_attention_masks_of_both_texts_are_united(per_sample, trainer):
    lengths = torch.tensor([1, 5, 3, 2, 5, 4])
    batch = {
        "input_ids": torch.randint(10, (6, 5)),
        "attention_mask": (torch.arange(5) < lengths[:, None]).long(),
        "token_type_ids": torch.arange(30).view(6, 5),
        "label": torch.tensor([0, 1, 2, 0, 1, 2]),
    }
    module = Text()
    mix = ManifoldMixup(1.0, layers=["words"], input_key="input_ids", target_key="label", per_sample=per_sample, seed=0)
    keep = Keep(mix)
    data = DataLoader(range(1), batch_size=None, collate_fn=lambda _: dict(batch))
    trainer(mix, keep).fit(module, data)
    lam = torch.as_tensor(keep.last.lam, dtype=torch.float32).expand(6)
    mask = batch["attention_mask"]
    united = unite(mask, partners(mask, keep.last.shift), lam)
    assert torch.equal(module.seen["attention_mask"], united)
    assert united.sum() > mask.sum()
    assert torch.equal(module.seen["token_type_ids"], batch["token_type_ids"])
    hidden = module.words(batch["input_ids"])
    weight = lam.view(-1, 1, 1)
    logits = module.logits(weight * hidden + (1 - weight) * partners(hidden, keep.last.shift), united)
    labels = batch["label"], partners(batch["label"], keep.last.shift)
    own, other = (F.cross_entropy(logits, half, reduction="none") for half in labels)
    torch.testing.assert_close(module.loss, (lam * own + (1 - lam) * other).mean())


@pytest.mark.parametrize(("targets", "size"), [("mask", (8, 8)), ("auto", (8, 8)), ("auto", (32, 32))])
def test_a_mask_at_another_resolution_is_cut_where_the_image_is(targets, size, trainer):
    images, masks = torch.rand(B, 3, 16, 16), torch.randint(5, (B, *size))

    class Segments(Plain):
        def training_step(self, batch, batch_idx):
            self.steps.append(batch)
            pooled = F.interpolate(batch[0], size).mean(1, keepdim=True).expand(-1, 5, -1, -1)
            return F.cross_entropy(pooled * self.net.weight.mean(), batch[1])

    module, mix = Segments(), CutMix(1.0, targets=targets, seed=3)
    keep = Keep(mix)
    trainer(mix, keep).fit(module, loader(images, masks))
    x, y = module.steps[0]
    box = keep.last.box
    assert torch.equal(x, cutmix(images, box, keep.last.shift))
    assert type(y) is torch.Tensor
    assert torch.equal(y, cutmix(masks[:, None], box.scaled((16, 16), size), keep.last.shift)[:, 0])


@pytest.mark.parametrize(("shape", "dims"), [((B, 12, 3), 1), ((B, 12), 1), ((B, 12, 1), 1), ((B, 3, 12), None)])
def test_series_are_cut_along_time(shape, dims, trainer):
    class Series(Plain):
        def training_step(self, batch, batch_idx):
            self.steps.append(batch)
            return F.cross_entropy(self.net(batch[0].flatten(1)[:, :4]), batch[1])

    x = torch.rand(shape)
    module, mix = Series(), CutMix(1.0, dims=dims, seed=1)
    keep = Keep(mix)
    trainer(mix, keep).fit(module, loader(x, Y))
    time = dims or 2
    (got, _), other = module.steps[0], partners(x, keep.last.shift)
    inside = torch.zeros(12, dtype=torch.bool)
    inside[keep.last.box.low[0] : keep.last.box.high[0]] = True
    along = inside.view(*[12 if dim == time else 1 for dim in range(x.ndim)])
    assert torch.equal(got, torch.where(along, other, x))
    assert keep.last.lam == pytest.approx(1 - inside.float().mean().item())


def test_a_series_that_would_never_be_cut_stops(trainer):
    for shape, message in (((B, 12, 1), "time comes first"), ((B, 12, 3), "time comes first"), ((B, 12), "dims=1")):
        with pytest.raises(MisconfigurationException, match=message):
            trainer(CutMix(1.0, seed=1)).fit(Plain(), loader(torch.rand(shape), Y))


@pytest.mark.parametrize("seed", range(4))  # either label is the heavier one
def test_labels_that_a_module_keeps_are_not_those_of_the_batch(seed, trainer):
    class Keeping(Plain):
        def training_step(self, batch, batch_idx):
            self.kept = batch[1].long()  # of int64 the very same tensors
            return super().training_step(batch, batch_idx)

    class Look(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            self.labels = batch[1]

    module, look, mix = Keeping(), Look(), Mixup(1.0, seed=seed)
    trainer(mix, look, max_epochs=3).fit(module, loader())
    assert type(look.labels) is torch.Tensor
    assert torch.equal(look.labels, Y)
    assert type(module.kept) is torch.Tensor
    assert module.kept.shape == Y.shape
