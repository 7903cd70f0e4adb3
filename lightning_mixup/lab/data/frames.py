"""From a picture of any size to the pixels of a sample: decoded, framed, normalised."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from lightning_mixup.lab.data.base import Data
from lightning_mixup.lab.data.extras import extra

if TYPE_CHECKING:
    from PIL.Image import Image

Frame = Callable[["Image"], torch.Tensor]
"""From a picture to uint8 of shape ``(C, H, W)``."""


def normalise(x: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """From bytes to what a network sees.

    Args:
        x: pixels in ``[0, 255]``, of any type, shape ``(..., C, H, W)``.
        mean: subtracted from pixels in ``[0, 1]``, one a channel.
        std: divides them, likewise.

    Returns:
        float32 of the same shape.

    Examples:
        >>> normalise(torch.tensor([[[0, 255]]], dtype=torch.uint8), mean=[0.5], std=[0.25])
        tensor([[[-2.,  2.]]])
    """
    # Filled on the device: a tensor made of a list is copied there, and a training step would wait for the copy.
    shift, scale = (
        torch.stack([x.new_full((), each, dtype=torch.float32) for each in value])[:, None, None]
        for value in (mean, std)
    )
    return (x / 255 - shift) / scale


def centre_frame(image: "Image", mode: str, size: int, resize: int) -> torch.Tensor:
    """Resize the shorter side, and crop the centre.

    Args:
        image: a picture.
        mode: ``"RGB"`` or ``"L"``.
        size: height and width to be cropped, in pixels.
        resize: pixels of the shorter side before, at least ``size``.

    Returns:
        uint8, ``(C, size, size)``.

    Examples:
        >>> from PIL import Image
        >>> centre_frame(Image.new("RGB", (40, 30), "white"), "L", size=24, resize=28).shape
        torch.Size([1, 24, 24])
    """
    from PIL.Image import Resampling

    image = image.convert(mode)
    shorter = min(image.size)
    if shorter != resize:
        width, height = (max(round(side * resize / shorter), resize) for side in image.size)
        image = image.resize((width, height), Resampling.BILINEAR)
    left, top = ((side - size) // 2 for side in image.size)
    return _tensor(image.crop((left, top, left + size, top + size)))


class RandomFrame:
    """A random rectangle, resized: of a whole picture, whose size is not that of its neighbours in a batch."""

    def __init__(self, mode: str, size: int, scale: Sequence[float]) -> None:
        generators = extra("kornia.augmentation.random_generator", "vision")
        self.draw = generators.ResizedCropGenerator((size, size), scale=tuple(scale), ratio=(3 / 4, 4 / 3))
        self.mode = mode
        self.size = size

    def __call__(self, image: "Image") -> torch.Tensor:
        """Draw a rectangle, and resize it."""
        from PIL.Image import Resampling

        corners = self.draw(torch.Size((1, 3, image.height, image.width)))["src"][0]
        (left, top), (right, bottom) = corners.amin(0).tolist(), (corners.amax(0) + 1).tolist()
        image = image.convert(self.mode)
        return _tensor(image.resize((self.size, self.size), Resampling.BILINEAR, box=(left, top, right, bottom)))


class Decoded(Data):
    """Samples that are read and decoded when they are asked for."""

    def __init__(
        self,
        rows: Any,  # noqa: ANN401
        column: str,
        frame: Frame,
        finish: Callable[[torch.Tensor], torch.Tensor] | None,
        where: torch.Tensor,
        *labels: torch.Tensor,
    ) -> None:
        self.rows = rows
        self.column = column
        self.frame = frame
        self.finish = finish
        self.where = where
        self.labels = labels

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        x = self.frame(self.rows[int(self.where[index])][self.column])
        return [self.finish(x) if self.finish else x, *(each[index] for each in self.labels)]


def _tensor(image: "Image") -> torch.Tensor:
    pixels: npt.NDArray[np.uint8] = np.array(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous()
