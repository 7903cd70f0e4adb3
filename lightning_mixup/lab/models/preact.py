"""Residual networks that normalise before they convolve: PreAct ResNet and Wide ResNet, for small images."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from lightning_mixup.lab.models.arguments import sizes
from lightning_mixup.lab.models.stages import Stages, he_init, image_head, repeat
from lightning_mixup.lab.require import require

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class PreActBlock(nn.Module):
    """Twice normalise, rectify, convolve 3x3; added to what came in (He et al. 2016, "Identity Mappings").

    Where the shape changes, the shortcut is a 1x1 convolution of the normalised and rectified input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 2 halves height and width.
        dropout: probability that an activation between the two convolutions is set to zero in training.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU())
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        )
        self.shortcut: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, ceil(H/stride), ceil(W/stride))``."""
        ready = self.before(x)
        shortcut = x if self.shortcut is None else self.shortcut(ready)
        out: torch.Tensor = self.residual(ready) + shortcut
        return out


class PreActResNet(Stages):
    """PreAct ResNet of four stages, 64 to 512 channels wide, as the Mixup and the Manifold Mixup paper train it.

    Children are ``stem``, ``stage1`` to ``stage4`` and ``head``. As in the code of the latter the stem is one 3x3
    convolution, and nothing normalises before the head; that of the former normalises after the stem too. PreAct
    ResNet-18 has 11.17 million parameters for ten classes.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image.
        depth: 18 or 34.
        stem_stride: 2 for Tiny ImageNet (64 pixels), as in the code of the Manifold Mixup paper; otherwise 1.
        dropout: probability in ``[0, 1)`` of zeros between the two convolutions of a block; 0.7 and 0.8
            are the baselines with corrupted labels in the Mixup paper.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = PreActResNet(num_classes=10, input_shape=(3, 32, 32))
        >>> sum(weight.numel() for weight in net.parameters())
        11171146
    """

    def __init__(
        self,
        num_classes: int,
        input_shape: Sequence[int],
        depth: int = 18,
        stem_stride: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        in_channels, *_ = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(depth in _BLOCKS, "depth", depth, "18 or 34")
        require(stem_stride in (1, 2), "stem_stride", stem_stride, "1 or 2")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        block = partial(PreActBlock, dropout=dropout)
        channels = 64
        self.stem = nn.Conv2d(in_channels, channels, 3, stem_stride, padding=1, bias=False)
        for number, count in enumerate(_BLOCKS[depth]):
            out_channels = 64 * 2**number
            self.add_module(f"stage{number + 1}", repeat(block, channels, out_channels, count, min(number + 1, 2)))
            channels = out_channels
        self.head = image_head(channels, num_classes)


class WideResNet(Stages):
    """Wide ResNet (Zagoruyko and Komodakis 2016): three stages of PreAct blocks, 16, 32 and 64 times ``width`` wide.

    Children are ``stem``, ``stage1`` to ``stage3`` and ``head``. WRN-28-10 has 36.5 million parameters (their table 4).

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image.
        depth: number of convolutions on the way, 6n + 4.
        width: at least 1.
        dropout: probability in ``[0, 1)`` of zeros between the two convolutions of a block.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = WideResNet(num_classes=10, input_shape=(3, 32, 32), depth=16, width=1)
        >>> [name for name, _ in net.named_children()]
        ['stem', 'stage1', 'stage2', 'stage3', 'head']
    """

    def __init__(
        self, num_classes: int, input_shape: Sequence[int], depth: int = 28, width: int = 10, dropout: float = 0.0
    ) -> None:
        super().__init__()
        in_channels, *_ = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(depth >= 10 and depth % 6 == 4, "depth", depth, "6n + 4, such as 10, 16 or 28")
        require(width >= 1, "width", width, "at least 1")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        block = partial(PreActBlock, dropout=dropout)
        channels = 16
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        for number in range(3):
            out_channels = 16 * width * 2**number
            count, stride = (depth - 4) // 6, min(number + 1, 2)
            self.add_module(f"stage{number + 1}", repeat(block, channels, out_channels, count, stride))
            channels = out_channels
        self.head = image_head(channels, num_classes, nn.BatchNorm2d(channels), nn.ReLU())
        he_init(self)
