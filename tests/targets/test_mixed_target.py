"""What is computed from mixed labels is computed for both of them."""

import copy
import functools
import io
import math
import pickle
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_mixup import MixedTarget, interpolate_loss
from lightning_mixup.targets import MixedTargetError, value

B, C = 6, 5
torch.manual_seed(0)
LOGITS = torch.randn(B, C, dtype=torch.float64)
CLASSES = torch.tensor([0, 4, 2, 2, 1, 3]), torch.tensor([3, 0, 4, 2, 2, 1])
WEIGHT = torch.rand(C, dtype=torch.float64) + 0.1
SHARES = tuple(torch.randn(B, C, dtype=torch.float64).softmax(1) for _ in range(2))
BITS = tuple((torch.randn(B, C) > 0).double() for _ in range(2))
SIGNS = tuple(2 * bits[:, 0] - 1 for bits in BITS)
MASKS = torch.randint(0, C, (B, 3, 4)), torch.randint(0, C, (B, 3, 4))
IGNORING = torch.tensor([0, -100, 2, 2, -100, 3]), torch.tensor([3, 0, -100, 2, -100, 1])
LAM = torch.tensor([0.9, 0.2, 0.5, 0.75, 0.0, 1.0], dtype=torch.float64)
NUMBERS = pytest.mark.parametrize("lam", [0.3, 0.5, 0.8])
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
LOSSES = {
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
    "mse": (F.mse_loss, LOGITS, SHARES),
    "l1": (F.l1_loss, LOGITS, SHARES),
    "smooth l1": (F.smooth_l1_loss, LOGITS, SHARES),
    "huber": (F.huber_loss, LOGITS, SHARES),
    "gaussian nll": (functools.partial(F.gaussian_nll_loss, var=torch.rand(B, C).double() + 0.1), LOGITS, SHARES),
    "poisson nll": (F.poisson_nll_loss, LOGITS, SHARES),
    "nn.CrossEntropyLoss": (lambda p, y, **kw: nn.CrossEntropyLoss(**kw)(p, y), LOGITS, CLASSES),
    "nn.NLLLoss": (lambda p, y, **kw: nn.NLLLoss(**kw)(p, y), LOGITS.log_softmax(1), CLASSES),
    "nn.BCEWithLogitsLoss": (lambda p, y, **kw: nn.BCEWithLogitsLoss(**kw)(p, y), LOGITS, BITS),
    "nn.KLDivLoss": (batchmean(lambda p, y, **kw: nn.KLDivLoss(**kw)(p, y)), LOGITS.log_softmax(1), SHARES),
}


def per_sample(lam, like):
    lam = torch.as_tensor(lam, dtype=torch.float64).expand(B)
    return lam.view(-1, *[1] * (like.ndim - 1))


def reduced(loss, reduction):
    return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[reduction]()


def gradient(loss, pred):
    pred = pred.detach().clone().requires_grad_()
    got = value(loss(pred))
    return got, torch.autograd.grad(got.sum(), pred)[0]


@WEIGHTS
@REDUCTIONS
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_torch_are_mixed(name, reduction, lam):
    loss, pred, (original, partner) = LOSSES[name]
    got = gradient(lambda p: loss(p, MixedTarget(original, partner, lam), reduction=reduction), pred)

    def expected(p):
        each = loss(p, original, reduction="none"), loss(p, partner, reduction="none")
        weight = per_sample(lam, each[0])
        return reduced(weight * each[0] + (1 - weight) * each[1], reduction)

    torch.testing.assert_close(got, gradient(expected, pred))


