import numpy as np
import pytest

from lightning_mixup.lab.data.noise import corrupt_labels

LABELS = np.random.default_rng(0).integers(0, 10, size=1000)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.333, 1.0])
def test_the_share_is_exact(share):
    noisy = corrupt_labels(LABELS, share, num_classes=10, seed=0)
    assert (noisy != LABELS).sum() == round(share * 1000)
    assert noisy.min() >= 0
    assert noisy.max() <= 9


def test_the_caller_keeps_clean_labels():
    before = LABELS.copy()
    corrupt_labels(LABELS, 0.5, num_classes=10, seed=0)
    np.testing.assert_array_equal(LABELS, before)


def test_the_seed_decides():
    first, again, other = (corrupt_labels(LABELS, 0.5, 10, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_other_class_is_as_likely():
    labels = np.full(90_000, 4)
    counts = np.bincount(corrupt_labels(labels, 1.0, num_classes=10, seed=0), minlength=10)
    assert counts[4] == 0
    # 10,000 expected in each of the nine others; five standard deviations are about 470.
    assert np.abs(np.delete(counts, 4) - 10_000).max() < 500


def test_random_labels_may_be_right():
    labels = np.full(100_000, 4)
    counts = np.bincount(corrupt_labels(labels, 1.0, num_classes=10, seed=0, kind="random"), minlength=10)
    # 10,000 expected in each class; five standard deviations are about 474.
    assert np.abs(counts - 10_000).max() < 480
    kept = corrupt_labels(labels, 0.5, num_classes=10, seed=0, kind="random") == 4
    assert abs(kept.mean() - 0.55) < 0.01  # the untouched half, and a tenth of the other
