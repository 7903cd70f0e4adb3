"""All pictures of a comparison, as files or one by one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from lightning_mixup.lab.app.compare.blocks import Picture
from lightning_mixup.lab.app.compare.comparison import Comparison
from lightning_mixup.lab.app.compare.figures.answer import answer
from lightning_mixup.lab.app.compare.figures.curves import curves
from lightning_mixup.lab.app.compare.figures.measures import measures
from lightning_mixup.lab.app.compare.figures.reliability import reliability
from lightning_mixup.lab.app.compare.figures.strength import against, numbers
from lightning_mixup.lab.app.compare.figures.style import styled
from lightning_mixup.lab.app.compare.words import file_name
from lightning_mixup.lab.app.errors import ConfigError

PICTURES: dict[str, tuple[str, Callable[[Comparison], Figure | None]]] = {
    "answer": ("Which method, how much better, how sure: differences of the first measure from the baseline", answer),
    "measures": ("Measures by method, with 95 % confidence intervals over seeds", measures),
    "reliability": ("Reliability diagrams: accuracy of predictions by their confidence", reliability),
    "curves": ("Training curves, mean and range over seeds", curves),
}


def draw(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw whatever the runs give, as PNG files.

    Args:
        comparison: what to show.
        folder: where the files go.

    Returns:
        The pictures that there are: differences and measures by method; reliability diagrams of full evaluations,
        training curves of runs with a metrics log, and measures against every number that the sweep varies.
    """
    jobs = dict(PICTURES)
    for key in numbers(comparison):
        jobs[f"by_{file_name(key)}"] = (f"Measures against {key}", partial(against, key=key))
    pictures = []
    with styled():
        for name, (title, job) in jobs.items():
            figure = job(comparison)
            if figure is not None:
                figure.savefig(folder / f"{name}.png")
                pictures.append(Picture(folder / f"{name}.png", title))
    return pictures


def plot(comparison: Comparison, what: str = "answer", path: str | Path | None = None) -> Figure | None:
    """Draw one picture.

    Args:
        comparison: what to show.
        what: ``answer``, ``measures``, ``reliability``, ``curves``, or a config key that takes several numbers, such
            as ``mix.alpha``.
        path: where to save it; ``None`` saves nothing.

    Returns:
        The figure, which a notebook shows; ``None`` where the runs do not give it.

    Raises:
        ConfigError: there is no such picture.
    """
    keys = numbers(comparison)
    if what not in (*PICTURES, *keys):
        raise ConfigError(f"what must be one of {', '.join((*PICTURES, *keys))}; got {what!r}.")
    with styled():
        figure = PICTURES[what][1](comparison) if what in PICTURES else against(comparison, what)
        if figure is not None and path is not None:
            figure.savefig(path)
    return figure
