"""What the studies of Fashion-MNIST show beyond a comparison: look-alike classes, and the figure of the README."""

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.cells import Cell
from benchmarks.recipes import ROOT
from lightning_mixup.lab.evaluation.measures import measure

FIGURE = ROOT / "docs" / "assets" / "fashion_mnist.png"
LOOK_ALIKES = ((6, 0), (0, 6), (2, 4), (4, 2))
"""Pairs (true, predicted): shirts and T-shirts, pullovers and coats."""
NAMES = {0: "T-shirt", 2: "pullover", 4: "coat", 6: "shirt"}
PANELS = (  # two in a line
    ("fashion_mnist", "test/accuracy", "57,000 images, right labels"),
    ("fashion_mnist_few", "test/accuracy", "2,000 images, right labels"),
    ("fashion_mnist", "test/nll", "57,000 images, right labels"),
    ("fashion_mnist_few", "test/nll", "2,000 images, right labels"),
    ("fashion_mnist", "test/ece", "57,000 images, right labels"),
    ("fashion_mnist_few", "test/ece", "2,000 images, right labels"),
    ("fashion_mnist", "test/fgsm_0.0314/accuracy", "57,000 images, attacked by FGSM, 8/255"),
    ("fashion_mnist_few", "test/fgsm_0.0314/accuracy", "2,000 images, attacked by FGSM, 8/255"),
    ("fashion_mnist_noisy", "test/accuracy", "57,000 images, 40 % wrong labels"),
    ("fashion_mnist_few_noisy", "test/accuracy", "2,000 images, 40 % wrong labels"),
)
LABELS = {
    "none": "no mixing",
    "label_smoothing": "label smoothing",
    "mixup": "Mixup",
    "cutmix": "CutMix",
    "manifold_mixup": "Manifold Mixup",
    "resizemix": "ResizeMix",
    "fmix": "FMix",
    "random_choice": "Mixup or CutMix",
    "regmixup": "RegMixup",
}


class Value(NamedTuple):
    """One row of a comparison."""

    mean: float
    margin: float
    verdict: str


def write(results: Path, cells: Mapping[str, Sequence[Cell]]) -> None:
    """Add the look-alikes to the page of the study, and draw the figure of the README.

    Args:
        results: folder of the pages and their tables.
        cells: the runs of each study of Fashion-MNIST.
    """
    if table := look_alikes([cell for cell in cells.get("fashion_mnist", ()) if cell.results.is_file()]):
        page = results / "fashion_mnist.md"
        before, found, after = page.read_text().partition("## How it was measured")
        page.write_text(f"{before}{table}\n{found}{after}")
    if any((results / f"{study}.csv").is_file() for study, *_ in PANELS):
        draw(results, FIGURE)


def label(words: str) -> str:
    """Name a row as readers do.

    Examples:
        >>> label("data.label_noise=0.4 mix=mixup mix.alpha=1"), label("mix=cutmix mix.prob=0.5"), label("mix=none")
        ('Mixup, alpha 1', 'CutMix, prob 0.5', 'no mixing')
    """
    pairs = [word.partition("=") for word in words.split()]
    name = next(value for key, _, value in pairs if key == "mix")
    details = [f"{key.removeprefix('mix.')} {value}" for key, _, value in pairs if key.startswith("mix.")]
    return ", ".join([LABELS.get(name, name), *details])


def look_alikes(cells: Sequence[Cell]) -> str:
    """Lay out how often look-alike classes are confused, a row a setting, mean and standard deviation over seeds."""
    shares: dict[str, list[list[float]]] = {}
    for cell in cells:
        with (cell.folder / "confusion.csv").open(newline="") as file:
            counts = [[int(count) for count in row[1:]] for row in list(csv.reader(file))[1:]]
        method = label(" ".join(word for word in cell.words if word.startswith("mix")))
        shares.setdefault(method, []).append([counts[i][j] / sum(counts[i]) for i, j in LOOK_ALIKES])
    if not shares:
        return ""
    heads = [f"{NAMES[true]} taken for {NAMES[given]} (%)" for true, given in LOOK_ALIKES]
    lines = [["", "seeds", *heads], ["---", *["---:"] * (1 + len(heads))]]
    for method, found in shares.items():
        columns = [[100 * value for value in column] for column in zip(*found, strict=True)]
        spread = [f" ± {statistics.stdev(column):.1f}" if len(column) > 1 else "" for column in columns]
        values = [f"{statistics.mean(column):.1f}{more}" for column, more in zip(columns, spread, strict=True)]
        lines.append([method, str(len(found)), *values])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        "## Look-alike classes\n\nShare of the test images of one class that are taken for another, mean ± standard "
        f"deviation over seeds.\n\n{table}\n"
    )


def read(path: Path, name: str) -> dict[str, Value]:
    """Take a measure out of a comparison: setting to value."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == name]
    return {label(row["row"]): Value(float(row["mean"]), float(row["margin"] or "nan"), row["verdict"]) for row in rows}


def draw(results: Path, path: Path) -> None:
    """Draw what all images and few of them show, side by side.

    Args:
        results: folder of the tables.
        path: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(read(results / f"{study}.csv", name), name, title) for study, name, title in PANELS]
    panels = [panel for panel in panels if panel[0]]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(values) for values, *_ in panels)
    figure = Figure(figsize=(4.2 * columns, (0.9 + 0.24 * most) * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (values, name, title) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        one = measure(name)
        for place, (method, value) in enumerate(values.items()):
            shown = value.verdict in ("better", "worse")
            colour = {"better": "tab:green", "worse": "tab:red"}.get(value.verdict, "black")
            mean, margin = one.factor * value.mean, one.factor * value.margin
            axes.errorbar(
                [mean], [place], xerr=[margin], fmt="o", color=colour, mfc=colour if shown else "white", capsize=2, ms=5
            )
            if method == LABELS["none"]:
                axes.axvline(mean, color="grey", lw=0.8, ls=":")
        axes.set_yticks(range(len(values)), list(values), fontsize=8)
        axes.invert_yaxis()
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(one.title, fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
