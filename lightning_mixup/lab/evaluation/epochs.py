"""Which epoch a number is of: papers report the last, the best, or the median of the last ten."""

import csv
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_mixup.lab.evaluation.measures import measure, part_of


def read_epochs(path: Path) -> dict[str, list[float]]:
    """Read what Lightning's ``CSVLogger`` wrote.

    Args:
        path: its ``metrics.csv``.

    Returns:
        For each metric its value at the end of every epoch that has one, in order.
    """
    values: dict[str, dict[int, float]] = defaultdict(dict)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("epoch", "step"):
                    values[name][int(row.get("epoch") or -1)] = float(value)
    return {name: list(by_epoch.values()) for name, by_epoch in values.items()}


def summarise_epochs(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Give the last and best epoch and the median of the last ten of every validation metric with a known direction.

    The best epoch is chosen after the fact on the very data it is reported on, which flatters: compare it only with
    numbers that were chosen likewise.

    Args:
        values: metric name to its values, epoch by epoch.

    Returns:
        ``NAME_last``, ``NAME_best`` and, of ten epochs or more, ``NAME_median10`` for every ``NAME`` of validation.

    Examples:
        >>> summarise_epochs({"val/accuracy": [0.5, 0.9, 0.8], "val/lam": [1.0]})
        {'val/accuracy_last': 0.8, 'val/accuracy_best': 0.9}
    """
    summary = {}
    for name, series in values.items():
        better = measure(name).better
        if part_of(name) != "val" or better == 0:
            continue
        summary[f"{name}_last"] = series[-1]
        summary[f"{name}_best"] = max(series) if better > 0 else min(series)
        if len(series) >= 10:
            summary[f"{name}_median10"] = statistics.median(series[-10:])
    return summary
