import numpy as np
import torch
from PIL import Image

from lightning_mixup.lab.data.frames import centre_frame, normalise


def test_pictures_keep_their_proportions_and_lose_their_edges():
    """A wide picture of three bands: the centre is left."""
    bands = np.zeros((10, 30, 3), dtype=np.uint8)
    bands[:, 10:20] = 200
    frame = centre_frame(Image.fromarray(bands), "RGB", size=10, resize=10)
    assert (frame == 200).all()
    half = centre_frame(Image.fromarray(bands), "RGB", size=2, resize=5)
    assert (half == 200).all()


def test_normalising_starts_from_bytes():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 3).expand(2, 1, 3)
    torch.testing.assert_close(
        normalise(x, mean=(0.0, 0.2), std=(1.0, 0.4)), torch.tensor([[[0.0, 0.2, 1.0]], [[-0.5, 0.0, 2.0]]])
    )
