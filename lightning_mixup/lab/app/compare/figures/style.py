"""What all pictures share: colours of methods, panels by what is not the method, one legend, one note."""

import math
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from textwrap import fill
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.rows import Row, mixes_nothing
from lightning_mixup.lab.app.compare.words import short, short_labels

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.dpi": 110,  # 8.5 inches are then no wider than a README shows
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}
WIDTH = 8.5
GREY = "#555555"
# Okabe and Ito's colours, told apart by everybody, and more of Paul Tol's; every method keeps its own in all reports.
METHODS = {
    "none": GREY,
    "mixup": "#0072B2",
    "cutmix": "#D55E00",
    "manifold_mixup": "#009E73",
    "random_choice": "#CC79A7",
    "regmixup": "#E69F00",
    "label_smoothing": "#56B4E9",
    "resizemix": "#882255",
    "fmix": "#999933",
}
OTHERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933", "#332288", "#44AA99")
MARKERS = "oD^vPX<>h*"
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 3)))
CROWD = 10
"""So many lines can be told apart in one panel; more are shown method by method."""


class Look(NamedTuple):
    """How a row is drawn, in every picture."""

    label: str
    """Short."""
    colour: str
    marker: str
    dashes: Any
    reference: bool
    """Whether it is a baseline."""

    @property
    def line(self) -> dict[str, Any]:
        """What a line of matplotlib takes."""
        return {"color": self.colour, "linestyle": self.dashes, "label": self.label}


class Shown(Figure):
    """A figure that a notebook shows as it is, whether pyplot was imported or not."""

    def _repr_png_(self) -> bytes:
        data = BytesIO()
        with styled():
            self.savefig(data, format="png")
        return data.getvalue()


class Facet(NamedTuple):
    """Rows of the same data and training."""

    title: str
    """Short; empty if there is one facet alone."""
    rows: list[Row]


def facets(comparison: Comparison, leave_out: str = "") -> list[Facet]:
    """Part rows by what is not the method: one panel each.

    Args:
        comparison: what to show.
        leave_out: a setting that is shown otherwise, as on an axis.
    """
    if not any(row.method for row in comparison.rows):
        return [Facet("", comparison.rows)]
    found: dict[str, Facet] = {}
    for row in comparison.rows:
        title = short({key: value for key, value in row.surroundings.items() if key != leave_out})
        found.setdefault(title, Facet(title, [])).rows.append(row)
    return list(found.values())


def looks(comparison: Comparison) -> dict[str, Look]:
    """Give every row its look: the colour is the method's, shade and marker are those of its strength.

    Args:
        comparison: what to show.

    Returns:
        By label of the row; rows of one method in different facets look the same.
    """
    names = short_labels(comparison.rows)
    families: dict[str, list[str]] = {}
    for row in comparison.rows:
        members = families.setdefault(family(row) or names[row.label], [])
        if names[row.label] not in members:
            members.append(names[row.label])
    strange = [name for name in families if name not in METHODS]
    colours = METHODS | {name: OTHERS[number % len(OTHERS)] for number, name in enumerate(strange)}
    order = list(families)
    found = {}
    for row in comparison.rows:
        of, name = family(row) or names[row.label], names[row.label]
        place, among = families[of].index(name), len(families[of])
        reference = comparison.against[row.label] == row.label
        number = order.index(of) + place
        found[row.label] = Look(
            f"{name} (baseline)" if reference else name,
            GREY if reference else _shade(colours[of], place, among),
            "s" if reference else MARKERS[number % len(MARKERS)],
            "-" if reference else DASHES[number % len(DASHES)],
            reference,
        )
    return found


def family(row: Row) -> str:
    """Give the method of a row, whatever its strength, as the configuration calls it; empty if that cannot be told."""
    if mixes_nothing(row):
        return "none"
    if chosen := row.settings.get("mix"):
        return chosen
    target = (row.setting("mix._target_") or "").rpartition(".")[2]
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", target).lower()
    return {"cut_mix": "cutmix", "reg_mixup": "regmixup", "fmix": "fmix", "resize_mix": "resizemix"}.get(name, name)


def grid(
    lines: int,
    columns: int,
    height: float,
    extra: float = 1.0,
    **shared: Any,  # noqa: ANN401
) -> tuple[Figure, np.ndarray[Any, Any]]:
    """Make a figure of so many lines of panels, each of a height in inches, with room for title and legend."""
    figure = Shown(figsize=(WIDTH, extra + height * lines), layout="constrained")
    return figure, figure.subplots(lines, columns, squeeze=False, **shared)


def legend(figure: Figure, shown: Mapping[str, Line2D] | Sequence[Look], extra: Sequence[Any] = ()) -> None:
    """Put one legend below all panels, each look once.

    Args:
        figure: where.
        shown: looks of what is drawn, repetitions included.
        extra: further handles, with labels.
    """
    each = {look.label: look for look in shown if isinstance(look, Look)}
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.dashes, marker=look.marker, markersize=5, label=look.label)
        for look in sorted(each.values(), key=lambda look: not look.reference)
    ]
    handles += extra
    if len(handles) > 1:
        widest = max(len(str(handle.get_label())) for handle in handles)
        figure.legend(
            handles=handles, loc="outside lower center", ncols=max(1, min(5, 100 // (widest + 8))), fontsize=8
        )


def heading(axes: Axes, text: str, titled: int = 0) -> None:
    """Write what a line of panels is of above its first panel, and above so many lines of title of that."""
    if text:
        axes.annotate(
            fill(text, 90),
            (0, 1),
            xytext=(-30, 8 + 12 * titled),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=10,
            fontweight="bold",
            annotation_clip=False,
        )


def note(figure: Figure, text: str) -> None:
    """Say, above all panels, how they are read."""
    figure.suptitle(fill(text, 135, replace_whitespace=False), fontsize=8, color=GREY)


def crop(axes: Axes, seeds: Sequence[np.ndarray[Any, Any]]) -> bool:
    """Keep the interval of two or three seeds, which may be a hundred times as wide as they lie, from filling all.

    Returns:
        Whether an interval goes on beyond the panel.
    """
    finite = [values[np.isfinite(values)] for values in seeds]
    together = np.concatenate(finite) if finite else np.array([])
    if len(together) < 2 or not (span := float(np.ptp(together))) > 0:
        return False
    left, right = axes.get_xlim()
    low, high = max(left, together.min() - 2 * span), min(right, together.max() + 2 * span)
    axes.set_xlim(low, high)
    return bool(low > left or high < right)


def styled() -> Any:  # noqa: ANN401
    """Give the context in which pictures are drawn."""
    return mpl.rc_context(STYLE)


def lines_of(count: int, columns: int) -> int:
    """How many lines of panels so many need."""
    return math.ceil(count / columns)


def lines_in(titles: Sequence[str]) -> int:
    """How many lines the longest of some titles takes."""
    return max(title.count("\n") + 1 for title in titles)


def _shade(colour: str, place: int, among: int) -> str:
    """From the colour itself, for the first strength of a method, to a pale one."""
    pale = 0.6 * place / max(among - 1, 1)
    red, green, blue = ((1 - pale) * part + pale for part in to_rgb(colour))
    return to_hex((red, green, blue))
