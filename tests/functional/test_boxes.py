import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lightning_mixup.functional import Box, Stream, cut_dims, generator, map_dims, sample_box, sample_lam

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=3)


@given(SIZES, st.floats(0, 1), st.integers(0, 1000))
def test_box_lies_inside_and_lam_is_its_complement(size, lam, step):
    box = sample_box(generator(0, 0, step), lam, size)
    assert all(0 <= low <= high <= n for low, high, n in zip(box.low, box.high, size, strict=True))
    area = np.prod(np.subtract(box.high, box.low))
    assert box.lam == pytest.approx(1 - area / np.prod(size))
    assert isinstance(box.lam, float)
    assert not box.per_sample
    # Rounding moves each corner by half a pixel at most.
    sides = [min((1 - lam) ** (1 / len(size)) * n + 1, n) for n in size]
    assert area <= np.prod(sides) + 1e-9


@given(st.integers(1, 9), SIZES, st.integers(0, 1000))
def test_box_per_sample(batch_size, size, step):
    rng = generator(0, 0, step)
    box = sample_box(rng, rng.random(batch_size), size)
    assert box.low.shape == box.high.shape == (batch_size, len(size))
    assert box.per_sample
    assert (box.low >= 0).all()
    assert (box.low <= box.high).all()
    assert (box.high <= size).all()
    assert box.lam == pytest.approx(1 - np.prod(box.high - box.low, axis=1) / np.prod(size))


def algorithm_a1(centre, lam, size):
    """Algorithm A1 of Yun et al. 2019, line by line, for images; Round is of the nearest."""
    (ry, rx), (height, width) = centre, size
    rw, rh = width * np.sqrt(1 - lam), height * np.sqrt(1 - lam)
    x1, x2 = np.round(max(rx - rw / 2, 0)), np.round(min(rx + rw / 2, width))
    y1, y2 = np.round(max(ry - rh / 2, 0)), np.round(min(ry + rh / 2, height))
    return (y1, x1), (y2, x2), 1 - (x2 - x1) * (y2 - y1) / (width * height)


@given(st.floats(0, 1), st.integers(1, 64), st.integers(1, 64), st.integers(0, 1000))
def test_boxes_are_those_of_the_papers_algorithm(lam, height, width, step):
    size = (height, width)
    expected = algorithm_a1(generator(3, 0, step).random(2) * size, lam, size)
    box = sample_box(generator(3, 0, step), lam, size)
    rows = sample_box(generator(3, 0, step), np.array([lam]), size)
    # numpy rounds a half to the even number. None is drawn, but the bounds of an image that a box fills are whole.
    assert (box.low, box.high) == expected[:2]
    assert box.lam == pytest.approx(expected[2], abs=1e-12)
    assert (tuple(rows.low[0]), tuple(rows.high[0])) == (box.low, box.high)
    assert rows.lam[0] == pytest.approx(box.lam, abs=1e-12)


@pytest.mark.parametrize("size", [8, 32, 224])
def test_the_pasted_share_is_the_same_at_every_resolution(size):
    """Of Beta(1, 1), clipped boxes paste 0.321 on average, not a half. The authors' code pastes 0.233 on 8x8."""
    rng = generator(0, 0, 0)
    pasted = 1 - sample_box(rng, sample_lam(rng, 1.0, 40_000), (size, size)).lam
    assert np.mean(pasted) == pytest.approx(0.321, abs=0.005)


def test_one_box_and_boxes_per_sample_have_one_law():
    stream, rng = Stream(5, 0), generator(6, 0, 0)
    single = [sample_box(stream.at(step), 0.7, (12, 20)) for step in range(4_000)]
    rows = sample_box(rng, np.full(4_000, 0.7), (12, 20))
    corners = np.array([(*box.low, *box.high) for box in single])
    for one, many in zip(corners.T, np.hstack([rows.low, rows.high]).T, strict=True):
        assert stats.ks_2samp(one, many).pvalue > 1e-3


