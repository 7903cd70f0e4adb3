"""Augmentation of a whole batch of images at once, on whatever device it is, without waiting for that device."""

import torch
from torch import Tensor


def random_crop(x: Tensor, padding: int) -> Tensor:
    """Pad images with zeros and crop each to its size again, at a place of its own.

    Args:
        x: images, ``(B, C, H, W)``, of any type.
        padding: pixels added at each side, at least 0; 0 leaves the images as they are.

    Returns:
        Images of the same shape and type. Places follow torch's global stream of the device of ``x``.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> random_crop(torch.ones(2, 1, 2, 2), padding=1)[0, 0]
        tensor([[1., 0.],
                [0., 0.]])
    """
    if padding == 0:
        return x
    count, _, height, width = x.shape
    down, right = torch.randint(2 * padding + 1, (2, count), device=x.device)
    # Every window of the padded image, as a view: (B, C, rows, columns, H, W), of which each image takes one.
    windows = torch.nn.functional.pad(x, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(count, device=x.device), :, down, right]


def random_flip(x: Tensor) -> Tensor:
    """Mirror each image from left to right with probability one half.

    Args:
        x: images, ``(B, C, H, W)``, of any type.

    Returns:
        Images of the same shape and type. Who is mirrored follows torch's global stream of the device of ``x``.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> random_flip(torch.tensor([[[[1, 2]]], [[[3, 4]]]]))[:, 0, 0]
        tensor([[2, 1],
                [3, 4]])
    """
    mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
    return torch.where(mirrored, x.flip(-1), x)
