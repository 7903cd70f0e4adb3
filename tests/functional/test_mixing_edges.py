"""Weights of 0 and 1, numbers that are none, other dimensions and resolutions, and what is refused."""

import numpy as np
import pytest
import torch
from oracles import TOLERANCE, boxes, gathered, noise, plain_cutmix
from torch.autograd import gradcheck

from lightning_mixup.functional import (
    Box,
    cut_dims,
    cutmix,
    generator,
    map_dims,
    mixup,
    partners,
    sample_box,
    sample_lam,
)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lam", [1.0, torch.ones(5)])
def test_weight_one_is_the_identity_to_the_last_bit(lam, dtype):
    x = noise((5, 2, 3, 4), dtype)
    assert torch.equal(mixup(x, lam, 2), x)
    nothing = Box(np.full((5, 2), 2), np.full((5, 2), 2), np.ones(5))
    assert torch.equal(cutmix(x, nothing, 2), x)
    assert torch.equal(cutmix(x, Box((2, 2), (2, 2), 1.0), 2), x)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lam", [0.0, torch.zeros(5)])
def test_weight_zero_is_the_partner_to_the_last_bit(lam, dtype):
    x = noise((5, 2, 3, 4), dtype)
    assert torch.equal(mixup(x, lam, 2), partners(x, 2))


@pytest.mark.usefixtures("any_size")
def test_infinite_pixels_stay_where_they_are():
    x = noise((5, 2, 3, 4))
    x[0] = torch.inf
    box = boxes(x.shape, per_sample=True)
    assert torch.equal(cutmix(x, box, 2), plain_cutmix(x, box, 2))


def bfloat16(weights_):
    """Weights of a type that numpy does not know."""
    return torch.tensor(weights_, dtype=torch.bfloat16)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("kind", [float, np.array, torch.tensor, bfloat16])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("shift", [1, 4, torch.tensor([1, 3, -1, 2, 0])])
def test_nothing_is_taken_of_nan_and_infinity_with_weight_0(kind, inplace, remembered, shift):
    """Sample 1 is left as it is, sample 2 is its partner, and the others are mixed: only where that is a number."""
    x = noise((5, 2, 3, 4))
    x[[0, 2]], x[3, 0], x[3, 1] = torch.nan, torch.inf, -torch.inf
    memory = x.flip(0) if remembered else None
    other = gathered(x, torch.as_tensor(shift).expand(5), memory)
    lam = [1.0, 1.0, 0.0, 0.5, 1.0]
    for weights_ in [0.0, 1.0] if kind is float else [kind(lam)]:
        weight = torch.as_tensor(weights_).expand(5).tolist()
        expected = [a if w == 1 else b if w == 0 else (a + b) / 2 for w, a, b in zip(weight, x, other, strict=True)]
        mixed = mixup(x.clone(), weights_, shift, inplace=inplace, memory=memory)
        torch.testing.assert_close(mixed, torch.stack(expected), equal_nan=True, rtol=0, atol=1e-15)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("remembered", [False, True])
def test_gradients_where_some_weights_are_0_or_1(remembered):
    x = noise((5, 2, 3, 4)).requires_grad_()
    memory = noise((5, 2, 3, 4)).flip(0) if remembered else None
    for lam in (np.array([1.0, 0.3, 0.0, 0.5, 1.0]), 0.0, 1.0):
        assert gradcheck(lambda x, lam=lam: mixup(x, lam, 2, memory=memory), x)


