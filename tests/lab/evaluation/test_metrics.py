import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from lightning_mixup.lab.evaluation import classification_metrics


@pytest.fixture
def sample():
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(500, 5, generator=generator), torch.randint(5, (500,), generator=generator)


def calibration_error_by_hand(probabilities, labels, bins=15):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0.0
    for low in np.arange(bins) / bins:
        mine = (confidence > low) & (confidence <= low + 1 / bins)
        if mine.any():
            total += mine.mean() * abs(right[mine].mean() - confidence[mine].mean())
    return total


@pytest.mark.parametrize("scale", [1.0, 0.1])  # small logits lie in [0, 1] and must not be taken for probabilities
def test_scores_agree_with_independent_calculations(sample, scale):
    logits, labels = sample[0].abs() * scale, sample[1]
    judges = classification_metrics(num_classes=5)
    for start in range(0, 500, 64):  # the last batch is smaller: means must weigh samples, not batches
        judges.update(logits[start : start + 64], labels[start : start + 64])
    scores = {name: float(score) for name, score in judges.compute().items()}
    probabilities = logits.double().softmax(1).numpy()
    assert scores == {
        "accuracy": pytest.approx(accuracy_score(labels, probabilities.argmax(1)), abs=1e-6),
        "nll": pytest.approx(log_loss(labels, probabilities, labels=range(5)), abs=1e-5),
        "ece": pytest.approx(calibration_error_by_hand(probabilities, labels.numpy()), abs=1e-5),
    }


def test_confident_and_wrong_is_finite():
    judges = classification_metrics(num_classes=2)
    scores = judges(torch.tensor([[200.0, 0.0]]), torch.tensor([1]))
    assert float(scores["nll"]) == pytest.approx(200)


def test_half_precision_logits_are_judged_in_single(sample):
    full, half = (classification_metrics(5)(sample[0].to(dtype), sample[1]) for dtype in (torch.float, torch.bfloat16))
    assert float(half["nll"]) == pytest.approx(float(full["nll"]), rel=0.01)
