"""What a sweep shows: its runs grouped into rows, each compared with its baseline, in tables and pictures."""

from lightning_mixup.lab.app.compare.comparison import Comparison, compare
from lightning_mixup.lab.app.compare.figures import plot
from lightning_mixup.lab.app.compare.report import report
from lightning_mixup.lab.app.compare.rows import Row
from lightning_mixup.lab.app.compare.runs import Run, read_sweep
from lightning_mixup.lab.app.compare.verdicts import Cell, judge

__all__ = ["Cell", "Comparison", "Row", "Run", "compare", "judge", "plot", "read_sweep", "report"]
