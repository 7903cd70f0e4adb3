from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.autograd import gradcheck, gradgradcheck

from lightning_mixup.functional import Box, generator, resizemix, sample_resize

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=3)
SHIFTS = [1, 4, torch.tensor([1, 3, -1, 2, 0])]
# A batch, the argument dims, and the dimensions that are resized.
CASES = [
    ((5, 3, 9), None, (2,)),
    ((5, 9), 1, (1,)),
    ((5, 9, 2), 1, (1,)),
    ((5, 2, 12, 9), None, (2, 3)),
    ((5, 12, 9, 2), (1, 2), (1, 2)),
    ((5, 2, 3, 9, 12), None, (3, 4)),
    ((5, 2, 6, 9, 12), (2, 3, 4), (2, 3, 4)),
]


def noise(shape, dtype=torch.float64):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 50).to(dtype)


def draw(size, batch_size=None, seed=0):
    return sample_resize(generator(seed, 0, 0), 0.1, 0.8, size, batch_size)


def smoothly(sample, dim, side):
    """One dimension of a sample, by triangles around the middles of the new pixels that are as wide as these."""
    size = sample.shape[dim]
    middle, old = (np.arange(side) + 0.5) * size / side, np.arange(size) + 0.5
    weights = np.maximum(0, 1 - np.abs(old - middle[:, None]) / max(size / side, 1))
    weights = torch.from_numpy(weights / weights.sum(1, keepdims=True))
    return (sample.movedim(dim, -1).double() @ weights.T).movedim(-1, dim)


def nearest(sample, dim, side):
    """One dimension of a sample, from the pixels in which the middles of the new ones lie."""
    size = sample.shape[dim]
    return sample.index_select(dim, torch.tensor([int(Fraction(2 * at + 1, 2) * size / side) for at in range(side)]))


def plain_resizemix(x, box, shift, cut, resize, memory=None):
    """Every sample by itself: Paste(Resize(partner, scale), sample)."""
    source, mixed = x if memory is None else memory, x.clone()
    box = box.rows(len(x))
    for i, sample in enumerate(mixed):
        small = source[(i + int(torch.as_tensor(shift).expand(len(x))[i])) % len(source)]
        place = [slice(None)] * sample.ndim
        for dim, low, high in zip(cut, box.low[i], box.high[i], strict=True):
            small = resize(small, dim - 1, int(high - low))
            place[dim - 1] = slice(low, high)
        sample[tuple(place)] = small
    return mixed


@given(SIZES, st.integers(0, 1000), st.floats(0.01, 1), st.floats(0.01, 1))
def test_regions_lie_inside_and_lam_is_the_share_that_is_not_covered(size, seed, first, second):
    low, high = sorted((first, second))
    box = sample_resize(generator(seed, 0, 0), low, high, size)
    rows = sample_resize(generator(seed, 0, 0), low, high, size, 7)
    assert not box.per_sample
    assert rows.per_sample
    assert rows.low.shape == rows.high.shape == (7, len(size))
    assert isinstance(box.lam, float)
    assert all(type(corner) is int for corner in (*box.low, *box.high))
    for one in (box.rows(1), rows):
        side = one.high - one.low
        assert (one.low >= 0).all()
        assert (one.high <= size).all()
        assert one.lam == pytest.approx(1 - side.prod(1) / np.prod(size))
        assert (side >= np.maximum(1, low * np.array(size) - 0.5)).all()
        assert (side <= np.maximum(1, high * np.array(size) + 0.5)).all()


def test_scale_and_place_are_uniform_as_in_the_paper():
    box = draw((1000, 1000), 4_000)
    side = box.high - box.low
    assert abs(side[:, 0] - side[:, 1]).max() == 0  # the shape of the image is kept
    assert stats.kstest(side[:, 0] / 1000, stats.uniform(0.1, 0.7).cdf).pvalue > 1e-3
    for place in (box.low / (1000 - side)).T:
        assert stats.kstest(place, stats.uniform.cdf).pvalue > 1e-3
    assert abs(np.corrcoef((box.low / (1000 - side)).T)[0, 1]) < 0.06
    # The mean of scale ** 2.
    assert 1 - box.lam.mean() == pytest.approx((0.8**3 - 0.1**3) / 3 / 0.7, abs=0.01)


