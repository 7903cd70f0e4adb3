"""Targets of every kind, in training."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from support import Spy, halves, make, methods, regions
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, ManifoldMixup, MixedTarget, Mixup
from lightning_mixup.functional import cutmix, partners
from lightning_mixup.targets import MixedTargetError
from lightning_mixup.targets.watched import plain

B = 6
IMAGES = torch.rand(B, 3, 8, 10)
CLASSES = torch.tensor([0, 1, 2, 3, 4, 5])


class Taking(Spy):
    """A module whose step is a function of the network's output and the targets."""

    def __init__(self, step: Any, network: nn.Module | None = None) -> None:
        super().__init__()
        self.net = network or nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 1))
        self.step = step

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen["train"].append(batch)
        self.out = self.net(batch[0])
        return self.step(self.out, *batch[1:])


def one_step(mix: Any, step: Any, *batch: Tensor, trainer: Any, network: nn.Module | None = None) -> Taking:
    module = Taking(step, network)
    trainer(mix, max_steps=1).fit(module, DataLoader([0], collate_fn=lambda _: list(batch)))
    return module


METHODS = pytest.mark.parametrize("method", [Mixup, CutMix, ManifoldMixup])
SAMPLES = pytest.mark.parametrize("per_sample", [False, True])


def share(mix: Any, like: Tensor) -> Tensor:
    return torch.as_tensor(mix.last.lam, dtype=torch.float32).expand(len(like)).view(-1, *[1] * (like.ndim - 1))


@METHODS
@SAMPLES
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_class_indices_of_any_integer_type(method, per_sample, dtype, trainer):
    mix = method(1.0, per_sample=per_sample, seed=1)
    module = one_step(
        mix, lambda out, y: F.cross_entropy(out.mean((2, 3)), y.long()), IMAGES, CLASSES.to(dtype), trainer=trainer
    )
    y = module.seen["train"][0][1]
    assert isinstance(y, MixedTarget)
    assert y.dtype == dtype


@METHODS
@SAMPLES
@pytest.mark.parametrize("shape", [(B,), (B, 1)])
def test_regression_targets_are_mixed_values(method, per_sample, shape, trainer):
    y = torch.randn(shape)
    mix = method(1.0, per_sample=per_sample, seed=1)
    module = one_step(
        mix, lambda out, y: (out.mean((1, 2, 3)) - y.flatten()).square().mean(), IMAGES, y, trainer=trainer
    )
    got = plain(module.seen["train"][0][1])
    weight = share(mix, y)
    torch.testing.assert_close(got, weight * y + (1 - weight) * partners(y, mix.last.shift))


@METHODS
def test_regression_in_several_dimensions(method, trainer):
    """Numbers that are not whole are values, whichever loss meets them."""
    y = torch.randn(B, 3)
    for targets, loss in (("auto", F.mse_loss), ("auto", F.l1_loss), ("values", lambda p, y: (p - y).abs().mean())):
        mix = method(1.0, seed=1, targets=targets)
        module = one_step(mix, lambda out, y, f=loss: f(out.mean((2, 3))[:, :3], y), IMAGES, y, trainer=trainer)
        mixed = mix.last.lam * y + (1 - mix.last.lam) * partners(y, mix.last.shift)
        torch.testing.assert_close(plain(module.seen["train"][0][1]), mixed)


@METHODS
def test_values_that_no_loss_uses_stop(method, trainer):
    step = lambda out, y: out.mean() + y.mean().item()  # noqa: E731
    one_step(method(1.0, seed=1), step, IMAGES, torch.randn(B), trainer=trainer)
    with pytest.raises(RuntimeError, match=r"none of its losses used the mixed .* of batch entry 1"):
        one_step(method(1.0, seed=1), lambda out, y: out.mean(), IMAGES, torch.randn(B), trainer=trainer)


