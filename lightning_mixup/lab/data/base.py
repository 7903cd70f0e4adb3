"""What every data module of classes shares: arguments, parts, loaders."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader, Dataset

from lightning_mixup.lab.data.labels import Labels, arrange_labels
from lightning_mixup.lab.data.limits import require_loader, require_split
from lightning_mixup.lab.data.noise import NoiseKind
from lightning_mixup.lab.data.splits import Indices
from lightning_mixup.lab.require import require

Loader = DataLoader[list[torch.Tensor]]
Data = Dataset[list[torch.Tensor]]


class Rows(Data):
    """Some rows of a tensor with their labels, fetched a batch at a time: nothing is collated sample by sample.

    Args:
        inputs: all there are, shape ``(N, ...)``; shared, not copied.
        where: which of them, shape ``(M,)``.
        labels: each of shape ``(M,)``.
        finish: what becomes of a batch of inputs; ``None`` leaves it as it is.

    Examples:
        >>> rows = Rows(torch.tensor([0.0, 10.0, 20.0, 30.0]), torch.tensor([3, 1]), torch.tensor([7, 5]))
        >>> next(iter(loader(rows, batch_size=2)))
        [tensor([30., 10.]), tensor([7, 5])]
    """

    def __init__(
        self,
        inputs: torch.Tensor,
        where: torch.Tensor,
        *labels: torch.Tensor,
        finish: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        self.inputs = inputs
        self.where = where
        self.labels = labels
        self.finish = finish

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        return [column[0] for column in self.__getitems__([index])]

    def __getitems__(self, indices: list[int]) -> list[torch.Tensor]:
        inputs = self.inputs[self.where[indices]]
        return [self.finish(inputs) if self.finish else inputs, *(each[indices] for each in self.labels)]


def loader(data: Data, batch_size: int, num_workers: int = 0, shuffle: bool = False) -> Loader:
    """Batches of a data set, shuffled by torch's global stream on request."""
    return DataLoader(
        data,
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        collate_fn=_as_it_is if isinstance(data, Rows) else None,
    )