def test_one_region_and_regions_per_sample_have_one_law():
    single = [draw((12, 20), seed=seed) for seed in range(2_000)]
    rows = draw((12, 20), 2_000)
    corners = np.array([(*box.low, *box.high) for box in single])
    for one, many in zip(corners.T, np.hstack([rows.low, rows.high]).T, strict=True):
        assert stats.ks_2samp(one, many).pvalue > 1e-3


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("shape", "dims", "cut"), CASES)
def test_resizemix_is_the_formula(shape, dims, cut, shift, per_sample, inplace):
    box = draw([shape[dim] for dim in cut], 5 if per_sample else None)
    for remembered in (None, 3, 8):
        memory = noise((remembered, *shape[1:])).flip(0) if remembered else None
        for how in (False, True):
            x = noise(shape)
            expected = plain_resizemix(x, box, shift, cut, nearest if how else smoothly, memory)
            given_ = x.clone()
            mixed = resizemix(given_, box, shift, dims=dims, nearest=how, inplace=inplace, memory=memory)
            torch.testing.assert_close(mixed, expected, rtol=0, atol=0 if how else 1e-11)
            assert (mixed is given_) == inplace
            assert inplace or torch.equal(given_, x)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_every_size_is_that_of_torch(height, width, seed):
    x = noise((2, 1, height, width))
    box = sample_resize(generator(seed, 0, 0), 0.02, 1.0, (height, width))
    for boxes in (box, box.rows(2)):
        torch.testing.assert_close(
            resizemix(x, boxes, 1), plain_resizemix(x, box, 1, (2, 3), smoothly), rtol=0, atol=1e-11
        )
        assert torch.equal(resizemix(x, boxes, 1, nearest=True), plain_resizemix(x, box, 1, (2, 3), nearest))


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.bfloat16, torch.complex64])
def test_maps_of_any_type_are_resized_by_the_nearest_pixel(dtype, per_sample):
    x, box = noise((4, 1, 12, 9)).to(dtype), draw((12, 9), 4 if per_sample else None)
    mixed = resizemix(x, box, 1, nearest=True)
    assert mixed.dtype == dtype
    if dtype is not torch.complex64:
        assert torch.equal(mixed, plain_resizemix(x, box, 1, (2, 3), nearest))
    assert {complex(value) for value in mixed.flatten().tolist()} <= {complex(value) for value in x.flatten().tolist()}


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 1.0), (torch.float16, 0.1)])
def test_half_precision_is_computed_in_single_precision(dtype, tolerance, per_sample):
    x, box = noise((4, 2, 30, 31), dtype), draw((30, 31), 4 if per_sample else None)
    # Under CPU autocast torch itself cannot roll a float16 tensor.
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float16):
        mixed = resizemix(x, box, 1)
    assert mixed.dtype == dtype
    expected = plain_resizemix(x.double(), box, 1, (2, 3), smoothly)
    torch.testing.assert_close(mixed.double(), expected, rtol=0, atol=tolerance)
    if dtype != torch.float32:
        assert torch.equal(mixed, resizemix(x.float(), box, 1).to(dtype))


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("how", [False, True], ids=["smooth", "nearest"])
@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_once_and_twice(per_sample, how, shift):
    x = noise((5, 2, 3, 4)).requires_grad_()
    box = draw((3, 4), 5 if per_sample else None)
    for memory in (None, noise((3, 2, 3, 4))):
        assert gradcheck(lambda x, memory=memory: resizemix(x, box, shift, nearest=how, memory=memory), x)
        assert gradgradcheck(lambda x, memory=memory: resizemix(x, box, shift, nearest=how, memory=memory), x)
    with pytest.raises(RuntimeError, match="grad"):
        resizemix(x, box, shift, nearest=how, inplace=True)


@pytest.mark.parametrize("needs_gradient", [False, True])
@pytest.mark.parametrize("how", [False, True], ids=["smooth", "nearest"])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize(
    ("shape", "memory_format"), [((4, 3, 5, 6), torch.channels_last), ((4, 3, 2, 5, 6), torch.channels_last_3d)]
)
def test_memory_format_is_kept(shape, memory_format, per_sample, how, needs_gradient):
    x = noise(shape).contiguous(memory_format=memory_format).requires_grad_(needs_gradient)
    box = draw(shape[-2:], 4 if per_sample else None)
    assert resizemix(x, box, 1, nearest=how).is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("how", [False, True], ids=["smooth", "nearest"])
def test_samples_of_weight_1_take_nothing_of_their_partners(how):
    x = noise((4, 1, 6, 6))
    x[1], x[3] = torch.nan, torch.inf
    rows = np.array([False, True, False, False])
    box = draw((6, 6)).only(rows)
    mixed = resizemix(x, box, 1, nearest=how)
    torch.testing.assert_close(mixed[[0, 2, 3]], x[[0, 2, 3]], equal_nan=True, rtol=0, atol=0)
    region = tuple(slice(low, high) for low, high in zip(box.low[1], box.high[1], strict=True))
    assert mixed[1, 0][region].isfinite().all()
    assert torch.equal(resizemix(x[[0, 2]].nan_to_num(), Box((2, 2), (2, 4), 1.0), 1), x[[0, 2]].nan_to_num())


def test_a_whole_image_is_the_partner_as_it_is():
    x, box = noise((3, 2, 5, 7)), Box((0, 0), (5, 7), 0.0)
    for boxes in (box, box.rows(3)):
        assert torch.equal(resizemix(x, boxes, 1, nearest=True), x.roll(-1, 0))
        torch.testing.assert_close(resizemix(x, boxes, 1), x.roll(-1, 0))


def test_what_cannot_be_resized_is_refused():
    x = noise((4, 3, 8, 8))
    with pytest.raises(TypeError, match=r"floating point.*got torch\.uint8.*x\.float\(\) / 255.*nearest=True"):
        resizemix(x.to(torch.uint8), draw((8, 8)), 1)
    with pytest.raises(ValueError, match=r"x must have the 3 dimensions.*dims="):
        resizemix(x, draw((3, 8, 8)), 1)
    for box in (draw((8, 8)), draw((8, 8), 4)):
        with pytest.raises(ValueError, match="share memory"):
            resizemix(x[:1].expand(4, 3, 8, 8), box, 1, inplace=True)
