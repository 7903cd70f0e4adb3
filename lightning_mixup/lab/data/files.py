"""Tables in files: CSV, with any of the usual separators, and Parquet, as numbers and texts."""

import csv
import gzip
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_mixup.lab.data.extras import extra
from lightning_mixup.lab.require import require

MISSING = frozenset(("", "?", "-", "na", "n/a", "nan", "null", "none"))
"""What stands for no number, in any case."""
NO_TARGET = MISSING - {"-", "null", "none"}
"""What stands for no target: a class may be called none."""
SEPARATORS = ",;\t|"
MOST = 30
"""So many different texts a column may have; each becomes a feature."""
FORMS = "CSV with the names of the columns in its first line, .csv.gz, or .parquet"


class TableFile(NamedTuple):
    """What a file holds, without the rows that have no target."""

    features: npt.NDArray[np.float64]
    """Shape ``(N, F)``; NaN where a number is missing."""
    names: tuple[str, ...]
    """Of the features: a column, or ``column=text``."""
    target: tuple[str, ...]
    """As it is written, one a row."""
    dropped: int
    """Rows without a target."""


def read_table(path: str, target: str, drop: Sequence[str] = ()) -> TableFile:
    r"""Read features and target of a table.

    A column of numbers is a feature. A column of up to 30 different texts is as many features, 1 where the text stands
    and else 0; a missing text is a text of its own.

    Args:
        path: a file: CSV with the names of the columns in its first line, separated by comma, semicolon, tab or bar,
            packed as ``.gz`` or not; or Parquet, which needs ``pyarrow``.
        target: name of the column to be predicted.
        drop: names of columns that are no features, such as the number of a row.

    Raises:
        ValueError: the file is not such a table, has no such column, or one that is neither numbers nor few texts.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "flowers.csv")
        >>> _ = file.write_text("length;colour;kind\n1.5;red;iris\n?;blue;rose\n2;red;\n")
        >>> table = read_table(str(file), target="kind")
        >>> table.names, table.features.tolist(), table.target, table.dropped
        (('length', 'colour=blue', 'colour=red'), [[1.5, 0.0, 1.0], [nan, 1.0, 0.0]], ('iris', 'rose'), 1)
    """
    file = Path(path).expanduser()
    require(bool(path) and file.is_file(), "path", path, f"a file: {FORMS}")
    columns = _parquet(file) if file.suffix in (".parquet", ".pq") else _csv(file)
    listed = ", ".join(columns)
    require(len(next(iter(columns.values()), [])) > 0, "path", path, "a table with rows")
    require(target in columns, "target", target, f"a column of {path} ({listed})")
    for name in drop:
        require(name in columns and name != target, "drop", name, f"names of columns but the target ({listed})")
    kept = [number for number, text in enumerate(columns[target]) if text.strip().lower() not in NO_TARGET]
    require(len(kept) > 1, "target", target, f"a column with values; {path} has {len(kept)} in it")
    parts, names = [], []
    for name, column in columns.items():
        if name != target and name not in drop:
            values, labels = _features(name, [column[number] for number in kept])
            parts.append(values)
            names += labels
    require(bool(names), "target", target, f"one of several columns of {path}: others are the features")
    chosen = tuple(columns[target][number].strip() for number in kept)
    return TableFile(np.concatenate(parts, axis=1), tuple(names), chosen, len(columns[target]) - len(kept))


def numbers(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Read texts as numbers, NaN where one is missing; ``None`` if any is no number.

    Examples:
        >>> numbers(["1", "", "2e1"]), numbers(["1", "red"])
        (array([ 1., nan, 20.]), None)
    """
    try:
        values = np.array([math.nan if _is_missing(text) else float(text) for text in texts])
    except ValueError:
        return None
    return None if np.isinf(values).any() else values


def _features(name: str, texts: Sequence[str]) -> tuple[npt.NDArray[np.float64], list[str]]:
    values = numbers(texts)
    if values is not None:
        empty = bool(np.isnan(values).all())
        require(not empty, "drop", name, "given for a column without any value")
        return values[:, None], [name]
    stripped = np.array([text.strip() for text in texts])
    found, where = np.unique(stripped, return_inverse=True)
    if len(found) > MOST:
        some = ", ".join(map(repr, found[:3].tolist()))
        raise ValueError(
            f"The column {name!r} has {len(found)} different texts ({some}, ...), and texts become features up to "
            f"{MOST}. Leave it out: drop=[{name}]."
        )
    return np.eye(len(found))[where], [f"{name}={text}" for text in found.tolist()]


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def _csv(file: Path) -> dict[str, list[str]]:
    try:
        with gzip.open(file, "rt", **_TEXT) if file.suffix == ".gz" else file.open(**_TEXT) as lines:  # type: ignore[call-overload]
            first = lines.readline()
            separator = max(SEPARATORS, key=first.count)
            lines.seek(0)
            head, *rows = (row for row in csv.reader(lines, delimiter=separator) if row)
    except (UnicodeDecodeError, csv.Error, OSError, EOFError, ValueError) as error:
        raise ValueError(f"path must be a table: {FORMS}; {file} cannot be read as one ({error}).") from error
    names = [name.strip() for name in head]
    require(len(set(names)) == len(names), "path", str(file), f"a table whose columns have different names ({names})")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise ValueError(f"{file} has {len(names)} columns, and {len(row)} entries in row {number}: {row[:4]}.")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


_TEXT = {"encoding": "utf-8-sig", "newline": ""}


def _parquet(file: Path) -> dict[str, list[str]]:
    extra("pyarrow", "vision")
    try:
        table = extra("pyarrow.parquet", "vision").ParquetFile(file).read()
    except (OSError, ValueError) as error:  # pyarrow's own errors are among them
        raise ValueError(f"path must be a table: {FORMS}; {file} cannot be read as one ({error}).") from error
    return {
        name: ["" if value is None else str(value) for value in table.column(name).to_pylist()]
        for name in table.column_names
    }
