"""What a measure shows of each row, beside its baseline."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightning_mixup.lab.app.compare.rows import Row
from lightning_mixup.lab.evaluation.measures import measure
from lightning_mixup.lab.evaluation.statistics import (
    Difference,
    Estimate,
    estimate,
    holm,
    paired_difference,
    verdict,
)

UNJUDGED = "not judged"
"""Verdict on the training time: jobs run one after another, and a machine gets busier without any method's doing."""

NOTHING = Difference(math.nan, math.nan, math.nan, 0)
"""Where nothing is compared."""


class Cell(NamedTuple):
    """One measure of one row."""

    value: Estimate
    difference: Difference | None
    """From the baseline; ``None`` for a baseline."""
    p_value: float
    """After Holm's correction over the rows; NaN for a baseline."""
    verdict: str
    """``baseline``, ``better``, ``worse``, that nothing was shown, or that nothing could be compared."""


def judge(
    rows: Sequence[Row], against: Mapping[str, str], names: Sequence[str], test: str = "t"
) -> dict[tuple[str, str], Cell]:
    """Judge every measure of every row that has it.

    Args:
        rows: with a finished run at least.
        against: label of a row to that of its baseline, which may be itself.
        names: of the measures.
        test: of differences; see ``paired_difference``.
    """
    by_label = {row.label: row for row in rows}
    cells = {}
    for name in names:
        values = {row.label: row.values(name) for row in rows}
        values = {label: found for label, found in values.items() if found}
        others = [label for label in values if against[label] != label]
        failures = {label: _failures(by_label[label], by_label.get(against[label])) for label in others}
        differences = {
            label: NOTHING if failures[label] else _difference(values[label], values.get(against[label], {}), test)
            for label in others
        }
        adjusted = dict(zip(others, holm([differences[label].p_value for label in others]), strict=True))
        for label, found in values.items():
            value = estimate(list(found.values()))
            if label in differences:
                judged = failures[label] or verdict(differences[label], adjusted[label], measure(name).better)
                judged = UNJUDGED if name == "duration" else judged
                cells[name, label] = Cell(value, differences[label], adjusted[label], judged)
            else:
                cells[name, label] = Cell(value, None, float("nan"), "baseline")
    return cells


def _failures(row: Row, baseline: Row | None) -> str:
    """Why two rows are not compared: what is left of a method that diverges now and then, flatters it."""
    for which, of in (("", row), (" of the baseline", baseline)):
        if of is not None and of.diverged:
            return f"not compared: {len(of.diverged)} of {len(of.runs) + len(of.diverged)} runs{which} diverged"
    return ""


def _difference(method: Mapping[int, float], baseline: Mapping[int, float], test: str) -> Difference:
    shared = [seed for seed in method if seed in baseline]
    if not shared:
        return NOTHING._replace(p_value=1.0, seeds=0)
    return paired_difference([method[seed] for seed in shared], [baseline[seed] for seed in shared], test)
