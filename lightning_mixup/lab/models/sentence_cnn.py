"""A convolutional network for sentences."""

from collections.abc import Sequence

import torch
from torch import nn

from lightning_mixup.lab.models.stages import Stages
from lightning_mixup.lab.require import require


class NGrams(nn.Module):
    """How strongly each of many n-grams occurs anywhere in a sentence.

    Args:
        width: features of a word.
        filters: n-grams of each length.
        lengths: words an n-gram, of each kind.
    """

    def __init__(self, width: int, filters: int, lengths: Sequence[int]) -> None:
        super().__init__()
        # Padded so that the shortest sentence has room for the longest n-gram, as in the code of Kim 2014.
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, n, padding=n - 1) for n in lengths)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(B, words, width)`` to ``(B, len(lengths) * filters)``."""
        words = x.transpose(1, 2)
        return torch.cat([torch.relu(convolve(words)).amax(2) for convolve in self.convolutions], dim=1)


class SentenceCNN(Stages):
    """Word vectors, n-gram detectors, and a linear layer: ``embedding``, ``encode``, ``head`` (Kim 2014).

    Guo et al. 2019 mix its word vectors (``layers=["network.embedding"]``) or the vector of the sentence
    (``layers=["network.encode"]``). Word vectors start at random; the norm of the last layer is not limited.

    Args:
        num_classes: number of logits.
        vocab_size: number of token ids, which are in ``[0, vocab_size)``; 0 is padding, with a vector of zeros.
        width: features of a word, at least 1.
        filters: n-grams of each length, at least 1.
        lengths: words an n-gram, of each kind.
        dropout: probability in ``[0, 1)`` of zeros in the vector of a sentence, in training.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> net = SentenceCNN(num_classes=6, vocab_size=9000)
        >>> tuple(net(torch.zeros(5, 11, dtype=torch.int64)).shape), [name for name, _ in net.named_children()]
        ((5, 6), ['embedding', 'encode', 'head'])
    """

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        width: int = 300,
        filters: int = 100,
        lengths: Sequence[int] = (3, 4, 5),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        lengths = tuple(lengths)
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(vocab_size >= 2, "vocab_size", vocab_size, "at least 2, padding and one word")
        require(width >= 1, "width", width, "at least 1")
        require(filters >= 1, "filters", filters, "at least 1")
        require(bool(lengths) and min(lengths) >= 1, "lengths", lengths, "one number of words or more, each at least 1")
        require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=0)
        self.encode = nn.Sequential(NGrams(width, filters, lengths), nn.Dropout(dropout))
        self.head = nn.Linear(len(lengths) * filters, num_classes)
