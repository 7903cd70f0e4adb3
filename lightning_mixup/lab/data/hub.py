"""Data sets of the Hugging Face hub, or of the same form on disk."""

import math
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_mixup.lab.data.base import ClassificationDataModule
from lightning_mixup.lab.data.extras import extra
from lightning_mixup.lab.data.noise import NoiseKind
from lightning_mixup.lab.data.splits import Indices
from lightning_mixup.lab.require import require

_PRETEND_CLASSES = 10
FORMATS = ("arrow", "csv", "imagefolder", "json", "parquet", "text")
"""Builders of ``datasets`` that may stand for a name. Others unpickle, or run what a file says."""


class Table(NamedTuple):
    """A data set that is loaded, test samples last."""

    rows: Any
    """``rows[i]`` is a dictionary from column to value."""
    labels: npt.NDArray[np.int64]
    """Class indices, shape ``(N,)``."""
    names: tuple[str, ...]
    """Names of all classes."""
    test: Indices | None
    """Where the test split is; ``None`` if there is none."""


def load_table(
    name: str,
    label_column: str,
    *,
    subset: str | None = None,
    data_dir: str | None = None,
    train_split: str = "train",
    test_split: str | None = "test",
    cache_dir: str | None = None,
) -> Table:
    """Load a data set with the library ``datasets``, downloading it on first use.

    Args:
        name: its name on the hub; a folder with Parquet, CSV or image files, or one that ``save_to_disk`` wrote; or a
            format such as ``"imagefolder"`` and ``"parquet"`` together with ``data_dir``.
        label_column: column of the classes: class labels, whole numbers or texts. Numbers and texts are sorted.
        subset: configuration, of data sets that have several.
        data_dir: folder of the files.
        train_split: split that is trained on, or several: ``"train+validation"``.
        test_split: split that is tested on, likewise; ``None`` if there is none.
        cache_dir: where to keep what is downloaded; ``None`` follows ``HF_HOME``.

    Raises:
        ValueError: a split or column does not exist, or samples have no label.
        OSError: there is no such data set, or it cannot be reached.
        ModuleNotFoundError: ``datasets`` is not installed.
    """
    datasets = extra("datasets", "vision")
    known = not re.fullmatch(r"\w+", name) or name in FORMATS or name not in datasets.load._PACKAGED_DATASETS_MODULES
    require(known, "name", name, f"a data set, a folder, or one of the formats {', '.join(FORMATS)}")
    try:
        if (Path(name) / "dataset_dict.json").is_file():
            splits = datasets.load_from_disk(name)
        else:
            splits = datasets.load_dataset(name, subset, data_dir=data_dir, cache_dir=cache_dir)
    except OSError as error:  # no network, no such data set, no permission, no such folder
        raise OSError(
            f"name={name!r} with data_dir={data_dir!r} cannot be loaded: {error}. What is not on this machine is "
            "downloaded; a folder with the data will do as a name, and fake=true tries a recipe without them."
        ) from error
    wanted = {"train_split": train_split} | ({"test_split": test_split} if test_split else {})
    parts = [_pick(splits, argument, split) for argument, split in wanted.items()]
    rows = datasets.concatenate_datasets(parts)
    require_column(rows, "label_column", label_column)
    feature = rows.features[label_column]
    values = np.asarray(rows.select_columns([label_column])[:][label_column])
    if isinstance(feature, datasets.ClassLabel):
        names, labels = tuple(feature.names), values.astype(np.int64)
    else:
        found, labels = np.unique(values, return_inverse=True)
        names = tuple(str(value) for value in found)
    if (values == -1).any() if values.dtype.kind == "i" else None in values.tolist():
        raise ValueError(
            f"label_column={label_column!r} has samples without a label in {' and '.join(wanted.values())} of {name}; "
            "name splits that are labelled."
        )
    test = np.arange(len(parts[0]), len(rows)) if test_split else None
    return Table(rows, labels.astype(np.int64), names, test)


def require_column(rows: Any, argument: str, column: str) -> None:  # noqa: ANN401
    """Refuse a column that does not exist."""
    require(column in rows.column_names, argument, column, f"a column of the data set ({', '.join(rows.column_names)})")


