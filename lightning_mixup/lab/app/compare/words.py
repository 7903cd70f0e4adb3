"""Rows and cells in words: short names for pictures, numbers with their margins for tables."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_mixup.lab.app.compare.rows import Row, as_number
from lightning_mixup.lab.app.compare.runs import words_of
from lightning_mixup.lab.app.compare.verdicts import Cell
from lightning_mixup.lab.evaluation.measures import Measure

KEYS = {
    "mix.alpha": "strength (mix.alpha)",
    "mix.prob": "share of mixed batches (mix.prob)",
    "data.label_noise": "share of wrong training labels (data.label_noise)",
    "data.train_size": "training samples (data.train_size)",
}
"""Settings in words, for axes."""
LONGEST = 80
"""Letters of a name that a picture has room for."""
_CHOICES = ("mix", "data", "model", "recipe", "module")
"""Settings whose values speak for themselves."""
_SHORT = {"optimizer.lr": "learning rate", "max_epochs": "epochs", "train_size": "samples"}


def short(settings: Mapping[str, str]) -> str:
    """Name settings in few words.

    Examples:
        >>> short({"mix": "manifold_mixup", "mix.alpha": "8", "data.label_noise": "0.4", "data.train_size": "6000"})
        'manifold mixup, alpha 8, label noise 0.4, samples 6000'
        >>> short({"mix": "none"}), short({"data": "wine"}), short({})
        ('no mixing', 'wine', '')
    """
    return ", ".join(_said(key, value) for key, value in settings.items())


def short_labels(rows: Sequence[Row], *, whole: bool = False) -> dict[str, str]:
    """Give a short name for the method of every row; for all of its settings where the mix does not vary.

    Args:
        rows: of a comparison.
        whole: whether surroundings are named too.

    Returns:
        Label to name. Where two methods had the same short name, names are as on the command line. A long name is cut
        in its middle.
    """
    whole = whole or not any(row.method for row in rows)
    chosen = {row.label: row.settings if whole else row.method for row in rows}
    named = {words_of(settings): short(settings) or "as configured" for settings in chosen.values()}
    unique = len(set(named.values())) == len(named)
    full = {label: named[words_of(settings)] if unique else words_of(settings) for label, settings in chosen.items()}
    return {
        label: name if len(name) <= LONGEST else f"{name[: LONGEST // 2]} … {name[-LONGEST // 2 :]}"
        for label, name in full.items()
    }


def cell_words(cell: Cell, one: Measure) -> str:
    """Value, difference and verdict. The difference alone would pass for a finding: it comes with what it shows."""
    if cell.difference is None:
        return value_words(cell, one)
    difference = difference_words(cell, one)
    return f"{value_words(cell, one)}\n{f'{difference}: ' if difference else ''}{cell.verdict}"


def value_words(cell: Cell, one: Measure) -> str:
    """Mean and margin of a cell."""
    return one.show(cell.value.mean) + _margin(cell.value.margin, one)


def difference_words(cell: Cell, one: Measure) -> str:
    """Difference from the baseline and its margin; empty if there is none."""
    if cell.difference is None or math.isnan(cell.difference.mean):
        return ""
    return one.show(cell.difference.mean, signed=True) + _margin(cell.difference.margin, one)


def file_name(text: str) -> str:
    """Give a name for a file that stays in its folder, whatever the text.

    Examples:
        >>> file_name("data.label_noise"), file_name("../../evil/x")
        ('data_label_noise', 'evil_x')
    """
    kept = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in text)
    return Path("_".join(filter(None, kept.split("_")))).name[:60]


def _said(key: str, value: str) -> str:
    if key == "mix":
        return "no mixing" if value == "none" else value.replace("_", " ")
    if key in _CHOICES:
        return value.replace("_", " ")
    placed = key.partition("@")[2] or key
    last = placed.rpartition(".")[2]
    name = _SHORT.get(placed) or _SHORT.get(last) or last.replace("_", " ")
    return f"{name} {value if as_number(value) is not None else value.replace('_', ' ')}".strip()


def _margin(margin: float, one: Measure) -> str:
    return "" if math.isnan(margin) else f" ± {one.show(margin)}"
