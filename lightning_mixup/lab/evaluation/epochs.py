"""Which epoch a number is of: papers report the last, the best, or the median of the last ten."""

import csv
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from lightning_mixup.lab.evaluation.measures import measure, part_of


def read_epochs(path: Path) -> dict[str, dict[int, float]]:
    """Read what Lightning's ``CSVLogger`` wrote.

    Args:
        path: its ``metrics.csv``.

    Returns:
        For each metric its value at the end of every epoch that has one: epoch, counted from 0, to value. Metrics may
        have different epochs: training logs every one, validation every ``check_val_every_n_epoch``-th. Lines without
        an epoch, and what is no number, are left out.
    """
    values: dict[str, dict[int, float]] = defaultdict(dict)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            epoch = _number(row.get("epoch"))
            if epoch is None or not math.isfinite(epoch):
                continue
            for name, text in row.items():
                if name not in ("epoch", "step", None) and (value := _number(text)) is not None:
                    values[name][int(epoch)] = value
    return {name: dict(sorted(by_epoch.items())) for name, by_epoch in values.items()}


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def summarise_epochs(values: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """Give the last and best epoch and the median of the last ten of every validation metric with a known direction.

    The best epoch is chosen after the fact on the very data it is reported on, which flatters: compare it only with
    numbers that were chosen likewise.

    Args:
        values: metric name to epoch to value, as ``read_epochs`` gives them.

    Returns:
        ``NAME_last``, ``NAME_best`` and, of ten epochs or more, ``NAME_median10`` for every ``NAME`` of validation.

    Examples:
        >>> summarise_epochs({"val/accuracy": {0: 0.5, 1: 0.9, 2: 0.8}, "val/lam": {0: 1.0}})
        {'val/accuracy_last': 0.8, 'val/accuracy_best': 0.9}
    """
    summary = {}
    for name, by_epoch in values.items():
        series = [by_epoch[epoch] for epoch in sorted(by_epoch)]
        better = measure(name).better
        if part_of(name) != "val" or better == 0:
            continue
        summary[f"{name}_last"] = series[-1]
        summary[f"{name}_best"] = max(series) if better > 0 else min(series)
        if len(series) >= 10:
            summary[f"{name}_median10"] = statistics.median(series[-10:])
    return summary
