"""What every data set that fits in memory shares: splits, label noise, loaders."""

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup.data.noise import corrupt_labels
from lightning_mixup.data.splits import Split, stratified_split

Loader = DataLoader[tuple[torch.Tensor, ...]]


class ArrayDataModule(LightningDataModule):
    """A classification data set held in memory, with a seeded stratified split.

    A subclass says ``num_classes`` and ``input_shape``, and implements ``load``. Batches are ``[x, y]``: ``x`` float32
    of shape ``(B, *input_shape)``, ``y`` int64 of shape ``(B,)``.

    Args:
        batch_size: samples a batch (on each device), at least 1.
        num_workers: loader processes; 0 is fastest for data in memory.
        train_size: how many training samples to keep: a count, a share in ``(0, 1)``, or all (``None``). Validation
            and test samples do not depend on it.
        label_noise: share of TRAINING labels replaced by a uniformly random other class, in ``[0, 1]``. Exact and
            seeded; validation and test labels stay clean.
        val_share: share of all samples kept for validation, in ``(0, 1)``.
        test_share: share of all samples kept for testing, in ``(0, 1)``.
        seed: decides the split and the noise, at least 0.

    Raises:
        ValueError: an argument is out of its range.
    """

    num_classes: int
    """Number of classes."""
    input_shape: tuple[int, ...]
    """Shape of one sample, channels first."""

    def __init__(
        self,
        batch_size: int = 32,
        num_workers: int = 0,
        train_size: int | float | None = None,
        label_noise: float = 0.0,
        val_share: float = 0.1,
        test_share: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _require(batch_size >= 1, "batch_size", batch_size, "at least 1")
        _require(num_workers >= 0, "num_workers", num_workers, "0 or more")
        _require(0 <= label_noise <= 1, "label_noise", label_noise, "a share in [0, 1], such as 0.4")
        _require(0 < val_share < 1, "val_share", val_share, "a share in (0, 1), such as 0.1")
        _require(0 < test_share < 1 - val_share, "test_share", test_share, "a share in (0, 1 - val_share)")
        _require(seed >= 0, "seed", seed, "0 or more")
        if train_size is not None:
            count = isinstance(train_size, int)
            _require(
                train_size >= 1 if count else 0 < train_size < 1,
                "train_size",
                train_size,
                "a count of at least 1, a share in (0, 1), or null for all",
            )
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.train_size = train_size
        self.label_noise = label_noise
        self.val_share = val_share
        self.test_share = test_share
        self.seed = seed
        self._sets: tuple[TensorDataset, ...] = ()

    @abstractmethod
    def load(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return all inputs, ``(N, *input_shape)``, and their class indices, ``(N,)``."""

    def setup(self, stage: str | None = None) -> None:
        """Load, split and corrupt, once. Seeded, so every process of a distributed run holds the same sets."""
        if self._sets:
            return
        inputs, labels = self.load()
        split = stratified_split(
            labels, val_share=self.val_share, test_share=self.test_share, train_size=self.train_size, seed=self.seed
        )
        given = labels.copy()
        given[split.train] = corrupt_labels(labels[split.train], self.label_noise, self.num_classes, self.seed)
        self._sets = tuple(
            TensorDataset(torch.from_numpy(inputs[part]), torch.from_numpy(given[part])) for part in split
        )

    def train_dataloader(self) -> Loader:
        """Shuffled training batches; labels may be noisy."""
        return self._loader(Split._fields.index("train"), shuffle=True)

    def val_dataloader(self) -> Loader:
        """Clean validation batches, in a fixed order."""
        return self._loader(Split._fields.index("val"))

    def test_dataloader(self) -> Loader:
        """Clean test batches, in a fixed order."""
        return self._loader(Split._fields.index("test"))

    def _loader(self, part: int, shuffle: bool = False) -> Loader:
        return DataLoader(
            self._sets[part],
            # Judging needs no gradients: larger batches cost no memory and save time.
            batch_size=self.batch_size if shuffle else max(self.batch_size, 256),
            shuffle=shuffle,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )


def _require(ok: bool, name: str, value: object, accepted: str) -> None:
    if not ok:
        raise ValueError(f"{name} must be {accepted}; got {value!r}.")
