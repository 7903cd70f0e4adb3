"""Pictures of samples side by side, with a text under each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.targets import MixedTarget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Outline: TypeAlias = tuple[tuple[int, int], tuple[int, int]]

_MOST_CURVES = 8
_MOST_FEATURES = 8
_MOST_LABELS = 3
_LINE, _LETTER, _GAP = 0.17, 0.09, 0.08  # height of a line of text, width of a letter, between pictures; in inches


def captions(
    target: Tensor, lam: Sequence[float] | np.ndarray[Any, Any], names: Sequence[str] = (), probabilities: bool = False
) -> list[str]:
    r"""What to write under every sample of a mixed batch.

    Args:
        target: What ``training_step`` receives: a ``MixedTarget``, or the tensor in its place.
        lam: Weight of the original of every sample, written where the target does not tell it.
        names: Names of the classes, for labels.
        probabilities: Whether a floating point target holds a probability for each class.

    Returns:
        One text for each sample, of one or more lines.

    Examples:
        >>> captions(MixedTarget(torch.tensor([0, 2]), torch.tensor([3, 2]), lam=0.6), [0.6, 0.6])
        ['0: 60%\n3: 40%', '2: 100%']
        >>> captions(torch.tensor([1.25]), [0.6])
        ['1.25\nlam 0.60']
    """
    mixed = isinstance(target, MixedTarget)
    while target.ndim > 1 and target.shape[-1] == 1:
        target = target.squeeze(-1)
    whole = not target.is_floating_point()
    if isinstance(target, MixedTarget) and whole and target.ndim == 1:
        weights = torch.as_tensor(target.lam).expand(len(target)).tolist()
        pairs = zip(target.original.tolist(), target.partner.tolist(), weights, strict=True)
        return [_shares([(own, weight), (other, 1 - weight)], names) for own, other, weight in pairs]
    if target.ndim == 1 and whole:
        return [_name(label, names) for label in target.tolist()]
    texts = [f"lam {weight:.2f}" for weight in lam]
    if whole or target.ndim > 2:
        return texts
    rows = (target.value if isinstance(target, MixedTarget) else target).reshape(len(target), -1)
    if probabilities or (mixed and rows.shape[1] > 1 and rows.min() >= 0 and rows.max() <= 1):
        ranked = [sorted(enumerate(row), key=lambda share: -share[1])[:_MOST_LABELS] for row in rows.tolist()]
        return [_shares(row, names) for row in ranked]
    values = [", ".join(f"{value:.3g}" for value in row[:_MOST_LABELS]) for row in rows.tolist()]
    return [f"{value}\n{text}" for value, text in zip(values, texts, strict=True)]


def denormalise(x: Tensor, mean: Any = None, std: Any = None) -> Tensor:  # noqa: ANN401
    """Undo ``(x - mean) / std``.

    Args:
        x: Batch of shape ``(B, C, ...)``.
        mean: A number, or one for each channel; None is 0.
        std: Likewise; None is 1.

    Returns:
        A tensor of the same shape.

    Examples:
        >>> denormalise(torch.tensor([[[-1.0], [1.0]]]), mean=[0.5, 0.5], std=0.5)
        tensor([[[0.],
                 [1.]]])
    """

    def shaped(value: Any) -> Tensor:  # noqa: ANN401
        tensor = torch.as_tensor(value, dtype=x.dtype).cpu()
        return tensor.view(-1, *[1] * (x.ndim - 2)) if tensor.ndim == 1 else tensor

    return x * (1 if std is None else shaped(std)) + (0 if mean is None else shaped(mean))


def grid(
    x: Tensor,
    texts: Sequence[str],
    *,
    rows: Sequence[str] = (),
    outlines: Sequence[Outline | None] = (),
    title: str = "",
    columns: int = 8,
    cmap: str = "gray",
) -> Figure:
    """Samples side by side, each with a text under it.

    Args:
        x: Samples on the host. ``(N, C, H, W)`` and ``(N, H, W)`` are pictures, in colour if C is 3, else the mean of
            the channels; clips and volumes ``(N, C, T, H, W)`` show their middle. ``(N, C, L)`` with up to 8 channels
            are curves. ``(N, F)`` and ``(N,)`` are rows of a table. Pictures are black at 0 and white at 1, or at their
            common minimum and maximum if some are outside.
        texts: What stands under each sample.
        rows: What stands left of each line of pictures; nothing if empty.
        outlines: Of each picture, the first corner ``(row, column)`` of a region and the one behind its last pixel, to
            be drawn as a box; None draws none.
        title: What stands above all.
        columns: Pictures in a line; curves need twice the room.
        cmap: Matplotlib's colours for pictures of one channel.

    Returns:
        A figure of matplotlib.

    Examples:
        >>> figure = grid(torch.rand(5, 3, 8, 8), texts=["a", "b", "c", "d", "e"], columns=3)
        >>> [axis.get_xlabel() for axis in figure.axes]
        ['a', 'b', 'c', 'd', 'e']
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    x = torch.nan_to_num(x)
    if x.ndim < 3:
        return _table(x.reshape(len(x), -1), texts, title)
    curves = x.ndim == 3 and x.shape[1] <= _MOST_CURVES
    images = None if curves else _pictures(x)
    columns = min(len(x), max(columns // 2, 1) if curves else columns)
    lines = -(-len(x) // columns)
    longest = max(len(line) for text in texts for line in text.split("\n"))
    width = max(2.3 if curves else 1.15, _LETTER * longest)
    height = 1.2 if images is None else (width - _GAP) * min(max(images.shape[1] / images.shape[2], 0.25), 4)
    height += 0.1 + _LINE * max(text.count("\n") + 1 for text in texts)
    figure = Figure(figsize=(width * columns + bool(rows), height * lines + 1.5 * _LINE * bool(title)))
    figure.set_layout_engine("constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        if index >= len(x):
            axis.remove()
            continue
        if images is None:
            axis.plot(x[index].T.numpy(), linewidth=1)
            axis.set(ylim=_range(x), xmargin=0)
        else:
            axis.imshow(images[index].numpy(), cmap=cmap, vmin=0, vmax=1)
            if index < len(outlines) and (outline := outlines[index]) is not None:
                (top, left), (bottom, right) = outline
                corner, width_, height_ = (left - 0.5, top - 0.5), right - left, bottom - top
                axis.add_patch(Rectangle(corner, width_, height_, fill=False, edgecolor="#ffb000", linewidth=1.2))
        _label(axis, texts[index])
    for axis, name in zip(axes[:, 0], rows, strict=False):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    figure.suptitle(title, fontsize=10)
    return figure


def render(figure: Figure) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels of a figure.

    Args:
        figure: A figure of matplotlib.

    Returns:
        Array of shape ``(H, W, 3)``.

    Examples:
        >>> render(grid(torch.rand(2, 1, 8, 8), ["a", "b"])).shape[2]
        3
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels: np.ndarray[Any, np.dtype[np.uint8]] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return pixels


def _name(label: int, names: Sequence[str]) -> str:
    return textwrap.shorten(names[label], 16, placeholder="…") if 0 <= label < len(names) else str(label)


def _shares(labels: Sequence[tuple[int, float]], names: Sequence[str]) -> str:
    total: dict[int, float] = {}
    for label, weight in labels:
        total[label] = total.get(label, 0) + weight
    return "\n".join(f"{_name(label, names)}: {weight:.0%}" for label, weight in total.items() if weight >= 0.005)


def _range(x: Tensor) -> tuple[float, float]:
    low, high = x.min().item(), x.max().item()
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _pictures(x: Tensor) -> Tensor:
    """Shape ``(N, H, W)`` or ``(N, H, W, 3)``, values in [0, 1]."""
    while x.ndim > 4:
        x = x[:, :, x.shape[2] // 2]
    if x.ndim == 4:
        x = x.movedim(1, -1) if x.shape[1] == 3 else x.mean(1)
    low, high = x.min(), x.max()
    # Undone normalisation is off by a rounding error.
    inside = low > -1e-3 and high < 1 + 1e-3
    return x.clamp(0, 1) if inside else (x - low) / (high - low).clamp_min(1e-12)


def _label(axis: Axes, text: str) -> None:
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(text, fontsize=9)
    axis.spines[:].set_color("#bbbbbb")


def _table(x: Tensor, texts: Sequence[str], title: str) -> Figure:
    from matplotlib.figure import Figure

    shown = x[:, :_MOST_FEATURES]
    more = x.shape[1] > shown.shape[1]
    header = [*(f"x[{index}]" for index in range(shown.shape[1])), *["…"] * more, "target"]
    cells = [
        [*(f"{value:.3g}" for value in row), *["…"] * more, text.replace("\n", ", ")]
        for row, text in zip(shown.tolist(), texts, strict=True)
    ]
    widths = [max(len(line[column]) for line in (header, *cells)) + 2 for column in range(len(header))]
    figure = Figure(figsize=(_LETTER * sum(widths), 0.25 * (len(cells) + 1) + 2 * _LINE * bool(title)))
    figure.set_layout_engine("constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    shares = [width / sum(widths) for width in widths]
    table = axis.table(cells, colLabels=header, colWidths=shares, loc="center", cellLoc="right", colLoc="right")
    table.scale(1, 1.2)
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    for (line, _), cell in table.get_celld().items():
        cell.set_edgecolor("#bbbbbb")
        cell.visible_edges = "B" if line == 0 else ""
    figure.suptitle(title, fontsize=10)
    return figure
