"""What all networks here are: stages, one after the other."""

from collections.abc import Callable

import torch
from torch import nn

Block = Callable[[int, int, int], nn.Module]
"""Makes a part of a stage from the channels that come in, those that go out, and the stride."""


class Stages(nn.Module):
    """A network whose children run in the order in which they were assigned.

    Manifold Mixup mixes what a stage hands to the next, so that a stage has to be a child with a name, and nothing may
    happen between two of them.

    Examples:
        >>> net = Stages()
        >>> net.stage1 = nn.Linear(4, 8)
        >>> net.head = nn.Linear(8, 3)
        >>> tuple(net(torch.zeros(5, 4)).shape)
        (5, 3)
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs ``(B, *input_shape)`` to logits ``(B, num_classes)``."""
        for stage in self.children():
            x = stage(x)
        return x


def repeat(block: Block, in_channels: int, out_channels: int, count: int, stride: int) -> nn.Sequential:
    """Make a stage of blocks, of which the first changes the channels and strides."""
    first = block(in_channels, out_channels, stride)
    return nn.Sequential(first, *(block(out_channels, out_channels, 1) for _ in range(count - 1)))


def image_head(channels: int, num_classes: int, *before: nn.Module, cells: int = 1) -> nn.Sequential:
    """Average over all pixels of each cell, then give one logit a class; ``before`` comes before all that."""
    logits = nn.Linear(channels * cells**2, num_classes)
    return nn.Sequential(*before, nn.AdaptiveAvgPool2d(cells), nn.Flatten(), logits)


def he_init(network: nn.Module) -> None:
    """Draw the weights of all convolutions as He et al. 2015 do, by the number of outputs."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
