"""Tables of measurements, standardised by their training part."""

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule

from lightning_mixup.lab.data.arrays import ArrayDataModule
from lightning_mixup.lab.data.base import Loader, Rows, loader
from lightning_mixup.lab.data.extras import extra
from lightning_mixup.lab.data.limits import require_loader, require_split
from lightning_mixup.lab.data.splits import keep_samples, split_samples
from lightning_mixup.lab.require import require


class TableDataModule(ArrayDataModule):
    """A table of real features, each of which has mean 0 and standard deviation 1 in the training part.

    That part is what ``train_size`` and ``imbalance`` choose from, so that inputs do not depend on them. Nothing is
    announced as ``mean`` and ``std``: a step of equal size in the units of every feature would mean nothing.
    """

    def setup(self, stage: str | None = None) -> None:
        """Load, split and standardise, once."""
        loaded = self._labels is not None
        super().setup(stage)
        if not loaded:
            self._inputs = torch.from_numpy(standardise(self._inputs.numpy(), self.arranged.pool)[0])


class BreastCancer(TableDataModule):
    """569 tumours by 30 features of their cells; comes with scikit-learn (Wolberg et al. 1995).

    Arguments are those of ``ClassificationDataModule``.

    Examples:
        >>> data = BreastCancer()
        >>> data.setup()
        >>> [len(part) for part in data.arranged.split], data.class_names
        ([341, 57, 171], ('malignant', 'benign'))
    """

    num_classes = 2
    input_shape = (30,)
    class_names = ("malignant", "benign")

    def load(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the features, ``(569, 30)``, and the diagnoses."""
        from sklearn.datasets import load_breast_cancer

        table, labels = load_breast_cancer(return_X_y=True)
        return table.astype(np.float32), labels.astype(np.int64)


class Wine(TableDataModule):
    """178 wines of three growers by 13 chemical features; comes with scikit-learn (Aeberhard et al. 1992).

    Arguments are those of ``ClassificationDataModule``.

    Examples:
        >>> data = Wine()
        >>> data.setup()
        >>> [len(part) for part in data.arranged.split]
        [107, 18, 53]
    """

    num_classes = 3
    input_shape = (13,)
    class_names = ("grower 0", "grower 1", "grower 2")

    def load(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the features, ``(178, 13)``, and the growers."""
        from sklearn.datasets import load_wine

        table, labels = load_wine(return_X_y=True)
        return table.astype(np.float32), labels.astype(np.int64)


class Phishing(TableDataModule):
    """1,250 web pages by 9 features, some of which are made to steal passwords; comes with river (Mohammad 2014).

    Arguments are those of ``ClassificationDataModule``.

    Examples:
        >>> data = Phishing()
        >>> data.setup()
        >>> [len(part) for part in data.arranged.split]
        [750, 125, 375]
    """

    num_classes = 2
    input_shape = (9,)
    class_names = ("honest", "phishing")

    def load(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the features, ``(1250, 9)``, and whether the page steals."""
        rows = list(extra("river.datasets", "recipes").Phishing())
        table = np.array([list(features.values()) for features, _ in rows], dtype=np.float32)
        return table, np.array([label for _, label in rows], dtype=np.int64)


class RegressionDataModule(LightningDataModule):
    """A table of real features with a real target, both standardised by the training part.

    A subclass says ``input_shape`` and implements ``load``. Batches are ``[x, y]``: ``x`` float32 of shape ``(B, F)``,
    ``y`` float32 of shape ``(B,)``. A target in its own units is ``y * target_std + target_mean``.

    Args:
        batch_size: samples a batch (on each device), at least 1.
        num_workers: loader processes.
        train_size: how many training samples to keep: a count, a share in ``(0, 1)``, or all (``None``). Nothing else
            depends on it.
        val_share: share of all samples kept for validation, in ``(0, 1)``.
        test_share: share of all samples kept for testing, in ``(0, 1 - val_share)``.
        seed: decides the split, at least 0.

    Raises:
        ValueError: an argument is out of its range.
    """

    num_outputs = 1
    """Numbers that a network has to give for a sample."""
    input_shape: tuple[int, ...]
    """Shape of one sample."""
    target_mean: float
    """Mean of the targets of the training part, once it is loaded."""
    target_std: float
    """Standard deviation of the targets of the training part, likewise."""

    def __init__(
        self,
        batch_size: int = 32,
        num_workers: int = 0,
        train_size: int | float | None = None,
        val_share: float = 0.1,
        test_share: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_loader(batch_size, num_workers)
        require_split(val_share, test_share, train_size, seed)
        require(val_share > 0, "val_share", val_share, "a share in (0, 1), such as 0.1")
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.train_size = train_size
        self.val_share = val_share
        self.test_share = test_share
        self.seed = seed
        self._sets: tuple[Rows, ...] = ()

    @abstractmethod
    def load(self) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
        """Return all inputs, ``(N, F)``, and their targets, ``(N,)``."""

    def setup(self, stage: str | None = None) -> None:
        """Load, split and standardise, once."""
        if self._sets:
            return
        inputs, targets = self.load()
        split = split_samples(len(inputs), val_share=self.val_share, test_share=self.test_share, seed=self.seed)
        x, _, _ = standardise(inputs, split.train)
        y, mean, std = standardise(targets, split.train)
        self.target_mean, self.target_std = float(mean), float(std)
        parts = split._replace(train=keep_samples(split.train, None, self.train_size, self.seed))
        self._sets = tuple(
            Rows(torch.from_numpy(x), torch.from_numpy(part), torch.from_numpy(y[part])) for part in parts
        )

    def train_dataloader(self) -> Loader:
        """Shuffled training batches."""
        return loader(self._sets[0], self.batch_size, self.num_workers, shuffle=True)

    def val_dataloader(self) -> Loader:
        """Validation batches, in a fixed order."""
        return loader(self._sets[1], max(self.batch_size, 256), self.num_workers)

    def test_dataloader(self) -> Loader:
        """Test batches, in a fixed order."""
        return loader(self._sets[2], max(self.batch_size, 256), self.num_workers)


class Diabetes(RegressionDataModule):
    """How far diabetes has gone in 442 patients after a year, by 10 features; scikit-learn (Efron et al. 2004).

    Arguments are those of ``RegressionDataModule``.

    Examples:
        >>> data = Diabetes()
        >>> data.setup()
        >>> x, y = next(iter(data.train_dataloader()))
        >>> x.dtype, tuple(x.shape), y.dtype, tuple(y.shape)
        (torch.float32, (32, 10), torch.float32, (32,))
    """

    input_shape = (10,)

    def load(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the features, ``(442, 10)``, and the measure of the disease, ``(442,)``."""
        from sklearn.datasets import load_diabetes

        table, targets = load_diabetes(return_X_y=True, scaled=False)
        return table.astype(np.float32), targets.astype(np.float32)


def standardise(
    values: npt.NDArray[np.floating[Any]], reference: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give every column mean 0 and standard deviation 1 in some rows; columns that are constant there become 0 there.

    Args:
        values: shape ``(N, F)`` or ``(N,)``. What is NaN becomes 0, the mean, and counts for neither.
        reference: indices of the rows that count.

    Returns:
        The new values, the means and the standard deviations.

    Examples:
        >>> table = np.array([[1.0, 5.0], [3.0, 5.0], [9.0, np.nan]])
        >>> standardise(table, np.array([0, 1]))[0].tolist()
        [[-1.0, 0.0], [1.0, 0.0], [7.0, 0.0]]
    """
    exact = values.astype(np.float64)
    known = np.isfinite(exact[reference])
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, exact[reference], 0).sum(axis=0) / count
    std = np.sqrt((np.where(known, exact[reference] - mean, 0) ** 2).sum(axis=0) / count)
    # Rounding alone leaves a constant column a deviation of its own.
    std = np.where(std > 1e-12 * np.maximum(np.abs(mean), 1e-300), std, 1)
    return np.nan_to_num((exact - mean) / std).astype(np.float32), mean, std
