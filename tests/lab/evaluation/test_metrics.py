import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from lightning_mixup.lab.evaluation import classification_metrics
from lightning_mixup.lab.evaluation.calibration import calibration_error, reliability
from lightning_mixup.lab.evaluation.metrics import CalibrationError


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


@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_full_confidence_shares_the_last_bin_with_its_like(norm, power, dtype):
    """Over-confident networks give 1.0 often in float32; alone in a bin of their own they would change the error."""
    logits = torch.tensor([[200.0, 0.0]] * 6 + [[3.5, 0.0]] * 4 + [[0.5, 0.0]] * 2, dtype=dtype)
    labels = torch.tensor([0] * 3 + [1] * 3 + [0] * 4 + [0, 1])
    sure, unsure = 1 / (1 + np.exp(-3.5)), 1 / (1 + np.exp(-0.5))  # 0.971 is above 14/15, as 1.0 is
    gaps = np.array([(6 + 4 * sure) / 10 - 7 / 10, unsure - 1 / 2])
    expected = (np.array([10, 2]) / 12 @ abs(gaps) ** power) ** (1 / power)
    streamed = CalibrationError(num_classes=2, norm=norm)
    for start in range(0, 12, 5):
        streamed.update(logits[start : start + 5], labels[start : start + 5])
    assert float(streamed.compute()) == pytest.approx(expected, abs=1e-6)
    assert calibration_error(logits, labels, norm) == pytest.approx(expected, abs=1e-9)


def test_the_streamed_error_and_the_reliability_diagram_agree(sample):
    logits, labels = 8 * sample[0], sample[1]
    bars = [bar for bar in reliability(logits, labels) if bar.size]
    by_diagram = sum(bar.size / 500 * abs(bar.confidence - bar.accuracy) for bar in bars)
    assert float(CalibrationError(5)(logits, labels)) == pytest.approx(by_diagram, abs=1e-6)
    assert calibration_error(logits, labels) == pytest.approx(by_diagram, abs=1e-12)


def test_predictions_that_are_not_finite_have_no_calibration_error():
    assert np.isnan(float(CalibrationError(2)(torch.tensor([[float("nan"), 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))))


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="CalibrationError needs num_classes=3 logits; got 2"):
        CalibrationError(num_classes=3).update(torch.zeros(1, 2), torch.tensor([0]))
