"""Pictures of the mixed batches that a module is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.fabric.utilities.cloud_io import get_filesystem
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CometLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.pictures import captions, denormalise, grid, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TAG = "mix/preview"


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
        rows = _rows(draw, self.samples)
        x = next(iter(mixed.values()))[rows].detach().float().cpu()
        mean, std = _given(self.mean, data, "mean"), _given(self.std, data, "std")
        title = f"{type(draw.method).__name__}{draw.where()}, {_how(draw, self.samples)}, {when}"
        texts = self.texts(mix, trainer, self.samples)
        outlines = [draw.outline(row) for row in range(draw.batch_size)[rows]]
        return grid(denormalise(x, mean, std), texts, outlines=outlines, title=title, cmap=self.cmap)

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
        keys = [key for key in mix.target_key if key in mixed]
        if not keys:
            return [f"lam {weight:.2f}" for weight in lam]
        target = mixed[keys[0]][rows].detach().cpu()
        names = _given(self.class_names, getattr(trainer, "datamodule", None), "class_names")
        return captions(target, lam, () if names is None else names, probabilities=mix.targets[0] == "soft")


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
