import pytest
import torch
from torchmetrics.functional import accuracy

from lightning_mixup import MixAccuracy, MixedTarget

LOGITS = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
HALVES = torch.arange(12) % 5, torch.arange(3, 15) % 5


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 1.0, torch.linspace(0, 1, 12)])
def test_weighs_the_accuracies_of_both_labels(lam):
    metric = MixAccuracy()
    got = metric(LOGITS, MixedTarget(*HALVES, lam))
    lams = torch.as_tensor(lam).expand(12)
    hits = [(LOGITS.argmax(1) == half).float() for half in HALVES]
    torch.testing.assert_close(got, (lams * hits[0] + (1 - lams) * hits[1]).mean())
    torch.testing.assert_close(metric(LOGITS.argmax(1), MixedTarget(*HALVES, lam)), got)


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
