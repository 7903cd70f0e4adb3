"""Data sets that fit in memory as they are."""

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lightning_mixup.lab.data.base import ClassificationDataModule, Rows
from lightning_mixup.lab.data.splits import Indices


class ArrayDataModule(ClassificationDataModule):
    """A classification data set held in memory, with a seeded stratified split.

    A subclass says ``num_classes`` and ``input_shape``, and implements ``load``; where the data come with a test part
    of their own, ``fixed_test`` too. Batches are ``[x, y]``: ``x`` float32 of shape ``(B, *input_shape)``, ``y`` int64
    of shape ``(B,)``.

    Arguments are those of ``ClassificationDataModule``.

    Examples:
        >>> class Signs(ArrayDataModule):
        ...     num_classes = 2
        ...     input_shape = (3,)
        ...
        ...     def load(self):
        ...         x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
        ...         return x, (x[:, 0] > 0).astype(np.int64)
        >>> data = Signs(batch_size=8, val_share=0.2)
        >>> data.setup()
        >>> [tuple(tensor.shape) for tensor in next(iter(data.train_dataloader()))]
        [(8, 3), (8,)]
    """

    _inputs: torch.Tensor

    @abstractmethod
    def load(self) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.int64]]:
        """Return all inputs, ``(N, *input_shape)``, and their class indices, ``(N,)``."""

    def fixed_test(self) -> Indices | None:
        """Indices of the data set's own test part, if it has one."""
        return None

    def labels(self) -> tuple[npt.NDArray[np.int64], Indices | None]:
        """Load the arrays, and return the class indices and where the test part is."""
        inputs, labels = self.load()
        self._inputs = torch.from_numpy(inputs)
        return labels, self.fixed_test()

    def samples(self, indices: Indices, *labels: torch.Tensor, training: bool = False) -> Rows:
        """Some samples with their labels."""
        return Rows(self._inputs, torch.from_numpy(indices), *labels)
