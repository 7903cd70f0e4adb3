import numpy as np
import pytest

from lightning_mixup.data.splits import stratified_split

LABELS = np.repeat(np.arange(4), [400, 300, 200, 100])


def split(**changes):
    return stratified_split(LABELS, **{"val_share": 0.1, "test_share": 0.3, "seed": 0, **changes})


def test_parts_are_disjoint_and_complete():
    parts = split()
    assert [len(part) for part in parts] == [600, 100, 300]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1000))


@pytest.mark.parametrize("train_size", [None, 10, 60, 599, 600, 0.5])
def test_every_part_has_the_proportions_of_the_whole(train_size):
    for part in split(train_size=train_size):
        np.testing.assert_allclose(np.bincount(LABELS[part]), len(part) * np.array([0.4, 0.3, 0.2, 0.1]), atol=1)


def test_the_seed_decides():
    for first, again, other in zip(split(seed=1), split(seed=1), split(seed=2), strict=True):
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


@pytest.mark.parametrize(("train_size", "kept"), [(10, 10), (0.25, 150), (600, 600), (None, 600)])
def test_train_size_only_removes_training_samples(train_size, kept):
    full, small = split(), split(train_size=train_size)
    assert len(small.train) == kept
    assert set(small.train) <= set(full.train)
    np.testing.assert_array_equal(small.val, full.val)
    np.testing.assert_array_equal(small.test, full.test)


@pytest.mark.parametrize("train_size", [3, 601, 0.001])
def test_an_impossible_train_size_names_the_range(train_size):
    with pytest.raises(ValueError, match=r"train_size must keep between 4 .* and 600 .*got"):
        split(train_size=train_size)
