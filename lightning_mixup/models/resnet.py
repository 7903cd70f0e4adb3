"""A residual network for images of a few hundred pixels."""

from collections.abc import Sequence

import torch
from torch import nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to a shortcut (He et al. 2016, section 3.3).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 2 halves height and width.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        return torch.relu(self.residual(x) + self.shortcut(x))


class SmallResNet(nn.Module):
    """A residual CNN in four named stages: ``stem``, ``stage1``, ``stage2``, ``head``.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image.
        width: channels of the first stage; the second has twice as many. At least 1.
        blocks: residual blocks a stage, at least 1.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> net = SmallResNet(num_classes=10, input_shape=(1, 8, 8))
        >>> tuple(net(torch.zeros(5, 1, 8, 8)).shape), [name for name, _ in net.named_children()]
        ((5, 10), ['stem', 'stage1', 'stage2', 'head'])
    """

    def __init__(self, num_classes: int, input_shape: Sequence[int], width: int = 8, blocks: int = 1) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise ValueError(f"input_shape must be (channels, height, width); got {tuple(input_shape)}.")
        if width < 1 or blocks < 1:
            raise ValueError(f"width and blocks must be at least 1; got width={width}, blocks={blocks}.")
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stage1 = _stage(width, width, blocks, stride=1)
        self.stage2 = _stage(width, 2 * width, blocks, stride=2)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, num_classes)``."""
        logits: torch.Tensor = self.head(self.stage2(self.stage1(self.stem(x))))
        return logits


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(ResidualBlock(out_channels, out_channels) for _ in range(blocks - 1)))
