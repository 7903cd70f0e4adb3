"""A convolutional network for series."""

from collections.abc import Sequence

from torch import nn

from lightning_mixup.lab.models.arguments import sizes
from lightning_mixup.lab.models.stages import Stages
from lightning_mixup.lab.require import require


class CNN1d(Stages):
    """Convolutions along time, each halving it: ``stage1``, ``stage2``, ..., ``head``.

    The head averages over time, so that series may be longer or shorter than announced.

    Args:
        num_classes: number of logits; 1 for the prediction of a regression.
        input_shape: ``(channels, length)`` of one series.
        width: channels of every stage, at least 1.
        stages: number of convolutions, at least 1.
        kernel_size: points in time that one convolution sees; odd.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> import torch
        >>> net = CNN1d(num_classes=10, input_shape=(1, 40))
        >>> tuple(net(torch.zeros(5, 1, 40)).shape), [name for name, _ in net.named_children()]
        ((5, 10), ['stage1', 'stage2', 'stage3', 'head'])
    """

    def __init__(
        self, num_classes: int, input_shape: Sequence[int], width: int = 64, stages: int = 3, kernel_size: int = 5
    ) -> None:
        super().__init__()
        channels, _ = sizes(input_shape, "channels", "length")
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(width >= 1, "width", width, "at least 1")
        require(stages >= 1, "stages", stages, "at least 1")
        require(kernel_size >= 1 and kernel_size % 2 == 1, "kernel_size", kernel_size, "odd and at least 1")
        for number in range(1, stages + 1):
            stage = nn.Sequential(
                nn.Conv1d(channels, width, kernel_size, stride=2, padding=kernel_size // 2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            )
            self.add_module(f"stage{number}", stage)
            channels = width
        self.head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(width, num_classes))
