import numpy as np
import pytest
import torch

from lightning_mixup.functional import Weights

LAM = np.array([0.25, 1.0, 0.5, 0.0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_weights_fit_the_batch_they_are_used_on(dtype):
    partners, pure = Weights(LAM).of_partners(torch.zeros(4, 3, 2, dtype=dtype))
    torch.testing.assert_close(partners, torch.tensor([0.75, 0.0, 0.5, 1.0], dtype=dtype).view(4, 1, 1))
    assert pure.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("labels", "expected"), [(torch.long, torch.float32), (torch.half, torch.float32), (torch.double, torch.float64)]
)
def test_labels_have_weights_of_at_least_single_precision(labels, expected):
    weights = Weights(LAM).of_originals(torch.zeros(4, dtype=labels))
    torch.testing.assert_close(weights, torch.from_numpy(LAM).to(expected))


def test_double_precision_keeps_all_digits():
    lam = np.array([1 / 3, 1 / 7])
    weights = Weights(lam)
    assert weights.of_originals(torch.zeros(2, dtype=torch.double)).tolist() == lam.tolist()
    assert weights.of_partners(torch.zeros(2, dtype=torch.double))[0].tolist() == (1 - lam).tolist()


@pytest.mark.parametrize("end", [0.0, 1.0, 1 - 1e-12], ids=str)
def test_weights_are_inside_if_none_is_0_or_1_in_single_precision(end):
    assert Weights(np.array([0.3, 0.7])).inside
    weights = Weights(np.array([0.3, end]))
    assert not weights.inside
    assert weights.of_partners(torch.zeros(2))[1].tolist() == [1]
