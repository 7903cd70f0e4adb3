import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from lightning_mixup.functional.losses import blend, pair_nll, reduce

CLASSES = 4
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)
LABELS = [(6,), (3, 2, 5), ()]


def case(label_shape, *, per_sample=False, ignored=False):
    """Log-probabilities, both labels and weights; with ignored ones of either half and of both."""
    rng = torch.Generator().manual_seed(0)
    batch, dims = label_shape[:1], label_shape[1:]
    logits = torch.randn(*batch, CLASSES, *dims, generator=rng, dtype=torch.float64)
    original, partner = (torch.randint(CLASSES, label_shape, generator=rng) for _ in range(2))
    if ignored and label_shape:
        original[0], partner[1], original[2], partner[2] = -100, -100, -100, -100
    lam = torch.rand(label_shape, generator=rng, dtype=torch.float64) if per_sample else 0.3
    return logits.log_softmax(1 if label_shape else 0).requires_grad_(), original, partner, lam


def by_hand(log_prob, original, partner, lam, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """The definition, one label after the other."""
    shape = original.shape
    rows = log_prob.movedim(1, -1).reshape(-1, CLASSES) if shape else log_prob.reshape(1, CLASSES)
    lams = lam.reshape(-1).tolist() if isinstance(lam, torch.Tensor) else [lam] * len(rows)
    weight = torch.ones(CLASSES, dtype=torch.float64) if weight is None else weight
    losses, shares = [], []
    for row, first, second, share in zip(
        rows, original.reshape(-1).tolist(), partner.reshape(-1).tolist(), lams, strict=True
    ):
        loss, total = row.sum() * 0, 0.0
        for label, part in ((first, share), (second, 1 - share)):
            if label != ignore_index:
                smooth = sum(-weight[c] * row[c] for c in range(CLASSES)) / CLASSES
                hard = -weight[label] * row[label]
                loss = loss + part * ((1 - label_smoothing) * hard + label_smoothing * smooth)
                total += part * weight[label].item()
        losses.append(loss)
        shares.append(total)
    if reduction == "none":
        return torch.stack(losses).reshape(shape)
    return sum(losses) / (sum(shares) if reduction == "mean" else 1)


OPTIONS = [
    {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    for weight, reduction, smoothing in itertools.product((None, WEIGHT), ("mean", "sum", "none"), (0.0, 0.2))
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("label_shape", LABELS, ids=str)
def test_pair_nll_is_its_definition(label_shape, per_sample, ignored, options):
    log_prob, original, partner, lam = case(label_shape, per_sample=per_sample, ignored=ignored)
    found = pair_nll(log_prob, original, partner, lam, **options)
    expected = by_hand(log_prob, original, partner, lam, **options)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss.sum(), log_prob)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("label_shape", LABELS, ids=str)
@pytest.mark.parametrize("lam", [1.0, torch.tensor(1.0)])
def test_weight_one_is_cross_entropy(lam, label_shape, options):
    log_prob, original, partner, _ = case(label_shape, ignored=True)
    lam = lam.expand(label_shape) if isinstance(lam, torch.Tensor) else lam
    found = pair_nll(log_prob, original, partner, lam, **options)
    # The log-softmax of log-probabilities is those log-probabilities.
    expected = F.cross_entropy(log_prob, original, **options)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_class_weights_it_is_the_two_term_formula(dtype, reduction):
    log_prob, original, partner, _ = case((6,))
    log_prob = log_prob.detach().to(dtype).requires_grad_()
    found = pair_nll(log_prob, original, partner, 0.3, reduction=reduction)
    first, second = (F.nll_loss(log_prob, labels, reduction=reduction) for labels in (original, partner))
    expected = 0.3 * first + 0.7 * second
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss.sum(), log_prob)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("lam", [0.3, torch.linspace(0, 1, 64, dtype=torch.float64)], ids=["number", "per_sample"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("classes", [8, 1024], ids=["small", "large"])
def test_batches_of_all_sizes_follow_the_two_term_formula(classes, reduction, weighted, lam):
    rng = torch.Generator().manual_seed(0)
    log_prob = torch.randn(64, classes, generator=rng, dtype=torch.float64).log_softmax(1).requires_grad_()
    original, partner = torch.randint(classes, (2, 64), generator=rng)
    original[:3], partner[2:5] = -100, -100
    weight = torch.rand(classes, generator=rng, dtype=torch.float64) if weighted else None
    found = pair_nll(log_prob, original, partner, lam, weight=weight, reduction=reduction)
    halves = (original, lam), (partner, 1 - lam)
    expected = sum((F.nll_loss(log_prob, half, weight, reduction="none") * share).sum() for half, share in halves)
    if reduction == "mean":
        one = torch.ones(classes, dtype=torch.float64) if weight is None else weight
        expected = expected / sum(((half >= 0) * one[half.clamp(min=0)] * share).sum() for half, share in halves)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, log_prob)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("label_shape", LABELS, ids=str)
@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_can_be_differentiated_again(per_sample, label_shape):
    log_prob, original, partner, lam = case(label_shape, per_sample=per_sample)
    logits = log_prob.detach().requires_grad_()
    dim = 1 if label_shape else 0

    def loss(logits):
        return pair_nll(logits.log_softmax(dim), original, partner, lam)

    assert torch.autograd.gradcheck(loss, logits)
    assert torch.autograd.gradgradcheck(loss, logits)


def test_one_weight_a_sample_covers_all_its_labels():
    log_prob, original, partner, _ = case((3, 2, 5))
    lam = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    found = pair_nll(log_prob, original, partner, lam)
    torch.testing.assert_close(found, pair_nll(log_prob, original, partner, lam.view(3, 1, 1).expand(3, 2, 5)))


@pytest.mark.parametrize(("reduction", "expected"), [("mean", math.nan), ("sum", 0.0), ("none", 0.0)])
def test_all_labels_ignored_is_what_torch_does(reduction, expected):
    log_prob, original, _, _ = case((6,))
    ignored = torch.full_like(original, -100)
    found = pair_nll(log_prob, ignored, ignored, 0.3, reduction=reduction)
    plain = F.nll_loss(log_prob, ignored, reduction=reduction)
    torch.testing.assert_close(found, plain, equal_nan=True)
    torch.testing.assert_close(found, torch.full_like(found, expected), equal_nan=True)


def test_another_index_may_be_ignored():
    log_prob, original, partner, lam = case((6,))
    found = pair_nll(log_prob, original, partner, lam, ignore_index=2)
    torch.testing.assert_close(found, by_hand(log_prob, original, partner, lam, ignore_index=2))


def test_labels_of_any_integer_type():
    log_prob, original, partner, lam = case((6,))
    found = pair_nll(log_prob, original.int(), partner.int(), lam)
    torch.testing.assert_close(found, pair_nll(log_prob, original, partner, lam))


@pytest.mark.parametrize("lam", [0.0, 0.25, 1.0, torch.tensor([0.0, 0.25, 1.0])])
def test_blend_weighs(lam):
    first, second = torch.tensor([[1.0, 2], [3, 4], [5, 6]]), torch.tensor([[-1.0, 0], [1, 1], [9, 9]])
    column = lam.view(-1, 1) if isinstance(lam, torch.Tensor) else lam
    torch.testing.assert_close(blend(first, second, lam), column * first + (1 - column) * second)


def test_blend_of_integers_and_of_single_numbers():
    assert blend(torch.tensor([0, 4]), torch.tensor([4, 0]), 0.75).dtype == torch.float32
    assert blend(torch.tensor(0), torch.tensor(4), torch.tensor(0.75)) == 1


def test_unknown_reductions_are_refused():
    with pytest.raises(ValueError, match="'median'"):
        reduce(torch.ones(3), "median")
    with pytest.raises(ValueError, match="'median'"):
        pair_nll(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([1]), 0.5, reduction="median")


def test_batchmean_divides_by_the_number_of_samples():
    assert reduce(torch.ones(4, 3), "batchmean") == 3
