import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from lightning_mixup.functional import Mask, fmix, generator, sample_fmix
from lightning_mixup.functional.fmix import _low_frequency_noise

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=3)
SHIFTS = [1, 4, torch.tensor([1, 3, -1, 2, 0])]


def noise(shape, dtype=torch.float64):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 50).to(dtype)


def draw(size, lam=0.4, soft=0.0, seed=0):
    return sample_fmix(generator(seed, 0, 0), lam, size, soft=soft)


def plain_fmix(x, mask, shift, dims, memory=None):
    """Every sample by itself: x1 * mask + x2 * (1 - mask), where the mask is the original's."""
    source, rows = x if memory is None else memory, []
    for i, sample in enumerate(x):
        other = source[(i + int(torch.as_tensor(shift).expand(len(x))[i])) % len(source)]
        inside = torch.from_numpy(np.asarray(mask.inside[i] if mask.per_sample else mask.inside, dtype=float))
        inside = inside.reshape([n if dim + 1 in dims else 1 for dim, n in enumerate(sample.shape)])
        rows.append((1 - inside) * sample + inside * other)
    return torch.stack(rows).to(x.dtype)


def paper_grey(rng, size, decay):
    """Equations 1 and 2 of Harris et al. 2020: complex noise over frequency ** decay; the real part of its inverse."""
    noise = rng.normal(size=size) + 1j * rng.normal(size=size)
    grid = np.meshgrid(*[np.fft.fftfreq(n) for n in size], indexing="ij")
    frequency = np.maximum(np.sqrt(sum(step**2 for step in grid)), 1 / max(size))
    return np.fft.ifftn(noise / frequency**decay).real


@pytest.mark.parametrize("size", [(12,), (6, 10), (4, 5, 3)])
def test_grey_images_have_the_spectrum_of_the_paper(size):
    rng, axes = generator(0, 0, 0), tuple(range(1, len(size) + 1))
    theirs = np.array([paper_grey(rng, size, 3.0) for _ in range(4_000)])
    ours = _low_frequency_noise(rng, 4_000, size, 3.0)
    power = [(np.abs(np.fft.fftn(grey, axes=axes)) ** 2).mean(0) for grey in (ours, theirs)]
    # The mean of an image has no say in which of its pixels are the brightest.
    ratio = (power[0] / power[1]).flatten()[1:]
    assert ratio / ratio.mean() == pytest.approx(1, abs=0.15)


def test_masks_have_the_law_of_the_paper():
    """How often two pixels at a distance show the same sample, in both directions."""
    rng, size = generator(1, 0, 0), (8, 12)
    ours = sample_fmix(rng, np.full(2_000, 0.5), size).inside
    theirs = np.array([(grey := paper_grey(rng, size, 3.0)) < np.median(grey) for _ in range(2_000)])
    for axis, step in ((1, 1), (1, 3), (2, 1), (2, 5)):
        same = [(masks == np.roll(masks, step, axis)).mean() for masks in (ours, theirs)]
        assert same[0] == pytest.approx(same[1], abs=0.01)
    assert ours.mean(0) == pytest.approx(0.5, abs=0.06)


@given(SIZES, st.floats(0, 1), st.integers(0, 1000))
def test_the_share_of_pixels_is_exactly_lam(size, lam, seed):
    mask, total = draw(size, lam, seed=seed), np.prod(size)
    assert mask.inside.dtype == bool
    assert mask.size == tuple(size)
    assert isinstance(mask.lam, float)
    assert not mask.per_sample
    assert (~mask.inside).sum() == np.floor(lam * total + 0.5) == round(mask.lam * total)
    rows = draw(size, np.array([0.0, lam, 1.0]), seed=seed)
    assert rows.per_sample
    assert rows.inside.shape == (3, *size)
    assert rows.lam.tolist() == [0.0, mask.lam, 1.0]
    assert (~rows.inside).reshape(3, -1).sum(1).tolist() == [0, round(mask.lam * total), total]


