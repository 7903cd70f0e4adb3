"""Fully connected layers, for points in the plane, tables and small images."""

import math
from collections.abc import Sequence

from torch import nn

from lightning_mixup.lab.models.stages import Stages
from lightning_mixup.lab.require import require


class MLP(Stages):
    """Fully connected layers of one width: ``flatten``, ``layer1``, ``layer2``, ..., ``head``.

    Args:
        num_classes: number of logits; 1 for the prediction of a regression.
        input_shape: shape of one sample, ``(features,)`` or of any other rank: samples are flattened.
        width: units of a hidden layer, at least 1.
        depth: number of hidden layers, at least 1.
        dropout: probability in ``[0, 1)`` that a hidden unit is set to zero in training.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> import torch
        >>> net = MLP(num_classes=2, input_shape=(2,), width=64)
        >>> tuple(net(torch.zeros(5, 2)).shape), [name for name, _ in net.named_children()]
        ((5, 2), ['flatten', 'layer1', 'layer2', 'head'])
    """

    def __init__(
        self, num_classes: int, input_shape: Sequence[int], width: int = 128, depth: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        shape = tuple(input_shape)
        require(bool(shape) and min(shape) >= 1, "input_shape", shape, "the shape of one sample, such as (2,)")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(width >= 1, "width", width, "at least 1")
        require(depth >= 1, "depth", depth, "at least 1")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        self.flatten = nn.Flatten()
        before = math.prod(shape)
        for number in range(1, depth + 1):
            self.add_module(f"layer{number}", nn.Sequential(nn.Linear(before, width), nn.ReLU(), nn.Dropout(dropout)))
            before = width
        self.head = nn.Linear(width, num_classes)