class ClassificationDataModule(LightningDataModule):
    """Splits, label noise, imbalance and held-out classes for any set of labelled samples.

    A subclass says ``num_classes`` and ``input_shape`` in its body, and implements ``labels`` and ``samples``. Batches
    are lists ``[x, y]`` with ``y`` int64 of shape ``(B,)``.

    Args:
        batch_size: samples a batch (on each device), at least 1.
        num_workers: loader processes; 0 is fastest for data in memory.
        train_size: how many training samples to keep: a count, a share in ``(0, 1)``, or all (``None``).
        label_noise: share of TRAINING labels that are replaced by random ones, in ``[0, 1]``. Exact and seeded.
        noise_kind: ``"symmetric"``: by another class, so that all of the share is wrong; ``"random"``: by any class,
            as in Zhang et al. 2018, section 3.4.
        imbalance: size of the largest class over that of the smallest in the TRAINING part, at least 1. Sizes fall
            exponentially with the class index; 1 takes no sample away.
        held_out_classes: classes that are in no part, and that ``ood_dataloader`` offers instead; the other classes
            are numbered anew. ``None`` for none.
        val_share: share kept for validation, in ``[0, 1)``, of all samples, or where the test part is fixed of the
            others. With 0 the test samples validate as well, as in papers that have no validation samples.
        test_share: share of all samples kept for testing, in ``(0, 1 - val_share)``; ``None`` takes the test part
            that the data set comes with, else 0.3.
        seed: decides split, noise and all else that is drawn, at least 0. Validation and test samples depend on it and
            on ``held_out_classes`` alone, and their labels are right.

    Raises:
        ValueError: an argument is out of its range.
    """

    num_classes: int
    """Number of classes, without those held out."""
    input_shape: tuple[int, ...]
    """Shape of one sample, channels first."""
    class_names: Sequence[str] | None = None
    """Names of the classes, without those held out."""
    mean: float | Sequence[float] = 0.0
    """What was subtracted from the pixels, one number or one a channel."""
    std: float | Sequence[float] = 1.0
    """What the pixels were divided by, likewise."""
    pixel_range: tuple[float, float] | None = None
    """Least and greatest pixel before normalisation; ``None`` if there are no such."""

    def __init__(
        self,
        batch_size: int = 32,
        num_workers: int = 0,
        train_size: int | float | None = None,
        label_noise: float = 0.0,
        noise_kind: NoiseKind = "symmetric",
        imbalance: float = 1.0,
        held_out_classes: Sequence[int] | None = None,
        val_share: float = 0.1,
        test_share: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_loader(batch_size, num_workers)
        require_split(val_share, test_share, train_size, seed)
        require(0 <= label_noise <= 1, "label_noise", label_noise, "a share in [0, 1], such as 0.4")
        kinds = get_args(NoiseKind)
        require(noise_kind in kinds, "noise_kind", noise_kind, " or ".join(kinds))
        require(imbalance >= 1, "imbalance", imbalance, "at least 1 (largest over smallest class), such as 100")
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.train_size = train_size
        self.label_noise = label_noise
        self.noise_kind: NoiseKind = noise_kind
        self.imbalance = imbalance
        self.held_out_classes = tuple(held_out_classes or ())
        self.val_share = val_share
        self.test_share = test_share
        self.seed = seed
        self._labels: Labels | None = None
        total = getattr(type(self), "num_classes", None)
        if self.held_out_classes and isinstance(total, int):
            kept = self._kept_classes(total)
            self.num_classes = len(kept)
            self.class_names = self.class_names and tuple(self.class_names[label] for label in kept)

    @property
    def val_is_test(self) -> bool:
        """Whether validation shows the test samples, so that nothing may be chosen by it."""
        return self.val_share == 0

    @abstractmethod
    def labels(self) -> tuple[npt.NDArray[np.int64], Indices | None]:
        """Load, and return the class indices of all samples, ``(N,)``, and where the data set's own test part is.

        ``None`` if it has none.
        """

    @abstractmethod
    def samples(self, indices: Indices, *labels: torch.Tensor, training: bool = False) -> Data:
        """Some samples with their labels.

        Args:
            indices: which of the ``N``.
            labels: each of shape ``(len(indices),)``.
            training: whether they are to be trained on, and thus augmented.
        """

    def setup(self, stage: str | None = None) -> None:
        """Load, split and corrupt, once. Seeded, so every process of a distributed run holds the same sets."""
        if self._labels is not None:
            return
        labels, test = self.labels()
        self._labels = arrange_labels(
            labels,
            self.num_classes + len(self.held_out_classes),
            val_share=self.val_share,
            test_share=(self.test_share or 0.3) if test is None else self.test_share,
            test=test if self.test_share is None else None,
            held_out_classes=self.held_out_classes,
            imbalance=self.imbalance,
            train_size=self.train_size,
            label_noise=self.label_noise,
            noise_kind=self.noise_kind,
            seed=self.seed,
        )
        if self.val_is_test and stage in ("fit", "validate"):
            rank_zero_info("val_share=0: the test samples validate as well; choose nothing by val/ metrics")

    def train_dataloader(self) -> Loader:
        """Shuffled training batches; labels may be noisy."""
        return self._loader(self.arranged.split.train, self.arranged.given, training=True)

    def val_dataloader(self) -> Loader:
        """Clean validation batches, in a fixed order."""
        return self.test_dataloader() if self.val_is_test else self._loader(self.arranged.split.val, self.arranged.true)

    def test_dataloader(self) -> Loader:
        """Clean test batches, in a fixed order."""
        return self._loader(self.arranged.split.test, self.arranged.true)

    def memory_dataloader(self) -> Loader:
        """Batches ``[x, given, true]`` of all training samples, in order and never augmented.

        ``given`` are the labels trained on, ``true`` the right ones.
        """
        return self._loader(self.arranged.split.train, self.arranged.given, self.arranged.true)

    def ood_dataloader(self) -> Loader | tuple[()]:
        """Batches ``[x, y]`` of the classes held out, ``y`` being -1; nothing if none are."""
        return self._loader(self.arranged.held_out, self.arranged.true) if self.held_out_classes else ()

    @property
    def arranged(self) -> Labels:
        """Which samples are in which part, and under which label.

        Raises:
            RuntimeError: ``setup`` has not run.
        """
        if self._labels is None:
            raise RuntimeError(f"{type(self).__name__} is not loaded yet; call its setup(), as a Trainer does.")
        return self._labels

    @property
    def _judged_at_once(self) -> int:
        # Judging needs no gradients: larger batches cost no memory and save time.
        return max(self.batch_size, 256)

    def _kept_classes(self, total: int) -> list[int]:
        held = self.held_out_classes
        require(
            len(set(held)) == len(held) <= total - 2 and all(0 <= label < total for label in held),
            "held_out_classes",
            list(held),
            f"different ones of the classes 0 to {total - 1}, leaving at least two",
        )
        return [label for label in range(total) if label not in held]

    def _loader(self, indices: Indices, *labels: npt.NDArray[np.int64], training: bool = False) -> Loader:
        data = self.samples(indices, *(torch.from_numpy(each[indices]) for each in labels), training=training)
        return loader(data, self.batch_size if training else self._judged_at_once, self.num_workers, shuffle=training)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401
    return batch