def test_brightest_pixels_are_the_originals():
    mask, grey = draw((9, 7), 0.3), _low_frequency_noise(generator(0, 0, 0), 1, (9, 7), 3.0)[0]
    assert grey[mask.inside].max() < grey[~mask.inside].min()


def test_smaller_decay_makes_rougher_masks():
    edges = [
        np.diff(sample_fmix(generator(0, 0, 0), np.full(50, 0.5), (32, 32), decay=decay).inside, axis=1).mean()
        for decay in (3.0, 1.0, 0.0)
    ]
    assert edges[0] < edges[1] / 1.5 < edges[2] / 2.25


@given(SIZES, st.floats(0, 1), st.floats(0, 0.5))
def test_soft_edges_keep_the_weight(size, lam, soft):
    hard, mask = draw(size, lam), draw(size, lam, soft)
    assert mask.lam == hard.lam
    assert 1 - mask.inside.mean() == pytest.approx(mask.lam, abs=1e-12)
    assert ((mask.inside >= 0) & (mask.inside <= 1)).all()
    edge = int(np.prod(size) * min(soft, lam, 1 - lam))
    assert ((mask.inside > 0) & (mask.inside < 1)).sum() <= 2 * (edge + 1)
    assert (mask.inside >= 0.5).sum() in (hard.inside.sum(), hard.inside.sum() + 1)


def test_soft_edges_are_a_straight_line_over_the_order_of_the_pixels():
    mask, grey = draw((8, 8), 0.5, soft=0.125), _low_frequency_noise(generator(0, 0, 0), 1, (8, 8), 3.0)[0]
    shown = mask.inside.flatten()[np.argsort(grey.flatten())]
    assert shown == pytest.approx([1] * 24 + np.linspace(1, 0, 16).tolist() + [0] * 24)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("soft", [0.0, 0.3])
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((5, 3, 9), None),
        ((5, 9), 1),
        ((5, 9, 2), 1),
        ((5, 2, 4, 6), None),
        ((5, 4, 6, 2), (1, 2)),
        ((5, 2, 3, 4, 5), None),
        ((5, 2, 3, 4, 5), (2, 3, 4)),
    ],
)
def test_fmix_is_the_formula(shape, dims, shift, soft, per_sample, inplace):
    cut = ({3: (2,), 4: (2, 3), 5: (3, 4)}[len(shape)]) if dims is None else tuple(np.atleast_1d(dims))
    size = [shape[dim] for dim in cut]
    mask = draw(size, np.linspace(0, 1, 5) if per_sample else 0.4, soft)
    for memory in (None, noise((3, *shape[1:])).flip(0)):
        x = noise(shape)
        expected = plain_fmix(x, mask, shift, cut, memory)
        given_ = x.clone()
        mixed = fmix(given_, mask, shift, dims=dims, inplace=inplace, memory=memory)
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-12)
        assert (mixed is given_) == inplace
        assert inplace or torch.equal(given_, x)


@pytest.mark.parametrize("soft", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.int64, torch.bool])
def test_any_type_of_map(dtype, soft):
    mask, x = draw((6, 7), soft=soft), noise((4, 2, 6, 7)).to(dtype)
    hard = Mask(mask.inside > 0.5, mask.lam)
    mixed = fmix(x, mask, 1)
    assert mixed.dtype == dtype
    if dtype.is_floating_point:
        expected = plain_fmix(x.double(), mask, 1, (2, 3))
        torch.testing.assert_close(mixed.double(), expected, rtol=2e-2 if dtype.itemsize == 2 else 1e-5, atol=0.3)
    else:
        assert torch.equal(mixed, plain_fmix(x.double(), hard, 1, (2, 3)).to(dtype))