class Pretend:
    """As many rows as there are labels, each made when it is asked for.

    Args:
        make: called with a generator of random numbers that depends on seed and index, gives a row.
        count: number of rows.
        seed: decides what they hold.
    """

    def __init__(self, make: Callable[[np.random.Generator], dict[str, Any]], count: int, seed: int) -> None:
        self.make = make
        self.count = count
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.make(np.random.default_rng((self.seed, index)))


class HubDataModule(ClassificationDataModule):
    """Splits, labels and classes of any data set that the library ``datasets`` can load.

    A subclass implements ``pretend_row`` and, of ``ClassificationDataModule``, ``samples``.
    See it for the arguments that are not described here, and ``load_table`` for those that name the data.

    Args:
        num_classes: number of classes, those held out included; ``None`` loads the data to find out.
        fake: put random samples and labels in place of the data: enough to try a recipe without a download.
    """

    def __init__(
        self,
        *,
        name: str,
        label_column: str,
        subset: str | None,
        data_dir: str | None,
        train_split: str,
        test_split: str | None,
        num_classes: int | None,
        cache_dir: str | None,
        fake: bool,
        batch_size: int,
        num_workers: int,
        train_size: int | float | None,
        label_noise: float,
        noise_kind: NoiseKind,
        imbalance: float,
        held_out_classes: Sequence[int] | None,
        val_share: float,
        test_share: float | None,
        seed: int,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            num_workers=0 if fake else num_workers,  # nothing has to be read
            train_size=train_size,
            label_noise=label_noise,
            noise_kind=noise_kind,
            imbalance=imbalance,
            held_out_classes=held_out_classes,
            val_share=val_share,
            test_share=test_share,
            seed=seed,
        )
        require(num_classes is None or num_classes >= 2, "num_classes", num_classes, "at least 2, or null to find out")
        self.dataset = name
        self.label_column = label_column
        self.subset = subset
        self.data_dir = data_dir
        self.train_split = train_split
        self.test_split = test_split
        self.cache_dir = cache_dir
        self.fake = fake
        self._total = _PRETEND_CLASSES if fake and num_classes is None else num_classes
        if self._total is not None:
            self.num_classes = len(self._kept_classes(self._total))

    @abstractmethod
    def pretend_row(self, rng: np.random.Generator) -> dict[str, Any]:
        """Make a random row of the form that the data set has."""

    @cached_property
    def num_classes(self) -> int:  # type: ignore[override]
        """Number of classes, without those held out."""
        return len(self._kept_classes(len(self.table.names)))

    @cached_property
    def class_names(self) -> Sequence[str]:  # type: ignore[override]
        """Names of the classes, without those held out."""
        names = self.table.names
        return tuple(names[label] for label in self._kept_classes(len(names)))

    @cached_property
    def table(self) -> Table:
        """The data set, loaded on first use.

        Raises:
            ValueError: it is not what the arguments say.
        """
        if self.fake:
            return self._pretend()
        table = load_table(
            self.dataset,
            self.label_column,
            subset=self.subset,
            data_dir=self.data_dir,
            train_split=self.train_split,
            test_split=self.test_split,
            cache_dir=self.cache_dir,
        )
        require(
            self._total in (None, len(table.names)),
            "num_classes",
            self._total,
            f"{len(table.names)}, as many as label_column={self.label_column!r} of {self.dataset} has, or null",
        )
        return table

    def prepare_data(self) -> None:
        """Download the data, in one process of each machine."""
        self.table  # noqa: B018

    def labels(self) -> tuple[npt.NDArray[np.int64], Indices | None]:
        """Load the data, and return the class indices and where the test split is."""
        return self.table.labels, self.table.test

    def _pretend(self) -> Table:
        assert self._total is not None
        # Enough for every class to be trained on and to validate.
        train = max(1000, math.ceil(2 * self._total / (self.val_share or 1)))
        count = train + 2 * self._total
        rows = Pretend(self.pretend_row, count, self.seed)
        names = tuple(str(label) for label in range(self._total))
        test = np.arange(train, count) if self.test_split else None
        return Table(rows, np.arange(count) % self._total, names, test)


def _pick(splits: Any, argument: str, split: str) -> Any:  # noqa: ANN401
    names = split.split("+")
    require(all(name in splits for name in names), argument, split, f"one or more, joined by +, of {', '.join(splits)}")
    return extra("datasets", "vision").concatenate_datasets([splits[name] for name in names])
