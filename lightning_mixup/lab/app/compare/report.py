"""The report of a comparison: on the terminal, and as files beside the runs."""

from pathlib import Path

from rich.console import Console

from lightning_mixup.lab.app.compare import figures, tables
from lightning_mixup.lab.app.compare.comparison import compare


def report(folder: Path, baseline: str | None = None) -> None:
    """Compare the runs of a sweep: print the table, and write it and its pictures to ``comparison/`` in the folder.

    Args:
        folder: of the sweep.
        baseline: label of the row that all others are compared with; ``None`` chooses as ``compare`` says.
    """
    comparison = compare(folder, baseline)
    home = folder / "comparison"
    home.mkdir(exist_ok=True)
    blocks = tables.blocks(comparison, figures.draw(comparison, home))
    (home / "comparison.md").write_text(tables.markdown(blocks))
    (home / "comparison.html").write_text(tables.page(blocks))
    tables.write_csv(comparison, home / "comparison.csv")
    console = Console()
    tables.show(comparison, console)
    console.print("Every measure, as comparison.md, .csv and .html with pictures, is in")
    console.print(str(home), soft_wrap=True)
