"""Tables of one's own, in a file: classes or values to predict from numbers and texts."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities import rank_zero_info

from lightning_mixup.lab.data.files import TableFile, numbers, read_table
from lightning_mixup.lab.data.noise import NoiseKind
from lightning_mixup.lab.data.tabular import RegressionDataModule, TableDataModule
from lightning_mixup.lab.require import require

Task = Literal["auto", "classes", "values"]
FEW = 20
"""A target of whole numbers is classes if it has no more different ones."""


class ClassTable(TableDataModule):
    """A table from a file, each row of which has a class.

    Arguments but the first are those of ``ClassificationDataModule``. Missing numbers are replaced by the mean of the
    training part.

    Args:
        table: what the file holds.
    """

    def __init__(
        self,
        table: TableFile,
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
        super().__init__(
            batch_size=batch_size,
            num_workers=num_workers,
            train_size=train_size,
            label_noise=label_noise,
            noise_kind=noise_kind,
            imbalance=imbalance,
            held_out_classes=held_out_classes,
            val_share=val_share,
            test_share=test_share,
            seed=seed,
        )
        self.table = table
        values = numbers(table.target)
        names, self._classes = np.unique(table.target if values is None else values, return_inverse=True)
        require(len(names) >= 2, "target", names.tolist(), "a column of two classes or more")
        kept = self._kept_classes(len(names))
        self.num_classes = len(kept)
        self.class_names = tuple(f"{names[label]:g}" if values is not None else str(names[label]) for label in kept)
        self.input_shape = (len(table.names),)

    def load(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the features and the classes."""
        return self.table.features, self._classes.astype(np.int64)


class ValueTable(RegressionDataModule):
    """A table from a file, each row of which has a value.

    Arguments but the first are those of ``RegressionDataModule``. Missing numbers are replaced by the mean of the
    training part.

    Args:
        table: what the file holds.
    """

    def __init__(
        self,
        table: TableFile,
        batch_size: int = 32,
        num_workers: int = 0,
        train_size: int | float | None = None,
        val_share: float = 0.1,
        test_share: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers, train_size, val_share, test_share, seed)
        values = numbers(table.target)
        require(values is not None, "target", table.target[0], "a column of numbers, where task is values")
        assert values is not None
        self.table, self._values = table, values
        self.input_shape = (len(table.names),)

    def load(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the features and the values."""
        return self.table.features, self._values


def own_table(
    path: str,
    target: str,
    drop: Sequence[str] | None = None,
    task: Task = "auto",
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
) -> ClassTable | ValueTable:
    r"""Make the data module of a table in a CSV or Parquet file.

    Args:
        path: the file; see ``read_table``, as for the next two.
        target: name of the column to be predicted.
        drop: names of columns that are no features.
        task: ``classes`` or ``values``; ``auto`` takes texts, and up to 20 different whole numbers, for classes.
        batch_size: see ``ClassificationDataModule``, as for all that follow.
        num_workers: loader processes; 0 is fastest.
        train_size: training samples kept.
        label_noise: share of training labels that are replaced; of classes alone, as the next three.
        noise_kind: ``symmetric`` or ``random``.
        imbalance: largest over smallest class of the training part.
        held_out_classes: classes that are in no part.
        val_share: share of all samples that validates.
        test_share: share of all samples that tests; ``None`` is 0.3.
        seed: decides the split and all else that is drawn.

    Raises:
        ValueError: the file is no such table, or an argument is out of its range.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> file = Path(tempfile.mkdtemp(), "sums.csv")
        >>> rows = [f"{a},{b},{a + b / 10}" for a in range(10) for b in range(10)]
        >>> _ = file.write_text("\n".join(["a,b,sum", *rows]))
        >>> data = own_table(str(file), target="sum")
        >>> type(data).__name__, data.input_shape
        ('ValueTable', (2,))
        >>> own_table(str(file), target="b").num_classes
        10
    """
    require(task in get_args(Task), "task", task, " or ".join(get_args(Task)))
    table = read_table(path, target, tuple(drop or ()))
    if table.dropped:
        rank_zero_info(f"{table.dropped} rows of {path} have no {target}, and are left out.")
    classes = _are_classes(table) if task == "auto" else task == "classes"
    if task == "auto":
        many = len(set(table.target))
        kind, other = ("classes", "values") if classes else ("values", "classes")
        rank_zero_info(f"{target} has {many} different entries, taken for {kind}; data.task={other} for the other.")
    if classes:
        return ClassTable(
            table,
            batch_size=batch_size,
            num_workers=num_workers,
            train_size=train_size,
            label_noise=label_noise,
            noise_kind=noise_kind,
            imbalance=imbalance,
            held_out_classes=held_out_classes,
            val_share=val_share,
            test_share=test_share,
            seed=seed,
        )
    for name, value, plain in (
        ("label_noise", label_noise, 0),
        ("imbalance", imbalance, 1),
        ("held_out_classes", tuple(held_out_classes or ()), ()),
    ):
        require(value == plain, name, value, f"left alone where the target, here {target!r}, is values and no classes")
    return ValueTable(table, batch_size, num_workers, train_size, val_share, test_share or 0.3, seed)


def _are_classes(table: TableFile) -> bool:
    values = numbers(table.target)
    return values is None or (bool((values == np.round(values)).all()) and len(np.unique(values)) <= FEW)