@METHODS
@pytest.mark.parametrize("y", [CLASSES % 2, 2 * (CLASSES % 2) - 1, CLASSES], ids=["bits", "signs", "classes"])
def test_whole_numbers_in_floating_point_are_labels(method, y, trainer):
    mix = method(1.0, seed=1)
    step = lambda out, y: F.soft_margin_loss(out.mean((1, 2, 3)), y)  # noqa: E731
    module = one_step(mix, step, IMAGES, y.float(), trainer=trainer)
    got = module.seen["train"][0][1]
    assert isinstance(got, MixedTarget)
    assert torch.equal(got.original, y.float())


@METHODS
@SAMPLES
@pytest.mark.parametrize("soft", [False, True], ids=["bits", "probabilities"])
def test_multilabel_and_soft_labels(method, per_sample, soft, trainer):
    y = torch.randn(B, 6).softmax(1) if soft else (torch.randn(B, 6) > 0).float()
    mix = method(1.0, per_sample=per_sample, seed=1)
    losses = {}

    def step(out: Tensor, y: Tensor) -> Tensor:
        pred = out.mean((2, 3))
        losses["got"] = F.cross_entropy(pred, y) if soft else F.binary_cross_entropy_with_logits(pred, y)
        losses["pred"] = pred.detach()
        return losses["got"]

    one_step(mix, step, IMAGES, y, trainer=trainer)
    weight = share(mix, y)
    mixed = weight * y + (1 - weight) * partners(y, mix.last.shift)
    loss = F.cross_entropy if soft else F.binary_cross_entropy_with_logits
    torch.testing.assert_close(losses["got"].detach(), loss(losses["pred"], mixed))


@SAMPLES
@pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
def test_masks(method, per_sample, trainer):
    """CutMix cuts the mask with the image; what mixes pixels mixes their losses. Ignored pixels stay ignored."""
    mask = torch.randint(0, 6, (B, 8, 10))
    mask[:, :2] = 255
    mix = make(method, per_sample=per_sample, seed=1, **({"layers": ["net"]} if method is ManifoldMixup else {}))
    losses = {}

    def step(out: Tensor, y: Tensor) -> Tensor:
        losses["pred"] = out.detach()
        losses["got"] = F.cross_entropy(out, y, ignore_index=255)
        return losses["got"]

    module = one_step(mix, step, IMAGES, mask, trainer=trainer)
    x, got = module.seen["train"][0]
    clean, _ = halves(IMAGES, mix.last, key=0)
    mask, partner = halves(mask, mix.last)
    if regions(mix.last):
        assert type(got) is Tensor
        from_partner = (x != clean).any(1)
        assert torch.equal(got[~from_partner], mask[~from_partner])
        if method.__name__ != "ResizeMix":  # which shows the partner at another place
            assert torch.equal(got, torch.where(from_partner, partner, mask))
    else:
        own, others = (F.cross_entropy(losses["pred"], m, ignore_index=255, reduction="none") for m in (mask, partner))
        weight = share(mix, own)
        # As many pixels are ignored in each half, so that both means have the same divisor.
        expected = (weight * own + (1 - weight) * others).sum() / (mask != 255).sum()
        torch.testing.assert_close(losses["got"].detach(), expected)


@SAMPLES
def test_maps_of_values_are_cut_or_averaged(per_sample, trainer):
    depth = torch.rand(B, 1, 8, 10)
    step = lambda out, y: (out[:, :1] - y).abs().mean()  # noqa: E731
    cut = CutMix(1.0, per_sample=per_sample, seed=1)
    x, y = one_step(cut, step, IMAGES, depth, trainer=trainer).seen["train"][0]
    torch.testing.assert_close(y, cutmix(depth, cut.last.box, cut.last.shift))
    mixed = Mixup(1.0, per_sample=per_sample, seed=1)
    x, y = one_step(mixed, step, IMAGES, depth, trainer=trainer).seen["train"][0]
    weight = share(mixed, depth)
    torch.testing.assert_close(y, weight * depth + (1 - weight) * partners(depth, mixed.last.shift))
    assert x.shape == IMAGES.shape