@REDUCTIONS
@pytest.mark.parametrize("ignored", [(), (1,), (0, 3)], ids=["none", "as many", "more in a half"])
@pytest.mark.parametrize("pure", [False, True], ids=["mixed", "one is pure"])
@pytest.mark.parametrize("dims", [(), (2, 3)], ids=["images", "masks"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("few", [0, 2**14], ids=["many scores", "few scores"])
def test_cross_entropy_is_weighed_sample_by_sample(few, dtype, dims, pure, ignored, reduction, monkeypatch):
    monkeypatch.setattr("lightning_mixup.functional.losses._FEW", few)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, C, *dims, generator=generator, dtype=torch.float64)
    original = torch.randint(C, (6, *dims), generator=generator)
    original[list(ignored)] = -100
    partner = original.roll(1, 0)
    if len(ignored) > 1:
        partner[1] = 0
    lam = torch.rand(6, generator=generator)
    if pure:
        lam[2], partner[2] = 1.0, (original[2] + 1) % C
        logits[2].scatter_(0, partner[2][None], -math.inf)

    def expected(p):
        weight = lam.double().view(-1, *[1] * len(dims))
        halves = original, torch.where(weight == 1, original, partner)  # whose loss would be infinite
        each = [F.cross_entropy(p, half, reduction="none") for half in halves]
        if reduction == "mean":
            each = [loss / (half != -100).sum() for loss, half in zip(each, (original, partner), strict=True)]
        mixed = weight * each[0] + (1 - weight) * each[1]
        return mixed if reduction == "none" else mixed.sum()

    mixed = MixedTarget(original, partner, lam)
    got = gradient(lambda p: F.cross_entropy(p, mixed, reduction=reduction), logits.to(dtype))
    want = tuple(found.to(dtype) for found in gradient(expected, logits))
    torch.testing.assert_close(got, want)


@WEIGHTS
@REDUCTIONS
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("halves", [CLASSES, IGNORING], ids=["all", "some ignored"])
def test_cross_entropy_is_normalised_as_for_each_label(halves, weight, smoothing, reduction, lam):
    """A mean divides by the class weights of the labels that count: by those of each half, in its own loss."""

    def expected(p):
        options = {"weight": weight, "label_smoothing": smoothing}
        each = [F.cross_entropy(p, half, reduction="none", **options) for half in halves]
        shares = [per_sample(lam, each[0]), 1 - per_sample(lam, each[0])]
        if reduction == "mean":
            unit = torch.ones(C, dtype=torch.float64) if weight is None else weight
            each = [e / unit[half[half >= 0]].sum() for e, half in zip(each, halves, strict=True)]
        mixed = shares[0] * each[0] + shares[1] * each[1]
        return mixed if reduction == "none" else mixed.sum()

    y = MixedTarget(*halves, lam)
    options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
    want = gradient(expected, LOGITS)
    torch.testing.assert_close(gradient(lambda p: F.cross_entropy(p, y, **options), LOGITS), want)
    torch.testing.assert_close(gradient(lambda p: nn.CrossEntropyLoss(**options)(p, y), LOGITS), want)
    if reduction == "mean" and isinstance(lam, float):
        plain = [F.cross_entropy(LOGITS, half, weight=weight, label_smoothing=smoothing) for half in halves]
        torch.testing.assert_close(want[0], lam * plain[0] + (1 - lam) * plain[1])


TABLE, SCORES = torch.randn(C, 3).double(), torch.randn(B, C).double()
BY_SAMPLE = {
    "table[y]": lambda y: TABLE[y],
    "embedding": lambda y: F.embedding(y, TABLE),
    "index_select": lambda y: TABLE.index_select(0, y),
    "index_select, by name": lambda y: torch.index_select(input=TABLE, index=y, dim=0),
    "index_select, last dimension": lambda y: TABLE.T.index_select(-1, y).T,
    "take": lambda y: torch.take(input=TABLE, index=y)[:, None],
    "gather": lambda y: SCORES.gather(1, y[:, None]),
    "gather, by name": lambda y: torch.gather(index=y[:, None], dim=1, input=SCORES),
    "gather of rows": lambda y: TABLE.gather(0, y[:, None].expand(-1, 3)),
    "take_along_dim": lambda y: torch.take_along_dim(SCORES, y[:, None], 1),
    "take_along_dim, by name": lambda y: torch.take_along_dim(SCORES, indices=y[:, None], dim=1),
    "gather of labels": lambda y: F.one_hot(y, C).double().gather(1, y[:, None]),
    "einsum": lambda y: torch.einsum("bc,bc->b", F.one_hot(y, C).double(), SCORES)[:, None],
    "einsum, transposed": lambda y: torch.einsum("cd, bc -> db", TABLE, F.one_hot(y, C).double()).T,
    "einsum, of both": lambda y: torch.einsum("bc,bd,bc->bd", F.one_hot(y, C).double(), SCORES, y[:, None] + SCORES),
    "einsum, without an arrow": lambda y: torch.einsum("bc,dc", F.one_hot(y, C).double(), SCORES),
    "einsum, operands in a list": lambda y: torch.einsum("bc,cd->bd", [F.one_hot(y, C).double(), TABLE]),
    "one of a mask": lambda y: SCORES[F.one_hot(y, C).bool()][:, None],
    "all but one of a mask": lambda y: SCORES[~F.one_hot(y, C).bool()].view(B, C - 1),
    "masked_select": lambda y: torch.masked_select(mask=F.one_hot(y, C) == 1, input=SCORES)[:, None],
    "vectors of a mask": lambda y: torch.stack([SCORES, 2 * SCORES], -1)[F.one_hot(y, C) == 1],
    "scatter, by name": lambda y: torch.zeros_like(SCORES).scatter_(dim=1, index=y[:, None], value=1.0) * SCORES,
    "new_zeros": lambda y: y.new_zeros(B, C).scatter_(1, y[:, None], 2) * SCORES,
    "zeros_like": lambda y: torch.zeros_like(y)[:, None] + y[:, None] * SCORES,
    "linear, by name": lambda y: F.linear(weight=TABLE.T, input=F.one_hot(y, C).double()),
    "sum, by name": lambda y: torch.sum(input=F.one_hot(y, C) * SCORES, dim=1, keepdim=True),
    "turned in place": lambda y: (y > 1).unsqueeze_(0).transpose_(0, 1) * SCORES,
    "categorical": lambda y: torch.distributions.Categorical(logits=SCORES).log_prob(y)[:, None],
    "normal": lambda y: torch.distributions.Normal(SCORES, 1.0).log_prob(y[:, None].double()),
    "poisson": lambda y: torch.distributions.Poisson(SCORES.exp()).log_prob(y[:, None]),
}


@WEIGHTS
@pytest.mark.parametrize("name", BY_SAMPLE)
def test_what_is_computed_for_each_sample_is_mixed_for_each(name, lam):
    def loss(y):
        return BY_SAMPLE[name](y).square().sum(1)

    original, partner = map(loss, CLASSES)
    weight = per_sample(lam, original)
    expected = (weight * original + (1 - weight) * partner).mean()
    torch.testing.assert_close(value(loss(MixedTarget(*CLASSES, lam)).mean()), expected)


@pytest.mark.parametrize(
    "use",
    [
        lambda y: torch.take_along_dim(SCORES, y[:, None]),
        lambda y: F.one_hot(y, C).index_select(0, y),
        lambda y: SCORES[y >= 0],
        lambda y: SCORES[F.one_hot(y, C) >= 0],
        lambda y: SCORES[torch.arange(C) <= y[:, None]],
        lambda y: y.new_full((B,), y[0]),
        lambda y: torch.einsum("bc,bd->cd", F.one_hot(y, C).double(), SCORES),
        lambda y: torch.einsum("bb->b", F.one_hot(y, C)[:C]),
        lambda y: torch.einsum("...c,...c->...", F.one_hot(y, C).double(), SCORES),
    ],
    ids=(
        "what is flattened, other samples, whole samples, all of a mask, more of some, one label for all, "
        "sums over samples, diagonals, without letters"
    ).split(", "),
)
def test_what_loses_the_samples_is_refused(use):
    with pytest.raises(MixedTargetError, match="does not treat the samples one by one"):
        use(MixedTarget(*CLASSES, LAM))


@pytest.mark.parametrize("name", LOSSES)
def test_pure_labels_give_the_plain_loss_to_the_last_bit(name):
    loss, pred, (original, partner) = LOSSES[name]
    assert torch.equal(value(loss(pred, MixedTarget(original, partner, 1.0))), loss(pred, original))
    assert torch.equal(value(loss(pred, MixedTarget(original, partner, 0.0))), loss(pred, partner))


def test_a_label_without_weight_may_be_nothing():
    nothing = torch.full((B,), 255)
    for lam in (1.0, torch.ones(B)):
        mixed = F.cross_entropy(LOGITS, MixedTarget(CLASSES[0], nothing, lam), ignore_index=255)
        assert torch.equal(value(mixed), F.cross_entropy(LOGITS, CLASSES[0]))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_label_without_weight_may_be_of_a_class_that_is_ruled_out(reduction):
    """Whose score is minus infinity, and its loss infinite."""
    lam = torch.tensor([1.0, 0.0] * (B // 2) + [0.5] * (B % 2))
    kept = torch.where(lam >= 0.5, 0, 1)
    ruled_out = torch.where(lam == 0.5, kept, 2)
    y = MixedTarget(torch.where(lam == 0, ruled_out, kept), torch.where(lam == 1, ruled_out, kept), lam)
    scores = LOGITS.clone()
    scores[:, 2] = -torch.inf
    got, want = (gradient(lambda p, y=y: F.cross_entropy(p, y, reduction=reduction), scores) for y in (y, kept))
    assert got[0].isfinite()
    assert got[1].isfinite().all()
    torch.testing.assert_close(got, want)


def test_a_mean_of_halves_with_a_weight_each_is_as_exact_as_it_can_be():
    pred, halves, lam = LOGITS.half(), CLASSES, torch.linspace(0.1, 0.9, B)
    got = value(F.cross_entropy(pred, MixedTarget(*halves, lam)))
    one, other = (F.cross_entropy(pred.double(), half, reduction="none") for half in halves)
    assert got.dtype == torch.float16
    assert got.item() == pytest.approx((lam * one + (1 - lam) * other).mean().item(), rel=2e-3)


def test_legacy_arguments_and_keywords():
    y = MixedTarget(*CLASSES, 0.3)
    torch.testing.assert_close(
        value(F.cross_entropy(input=LOGITS, target=y, reduction="sum")),
        value(F.cross_entropy(LOGITS, y, None, None, -100, None, "sum")),
    )
    with pytest.warns(UserWarning, match="deprecated"):
        legacy = F.cross_entropy(LOGITS, y, size_average=False)
    torch.testing.assert_close(value(legacy), value(F.cross_entropy(LOGITS, y, reduction="sum")))


MOVES = {
    "view": lambda y: y.view(2, 3),
    "reshape": lambda y: y.reshape(-1, 1),
    "unsqueeze": lambda y: y.unsqueeze(1),
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
        still = name in ("shift", "coarse", "look-up", "long", "float", "to", "cpu", "clone", "detach")
        assert torch.equal(moved.lam.expand(moved.shape), LAM if still else move(LAM))
    dominant = torch.where(torch.as_tensor(moved.lam) >= 0.5, moved.original, moved.partner)
    assert torch.equal(moved.dominant, dominant)


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
def test_micro_batches_add_up(lam):
    y = MixedTarget(*CLASSES, lam)
    parts = [
        F.cross_entropy(pred, part, reduction="sum") for pred, part in zip(LOGITS.chunk(3), y.chunk(3), strict=True)
    ]
    torch.testing.assert_close(value(sum(parts)), value(F.cross_entropy(LOGITS, y, reduction="sum")))


@WEIGHTS
def test_joined_with_plain_labels_the_loss_is_that_of_the_parts(lam):
    y = torch.cat([MixedTarget(*CLASSES, lam), CLASSES[1]])
    got = F.cross_entropy(torch.cat([LOGITS, LOGITS]), y, reduction="sum")
    parts = value(F.cross_entropy(LOGITS, MixedTarget(*CLASSES, lam), reduction="sum"))
    torch.testing.assert_close(value(got), parts + F.cross_entropy(LOGITS, CLASSES[1], reduction="sum"))


def focal(pred, target, gamma=2.0, reduction="mean"):
    loss = F.cross_entropy(pred, target, reduction="none")
    return reduced((1 - (-loss).exp()) ** gamma * loss, reduction)


class Focal(nn.Module):
    reduction = "mean"

    def forward(self, pred, target):
        return focal(pred, target, reduction=self.reduction)


class Dice(nn.Module):
    def forward(self, pred, target):
        hot = F.one_hot(target, C).to(pred.dtype)
        p = pred.softmax(1)
        return 1 - 2 * (p * hot).sum() / (p.sum() + hot.sum())


@WEIGHTS
@pytest.mark.parametrize("loss", [focal, functools.partial(focal, gamma=1.0), Focal()])
def test_a_loss_of_one_value_a_sample_is_weighed_sample_by_sample(loss, lam):
    rows = [slice(i, i + 1) for i in range(B)]

    def expected(p):
        return sum(
            share * loss(p[row], CLASSES[0][row]) + (1 - share) * loss(p[row], CLASSES[1][row])
            for share, row in zip(per_sample(lam, LAM), rows, strict=True)
        ) / len(rows)

    want = gradient(expected, LOGITS)
    y = MixedTarget(*CLASSES, lam)
    torch.testing.assert_close(gradient(lambda p: loss(p, y), LOGITS), want)
    mixed = interpolate_loss(loss)
    torch.testing.assert_close(gradient(lambda p: mixed(p, y), LOGITS), want)
    torch.testing.assert_close(gradient(lambda p: mixed(pred=p, target=y), LOGITS), want)
    assert torch.equal(mixed(LOGITS, CLASSES[0]), loss(LOGITS, CLASSES[0]))


@pytest.mark.parametrize("loss", [Dice(), interpolate_loss(Dice())])
def test_a_loss_of_the_whole_batch_needs_one_weight(loss):
    with pytest.raises(MixedTargetError, match="each has a weight of its own"):
        loss(LOGITS, MixedTarget(*CLASSES, LAM))
    got = loss(LOGITS, MixedTarget(*CLASSES, torch.full((B,), 0.3)))
    torch.testing.assert_close(value(got), 0.3 * Dice()(LOGITS, CLASSES[0]) + 0.7 * Dice()(LOGITS, CLASSES[1]))


@pytest.mark.parametrize("lam", [0.3, LAM], ids=["0.3", "per_sample"])
@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda y: y.numpy(), "numpy is [0, 4, 2, 2, 1, 3] for one label of the mix and [3, 0, 4, 2, 2, 1] for"),
        (lambda y: y.tolist(), "tolist"),
        (lambda y: int(y[0]), "__int__"),
    ],
)
def test_what_python_gets_of_one_label_only_is_named(use, words, lam):
    with pytest.raises(MixedTargetError, match=re.escape(words)):
        use(MixedTarget(*CLASSES, lam))


def test_python_that_differs_is_refused():
    y = MixedTarget(*CLASSES, 0.3)
    for use in (
        lambda: bool(y[0] == 0),
        lambda: y.tolist(),
        lambda: y.numpy(),
        lambda: range(y[0]),
        lambda: y[:3][y[:3] > 2].shape,
        lambda: float(y[0]),
        lambda: int(y[0].item()),
    ):
        with pytest.raises(MixedTargetError, match="for one label"):
            use()
    assert bool((y >= 0).all())
    assert y[3].item() == 2


def test_what_does_not_ask_meets_nothing():
    """Past ``__torch_function__`` there is nothing: never one of the halves."""
    y = MixedTarget(*CLASSES, 0.3)
    with pytest.warns(UserWarning, match="copy construct"), pytest.raises(MixedTargetError, match="cannot stand for"):
        torch.tensor(y)
    with pytest.raises(MixedTargetError, match="cannot stand for"):
        y.as_subclass(torch.Tensor)
    with pytest.raises(ValueError, match="size"):
        torch.vmap(lambda p, k: -p.log_softmax(0)[k])(LOGITS, y)


@WEIGHTS
def test_survives_copying_and_saving(lam):
    y = MixedTarget(*CLASSES, lam)
    buffer = io.BytesIO()
    torch.save(y, buffer)
    buffer.seek(0)
    for twin in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y)), torch.load(buffer, weights_only=False)):
        assert isinstance(twin, MixedTarget)
        assert torch.equal(value(F.cross_entropy(LOGITS, twin)), value(F.cross_entropy(LOGITS, y)))


def test_repr_shows_both_labels():
    assert repr(MixedTarget(torch.tensor([1]), torch.tensor([2]), 0.3)) == (
        "MixedTarget(original=tensor([1]), partner=tensor([2]), lam=0.3)"
    )
