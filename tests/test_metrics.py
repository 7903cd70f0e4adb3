import pytest
import torch
from torch import Tensor
from torchmetrics.functional import accuracy

from lightning_mixup import MixAccuracy, MixedTarget

LOGITS = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
HALVES = torch.arange(12) % 5, torch.arange(3, 15) % 5
LAMS = pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 1.0, torch.linspace(0, 1, 12)])


def weighed(hits: tuple[Tensor, Tensor], lam: float | Tensor) -> Tensor:
    """The formula, of hits with the samples in front."""
    lams = torch.as_tensor(lam).expand(12).reshape(12, *[1] * (hits[0].ndim - 1))
    return (lams * hits[0].float() + (1 - lams) * hits[1].float()).mean()


@LAMS
def test_weighs_the_accuracies_of_both_labels(lam):
    metric = MixAccuracy()
    got = metric(LOGITS, MixedTarget(*HALVES, lam))
    torch.testing.assert_close(got, weighed(tuple(LOGITS.argmax(1) == half for half in HALVES), lam))
    torch.testing.assert_close(metric(LOGITS.argmax(1), MixedTarget(*HALVES, lam)), got)


@LAMS
def test_one_hot_labels_and_columns_are_the_same_thing(lam):
    want = MixAccuracy()(LOGITS, MixedTarget(*HALVES, lam))
    hot = [torch.nn.functional.one_hot(half, 5).float() for half in HALVES]
    torch.testing.assert_close(MixAccuracy()(LOGITS, MixedTarget(*hot, lam)), want)
    torch.testing.assert_close(MixAccuracy()(LOGITS, MixedTarget(*(half[:, None] for half in HALVES), lam)), want)
    soft = MixedTarget(*hot, lam).value
    torch.testing.assert_close(MixAccuracy()(LOGITS, soft), want)


@LAMS
@pytest.mark.parametrize("column", [False, True], ids=["(B,)", "(B, 1)"])
@pytest.mark.parametrize("scores", [LOGITS[:, 0], LOGITS[:, 0].sigmoid()], ids=["logits", "probabilities"])
@pytest.mark.parametrize("kind", ["0/1 floats", "-1/1", "0/1 integers"])
def test_binary_labels(kind, scores, column, lam):
    a, b = (half % 2 for half in HALVES)
    hits = tuple((LOGITS[:, 0] > 0) == (half == 1) for half in (a, b))
    labels = {"0/1 floats": (a.float(), b.float()), "-1/1": (2.0 * a - 1, 2.0 * b - 1), "0/1 integers": (a, b)}[kind]
    if column:
        scores, labels = scores[:, None], [half[:, None] for half in labels]
    torch.testing.assert_close(MixAccuracy()(scores, MixedTarget(*labels, lam)), weighed(hits, lam))


def test_a_column_of_scores_for_flat_labels():
    y = torch.tensor([1.0, 0, 1])
    assert MixAccuracy()(torch.tensor([[3.0], [3.0], [3.0]]), y) == pytest.approx(2 / 3)


@LAMS
def test_many_labels(lam):
    labels = [(LOGITS.roll(shift, 0) > 0.2).float() for shift in (1, 2)]
    hits = tuple((LOGITS > 0) == (half == 1) for half in labels)
    got = MixAccuracy(multilabel=True)(LOGITS, MixedTarget(*labels, lam))
    torch.testing.assert_close(got, weighed(hits, lam))


@pytest.mark.parametrize(("ignored", "kwargs"), [(-100, {}), (255, {}), (-1, {}), (1, {"ignore_index": 1})])
def test_ignored_labels_do_not_count(ignored, kwargs):
    a, b = torch.randint(0, 3, (2, 6, 4, 4), generator=torch.Generator().manual_seed(1))
    a[:, 0], b[:, :, 1] = ignored, ignored
    scores = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    hits = [(scores.argmax(1) == half) & (half != ignored) for half in (a, b)]
    lam = 0.3
    want = (lam * hits[0].sum() + 0.7 * hits[1].sum()) / (lam * (a != ignored).sum() + 0.7 * (b != ignored).sum())
    torch.testing.assert_close(MixAccuracy(**kwargs)(scores, MixedTarget(a, b, lam)), want)


def test_missing_answers_do_not_count():
    y = torch.tensor([[1.0, torch.nan], [0.0, 1.0]])
    assert MixAccuracy(multilabel=True)(torch.tensor([[2.0, 2.0], [2.0, 2.0]]), y) == pytest.approx(2 / 3)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"predictions of shape \(12, 5\) do not fit labels of shape \(12, 4\)"):
        MixAccuracy()(LOGITS, torch.zeros(12, 4))


def test_is_the_usual_accuracy_on_plain_labels():
    expected = accuracy(LOGITS, HALVES[0], "multiclass", num_classes=5, average="micro")
    torch.testing.assert_close(MixAccuracy()(LOGITS, HALVES[0]), expected)


def test_accumulates_over_batches_of_any_size():
    metric = MixAccuracy()
    for rows in (slice(0, 5), slice(5, 12)):
        metric.update(LOGITS[rows], MixedTarget(HALVES[0][rows], HALVES[1][rows], 0.3))
    torch.testing.assert_close(metric.compute(), MixAccuracy()(LOGITS, MixedTarget(*HALVES, 0.3)))


def test_a_perfect_model_is_above_zero():
    """Where torchmetrics' accuracy of soft labels is 0, without an error."""
    y = MixedTarget(*HALVES, 0.7)
    perfect = torch.nn.functional.one_hot(HALVES[0], 5).float()
    assert MixAccuracy()(perfect, y) == pytest.approx(0.7)


def test_pixels():
    y = torch.randint(0, 3, (2, 4, 4))
    assert MixAccuracy()(torch.randn(2, 3, 4, 4), MixedTarget(y, y.flip(0), torch.tensor([0.2, 0.9]))) <= 1
