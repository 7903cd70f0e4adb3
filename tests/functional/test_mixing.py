import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import SHIFTS, TOLERANCE, boxes, gathered, layouts, mask_of, noise, plain_cutmix, plain_mixup, weights
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import gradcheck, gradgradcheck

from lightning_mixup.functional import cutmix, generator, mixing, mixup, pairs, partners, sample_box

SHAPES = [(5, 7), (4, 3, 9), (3, 2, 4, 6), (2, 3, 2, 5, 4)]
IMAGES = SHAPES[1:]
GENERAL = pytest.mark.parametrize(
    ("shift", "remembered"), [(SHIFTS[0], None), (SHIFTS[1], None), (SHIFTS[1], 5), (SHIFTS[0], 3), (SHIFTS[0], 8)]
)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_mixup_is_the_textbook_formula(shape, dtype, per_sample, inplace):
    lam = weights(shape[0], dtype) if per_sample else 0.3
    for x in layouts(noise(shape, dtype)):
        expected = plain_mixup(x, lam, shift=1)
        mixed = mixup(x.clone() if inplace else x, lam, 1, inplace=inplace)
        assert mixed.dtype == dtype
        torch.testing.assert_close(mixed, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.uint8, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", IMAGES)
def test_cutmix_pastes_exactly_the_box(shape, dtype, per_sample, inplace):
    box = boxes(shape, per_sample)
    for x in layouts((noise(shape) * 50).to(dtype)):
        expected = plain_cutmix(x, box, shift=1)
        assert torch.equal(cutmix(x.clone() if inplace else x, box, 1, inplace=inplace), expected)


@given(st.integers(1, 33), st.integers(-40, 40), st.booleans(), st.booleans(), st.sampled_from([0, 2**15]))
def test_every_shift_of_every_batch_size(batch_size, shift, per_sample, inplace, small):
    x = noise((batch_size, 2, 3))
    lam = weights(batch_size) if per_sample else 0.3
    box = boxes(x.shape, per_sample)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_SMALL", small)
        patch.setattr(mixing, "_SMALL_SAMPLE", small)
        torch.testing.assert_close(mixup(x.clone(), lam, shift, inplace=inplace), plain_mixup(x, lam, shift))
        assert torch.equal(cutmix(x.clone(), box, shift, inplace=inplace), plain_cutmix(x, box, shift))
    assert torch.equal(partners(x, shift), torch.stack([x[(i + shift) % batch_size] for i in range(batch_size)]))


@pytest.mark.usefixtures("any_size")
@GENERAL
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("shape", [(5, 7), (5, 2, 9), (5, 3, 4, 6), (5, 2, 3, 5, 4)])
def test_a_shift_for_each_sample_and_partners_from_elsewhere(shape, per_sample, inplace, shift, remembered):
    before = noise((remembered, *shape[1:])).flip(0) if remembered else None
    for x in layouts(noise(shape)):
        other = gathered(x, shift, before)
        assert torch.equal(partners(x, shift, before), other)
        lam = weights(5) if per_sample else 0.3
        weight = lam.view(-1, *[1] * (x.ndim - 1)) if per_sample else lam
        blended = weight * x + (1 - weight) * other
        mixed = mixup(x.clone() if inplace else x, lam, shift, inplace=inplace, memory=before)
        torch.testing.assert_close(mixed, blended)
        assert mixed.stride() == (x.clone() if inplace else torch.empty_like(x)).stride()
        if len(shape) == 2:
            continue
        box = boxes(shape, per_sample)
        mixed = cutmix(x.clone() if inplace else x, box, shift, inplace=inplace, memory=before)
        assert torch.equal(mixed, torch.where(mask_of(box, shape), other, x))
        assert before is None or torch.equal(before, noise((remembered, *shape[1:])).flip(0))


@pytest.mark.parametrize("inplace", [False, True])
def test_one_shift_along_the_batch_before(inplace):
    x, before = noise((5, 2, 3, 4)), noise((4, 2, 3, 4)).flip(0)
    for shift, memory in ((0, before), (2, before), (0, x.flip(0))):
        other = gathered(x, [shift] * 5, memory)
        torch.testing.assert_close(mixup(x.clone(), 0.3, shift, inplace=inplace, memory=memory), 0.3 * x + 0.7 * other)
        box = boxes(x.shape, per_sample=False)
        mixed = cutmix(x.clone(), box, shift, inplace=inplace, memory=memory)
        assert torch.equal(mixed, torch.where(mask_of(box, x.shape), other, x))


@GENERAL
@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_of_general_pairings_once_and_twice(per_sample, shift, remembered):
    x = noise((5, 2, 3, 4)).requires_grad_()
    before = noise((remembered, 2, 3, 4)).flip(0) if remembered else None
    lam, box = weights(5) if per_sample else 0.3, boxes(x.shape, per_sample)
    for mix in (lambda x: mixup(x, lam, shift, memory=before), lambda x: cutmix(x, box, shift, memory=before)):
        assert gradcheck(mix, x)
        assert gradgradcheck(mix, x)
        assert torch.equal(mix(x), mix(x.detach()))


@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.floats(0, 1),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_the_share_of_pixels_is_the_weight(batch_size, spatial, lam, seed, per_sample):
    # Images of one colour each: the mean of a mixed one tells how much of either it shows.
    x = torch.arange(batch_size, dtype=torch.float64).view(-1, *[1] * (1 + len(spatial))).expand(-1, 2, *spatial)
    rng = generator(seed, rank=0, step=0)
    box = sample_box(rng, np.full(batch_size, lam) if per_sample else lam, spatial[-2:])
    shift = batch_size // 2
    own, other = torch.arange(batch_size).double(), partners(torch.arange(batch_size).double(), shift)
    realised = torch.as_tensor(box.lam, dtype=torch.float64)
    means = cutmix(x, box, shift).flatten(1).mean(1)
    torch.testing.assert_close(means, realised * own + (1 - realised) * other, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("shift", [0, 1, 2, 4])
@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_once_and_twice(per_sample, shift):
    x = noise((5, 2, 3, 4)).requires_grad_()
    lam, box = weights(5) if per_sample else 0.3, boxes(x.shape, per_sample)
    for mix in (lambda x: mixup(x, lam, shift), lambda x: cutmix(x, box, shift)):
        assert gradcheck(mix, x)
        assert gradgradcheck(mix, x)


@given(st.integers(1, 33), st.integers(-40, 40), st.integers(1, 70), st.sampled_from([*TOLERANCE, torch.float16]))
def test_small_batches_get_the_numbers_of_large_ones_to_the_last_bit(batch_size, shift, width, dtype):
    x = noise((batch_size, width), dtype)
    for lam in (0.3, weights(batch_size)):
        small = mixup(x, lam, shift)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pairs, "_SMALL", 0)
            assert torch.equal(small, mixup(x, lam, shift))


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("per_sample", [False, True])
def test_gradients_do_not_change_the_values(per_sample):
    x = noise((5, 2, 3, 4))
    lam, box = weights(5) if per_sample else 0.3, boxes(x.shape, per_sample)
    for mix in (lambda x: mixup(x, lam, 2), lambda x: cutmix(x, box, 2)):
        assert torch.equal(mix(x), mix(x.clone().requires_grad_()))


def test_gradient_of_half_precision_keeps_its_dtype():
    x = noise((5, 4), torch.bfloat16).requires_grad_()
    mixup(x, weights(5), 2).sum().backward()
    assert x.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("per_sample", [False, True])
def test_out_of_place_leaves_the_batch_alone(per_sample):
    x = noise((5, 2, 3, 4))
    before = x.clone()
    for mixed in (mixup(x, weights(5) if per_sample else 0.3, 2), cutmix(x, boxes(x.shape, per_sample), 2)):
        assert torch.equal(x, before)
        assert mixed.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


@pytest.mark.parametrize("per_sample", [False, True])
def test_in_place_returns_the_batch_itself(per_sample):
    x = noise((5, 2, 3, 4))
    assert mixup(x, weights(5) if per_sample else 0.3, 2, inplace=True) is x
    assert cutmix(x, boxes(x.shape, per_sample), 2, inplace=True) is x


@pytest.mark.parametrize("per_sample", [False, True])
def test_in_place_refuses_what_needs_a_gradient(per_sample):
    x = noise((5, 2, 3, 4)).requires_grad_()
    with pytest.raises(RuntimeError, match="grad"):
        mixup(x, weights(5) if per_sample else 0.3, 2, inplace=True)
    with pytest.raises(RuntimeError, match="grad"):
        cutmix(x, boxes(x.shape, per_sample), 2, inplace=True)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize(
    ("shape", "memory_format"), [((4, 3, 5, 6), torch.channels_last), ((4, 3, 2, 5, 6), torch.channels_last_3d)]
)
def test_memory_format_is_kept(shape, memory_format, per_sample, inplace):
    x = noise(shape).contiguous(memory_format=memory_format)
    lam, box = weights(4) if per_sample else 0.3, boxes(shape, per_sample)
    for mixed in (mixup(x.clone(), lam, 1, inplace=inplace), cutmix(x.clone(), box, 1, inplace=inplace)):
        assert mixed.is_contiguous(memory_format=memory_format)


@pytest.mark.filterwarnings("ignore:.* should not be instantiated:DeprecationWarning")  # torch's own tracing does
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("one", [True, False])
def test_compiled_once_for_all_draws(per_sample, one):
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(mixup, backend=counter, fullgraph=True)
    for shift in torch.tensor([1, 2, 3, 4]) if one else torch.stack([*SHIFTS, *SHIFTS]):
        lam = torch.rand(5) if per_sample else torch.rand(())
        x, y = (noise((5, 4), torch.float32).requires_grad_() for _ in range(2))
        mixed, expected = compiled(x, lam, shift), mixup(y, lam, shift)
        torch.testing.assert_close(mixed, expected)
        (mixed**2).sum().backward()
        (expected**2).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)
    assert counter.frame_count == 1
