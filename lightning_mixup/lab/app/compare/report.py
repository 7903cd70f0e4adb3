"""The report of a comparison: on the terminal, and as files beside the runs."""

from pathlib import Path

from rich.console import Console

from lightning_mixup.lab.app.compare import figures, tables
from lightning_mixup.lab.app.compare.blocks import markdown, page
from lightning_mixup.lab.app.compare.comparison import compare


def report(folder: Path, baseline: str | None = None, test: str = "t") -> None:
    """Compare the runs of a sweep: print the table, and write it and its pictures to ``comparison/`` in the folder.

    Args:
        folder: of the sweep.
        baseline: label of the row that all others are compared with; ``None`` chooses as ``compare`` says.
        test: of differences, ``t`` or ``permutation``.
    """
    comparison = compare(folder, baseline, test)
    home = folder / "comparison"
    home.mkdir(exist_ok=True)
    blocks = tables.blocks(comparison, figures.draw(comparison, home))
    (home / "comparison.md").write_text(markdown(blocks), encoding="utf-8")
    (home / "comparison.html").write_text(page(blocks), encoding="utf-8")
    tables.write_csv(comparison, home / "comparison.csv")
    console = Console()
    tables.show(comparison, console)
    console.print("Every measure, as comparison.md, .csv and .html with pictures, is in")
    console.print(str(home), soft_wrap=True, markup=False, highlight=False)
