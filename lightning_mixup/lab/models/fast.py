"""A residual network that learns 60,000 small images in minutes, on a processor too."""

from collections.abc import Sequence

import torch
from torch import nn

from lightning_mixup.lab.models.arguments import sizes
from lightning_mixup.lab.models.stages import Stages, he_init
from lightning_mixup.lab.require import require


class FastResNet(Stages):
    """A residual network that shrinks images early, where convolutions cost most.

    Children are ``stem``, ``stage1`` to ``stage3`` and ``head``. The stem halves the sides of the images. A stage is a
    residual pair of 3x3 convolutions; the second and the third double the channels and halve the sides before it. The
    head takes the maximum over all pixels. With 32 channels it multiplies 17 million times for an image of 28x28.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image, at least 8 pixels a side.
        width: channels of the first stage, at least 1.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = FastResNet(num_classes=10, input_shape=(1, 28, 28))
        >>> tuple(net(torch.zeros(5, 1, 28, 28)).shape), sum(weight.numel() for weight in net.parameters())
        ((5, 10), 482154)
    """

    def __init__(self, num_classes: int, input_shape: Sequence[int], width: int = 32) -> None:
        super().__init__()
        in_channels, *sides = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(min(sides) >= 8, "input_shape", tuple(input_shape), "(channels, height, width) of at least 8 pixels")
        require(width >= 1, "width", width, "at least 1")
        self.stem = _convolution(in_channels, width, halve=True)
        self.stage1 = _Residual(width)
        self.stage2 = nn.Sequential(_convolution(width, 2 * width, halve=True), _Residual(2 * width))
        self.stage3 = nn.Sequential(_convolution(2 * width, 4 * width, halve=True), _Residual(4 * width))
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4 * width, num_classes))
        he_init(self)


class _Residual(nn.Module):
    """Two convolutions, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.residual(x)
        return out


def _convolution(in_channels: int, out_channels: int, halve: bool = False) -> nn.Sequential:
    pool = [nn.MaxPool2d(2)] if halve else []
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, *pool, nn.BatchNorm2d(out_channels), nn.ReLU())
