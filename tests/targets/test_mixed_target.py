import copy
import functools
import io
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score
from torch import nn
from torchmetrics import ConfusionMatrix, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassCalibrationError,
    MulticlassF1Score,
    MultilabelAccuracy,
)
from torchmetrics.functional import accuracy
from torchmetrics.wrappers import ClasswiseWrapper, MetricTracker, MinMaxMetric

from lightning_mixup import MixedTarget, interpolate_loss
from lightning_mixup.targets import MixedTargetError

B, C = 6, 5
torch.manual_seed(0)
LOGITS = torch.randn(B, C, dtype=torch.float64)
CLASSES = torch.tensor([0, 4, 2, 2, 1, 3]), torch.tensor([3, 0, 4, 2, 2, 1])
WEIGHT = torch.rand(C, dtype=torch.float64) + 0.1
VALUES = torch.randn(B, C, dtype=torch.float64), torch.randn(B, C, dtype=torch.float64)
SHARES = tuple(value.softmax(1) for value in VALUES)
BITS = tuple((value > 0).double() for value in VALUES)
SIGNS = tuple(2 * bits[:, 0] - 1 for bits in BITS)
MASKS = torch.randint(0, C, (B, 3, 4)), torch.randint(0, C, (B, 3, 4))
IGNORING = torch.tensor([0, -100, 2, 2, -100, 3]), torch.tensor([3, 0, -100, 2, -100, 1])
LAM = torch.tensor([0.9, 0.2, 0.5, 0.75, 0.0, 1.0], dtype=torch.float64)
WEIGHTS = pytest.mark.parametrize("lam", [0.3, 0.5, 0.8, LAM], ids=["0.3", "0.5", "0.8", "per_sample"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def batchmean(loss):
    """kl_div warns of its mean over all values; its batchmean is the sum over samples, and so is what is expected."""
    return lambda p, y, reduction="mean": (
        loss(p, y, reduction=reduction.replace("mean", "sum")) / (len(p) * C if reduction == "mean" else 1)
    )


dense = torch.randn(B, C, 3, 4, dtype=torch.float64)
probabilities = LOGITS.sigmoid()
# name: (loss, prediction, the two halves of the target)
MIXED_LOSSES = {
    "cross_entropy": (F.cross_entropy, LOGITS, CLASSES),
    "cross_entropy, label smoothing": (functools.partial(F.cross_entropy, label_smoothing=0.1), LOGITS, CLASSES),
    "cross_entropy, uint8": (F.cross_entropy, LOGITS, tuple(y.byte() for y in CLASSES)),
    "cross_entropy, soft": (F.cross_entropy, LOGITS, SHARES),
    "cross_entropy, dense": (F.cross_entropy, dense, MASKS),
    "nll_loss": (F.nll_loss, LOGITS.log_softmax(1), CLASSES),
    "nll_loss, dense": (F.nll_loss, dense.log_softmax(1), MASKS),
    "bce": (F.binary_cross_entropy, probabilities, BITS),
    "bce with logits": (F.binary_cross_entropy_with_logits, LOGITS, BITS),
    "bce, pos_weight": (functools.partial(F.binary_cross_entropy_with_logits, pos_weight=WEIGHT), LOGITS, BITS),
    "multilabel soft margin": (F.multilabel_soft_margin_loss, LOGITS, BITS),
    "multi margin": (F.multi_margin_loss, LOGITS, CLASSES),
    "multilabel margin": (F.multilabel_margin_loss, LOGITS, tuple(torch.stack([y] * C, 1) for y in CLASSES)),
    "kl_div": (batchmean(F.kl_div), LOGITS.log_softmax(1), SHARES),
    "soft margin": (F.soft_margin_loss, LOGITS[:, 0], SIGNS),
    "hinge embedding": (F.hinge_embedding_loss, LOGITS[:, 0], SIGNS),
    "nn.CrossEntropyLoss": (lambda p, y, **kw: nn.CrossEntropyLoss(**kw)(p, y), LOGITS, CLASSES),
    "nn.NLLLoss": (lambda p, y, **kw: nn.NLLLoss(**kw)(p, y), LOGITS.log_softmax(1), CLASSES),
    "nn.BCEWithLogitsLoss": (lambda p, y, **kw: nn.BCEWithLogitsLoss(**kw)(p, y), LOGITS, BITS),
    "nn.KLDivLoss": (batchmean(lambda p, y, **kw: nn.KLDivLoss(**kw)(p, y)), LOGITS.log_softmax(1), SHARES),
}
VALUE_LOSSES = {
    "mse": (F.mse_loss, LOGITS, VALUES),
    "l1": (F.l1_loss, LOGITS, VALUES),
    "smooth l1": (F.smooth_l1_loss, LOGITS, VALUES),
    "huber": (F.huber_loss, LOGITS, VALUES),
    "gaussian nll": (functools.partial(F.gaussian_nll_loss, var=torch.rand(B, C).double() + 0.1), LOGITS, VALUES),
    "poisson nll": (F.poisson_nll_loss, LOGITS, SHARES),
    "nn.MSELoss": (lambda p, y, **kw: nn.MSELoss(**kw)(p, y), LOGITS, VALUES),
    "nn.SmoothL1Loss": (lambda p, y, **kw: nn.SmoothL1Loss(**kw)(p, y), LOGITS, VALUES),
    "mse, one column": (F.mse_loss, LOGITS[:, 0], tuple(y[:, 0] for y in VALUES)),
}


def per_sample(lam, like):
    lam = torch.as_tensor(lam, dtype=torch.float64).expand(B)
    return lam.view(-1, *[1] * (like.ndim - 1))


def reduced(loss, reduction):
    return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[reduction]()


@WEIGHTS
@REDUCTIONS
@pytest.mark.parametrize("name", MIXED_LOSSES)
def test_losses_of_classes_are_mixed(name, reduction, lam):
    loss, pred, (original, partner) = MIXED_LOSSES[name]
    got = loss(pred.requires_grad_(), MixedTarget(original, partner, lam), reduction=reduction)
    each = loss(pred, original, reduction="none"), loss(pred, partner, reduction="none")
    weight = per_sample(lam, each[0])
    torch.testing.assert_close(got, reduced(weight * each[0] + (1 - weight) * each[1], reduction))


@WEIGHTS
@REDUCTIONS
@pytest.mark.parametrize("name", VALUE_LOSSES)
def test_losses_of_values_see_the_mixed_value(name, reduction, lam):
    loss, pred, (original, partner) = VALUE_LOSSES[name]
    weight = per_sample(lam, original)
    expected = loss(pred, weight * original + (1 - weight) * partner, reduction=reduction)
    torch.testing.assert_close(loss(pred, MixedTarget(original, partner, lam), reduction=reduction), expected)


@WEIGHTS
@REDUCTIONS
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("halves", [CLASSES, IGNORING], ids=["all", "some ignored"])
def test_cross_entropy_equals_a_loop_over_the_samples(halves, weight, smoothing, reduction, lam):
    losses, shares = [], []
    for i, share in enumerate(per_sample(lam, LAM)):
        loss = total = 0.0
        for label, part in zip((half[i] for half in halves), (share, 1 - share), strict=True):
            loss += part * F.cross_entropy(
                LOGITS[i : i + 1], label[None], weight=weight, label_smoothing=smoothing, reduction="sum"
            )
            total += part * (label != -100) * (1 if weight is None else weight[label.clamp(min=0)])
        losses.append(loss)
        shares.append(total)
    expected = reduced(torch.stack(losses), reduction)
    if reduction == "mean":
        expected = sum(losses) / sum(shares)
    target = MixedTarget(*halves, lam)
    got = F.cross_entropy(LOGITS, target, weight=weight, label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(got, expected)
    module = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing, reduction=reduction)
    torch.testing.assert_close(module(LOGITS, target), expected)


@pytest.mark.parametrize("name", [*MIXED_LOSSES, *VALUE_LOSSES])
def test_pure_labels_give_the_plain_loss_to_the_last_bit(name):
    loss, pred, (original, partner) = {**MIXED_LOSSES, **VALUE_LOSSES}[name]
    assert torch.equal(loss(pred, MixedTarget(original, partner, 1.0)), loss(pred, original))
    assert torch.equal(loss(pred, MixedTarget(original, partner, 0.0)), loss(pred, partner))


def test_all_labels_ignored_on_one_side():
    ignored = torch.full((B,), 255)
    pure = F.cross_entropy(LOGITS, MixedTarget(CLASSES[0], ignored, 1.0), ignore_index=255)
    assert torch.equal(pure, F.cross_entropy(LOGITS, CLASSES[0]))
    mixed = F.cross_entropy(LOGITS, MixedTarget(CLASSES[0], ignored, 0.3), ignore_index=255)
    torch.testing.assert_close(mixed, F.cross_entropy(LOGITS, CLASSES[0]))


def test_legacy_arguments_and_keywords():
    y = MixedTarget(*CLASSES, 0.3)
    torch.testing.assert_close(
        F.cross_entropy(input=LOGITS, target=y, reduction="sum"),
        F.cross_entropy(LOGITS, y, None, None, -100, None, "sum"),
    )
    with pytest.warns(UserWarning, match="deprecated"):
        legacy = F.cross_entropy(LOGITS, y, size_average=False)
    torch.testing.assert_close(legacy, F.cross_entropy(LOGITS, y, reduction="sum"))


def focal(pred, target, gamma=2.0, reduction="mean"):
    loss = F.cross_entropy(pred, target, reduction="none")
    return reduced((1 - (-loss).exp()) ** gamma * loss, reduction)


class Dice(nn.Module):
    def forward(self, pred, target):
        hot = F.one_hot(target, C).to(pred.dtype)
        p = pred.softmax(1)
        return 1 - 2 * (p * hot).sum() / (p.sum() + hot.sum())


class Focal(nn.Module):
    reduction = "mean"

    def forward(self, pred, target):
        return focal(pred, target, reduction=self.reduction)


@WEIGHTS
@pytest.mark.parametrize("loss", [focal, functools.partial(focal, gamma=1.0), Focal(), Dice()])
def test_interpolate_loss_mixes_any_loss(loss, lam):
    y = MixedTarget(*CLASSES, lam)
    if isinstance(lam, float):
        expected = lam * loss(LOGITS, CLASSES[0]) + (1 - lam) * loss(LOGITS, CLASSES[1])
    else:
        rows = [slice(i, i + 1) for i in range(B)]
        expected = sum(
            share * loss(LOGITS[row], CLASSES[0][row]) + (1 - share) * loss(LOGITS[row], CLASSES[1][row])
            for share, row in zip(lam, rows, strict=True)
        ) / len(rows)
    mixed = interpolate_loss(loss)
    torch.testing.assert_close(mixed(LOGITS, y), expected)
    torch.testing.assert_close(mixed(pred=LOGITS, target=y), expected)
    assert y.consumed
    assert torch.equal(mixed(LOGITS, CLASSES[0]), loss(LOGITS, CLASSES[0]))


MOVES = {
    "view": lambda y: y.view(2, 3),
    "reshape": lambda y: y.reshape(-1, 1),
    "unsqueeze": lambda y: y.unsqueeze(1),
    "torch.unsqueeze": lambda y: torch.unsqueeze(y, 0),
    "squeeze": lambda y: y[:, None].squeeze(1),
    "flatten": lambda y: y.view(2, 3).flatten(),
    "transpose": lambda y: y.view(2, 3).T,
    "int": lambda y: y[0],
    "slice": lambda y: y[1:4],
    "mask": lambda y: y[torch.tensor([True, False, True, True, False, False])],
    "index": lambda y: y[torch.tensor([2, 0])],
    "chunk": lambda y: y.chunk(3)[1],
    "split": lambda y: torch.split(y, 4)[1],
    "unbind": lambda y: y.unbind()[5],
    "iterate": lambda y: list(y)[3],
    "cat": lambda y: torch.cat([y, y]),
    "cat with plain": lambda y: torch.cat([y, CLASSES[0]]),
    "stack": lambda y: torch.stack((y, y), 1),
    "repeat": lambda y: y.repeat(2),
    "repeat_interleave": lambda y: y.repeat_interleave(2),
    "flip": lambda y: y.flip(0),
    "long": lambda y: y.long(),
    "float": lambda y: y.float(),
    "to": lambda y: y.to(torch.int16),
    "cpu": lambda y: y.cpu(),
    "clone": lambda y: y.clone(),
    "detach": lambda y: y.detach(),
    "shift": lambda y: 1 + y - 1,
    "coarse": lambda y: y // 2,
    "look-up": lambda y: torch.tensor([3, 3, 1, 1, 0])[y],
}


@WEIGHTS
@pytest.mark.parametrize("name", MOVES)
def test_what_moves_or_renames_labels_keeps_both(name, lam):
    move = MOVES[name]
    moved = move(MixedTarget(*CLASSES, lam))
    assert isinstance(moved, MixedTarget)
    assert torch.equal(moved.original, move(CLASSES[0]))
    assert torch.equal(moved.partner, move(CLASSES[1]))
    assert moved.dtype == move(CLASSES[0]).dtype
    if isinstance(moved.lam, torch.Tensor) and "plain" not in name:
        per_label = torch.as_tensor(lam, dtype=torch.float64).expand(B)
        still = name in ("shift", "coarse", "look-up", "long", "float", "to", "cpu", "clone", "detach")
        assert torch.equal(moved.lam, per_label if still else move(per_label))
    dominant = torch.where(torch.as_tensor(moved.lam) >= 0.5, moved.original, moved.partner)
    assert torch.equal(moved.as_subclass(torch.Tensor), dominant)


@WEIGHTS
@pytest.mark.parametrize(
    "halves", [CLASSES, BITS, MASKS, tuple(y.byte() for y in CLASSES)], ids=["classes", "bits", "masks", "bytes"]
)
def test_what_both_halves_share_is_told(halves, lam):
    y, plain = MixedTarget(*halves, lam), halves[0]
    for told in (y, y.view(-1, 1).view(plain.shape)):
        assert (told.shape, told.ndim, told.dtype, told.device) == (plain.shape, plain.ndim, plain.dtype, plain.device)
        assert (told.size(), told.dim(), told.numel(), len(told)) == (plain.size(), plain.dim(), plain.numel(), B)
        assert told.is_floating_point() == torch.is_floating_point(told) == plain.is_floating_point()


@WEIGHTS
def test_joined_with_plain_labels_the_loss_is_that_of_the_parts(lam):
    y = torch.cat([MixedTarget(*CLASSES, lam), CLASSES[1]])
    got = F.cross_entropy(torch.cat([LOGITS, LOGITS]), y, reduction="sum")
    parts = F.cross_entropy(LOGITS, MixedTarget(*CLASSES, lam), reduction="sum") + F.cross_entropy(
        LOGITS, CLASSES[1], reduction="sum"
    )
    torch.testing.assert_close(got, parts, check_dtype=False)


@WEIGHTS
def test_micro_batches_add_up(lam):
    y = MixedTarget(*CLASSES, lam)
    parts = [
        F.cross_entropy(pred, part, reduction="sum") for pred, part in zip(LOGITS.chunk(3), y.chunk(3), strict=True)
    ]
    torch.testing.assert_close(sum(parts), F.cross_entropy(LOGITS, y, reduction="sum"))


@WEIGHTS
def test_one_hot_is_soft_in_a_loss_and_hard_in_a_metric(lam):
    y = MixedTarget(*CLASSES, lam)
    weight = torch.as_tensor(lam, dtype=torch.float64).expand(B)[:, None]
    soft = weight * F.one_hot(CLASSES[0], C) + (1 - weight) * F.one_hot(CLASSES[1], C)
    pred = LOGITS.clone().requires_grad_()
    hot = F.one_hot(y, C).float()
    assert torch.equal(hot.argmax(1), y.as_subclass(torch.Tensor))
    assert not y.consumed
    by_hand = -(pred.log_softmax(1) * (0.9 * hot + 0.1 / C)).sum(1).mean()
    torch.testing.assert_close(by_hand, F.cross_entropy(pred, 0.9 * soft + 0.1 / C), check_dtype=False)
    assert y.consumed
    torch.testing.assert_close(
        F.binary_cross_entropy_with_logits(pred, hot), F.binary_cross_entropy_with_logits(pred, soft), check_dtype=False
    )


@WEIGHTS
def test_an_embedding_of_labels_is_mixed(lam):
    table = nn.Embedding(C, 3, dtype=torch.float64)
    y = MixedTarget(*CLASSES, lam)
    weight = torch.as_tensor(lam, dtype=torch.float64).expand(B)[:, None]
    torch.testing.assert_close(table(y), weight * table(CLASSES[0]) + (1 - weight) * table(CLASSES[1]))
    assert not y.consumed


@WEIGHTS
@pytest.mark.filterwarnings("ignore:No positive samples")
def test_metrics_see_the_dominant_labels(lam):
    y = MixedTarget(*CLASSES, lam)
    hard = torch.where(torch.as_tensor(lam) >= 0.5, *CLASSES)
    pred = LOGITS.requires_grad_()
    metrics = [
        MulticlassAccuracy(C),
        MulticlassAccuracy(C, average="micro"),
        MulticlassAccuracy(C, top_k=2),
        MulticlassF1Score(C),
        MulticlassCalibrationError(C),
        MulticlassAUROC(C),
        ConfusionMatrix(task="multiclass", num_classes=C),
        MinMaxMetric(MulticlassAccuracy(C)),
        ClasswiseWrapper(MulticlassAccuracy(C, average=None)),
        MetricCollection([MulticlassAccuracy(C), MulticlassF1Score(C)]),
    ]
    for metric in metrics:
        expected = copy.deepcopy(metric)(pred.detach(), hard)
        for got in (metric(pred, y), metric.compute()):
            torch.testing.assert_close(got, expected, check_dtype=False)
    tracker = MetricTracker(MulticlassAccuracy(C, average="micro"))
    tracker.increment()
    tracker.update(pred, y)
    assert tracker.compute() == accuracy(pred, hard, "multiclass", num_classes=C)
    assert accuracy(pred, y, "multiclass", num_classes=C) == accuracy(pred, hard, "multiclass", num_classes=C)
    by_hand = (pred.argmax(1) == y).float().mean()
    assert type(by_hand) is torch.Tensor
    assert by_hand == (pred.argmax(1) == hard).float().mean()
    assert (y.cpu().numpy() == hard.numpy()).all()
    assert (np.asarray(y) == hard.numpy()).all()
    assert y.tolist() == hard.tolist()
    assert accuracy_score(y.cpu(), pred.argmax(1)) == accuracy_score(hard, pred.argmax(1))
    assert torch.equal(torch.bincount(y), torch.bincount(hard))
    assert not y.consumed


def test_multilabel_metrics_see_bits():
    metric = MultilabelAccuracy(C)
    assert metric(LOGITS, MixedTarget(*BITS, 0.3).int()) == MultilabelAccuracy(C)(LOGITS, BITS[1].int())


@pytest.mark.parametrize(
    "use",
    [
        lambda pred, y: -pred.gather(1, y.unsqueeze(1)).mean(),
        lambda pred, y: -pred[torch.arange(B), y].mean(),
        lambda pred, y: pred[y].mean(),
        lambda pred, y: (pred[:, 0] - y.float()).square().mean(),
        lambda pred, y: y.float() * pred[:, 0],
        lambda pred, y: torch.where(y.bool(), pred[:, 0], 0.0),
        lambda pred, y: pred.index_select(0, y),
        lambda pred, y: F.triplet_margin_loss(pred, pred, y[:, None].double()),
    ],
)
def test_other_differentiable_uses_raise_with_the_cures(use):
    y = MixedTarget(*CLASSES, 0.3)
    with pytest.raises(MixedTargetError, match=r"targets='soft'.*interpolate_loss\(my_loss\)\(pred, y\)"):
        use(LOGITS.clone().requires_grad_(), y)
    assert not y.consumed


@pytest.mark.parametrize("change", [lambda y: y.add_(1), lambda y: y.__setitem__(0, 1), lambda y: y.clamp_(max=1)])
def test_changes_in_place_raise_and_change_nothing(change):
    before = [half.clone() for half in CLASSES]
    with pytest.raises(MixedTargetError, match="one half"):
        change(MixedTarget(*CLASSES, 0.7))
    assert all(torch.equal(half, old) for half, old in zip(CLASSES, before, strict=True))


def test_shape_and_device_of_a_prediction_may_follow_the_labels():
    y, pred = MixedTarget(*CLASSES, 0.3), LOGITS[:, 0].clone().requires_grad_()
    assert pred.view_as(y).requires_grad
    assert pred.to(y.device).requires_grad
    assert pred.reshape(y.shape).requires_grad


def test_consumption_counts_only_where_a_gradient_flows():
    y = MixedTarget(*CLASSES, 0.3)
    with torch.no_grad():
        F.cross_entropy(LOGITS.clone().requires_grad_(), y)
    F.cross_entropy(LOGITS.detach(), y)
    assert not y.consumed
    F.cross_entropy(LOGITS.clone().requires_grad_(), y.view(2, 3).flatten())
    assert y.consumed


def test_gradients_are_those_of_the_two_terms():
    one, two = (LOGITS.detach().clone().requires_grad_() for _ in range(2))
    F.cross_entropy(one, MixedTarget(*CLASSES, 0.3), weight=WEIGHT, label_smoothing=0.1).backward()
    parts = [F.cross_entropy(two, half, weight=WEIGHT, label_smoothing=0.1, reduction="sum") for half in CLASSES]
    shares = [WEIGHT[half].sum() for half in CLASSES]
    ((0.3 * parts[0] + 0.7 * parts[1]) / (0.3 * shares[0] + 0.7 * shares[1])).backward()
    torch.testing.assert_close(one.grad, two.grad)


@WEIGHTS
def test_survives_copying_and_saving(lam):
    y = MixedTarget(*CLASSES, lam)
    buffer = io.BytesIO()
    torch.save(y, buffer)
    buffer.seek(0)
    for twin in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y)), torch.load(buffer, weights_only=False)):
        assert isinstance(twin, MixedTarget)
        assert torch.equal(F.cross_entropy(LOGITS, twin), F.cross_entropy(LOGITS, y))


def test_repr_shows_both_labels():
    assert repr(MixedTarget(torch.tensor([1]), torch.tensor([2]), 0.3)) == (
        "MixedTarget(original=tensor([1]), partner=tensor([2]), lam=0.3)"
    )
    assert str(MixedTarget(torch.tensor([1]), torch.tensor([2]), 0.3)).startswith("MixedTarget(")
