"""A comparison in pictures: which method, how much better, how sure, and how the runs got there."""

from lightning_mixup.lab.app.compare.figures.drawing import draw, plot

__all__ = ["draw", "plot"]
