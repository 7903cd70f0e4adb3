"""Pictures of schedules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

from lightning_mixup.schedules.base import Schedule
from lightning_mixup.schedules.shapes import as_schedule


def plot(
    schedules: Mapping[str, float | Schedule],
    path: str | Path,
    epochs: float | None = None,
    steps: float | None = None,
) -> None:
    """Draw schedules over the course of training, one below the other.

    Args:
        schedules: Schedules by the names of what they are for.
        path: The picture to write; its suffix decides the format.
        epochs: Length of training in epochs, for schedules that need it; drawn as a second scale.
        steps: Length of training in optimizer steps, for schedules that need it.

    Raises:
        ValueError: If a schedule needs a length that is not given, or has a time beyond it.
    """
    from matplotlib.figure import Figure

    moments = [moment / 2000 for moment in range(2001)]
    figure = Figure(figsize=(7, (0.4 if epochs is None else 0.8) + 1.3 * len(schedules)), layout="constrained")
    axes = figure.subplots(len(schedules), sharex=True, squeeze=False)[:, 0]
    for axis, (name, value) in zip(axes, schedules.items(), strict=True):
        schedule = as_schedule(value)
        bound = schedule if epochs is None and steps is None else schedule.bind(epochs, steps)
        axis.plot(moments, [bound(moment) for moment in moments], color="#3465a4")
        axis.set_title(fill(repr(schedule), 90), loc="left", fontsize=8, color="#777777")
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0)
    axes[-1].set_xlabel("training progress")
    if epochs is not None:
        scale = (lambda progress: progress * epochs), (lambda epoch: epoch / epochs)
        second = axes[0].secondary_xaxis("top", functions=scale)
        second.set_xlabel("epoch")
        second.xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels(axes)
    figure.savefig(path, dpi=110)