@pytest.mark.parametrize(("size", "share"), [(3, 1 / 18), (8, 1 / 130)])
def test_a_box_that_is_rounded_to_nothing_has_weight_1(size, share):
    rng = generator(0, 0, 0)
    box = sample_box(rng, sample_lam(rng, 1.0, 50_000), (size, size))
    empty = (box.low == box.high).any(1)
    assert (box.lam[empty] == 1).all()
    assert (box.lam[~empty] < 1).all()
    assert empty.mean() == pytest.approx(share, rel=0.15)
    alone = [sample_box(Stream(0, 0).at(step), 0.9, (3, 3)) for step in range(200)]
    assert all((box.lam == 1) == (0 in np.subtract(box.high, box.low)) for box in alone)


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_boxes_of_everything_and_of_nothing(lam):
    for box in (sample_box(generator(0, 0, 0), lam, (6, 7)), sample_box(generator(0, 0, 0), np.array([lam]), (6, 7))):
        if lam == 1:
            assert box.lam == 1
        assert 0 <= np.max(box.lam) <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_a_scaled_box_covers_the_same_region(height, width, new_height, new_width, lam):
    size, to = (height, width), (new_height, new_width)
    box = sample_box(generator(2, 0, 0), lam, size)
    scaled = box.scaled(size, to)
    for corner, was in ((scaled.low, box.low), (scaled.high, box.high)):
        assert np.abs(np.asarray(corner) - np.asarray(was) * to / np.asarray(size)).max() <= 0.5
    assert scaled.lam == pytest.approx(1 - np.prod(np.subtract(scaled.high, scaled.low)) / np.prod(to))
    many = box.rows(3).scaled(size, to)
    assert (many.low == scaled.low).all()
    assert (many.high == scaled.high).all()
    assert many.lam == pytest.approx(scaled.lam)
    assert box.scaled(size, size) is box


def test_a_box_is_doubled_exactly_and_halved_to_the_nearest():
    box = Box((1, 2), (4, 7), 1 - 15 / 64)
    assert box.scaled((8, 8), (16, 16)) == Box((2, 4), (8, 14), 1 - 15 / 64)
    assert box.scaled((8, 8), (4, 4)) == Box((1, 1), (2, 4), 1 - 3 / 16)
    assert box.scaled((8, 8), (1, 1)).lam in (0.0, 1.0)
    with pytest.raises(ValueError, match=r"must have the 2 dimensions of the box, got \(8,\) and \(4,\)"):
        box.scaled((8,), (4,))


def test_some_samples_keep_their_box():
    rows = np.array([True, False, True])
    for box in (Box((1, 2), (4, 7), 0.75), Box(np.ones((3, 2), int), np.full((3, 2), 5), np.full(3, 0.75))):
        kept = box.only(rows)
        assert kept.lam.tolist() == [0.75, 1.0, 0.75]
        assert (kept.low[1] == kept.high[1]).all()
        assert (kept.low[0] == np.broadcast_to(box.low, (3, 2))[0]).all()
        assert (kept.high[2] == np.broadcast_to(box.high, (3, 2))[2]).all()


def test_the_region_as_a_mask():
    box = Box((1,), (3,), 0.5)
    assert box.inside((4,)).tolist() == [False, True, True, False]
    assert box.rows(2).inside((4,)).shape == (2, 4)
    assert Box((1, 0, 2), (2, 3, 4), 0.5).inside((2, 3, 4)).sum() == 6


@pytest.mark.parametrize(
    ("ndim", "dims", "expected"),
    [
        (2, None, ()),
        (3, None, (2,)),
        (4, None, (2, 3)),
        (5, None, (3, 4)),
        (3, 1, (1,)),
        (2, -1, (1,)),
        (5, [2, 3, 4], (2, 3, 4)),
        (4, (-1, -2), (2, 3)),
    ],
)
def test_cut_dimensions(ndim, dims, expected):
    assert cut_dims(ndim, dims) == expected


@pytest.mark.parametrize(
    ("shape", "dims", "mask", "expected"),
    [
        ((4, 3, 8, 8), None, (4, 8, 8), (1, 2)),
        ((4, 3, 8, 8), None, (4, 1, 8, 8), (2, 3)),
        ((4, 3, 8, 8), None, (4,), None),
        ((4, 3, 8, 8), None, (4, 10), None),
        ((4, 3, 9), None, (4, 9), (1,)),
        ((4, 3, 2, 8, 8), None, (4, 2, 8, 8), (2, 3)),
        ((4, 9, 3), 1, (4, 9), (1,)),
        ((4, 9, 3), 1, (4, 9, 2), (1,)),
        ((4, 9, 3), 1, (4,), None),
        ((4, 9), 1, (4, 9), (1,)),
        ((4, 9), 1, (4,), None),
        ((4, 8, 8, 3), (1, 2), (4, 8, 8), (1, 2)),
    ],
)
def test_dimensions_of_a_map_along_those_of_the_input(shape, dims, mask, expected):
    found = map_dims(len(mask), len(shape), cut_dims(len(shape), dims))
    assert found == expected


def test_boxes_are_equal_by_value():
    assert Box((1,), (3,), 0.5) == Box((1,), (3,), 0.5) != Box((1,), (4,), 0.5)
    assert Box(np.array([1]), np.array([3]), 0.5) == Box((1,), (3,), 0.5)
    assert torch.tensor([1.0]) is not None
