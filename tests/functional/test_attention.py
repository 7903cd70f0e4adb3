import numpy as np
import pytest
import torch

from lightning_mixup.functional import unite

LENGTHS = torch.tensor([2, 4, 0, 3])
MASK = torch.arange(5) < LENGTHS[:, None]
PARTNER = MASK.roll(-1, 0)


@pytest.mark.parametrize("lam", [0.5, 0.999, torch.tensor(0.3), np.full(4, 0.3), torch.full((4,), 0.3)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.float32, torch.bfloat16])
def test_tokens_of_both_are_attended_to(dtype, lam):
    united = unite(MASK.to(dtype), PARTNER.to(dtype), lam)
    assert united.dtype == dtype
    assert torch.equal(united.bool(), MASK | PARTNER)
    padding = unite((~MASK).to(dtype), (~PARTNER).to(dtype), lam, padding=True)
    assert torch.equal(padding, (~(MASK | PARTNER)).to(dtype))


def test_additive_masks_square_masks_and_lengths():
    additive = torch.zeros(4, 5).masked_fill(~MASK, -torch.inf)
    assert torch.equal(unite(additive, additive.roll(-1, 0)) == 0, MASK | PARTNER)
    assert torch.equal(unite(LENGTHS, LENGTHS.roll(-1)), torch.tensor([4, 4, 3, 3]))
    square = MASK[:, None, :, None] & MASK[:, None, None]
    assert torch.equal(unite(square, square.roll(-1, 0)), square | square.roll(-1, 0))


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_samples_of_weight_1_and_0_have_one_mask(kind):
    united = unite(MASK, PARTNER, kind([1.0, 0.0, 0.5, 1.0]))
    assert torch.equal(united, torch.stack([MASK[0], PARTNER[1], MASK[2] | PARTNER[2], MASK[3]]))
    for lam, expected in ((1.0, MASK), (0.0, PARTNER)):
        assert torch.equal(unite(MASK, PARTNER, lam), expected)
        assert torch.equal(unite(MASK, PARTNER, kind(lam)), expected)
