import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from lightning_mixup.lab.evaluation import calibration
from lightning_mixup.lab.evaluation.bins import confidence_and_hits
from lightning_mixup.lab.evaluation.scores import describe


@pytest.fixture
def sample():
    """Over-confident predictions: labels follow the softmax of half the logits."""
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(2000, 5, generator=generator)
    return logits, torch.multinomial((logits / 2).softmax(1), 1, generator=generator).squeeze(1)


def by_bins(logits, labels):
    """Confidence, accuracy and size of 15 bins of equal width, without torch."""
    probabilities = softmax(logits.double().numpy(), axis=1)
    confidence, hits = probabilities.max(1), probabilities.argmax(1) == labels.numpy()
    where = np.ceil(confidence * 15).astype(int) - 1
    return [(confidence[where == b].mean(), hits[where == b].mean(), (where == b).sum()) for b in np.unique(where)]


def test_calibration_agrees_with_independent_calculations(sample):
    bins = by_bins(*sample)
    gaps = np.array([confidence - accuracy for confidence, accuracy, _ in bins])
    shares = np.array([size for *_, size in bins]) / 2000
    scores = describe(*sample)
    assert scores["ece"] == pytest.approx((shares * abs(gaps)).sum(), abs=1e-5)
    assert scores["rms_ce"] == pytest.approx(np.sqrt((shares * gaps**2).sum()), abs=1e-5)
    assert scores["confidence_gap"] == pytest.approx((shares * gaps).sum(), abs=1e-9)
    assert scores["confidence_gap"] > 0.05  # over-confident, as made


def test_adaptive_bins_hold_equally_many(sample):
    logits, labels = sample
    confidence, hits = (part.numpy() for part in confidence_and_hits(logits, labels))
    accuracies, confidences = calibration_curve(hits, confidence, n_bins=10, strategy="quantile")
    expected = abs(accuracies - confidences).mean()
    assert calibration.adaptive_calibration_error(logits, labels, bins=10) == pytest.approx(expected, abs=1e-6)


def test_more_adaptive_bins_than_samples_are_not_used():
    one = calibration.adaptive_calibration_error(torch.zeros(1, 2), torch.tensor([0]), bins=15)
    assert one == pytest.approx(0.5)


def test_brier_and_likelihood_agree_with_scikit_learn(sample):
    logits, labels = sample
    probabilities = softmax(logits.double().numpy(), axis=1)
    scores = describe(logits, labels)
    onehot = np.eye(5)[labels]
    by_class = [brier_score_loss(onehot[:, c], probabilities[:, c]) for c in range(5)]
    assert scores["brier"] == pytest.approx(sum(by_class))
    assert scores["nll"] == pytest.approx(log_loss(labels, probabilities, labels=range(5)))


def test_the_temperature_is_the_one_the_labels_were_made_with(sample):
    logits, labels = sample
    fitted = calibration.fit_temperature(logits, labels)
    assert fitted == pytest.approx(2, abs=0.15)
    independent = minimize_scalar(
        lambda t: log_loss(labels, softmax(logits.double().numpy() / t, axis=1), labels=range(5)), bracket=(1, 3)
    )
    assert fitted == pytest.approx(independent.x, abs=1e-3)
    before, after = describe(logits, labels), describe(logits / fitted, labels)
    assert after["ece"] < before["ece"] / 2
    assert after["accuracy"] == before["accuracy"]


def test_a_reliability_diagram_counts_everybody_once(sample):
    diagram = calibration.reliability(*sample)
    filled = [(bar.confidence, bar.accuracy, bar.size) for bar in diagram if bar.size]
    np.testing.assert_allclose(filled, by_bins(*sample))
    assert sum(bar.size for bar in diagram) == 2000
    assert all(bar.low < bar.confidence <= bar.high for bar in diagram if bar.size)


def test_full_confidence_is_in_the_last_bin():
    last = calibration.reliability(torch.tensor([[100.0, 0.0]]), torch.tensor([1]))[-1]
    assert (last.size, last.confidence, last.accuracy) == (1, 1.0, 0.0)
