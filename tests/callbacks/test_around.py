import numpy as np
import pytest

from lightning_mixup.callbacks.around import Streams
from lightning_mixup.callbacks.draw import Draw


@pytest.mark.parametrize("other", [np.array([0.3, 1.0, 0.5]), 0.5], ids=["a weight of 1", "one for all"])
def test_streams_know_weights_to_be_inside_only_if_those_of_all_are(other):
    first = Draw(np.array([0.3, 0.7]))
    assert first.inside()
    assert Streams({2: first, 4: Draw(np.array([0.2, 0.4, 0.6, 0.8]))}).inside()
    assert not Streams({2: first, 3: Draw(other)}).inside()