@pytest.mark.parametrize("soft", [0.0, 0.3])
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_once_and_twice(per_sample, shift, soft):
    x = noise((5, 2, 3, 4)).requires_grad_()
    mask = draw((3, 4), np.linspace(0, 1, 5) if per_sample else 0.4, soft)
    for memory in (None, noise((3, 2, 3, 4))):
        assert gradcheck(lambda x, memory=memory: fmix(x, mask, shift, memory=memory), x)
        assert gradgradcheck(lambda x, memory=memory: fmix(x, mask, shift, memory=memory), x)
    with pytest.raises(RuntimeError, match="grad"):
        fmix(x, mask, shift, inplace=True)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("soft", [0.0, 0.3])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
def test_nan_and_infinity_stay_where_the_mask_shows_them(per_sample, inplace, soft):
    x = noise((5, 2, 6, 7))
    x[0], x[2] = torch.nan, torch.inf
    mask = draw((6, 7), np.array([1.0, 0.5, 0.5, 0.0, 0.3]) if per_sample else 0.4, soft)
    inside = torch.from_numpy(np.broadcast_to(mask.inside, (5, 6, 7)).copy())[:, None].expand(5, 2, 6, 7)
    mixed, other = fmix(x.clone(), mask, 1, inplace=inplace), x.roll(-1, 0)
    torch.testing.assert_close(mixed[inside == 0], x[inside == 0], equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(mixed[inside == 1], other[inside == 1], equal_nan=True, rtol=0, atol=0)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("shape", "memory_format"), [((4, 3, 5, 6), torch.channels_last), ((4, 3, 2, 5, 6), torch.channels_last_3d)]
)
def test_memory_format_is_kept(shape, memory_format, inplace):
    x = noise(shape).contiguous(memory_format=memory_format)
    for mask in (draw(shape[-2:]), draw(shape[-2:], np.full(4, 0.5)), draw(shape[-2:], soft=0.2)):
        assert fmix(x.clone(), mask, 1, inplace=inplace).is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_map_at_another_resolution_gets_the_same_mask(per_sample):
    mask = draw((6, 8), np.array([0.2, 0.7]) if per_sample else 0.4)
    double = mask.scaled((6, 8), (12, 16))
    assert double.inside.tolist() == np.kron(mask.inside, np.ones((2, 2), bool)).tolist()
    assert double.lam == pytest.approx(mask.lam)
    assert double.scaled((12, 16), (6, 8)) == Mask(mask.inside, double.lam)
    third = mask.scaled((6, 8), (2, 8))
    assert third.inside.tolist() == mask.inside[..., 1::3, :].tolist()
    assert third.lam == pytest.approx(1 - third.inside.mean((-1, -2)))
    assert mask.scaled((6, 8), (6, 8)) is mask
    for size, to in (((8, 8), (4, 4)), ((6, 8), (4,))):
        with pytest.raises(ValueError, match=r"size must be that of the mask, \(6, 8\).*got"):
            mask.scaled(size, to)


def test_some_samples_keep_their_mask():
    rows, single, many = np.array([True, False]), draw((4, 6)), draw((4, 6), np.array([0.25, 0.5]))
    for mask in (single, many, draw((4, 6), soft=0.2)):
        kept = mask.only(rows)
        first = mask.inside[0] if mask.per_sample else mask.inside
        assert kept.inside.dtype == mask.inside.dtype
        assert (kept.inside[0] == first).all()
        assert not kept.inside[1].any()
        assert kept.lam.tolist() == [np.atleast_1d(mask.lam)[0], 1.0]
    assert single.rows(2).inside.shape == (2, 4, 6)
    assert single.rows(2).size == single.size
    assert many.rows(2) == many
    assert single != many


def test_a_mask_that_does_not_fit_is_refused():
    x = noise((4, 3, 8, 8))
    with pytest.raises(ValueError, match=r"mask is of size \(4, 4\), and x of size \(8, 8\).*mask\.scaled"):
        fmix(x, draw((4, 4)), 1)
    with pytest.raises(ValueError, match=r"x must have the 3 dimensions.*dims="):
        fmix(x, draw((3, 8, 8)), 1)
    with pytest.raises(ValueError, match="share memory"):
        fmix(x[:1].expand(4, 3, 8, 8), draw((8, 8)), 1, inplace=True)
