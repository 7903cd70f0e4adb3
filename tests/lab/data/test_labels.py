import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_mixup.lab.data.labels import arrange_labels

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 80))


def arrange(**changes):
    return arrange_labels(LABELS, 5, **{"val_share": 0.1, "test_share": 0.3, "seed": 0, **changes})


def same(left, right):
    return all(np.array_equal(getattr(left.split, part), getattr(right.split, part)) for part in ("val", "test"))


@given(
    imbalance=st.sampled_from([1.0, 3.0, 20.0]),
    train_size=st.sampled_from([None, 10, 0.3]),
    label_noise=st.floats(0, 1),
    noise_kind=st.sampled_from(["symmetric", "random"]),
    held_out_classes=st.sets(st.integers(0, 4), max_size=3),
    seed=st.integers(0, 3),
)
def test_what_is_judged_depends_on_seed_and_held_out_classes_alone(
    imbalance, train_size, label_noise, noise_kind, held_out_classes, seed
):
    shared = {"held_out_classes": sorted(held_out_classes), "seed": seed}
    plain = arrange(**shared)
    found = arrange(
        imbalance=imbalance, train_size=train_size, label_noise=label_noise, noise_kind=noise_kind, **shared
    )
    assert same(plain, found)
    for part in (found.split.val, found.split.test):
        np.testing.assert_array_equal(found.given[part], plain.true[part])
    assert set(found.split.train) <= set(found.pool) == set(plain.split.train)
    wrong = (found.given != found.true)[found.split.train].sum()
    budget = round(label_noise * len(found.split.train))
    assert wrong == budget if noise_kind == "symmetric" else wrong <= budget
    assert (found.given != found.true).sum() == wrong


def test_held_out_classes_are_nowhere_and_the_others_are_numbered_anew():
    found = arrange(held_out_classes=[1, 4])
    everything = np.concatenate([*found.split, found.held_out])
    np.testing.assert_array_equal(np.sort(everything), np.arange(400))
    assert set(LABELS[found.held_out]) == {1, 4}
    for part in found.split:
        assert set(LABELS[part]) == {0, 2, 3}
        np.testing.assert_array_equal(found.true[part], np.searchsorted([0, 2, 3], LABELS[part]))


def test_a_fixed_test_part_loses_the_held_out_classes():
    fixed = np.arange(300, 400)
    found = arrange(test=fixed, test_share=None, held_out_classes=[2])
    np.testing.assert_array_equal(found.split.test, fixed[LABELS[fixed] != 2])
    assert set(found.pool) < set(range(300))


def test_train_size_counts_what_the_imbalance_leaves():
    counts = np.bincount(arrange(imbalance=16, train_size=30).true[arrange(imbalance=16, train_size=30).split.train])
    # 48, 24, 12, 6, 3 of 93 are left: the same profile in 30.
    np.testing.assert_allclose(counts, np.array([48, 24, 12, 6, 3]) * 30 / 93, atol=1)


def test_the_caller_keeps_clean_labels():
    before = LABELS.copy()
    arrange(label_noise=0.5, held_out_classes=[0])
    np.testing.assert_array_equal(LABELS, before)


def test_a_class_that_does_not_exist_is_refused():
    with pytest.raises(IndexError):
        arrange_labels(LABELS, 4, val_share=0.1, test_share=0.3)
