"""The page that people read first: what mixing adds to a step, ours beside others, in one table and one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.timing import Row

PICTURE = Path(__file__).with_name("results") / "step.png"
ADDED = ": added to a step"
LIBRARIES = ("by hand", "timm", "torchvision", "kornia", "floor")
COMPARED = {
    "Mixup": "mixup",
    "CutMix": "cutmix",
    "Mixup, per sample": "mixup, per sample",
    "CutMix, per sample": "cutmix, per sample",
    "ManifoldMixup": "manifold mixup",
    "FMix": "fmix",
    "ResizeMix": "resizemix",
    "RandomChoice": "randomchoice",
    "RegMixup": "regmixup",
    "Mixup, soft targets": "mixup, soft targets",
    "Mixup, sampled targets": "mixup, sampled targets",
    "Mixup, focal loss": "mixup, focal loss",
    "Mixup, smoothing by hand": "mixup, smoothing by hand",
    "LabelSmoothing": "label smoothing",
    "Mixup, logged": "mixup, logged",
    "CutMix, logged": "cutmix, logged",
}
"""Our ways, and what other libraries call the same."""


def markdown(rows: Sequence[Row]) -> str:
    """Lay out what each way adds to a step of each network, in microseconds and in percent.

    Args:
        rows: All rows of the group ``step``.

    Returns:
        A table for the smallest network, on which most can be seen, and one for all of them.
    """
    cases = added(rows)
    if not cases:
        return "Not measured yet."
    first, small = next(iter(cases.items()))
    lines = [["us a step", "ours", *LIBRARIES, "times the floor"], ["---", *["---:"] * (2 + len(LIBRARIES))]]
    for name, other in COMPARED.items():
        if (ours := small.get(name)) is None:
            continue
        shown = [_peer(small, name, other, library) for library in LIBRARIES]
        floor = _find(small, name, other, "floor")
        ratio = f"{_us(ours) / _us(floor):.2f}" if floor is not None else ""
        lines.append([name, f"**{_us(ours):.0f}** ± {_margin(ours):.0f}", *shown, ratio])
    control = small.get("plain again")
    words = ""
    if control is not None:
        words = f" The control, plain against plain, reads {_us(control):.0f} ± {_margin(control):.0f}."
    text = f"Added to a step on plain labels ({first}), median ± half of its 95 % interval.{words}\n\n{_table(lines)}\n"
    networks = [["% of a step", *cases], ["---", *["---:"] * len(cases)]]
    for name in COMPARED:
        found = [case[name].note.removesuffix(" %") if name in case else "" for case in cases.values()]
        if sum(map(bool, found)) > 1:
            networks.append([name, *found])
    return text if len(networks) == 2 else f"{text}\nOf larger networks less is seen:\n\n{_table(networks)}\n"


def added(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """What each way adds, by its name, for each network and number of threads."""
    cases: dict[str, dict[str, Row]] = {}
    for row in rows:
        where, marker, _ = row.case.partition(ADDED)
        if marker and row.median is not None:
            cases.setdefault(where, {})[row.name] = row
    return cases


def draw(rows: Sequence[Row], path: Path = PICTURE) -> None:
    """Draw what each way adds to a step of the smallest network."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cases = added(rows)
    if not cases:
        return
    where, small = next(iter(cases.items()))
    shown = [(name, "ours", small[name]) for name in COMPARED if name in small]
    shown += [(name, "floor", row) for name, row in small.items() if name.startswith("floor")]
    others = [name for name in small if name.startswith(LIBRARIES[1:4]) or name.partition(",")[0].endswith(" by hand")]
    shown += [(name, "others", small[name]) for name in others]
    shown.sort(key=lambda found: found[2].median or 0)
    colours = {"ours": "tab:blue", "floor": "lightgrey", "others": "tab:orange"}
    figure = Figure(figsize=(7.5, 0.8 + 0.22 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for kind, colour in colours.items():
        places = [place for place, found in enumerate(shown) if found[1] == kind]
        axes.barh(places, [_us(shown[place][2]) for place in places], color=colour, label=kind)
    axes.set_yticks(range(len(shown)), [name for name, *_ in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"microseconds added to a step, {where}", fontsize=8)
    axes.legend(fontsize=8, loc="upper right")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


def _find(rows: Mapping[str, Row], name: str, other: str, library: str) -> Row | None:
    method, comma, how = name.partition(",")
    names = {"by hand": f"{method} by hand{comma}{how}", "floor": f"floor {name}"}
    return rows.get(names.get(library, f"{library} {other}"))


def _peer(rows: Mapping[str, Row], name: str, other: str, library: str) -> str:
    row = _find(rows, name, other, library)
    return "" if row is None else f"{_us(row):.0f}"


def _us(row: Row) -> float:
    return 1e6 * (row.median or 0.0)


def _margin(row: Row) -> float:
    return 1e6 * ((row.high or 0.0) - (row.low or 0.0)) / 2


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
