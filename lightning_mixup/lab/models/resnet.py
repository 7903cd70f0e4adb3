"""Residual networks for small images."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from lightning_mixup.lab.models.arguments import sizes
from lightning_mixup.lab.models.stages import Stages, he_init, image_head, repeat
from lightning_mixup.lab.require import require

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to a shortcut (He et al. 2016, section 3.3).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 2 halves height and width.
        zero_init: whether it starts as its shortcut, the last scale of the other branch being 0.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, zero_init: bool = False) -> None:
        super().__init__()
        last = nn.BatchNorm2d(out_channels)
        if zero_init:
            nn.init.zeros_(last.weight)
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            last,
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        return torch.relu(self.residual(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 at a quarter of the channels, and 1x1, added to a shortcut (He et al. 2016, section 4.1).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of 4.
        stride: 2 halves height and width.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = out_channels // 4
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        return torch.relu(self.residual(x) + self.shortcut(x))


class SmallResNet(Stages):
    """A residual CNN for images of a few hundred pixels: ``stem``, ``stage1``, ``stage2``, ``head``.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image.
        width: channels of the first stage; the second has twice as many. At least 1.
        blocks: residual blocks a stage, at least 1.
        cells: the head averages over the pixels of each cell of a grid, so many along each side, at least 1. With 1 it
            does not know what was where, which suits objects of any place; digits are told apart sooner with 4.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = SmallResNet(num_classes=10, input_shape=(1, 8, 8))
        >>> tuple(net(torch.zeros(5, 1, 8, 8)).shape), [name for name, _ in net.named_children()]
        ((5, 10), ['stem', 'stage1', 'stage2', 'head'])
    """

    def __init__(
        self, num_classes: int, input_shape: Sequence[int], width: int = 8, blocks: int = 1, cells: int = 1
    ) -> None:
        super().__init__()
        in_channels, *_ = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(width >= 1, "width", width, "at least 1")
        require(blocks >= 1, "blocks", blocks, "at least 1")
        require(cells >= 1, "cells", cells, "at least 1")
        self.stem = _stem(in_channels, width)
        self.stage1 = repeat(ResidualBlock, width, width, blocks, stride=1)
        self.stage2 = repeat(ResidualBlock, width, 2 * width, blocks, stride=2)
        self.head = image_head(2 * width, num_classes, cells=cells)


class ResNet(Stages):
    """ResNet of four stages, 64 to 512 channels wide, with a 3x3 stem for small images, as OpenMixup trains it.

    Children are ``stem``, ``stage1`` to ``stage4`` and ``head``. ResNet-18 has 11.2 million parameters.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image.
        depth: 18 or 34.
        zero_init: whether every block starts as its shortcut, the last scale of its other branch being 0.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = ResNet(num_classes=10, input_shape=(3, 32, 32))
        >>> sum(weight.numel() for weight in net.parameters())
        11173962
    """

    def __init__(self, num_classes: int, input_shape: Sequence[int], depth: int = 18, zero_init: bool = False) -> None:
        super().__init__()
        in_channels, *_ = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(depth in _BLOCKS, "depth", depth, "18 or 34")
        channels = 64
        self.stem = _stem(in_channels, channels)
        block = partial(ResidualBlock, zero_init=zero_init)
        for number, count in enumerate(_BLOCKS[depth]):
            out_channels = 64 * 2**number
            stage = repeat(block, channels, out_channels, count, stride=min(number + 1, 2))
            self.add_module(f"stage{number + 1}", stage)
            channels = out_channels
        self.head = image_head(channels, num_classes)
        he_init(self)


class ThinResNet(Stages):
    """The thin and deep ResNet for CIFAR (He et al. 2016, section 4.2), of three stages.

    Children are ``stem``, ``stage1`` to ``stage3`` and ``head``. The ResNet-110 of the CutMix paper has bottlenecks and
    1.1 million parameters (Yun et al. 2019, table 6), that of He et al. has none, and 1.7 million.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image.
        depth: number of convolutions on the way and the head: 9n + 2 with bottlenecks, 6n + 2 without.
        bottleneck: whether blocks are bottlenecks, 64, 128 and 256 channels wide, instead of pairs of 3x3 convolutions,
            16, 32 and 64 channels wide.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = ThinResNet(num_classes=100, input_shape=(3, 32, 32))
        >>> sum(weight.numel() for weight in net.parameters())
        1170868
    """

    def __init__(self, num_classes: int, input_shape: Sequence[int], depth: int = 110, bottleneck: bool = True) -> None:
        super().__init__()
        in_channels, *_ = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        step, block, widening = (9, Bottleneck, 4) if bottleneck else (6, ResidualBlock, 1)
        require(depth > step and depth % step == 2, "depth", depth, f"{step}n + 2 if bottleneck is {bottleneck}")
        channels = 16
        self.stem = _stem(in_channels, channels)
        for number in range(3):
            out_channels = 16 * widening * 2**number
            stage = repeat(block, channels, out_channels, (depth - 2) // step, stride=min(number + 1, 2))
            self.add_module(f"stage{number + 1}", stage)
            channels = out_channels
        self.head = image_head(channels, num_classes)
        he_init(self)


def _stem(in_channels: int, channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
