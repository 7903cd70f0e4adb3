import numpy as np
import pytest

from lightning_mixup.lab.data.splits import keep_samples, long_tail, split_samples

LABELS = np.repeat(np.arange(4), [400, 300, 200, 100])


def split(**changes):
    return split_samples(1000, LABELS, **{"val_share": 0.1, "test_share": 0.3, "seed": 0, **changes})


def test_parts_are_disjoint_and_complete():
    parts = split()
    assert [len(part) for part in parts] == [600, 100, 300]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1000))


def test_every_part_has_the_proportions_of_the_whole():
    for part in split():
        np.testing.assert_allclose(np.bincount(LABELS[part]), len(part) * np.array([0.4, 0.3, 0.2, 0.1]), atol=1)


def test_the_seed_decides():
    for first, again, other in zip(split(seed=1), split(seed=1), split(seed=2), strict=True):
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_a_fixed_test_part_stays_and_validation_comes_from_the_rest():
    fixed = np.arange(900, 1000)
    for seed in (0, 1):
        train, val, test = split(test=fixed, test_share=None, val_share=0.2, seed=seed)
        np.testing.assert_array_equal(test, fixed)
        assert (len(train), len(val)) == (720, 180)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(900))


def test_nothing_need_be_kept_for_validation():
    train, val, test = split(val_share=0)
    assert (len(train), len(val), len(test)) == (700, 0, 300)


def test_samples_without_classes_are_shuffled():
    train, val, test = split_samples(100, val_share=0.1, test_share=0.3)
    assert (len(train), len(val), len(test)) == (60, 10, 30)
    assert train.tolist() != sorted(train.tolist())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_share": 0.002}, "val_share=0.002 takes 2 of 700 samples in 4 classes"),
        ({"test_share": 0.001}, "test_share=0.001 takes 1 of 1000 samples in 4 classes"),
        ({"val_share": 0.0001}, "val_share=0.0001 leaves no validation sample of 1000"),
    ],
)
def test_a_part_too_small_for_all_classes_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        split(**change)


def test_a_class_too_small_to_split_is_refused():
    with pytest.raises(ValueError, match="the smallest of 1; both sides need a sample of every class"):
        split_samples(11, np.array([0] * 10 + [1]), val_share=0.2, test_share=0.3)


@pytest.mark.parametrize(("train_size", "kept"), [(10, 10), (0.25, 150), (599, 599), (600, 600), (None, 600)])
def test_some_samples_are_kept_in_proportion(train_size, kept):
    samples = split().train
    some = keep_samples(samples, LABELS, train_size, seed=0)
    assert len(set(some)) == len(some) == kept
    assert set(some) <= set(samples)
    np.testing.assert_allclose(np.bincount(LABELS[some]), kept * np.array([0.4, 0.3, 0.2, 0.1]), atol=1)


@pytest.mark.parametrize("train_size", [3, 601, 0.001])
def test_an_impossible_train_size_names_the_range(train_size):
    with pytest.raises(ValueError, match=r"train_size must keep between 4 .* and 600 .*got"):
        keep_samples(split().train, LABELS, train_size, seed=0)


def test_samples_without_classes_need_none():
    assert len(set(keep_samples(np.arange(50), None, 7, seed=0))) == 7


def test_the_long_tail_of_cifar_100():
    """Cui et al. 2019: of 500 images a class, 10,847 are left at imbalance 100."""
    labels = np.repeat(np.arange(100), 500)
    kept = long_tail(np.arange(50_000), labels, imbalance=100, seed=0)
    counts = np.bincount(labels[kept])
    assert (counts[0], counts[-1], len(kept)) == (500, 5, 10_847)
    assert (np.diff(counts) <= 0).all()


def test_the_long_tail_takes_no_more_than_there_is():
    samples = np.flatnonzero(LABELS != 1)
    kept = long_tail(samples, LABELS, imbalance=2, seed=0)
    # 400, 400 / sqrt(2) = 282 but there are 200, 200 but there are 100
    assert np.bincount(LABELS[kept]).tolist() == [400, 0, 200, 100]
    assert (np.diff(kept) > 0).all()
    assert set(long_tail(samples, LABELS, 10, seed=0)) != set(long_tail(samples, LABELS, 10, seed=1))