@pytest.mark.parametrize(
    "lam",
    [[0.25, 1.0, 0.5, 0.0, 0.75], [0.25, 1.0, 0.5, 0.3, 0.1], [0.0, 0.5, 0.5, 0.3, 0.1], [0.5, 1.5, 0.0, -1.0, 0.1]],
)
def test_weights_on_the_host_and_in_a_tensor_are_the_same(lam):
    x = noise((5, 4))
    weights_ = torch.tensor(lam, dtype=torch.float64)
    x[weights_ == 0] = torch.inf
    mixed = mixup(x, weights_, 2)
    torch.testing.assert_close(mixed, mixup(x, weights_.numpy(), 2), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(mixed[weights_ == 0], partners(x, 2)[weights_ == 0])


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("lam", [torch.rand(3), np.full(3, 0.5), torch.rand(5, 1)], ids=["tensor", "array", "column"])
def test_as_many_weights_as_samples(lam):
    with pytest.raises(ValueError, match=r"lam must be a number, or hold one for each of the 5 samples; got shape \("):
        mixup(noise((5, 2, 3, 4)), lam, 1)


def test_an_empty_batch_and_its_weights_stay_empty():
    assert mixup(noise((0, 4)), torch.zeros(0), 0).shape == (0, 4)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("shape", [(4, 9), (4, 9, 1), (4, 9, 3), (4, 6, 5, 3)])
def test_dimensions_of_ones_own(shape, per_sample):
    """Time comes first in a series, and channels come last in some images."""
    x, dims = noise(shape), (1, 2) if len(shape) == 4 else 1
    lam = np.linspace(0, 1, 4) if per_sample else 0.4
    box = sample_box(generator(5, 0, 0), lam, [shape[dim] for dim in np.atleast_1d(dims)])
    moved = x.movedim(-1, 1) if len(shape) == 4 else x.reshape(4, 9, -1).movedim(-1, 1)
    expected = plain_cutmix(moved, box, 1).movedim(1, -1).reshape(shape)
    assert torch.equal(cutmix(x, box, 1, dims=dims), expected)
    assert torch.equal(cutmix(x.clone(), box, 1, dims=dims, inplace=True), expected)


@pytest.mark.parametrize(("shape", "dims"), [((4, 9), None), ((4, 9, 3), (1, 2)), ((4,), None)])
def test_a_batch_without_the_dimensions_of_the_box_is_refused(shape, dims):
    with pytest.raises(ValueError, match=r"x must have the 1 dimensions of the box.*dims="):
        cutmix(noise(shape), Box((0,), (2,), 0.5), 1, dims=dims)


@pytest.mark.parametrize("dims", [0, 3, (1, 1), (), (-1, 2)])
def test_dimensions_that_are_not_there_are_refused(dims):
    with pytest.raises(ValueError, match=r"dims must be different dimensions of 1 to 2 .* got"):
        cutmix(noise((4, 9, 3)), Box((0,), (2,), 0.5), 1, dims=dims)


@pytest.mark.parametrize("lam", [0.3, np.linspace(0.1, 0.9, 4)])
@pytest.mark.parametrize(
    "x",
    [noise((1, 2, 9)).expand(4, 2, 9), noise((22,)).unfold(0, 10, 4).unflatten(1, (2, 5))],
    ids=["expand", "unfold"],
)
def test_memory_that_several_samples_share_is_not_overwritten(x, lam):
    before = x.clone()
    for mix in (
        lambda x, **how: mixup(x, lam, 1, **how),
        lambda x, **how: cutmix(x, sample_box(generator(0, 0, 0), lam, x.shape[2:]), 1, **how),
    ):
        with pytest.raises(ValueError, match=r"share memory.*inplace=False.*x\.contiguous\(\)"):
            mix(x, inplace=True)
        assert torch.equal(x, before)
        assert torch.equal(mix(x), mix(before.clone(), inplace=True))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_mixup_refuses_what_is_not_floating_point(dtype):
    with pytest.raises(TypeError, match=f"got {dtype}".replace(".", r"\.")):
        mixup(torch.zeros(4, 3, dtype=dtype), 0.5, 1)


def test_weight_and_shift_may_be_tensors():
    x = noise((5, 4))
    expected = mixup(x, 0.25, 2)
    assert torch.equal(mixup(x, torch.tensor(0.25), torch.tensor(2)), expected)
    assert torch.equal(partners(x, torch.tensor(2)), partners(x, 2))


@pytest.mark.parametrize(("shape", "dims"), [((8, 100), 1), ((8, 100, 1), 1), ((8, 100, 6), 1), ((8, 6, 100), None)])
def test_a_series_is_cut_along_time_wherever_time_is(shape, dims):
    """Cut along its last dimension, a series of one feature would never be mixed."""
    cut = cut_dims(len(shape), dims)
    assert [shape[dim] for dim in cut] == [100]
    x = torch.arange(8.0).view(8, *[1] * (len(shape) - 1)).expand(shape).clone()
    rng, mixed = generator(0, 0, 0), 0
    for _ in range(100):
        box = sample_box(rng, sample_lam(rng, 1.0), [shape[dim] for dim in cut])
        shown = cutmix(x, box, 3, dims=dims).flatten(1).mean(1)
        expected = box.lam * torch.arange(8.0) + (1 - box.lam) * partners(torch.arange(8.0), 3)
        torch.testing.assert_close(shown, expected)
        mixed += box.lam < 1
    assert mixed > 95


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("to", [(8, 8), (32, 32), (4, 16)])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_a_map_of_another_resolution_is_cut_where_the_image_is(channels, to, per_sample):
    """The case: images of 16x16 and maps of 8x8, of which .14 and .47 were pasted."""
    x, target = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 16, 16), torch.arange(4)
    target = target.view(4, *[1] * (len(channels) + 2)).expand(4, *channels, *to)
    for step in range(20):
        box = sample_box(generator(5, 0, step), np.linspace(0.1, 0.9, 4) if per_sample else 0.5, (16, 16))
        dims = map_dims(target.ndim, x.ndim, (2, 3))
        cut = cutmix(target, box.scaled((16, 16), to), 1, dims=dims).reshape(4, -1, *to)[:, 0]
        # What is pasted of the image below each pixel of the map.
        share = torch.nn.functional.interpolate((cutmix(x, box, 1) != x).float(), to, mode="area")[:, 0]
        own, other = torch.arange(4)[:, None, None].expand(cut.shape), partners(torch.arange(4), 1)[:, None, None]
        assert torch.equal(cut[share == 0], own[share == 0])
        assert torch.equal(cut[share == 1], other.expand(cut.shape)[share == 1])
        assert to != (32, 32) or ((share == 0) | (share == 1)).all()


@pytest.mark.parametrize("prob", [0.0, 0.5, 1.0])
def test_samples_without_a_box_are_left_alone_beside_nan(prob):
    x = noise((6, 2, 5, 5))
    x[::2] = torch.nan
    rows = generator(1, 0, 0).random(6) < prob
    box = boxes(x.shape, per_sample=True).only(rows)
    mixed = cutmix(x, box, 1)
    torch.testing.assert_close(mixed, plain_cutmix(x, box, 1), equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(mixed[~torch.from_numpy(rows)], x[~torch.from_numpy(rows)], equal_nan=True)