def test_several_targets_each_of_its_kind(trainer):
    values, mask = torch.randn(B), torch.randint(0, 6, (B, 8, 10))
    mix = CutMix(1.0, target_key=(1, 2, 3), seed=1)

    def step(out: Tensor, y: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        pooled = out.mean((2, 3))
        return F.cross_entropy(pooled, y) + F.l1_loss(pooled[:, 0], value) + F.cross_entropy(out, mask)

    _, y, value, cut = one_step(mix, step, IMAGES, CLASSES, values, mask, trainer=trainer).seen["train"][0]
    assert isinstance(y, MixedTarget)
    assert plain(value) is not value
    assert type(cut) is Tensor
    forced = CutMix(1.0, target_key=(1, 2, 3), targets=("soft", "labels", "mask"), num_classes=6, seed=1)
    _, y, value, cut = one_step(forced, step, IMAGES, CLASSES, values, mask, trainer=trainer).seen["train"][0]
    assert y.shape == (B, 6)
    assert isinstance(value, MixedTarget)


def test_every_target_has_to_be_used(trainer):
    mix = Mixup(1.0, target_key=(1, 2), seed=1)
    with pytest.raises(Exception, match="mixed labels of batch entry 2"):
        one_step(mix, lambda out, y, z: F.cross_entropy(out.mean((2, 3)), y), IMAGES, CLASSES, CLASSES, trainer=trainer)


@pytest.mark.parametrize("source", ["argument", "module", "hparams", "data module"])
def test_number_of_classes_is_found(source, trainer):
    from lightning.pytorch import LightningDataModule

    class Data(LightningDataModule):
        num_classes = 6 if source == "data module" else None

        def train_dataloader(self) -> DataLoader:
            return DataLoader([0], collate_fn=lambda _: [IMAGES, CLASSES])

    module = Taking(lambda out, y: F.cross_entropy(out.mean((2, 3)), y))
    if source == "module":
        module.num_classes = 6
    if source == "hparams":
        module.save_hyperparameters({"num_classes": 6})
    mix = Mixup(1.0, targets="soft", num_classes=6 if source == "argument" else None, seed=1)
    trainer(mix).fit(module, datamodule=Data())
    assert module.seen["train"][0][1].shape == (B, 6)


def test_number_of_classes_is_asked_for(spy, loader, trainer):
    with pytest.raises(MisconfigurationException, match="targets='soft' needs num_classes"):
        trainer(Mixup(targets="soft")).fit(spy, loader)


@pytest.mark.parametrize("labels", [CLASSES, CLASSES - 1], ids=["too large", "negative"])
def test_labels_out_of_range_are_refused(labels, trainer):
    with pytest.raises(MisconfigurationException, match=r"needs labels in \[0, 5\), got (0 to 5|-1 to 4)"):
        one_step(Mixup(1.0, targets="soft", num_classes=5, seed=1), F.cross_entropy, IMAGES, labels, trainer=trainer)


class Focal(nn.Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        p = pred.softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
        loss = -((1 - p) ** 2) * p.log()
        return loss if self.reduction == "none" else loss.mean()


class Dice(nn.Module):
    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        p = pred.softmax(1)
        true = torch.zeros_like(p).scatter(1, target.unsqueeze(1), 1.0)
        return 1 - 2 * (p * true).sum() / (p.sum() + true.sum())


def train(mix: Any, criterion: nn.Module | None, loss: Any, trainer: Any) -> tuple[Tensor, Tensor]:
    """The prediction and the loss of one step."""
    module = Taking(lambda out, y: (criterion or loss)(out.mean((2, 3)), y))
    if criterion is not None:
        module.criterion = criterion
    recorded = {}
    module.on_before_backward = lambda loss: recorded.update(loss=loss.detach())
    trainer(mix, max_steps=1).fit(module, DataLoader([0], collate_fn=lambda _: [IMAGES, CLASSES]))
    assert criterion is None or "forward" not in criterion.__dict__
    return module.out.detach().mean((2, 3)), recorded["loss"]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("criterion", [Focal, Dice])
def test_a_loss_of_the_user_is_computed_for_both_labels(criterion, named, trainer):
    mix = Mixup(1.0, loss="criterion" if named else None, seed=1)
    plain = criterion()
    pred, got = train(mix, criterion() if named else None, plain, trainer)
    other = partners(CLASSES, mix.last.shift)
    expected = mix.last.lam * plain(pred, CLASSES) + (1 - mix.last.lam) * plain(pred, other)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("named", [False, True])
def test_a_loss_of_one_value_a_sample_takes_a_weight_for_each(named, trainer):
    mix = Mixup(1.0, loss="criterion" if named else None, per_sample=True, seed=1)
    pred, got = train(mix, Focal() if named else None, Focal(), trainer)
    each = Focal("none")
    weight, other = share(mix, CLASSES), partners(CLASSES, mix.last.shift)
    torch.testing.assert_close(got, (weight * each(pred, CLASSES) + (1 - weight) * each(pred, other)).mean())


@pytest.mark.parametrize("named", [False, True])
def test_a_loss_of_the_whole_batch_takes_one_weight(named, trainer):
    mix = Mixup(1.0, loss="criterion" if named else None, per_sample=True, seed=1)
    with pytest.raises(MixedTargetError, match=r"each has a weight of its own(.|\n)*per_sample=False"):
        train(mix, Dice() if named else None, Dice(), trainer)


def test_a_wrong_name_of_a_loss_lists_similar_ones(spy, loader, trainer):
    with pytest.raises(MisconfigurationException, match=r"loss names no submodule: 'acuracy'; similar: \['accuracy'\]"):
        trainer(Mixup(loss="acuracy")).fit(spy, loader)


def test_soft_targets_are_probabilities_in_every_step(trainer):
    class Soft(LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.seen = nn.Linear(4, 3), []

        def training_step(self, batch, batch_idx):
            self.seen.append(batch[1])
            return -(batch[1] * self.net(batch[0]).log_softmax(1)).sum(1).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    module, y = Soft(), torch.tensor([0, 2, 1, 1])
    batches = DataLoader(TensorDataset(torch.rand(64, 4), y.repeat(16)), batch_size=4)
    trainer(Mixup(1.0, prob=0.5, targets="soft", num_classes=3, seed=0)).fit(module, batches)
    clean = [torch.equal(seen, torch.eye(3)[y]) for seen in module.seen]
    assert all(seen.shape == (4, 3) for seen in module.seen)
    assert 0 < sum(clean) < len(clean)
    mix = Mixup(1.0, prob=0.0, targets="soft", num_classes=3, seed=0)
    with mix.step((torch.rand(4, 4), y), step=0) as (_, received):
        assert torch.equal(received, torch.eye(3)[y])


@pytest.mark.parametrize(
    ("target", "cut"),
    [
        (torch.rand(B, 4, 1), False),  # the next steps of a series are no map of those before
        (torch.rand(B, 12, 2), True),
        (torch.randint(0, 3, (B, 12)), True),
        (torch.randint(0, 3, (B, 12, 1)), True),
    ],
    ids=["forecast", "a value each step", "a label each step", "a label each step, with a channel"],
)
def test_series_with_time_first_have_their_maps_along_time(target, cut, trainer):
    x = torch.rand(B, 12, 1)
    mix = CutMix(dims=1, pairing="flip", seed=1)
    step = lambda out, y: (out.mean() * y.float()).sum()  # noqa: E731
    module = one_step(mix, step, x, target, trainer=trainer, network=nn.Linear(1, 1))
    low, high = mix.last.box.low[0], mix.last.box.high[0]
    assert 0 < high - low < 12
    want = target.clone()
    if cut:
        want[:, low:high] = target.flip(0)[:, low:high]
    else:
        want = mix.last.lam * target + (1 - mix.last.lam) * target.flip(0)
    torch.testing.assert_close(plain(module.seen["train"][0][1]), want)
