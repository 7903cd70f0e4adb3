"""A vision transformer for small images."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from lightning_mixup.lab.models.arguments import sizes
from lightning_mixup.lab.models.stages import Stages
from lightning_mixup.lab.require import require


class PatchEmbedding(nn.Module):
    """Cut images into patches, map each to a token, and add where it lies.

    Positions are sines and cosines of row and column, without weights (Beyer et al. 2022, "Better plain ViT baselines
    for ImageNet-1k").

    Args:
        in_channels: channels of the images.
        grid: patches in a column and in a row.
        patch: pixels along each side of a patch.
        width: features of a token, a multiple of 4.
    """

    positions: torch.Tensor

    def __init__(self, in_channels: int, grid: tuple[int, int], patch: int, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.register_buffer("positions", _positions(*grid, width), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, patches, width)``."""
        tokens: torch.Tensor = self.project(x).flatten(2).transpose(1, 2)
        return tokens + self.positions


class TokenAverage(nn.Module):
    """Average over tokens: ``(B, tokens, width)`` to ``(B, width)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Average over the second dimension."""
        return x.mean(1)


class ViT(Stages):
    """A vision transformer in stages: ``embed``, ``block1``, ``block2``, ..., ``head`` (Dosovitskiy et al. 2021).

    Blocks are ``torch.nn.TransformerEncoderLayer`` that normalise first; the head averages over all tokens. By
    default it has the size of ViT-Lite-7/4 (Hassani et al. 2021), 3.7 million parameters.

    Args:
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image; height and width are multiples of ``patch``.
        patch: pixels along each side of a patch, at least 1.
        width: features of a token, a multiple of 4 and of ``heads``.
        depth: number of blocks, at least 1.
        heads: attention heads a block, at least 1.
        mlp_ratio: hidden units of a block's MLP, as a multiple of ``width``; above 0.
        dropout: probability in ``[0, 1)`` of zeros in the blocks, in training.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = ViT(num_classes=10, input_shape=(3, 32, 32), depth=2)
        >>> tuple(net(torch.zeros(5, 3, 32, 32)).shape), [name for name, _ in net.named_children()]
        ((5, 10), ['embed', 'block1', 'block2', 'head'])
    """

    def __init__(
        self,
        num_classes: int,
        input_shape: Sequence[int],
        patch: int = 4,
        width: int = 256,
        depth: int = 7,
        heads: int = 4,
        mlp_ratio: float = 2.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        in_channels, height, image_width = sizes(input_shape, "channels", "height", "width")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        fits = patch >= 1 and height % patch == image_width % patch == 0
        require(fits, "patch", patch, f"a divisor of height and width, {height} and {image_width}")
        require(heads >= 1, "heads", heads, "at least 1")
        fits = width >= 1 and width % 4 == width % heads == 0
        require(fits, "width", width, f"a multiple of 4 and of heads, {heads}")
        require(depth >= 1, "depth", depth, "at least 1")
        require(mlp_ratio > 0, "mlp_ratio", mlp_ratio, "above 0")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        self.embed = PatchEmbedding(in_channels, (height // patch, image_width // patch), patch, width)
        for number in range(1, depth + 1):
            block = nn.TransformerEncoderLayer(
                width, heads, round(mlp_ratio * width), dropout, activation="gelu", batch_first=True, norm_first=True
            )
            self.add_module(f"block{number}", block)
        self.head = nn.Sequential(nn.LayerNorm(width), TokenAverage(), nn.Linear(width, num_classes))


def _positions(rows: int, columns: int, width: int) -> torch.Tensor:
    """Sines and cosines of row and column, ``(rows * columns, width)``."""
    frequencies = torch.exp(-math.log(10_000) * torch.arange(width // 4) / max(width // 4 - 1, 1))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies for place in (row, column)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
