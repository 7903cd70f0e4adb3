"""PyramidNet: a residual network that widens a little with every block."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from lightning_mixup.lab.models.arguments import sizes
from lightning_mixup.lab.models.stages import Stages, he_init, image_head
from lightning_mixup.lab.require import require

_WIDENING = 4  # of a bottleneck, from its inner convolution to its output


class PyramidBlock(nn.Module):
    """Convolutions between normalisations, added to a shortcut without weights (Han et al. 2017, figure 6d).

    The shortcut averages where the block strides, and adds channels of zeros.

    Args:
        in_channels: channels of the input.
        channels: channels of the 3x3 convolutions; a bottleneck gives four times as many.
        stride: 2 halves height and width.
        bottleneck: 1x1, 3x3 and 1x1 convolutions instead of two of 3x3.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        shapes = [(in_channels, channels, 3, stride), (channels, channels, 3, 1)]
        if bottleneck:
            shapes = [
                (in_channels, channels, 1, 1),
                (channels, channels, 3, stride),
                (channels, _WIDENING * channels, 1, 1),
            ]
        layers: list[nn.Module] = [nn.BatchNorm2d(in_channels)]
        for before, after, kernel, step in shapes:
            convolution = nn.Conv2d(before, after, kernel, step, padding=kernel // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.residual = nn.Sequential(*layers[:-1])  # nothing rectifies the output, nor the input
        self.shortcut = nn.AvgPool2d(2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.added_channels = shapes[-1][1] - in_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        shortcut = F.pad(self.shortcut(x), (0, 0, 0, 0, 0, self.added_channels))
        out: torch.Tensor = self.residual(x) + shortcut
        return out


class PyramidNet(Stages):
    """PyramidNet for small images (Han et al. 2017), the network of the CutMix paper.

    Children are ``stem``, ``stage1`` to ``stage3`` and ``head``. PyramidNet-200 of alpha 240 has 26.8 million
    parameters, PyramidNet-110 of alpha 64 has 1.7 million (Yun et al. 2019, tables 5 and 6); both have bottlenecks.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image.
        depth: number of convolutions on the way and the head: 9n + 2 with bottlenecks, 6n + 2 without.
        alpha: channels added to the first 16 in the course of all blocks, above 0. Not the strength of a mix.
        bottleneck: whether blocks are bottlenecks.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = PyramidNet(num_classes=100, input_shape=(3, 32, 32), depth=110, alpha=64)
        >>> sum(weight.numel() for weight in net.parameters())
        1725300
    """

    def __init__(
        self,
        num_classes: int,
        input_shape: Sequence[int],
        depth: int = 200,
        alpha: float = 240,
        bottleneck: bool = True,
    ) -> None:
        super().__init__()
        in_channels, *_ = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        step, widening = (9, _WIDENING) if bottleneck else (6, 1)
        require(depth > step and depth % step == 2, "depth", depth, f"{step}n + 2 if bottleneck is {bottleneck}")
        require(alpha > 0, "alpha", alpha, "above 0")
        count = (depth - 2) // step
        channels = 16
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        for number in range(3):
            blocks = []
            for index in range(count):
                inner = round(16 + alpha * (number * count + index + 1) / (3 * count))
                stride = 2 if number > 0 and index == 0 else 1
                blocks.append(PyramidBlock(channels, inner, stride, bottleneck))
                channels = widening * inner
            self.add_module(f"stage{number + 1}", nn.Sequential(*blocks))
        self.head = image_head(channels, num_classes, nn.BatchNorm2d(channels), nn.ReLU())
        he_init(self)
