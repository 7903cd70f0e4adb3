import numpy as np
import pytest
import torch

from lightning_mixup.callbacks.draw import Draw


@pytest.mark.parametrize("lam", [[0.3, 0.7], torch.tensor([0.3, 0.7]), np.array([0.3, 0.7], np.float32)], ids=type)
def test_a_draw_takes_weights_of_any_kind(lam):
    torch.testing.assert_close(Draw(lam).weight(torch.zeros(2, dtype=torch.long)), torch.tensor([0.3, 0.7]))


@pytest.mark.parametrize("lam", [1, np.float32(1), torch.tensor(1.0), np.ones(3)], ids=type)
def test_one_weight_for_all_is_a_number(lam):
    assert Draw(lam).weights == 1.0
