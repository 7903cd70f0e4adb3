"""Eyes on what is mixed: the batches that a module is trained on, as pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.fabric.utilities.cloud_io import get_filesystem
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CometLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.targets import MixedTarget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TAG = "mix/preview"
_MOST_CURVES = 8
_MOST_FEATURES = 8
_MOST_LABELS = 3
_LINE, _LETTER, _GAP = 0.17, 0.09, 0.08  # height of a line of text, width of a letter, between pictures; in inches


class MixPreview(Callback):
    """Show mixed batches with their labels and weights, just as ``training_step`` receives them.

    Pictures are written as PNG into the folder ``mix_preview`` of the run, and sent to TensorBoard, W&B, MLflow and
    Comet as ``mix/preview``. A series becomes a plot, tabular data a table. Training is not touched, and the device is
    waited for on the batches that are shown alone.

    Args:
        batches: How many mixed batches of an epoch are shown, at least 1: the first ones.
        every_n_epochs: Show those of every n-th epoch; None shows those of the first epoch of a run alone.
        samples: How many samples of a batch are shown, at least 1: the first ones, of RegMixup the first mixed ones.
        class_names: Names of the classes; None takes ``class_names`` of the data module, else numbers.
        mean: Mean that was subtracted from the input, one number or one for each channel; None takes ``mean`` of the
            data module, else 0.
        std: Standard deviation that the input was divided by, likewise; None takes ``std``, else 1.
        cmap: Matplotlib's colours for pictures of one channel. ``"gray_r"`` shows ink as dark.

    Raises:
        ValueError: If a number is below 1.

    Examples:
        >>> from lightning_mixup import Mixup
        >>> callbacks = [Mixup(alpha=0.4), MixPreview(every_n_epochs=10)]
        >>> callbacks[1].samples
        16
    """

    def __init__(
        self,
        batches: int = 1,
        every_n_epochs: int | None = None,
        samples: int = 16,
        class_names: Sequence[str] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        cmap: str = "gray",
    ) -> None:
        super().__init__()
        for name, value in {"batches": batches, "every_n_epochs": every_n_epochs, "samples": samples}.items():
            if value is not None and value < 1:
                raise ValueError(f"MixPreview: {name} must be at least 1, got {value!r}")
        self.batches = batches
        self.every_n_epochs = every_n_epochs
        self.samples = samples
        self.class_names = None if class_names is None else tuple(class_names)
        self.mean, self.std = (tuple(value) if isinstance(value, Sequence) else value for value in (mean, std))
        self.cmap = cmap
        self._folder = ""
        self._epoch = -1
        self._shown = 0
        self._seen: Draw | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder, which all processes have to do together."""
        if stage == "fit":
            self._folder = str(trainer.log_dir or trainer.default_root_dir)
            self._epoch = -1
            if find_mix(trainer) is None:
                rank_zero_info("MixPreview: the Trainer has no mixing callback, so there is nothing to show")

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Show the batch while its mixed copy is at hand."""
        self._show(trainer)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:  # noqa: ANN401
        """Show the batch of a module that optimises by itself and never told anybody of its backward pass."""
        self._show(trainer)

    def _show(self, trainer: Trainer) -> None:
        mix = find_mix(trainer) if trainer.is_global_zero and self._is_due(trainer.current_epoch) else None
        if mix is None or mix.last is None or mix.last is self._seen or mix.last.method is None or mix.mixed is None:
            return
        self._seen = mix.last
        self._shown += 1
        epoch, batch = trainer.current_epoch, trainer.fit_loop.batch_idx
        figure = self.draw(mix, trainer, f"epoch {epoch}, batch {batch}")
        _write(figure, self._folder, f"epoch_{epoch:03d}_batch_{batch:04d}.png")
        pixels = render(figure)
        for logger in trainer.loggers:
            send(logger, pixels, trainer.global_step)

    def _is_due(self, epoch: int) -> bool:
        if epoch != self._epoch:
            self._epoch, self._shown = epoch, 0
        chosen = epoch == 0 if self.every_n_epochs is None else epoch % self.every_n_epochs == 0
        return chosen and self._shown < self.batches

    def draw(self, mix: MixCallback, trainer: Trainer, when: str) -> Figure:
        """Draw the batch that ``mix`` has mixed last.

        Args:
            mix: The mixing callback, in the middle of a batch that it has mixed.
            trainer: Knows the data module.
            when: Added to the title.

        Returns:
            A figure of matplotlib.
        """
        draw, mixed = mix.last, mix.mixed
        assert draw is not None
        assert mixed is not None
        data: Any = getattr(trainer, "datamodule", None)
        x = mixed[mix.input_key[0]][_rows(draw, self.samples)].detach().float().cpu()
        mean, std = _given(self.mean, data, "mean"), _given(self.std, data, "std")
        title = f"{type(draw.method).__name__}{_where(draw)}, {_how(draw, self.samples)}, {when}"
        return grid(denormalise(x, mean, std), self.texts(mix, trainer, self.samples), title=title, cmap=self.cmap)

    def texts(self, mix: MixCallback, trainer: Trainer, samples: int) -> list[str]:
        """What is written under the samples of the batch that ``mix`` has mixed last.

        Args:
            mix: The mixing callback, in the middle of a batch that it has mixed.
            trainer: Knows the data module.
            samples: How many samples, those that are drawn.

        Returns:
            One text for each sample, of one or more lines, as by ``captions``.
        """
        draw, mixed = mix.last, mix.mixed
        assert draw is not None
        assert mixed is not None
        rows = _rows(draw, samples)
        lam = np.broadcast_to(draw.lam, draw.batch_size)[rows]
        if not mix.target_key:
            return [f"lam {weight:.2f}" for weight in lam]
        target = mixed[mix.target_key[0]][rows].detach().cpu()
        names = _given(self.class_names, getattr(trainer, "datamodule", None), "class_names")
        return captions(target, lam, () if names is None else names, probabilities=mix.targets[0] == "soft")


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


def send(logger: Logger, pixels: np.ndarray[Any, np.dtype[np.uint8]], step: int) -> None:
    """Hand a picture to a logger, if it takes any.

    Args:
        logger: A logger of Lightning, or one with W&B's ``log_image(key, images, step)``.
        pixels: Array of shape ``(H, W, 3)``.
        step: Optimizer steps done.
    """
    experiment: Any = getattr(logger, "experiment", None)
    if hasattr(logger, "log_image"):
        logger.log_image(key=_TAG, images=[pixels], step=step)
    elif isinstance(logger, TensorBoardLogger):
        experiment.add_image(_TAG, pixels, step, dataformats="HWC")
    elif isinstance(logger, MLFlowLogger):
        experiment.log_image(logger.run_id, pixels, key=_TAG, step=step)
    elif isinstance(logger, CometLogger):
        experiment.log_image(pixels, name=_TAG, step=step)


def find_mix(trainer: Trainer) -> MixCallback | None:
    """The mixing callback of a Trainer, of which there is one at most."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, MixCallback)), None)


def _given(own: Any, data: Any, name: str) -> Any:  # noqa: ANN401
    return getattr(data, name, None) if own is None else own


def _where(draw: Draw) -> str:
    if draw.layer is None:
        return ""
    return " of the input" if draw.layer == "input" else f" of layer {draw.layer} (shown is its clean input)"


def _rows(draw: Draw, samples: int) -> slice:
    """The first samples; if none of them is mixed, as in a batch with its clean copy in front, the first that are."""
    mixed = np.broadcast_to(draw.lam, draw.batch_size) < 1
    start = 0 if mixed[:samples].any() else int(mixed.argmax())
    return slice(start, start + samples)


def _how(draw: Draw, samples: int) -> str:
    lam = np.broadcast_to(draw.lam, draw.batch_size)[_rows(draw, samples)]
    return f"lam {lam[0]:.2f}" if np.ptp(lam) == 0 else "lam per sample"


def _write(figure: Figure, folder: str, name: str) -> None:
    path = f"{folder}/mix_preview"
    files = get_filesystem(path)
    files.makedirs(path, exist_ok=True)
    with files.open(f"{path}/{name}", "wb") as file:
        figure.savefig(file, format="png", dpi=110)


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
