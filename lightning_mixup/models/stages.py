"""What all networks here are: stages, one after the other."""

import torch
from torch import nn


class Stages(nn.Module):
    """A network whose children run in the order in which they were assigned.

    Manifold Mixup mixes what a stage hands to the next, so that a stage has to be a child with a name, and nothing may
    happen between two of them.

    Example:
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
