"""Show what a configuration mixes, without training it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lightning_mixup.callbacks import MixCallback, MixPreview
from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.evaluate import ALONE
from lightning_mixup.lab.app.parts import assemble, tidy
from lightning_mixup.schedules import Schedule, plot

_BATCHES = 4  # shown by preview=true
_PATIENCE = 25  # batches looked at for each one to be shown, for some may be left as they are
_SAMPLES = 5  # of a batch, in a line of the table
_ALWAYS = ("batch", "method", "alpha", "lam")  # columns of the table, even if there is nothing in them


class Shown(NamedTuple):
    """A mixed batch, in words."""

    epoch: int
    batch: int
    method: str
    layer: str
    alpha: str
    lam: str
    labels: str


class Look(NamedTuple):
    """What was seen of a run."""

    mix: MixCallback
    batches: list[Shown]
    seen: int
    """Batches looked at, mixed or not."""
    pictures: list[Path]


def preview(cfg: DictConfig) -> None:
    """Show the first mixed batches of the run that a configuration describes: pictures, and a table of them.

    Args:
        cfg: what ``conf/train.yaml`` describes; ``cfg.preview`` is ``True`` or the number of batches.

    Raises:
        ConfigError: the configuration asks for something that cannot be, or mixes nothing.
    """
    if cfg.get("ckpt"):
        raise ConfigError("preview shows what a training run mixes, ckpt is judged without one; give one of the two.")
    if type(cfg.preview) is not bool and not (isinstance(cfg.preview, int) and cfg.preview > 0):
        raise ConfigError(f"preview must be true, false or a number of batches, at least 1; got {cfg.preview!r}.")
    run_dir, console = Path(HydraConfig.get().runtime.output_dir), Console()
    OmegaConf.resolve(cfg)
    OmegaConf.save(cfg, run_dir / "config.yaml")
    with tidy():
        look = watch(cfg, run_dir, _BATCHES if cfg.preview is True else cfg.preview)
    _show(look, console)


def watch(cfg: DictConfig, folder: Path, batches: int) -> Look:
    """Begin the run that a configuration describes, and end it when enough batches have been mixed.

    It is the run itself, in one process, without its logger and all callbacks but those that mix and show: whatever it
    shows, training will do.

    Args:
        cfg: the whole configuration, resolved.
        folder: where ``mix_preview/*.png`` is written, and ``schedules.png`` if anything follows a schedule.
        batches: how many mixed batches are shown.

    Returns:
        What was mixed, and the pictures.

    Raises:
        ConfigError: the configuration mixes nothing, or asks for something that cannot be.
    """
    parts = assemble(cfg)
    callbacks = [build(cfg, key) for key in (*(f"callbacks.{name}" for name in cfg.callbacks or ()), "mix")]
    mix = next((callback for callback in callbacks if isinstance(callback, MixCallback)), None)
    if mix is None:
        raise ConfigError("preview shows what is mixed, and this run mixes nothing; choose a method: mix=mixup.")
    shown = next((callback for callback in callbacks if isinstance(callback, MixPreview)), MixPreview())
    shown.batches, shown.every_n_epochs = batches, 1
    observer = _Observer(mix, shown, batches)
    # The mixing callback is the last, for it puts the mixed batch away when the batch ends.
    trainer: Trainer = build(
        cfg, "trainer", **{**ALONE, "callbacks": [shown, observer, mix], "default_root_dir": folder}
    )
    with suppress(_SeenEnoughError):
        trainer.fit(parts.module, parts.data)
    pictures = sorted((folder / "mix_preview").glob("*.png"))
    if schedules := dict(schedules_of(mix)):
        pictures.append(folder / "schedules.png")
        plot(schedules, pictures[-1], *mix.length)
    return Look(mix, observer.batches, observer.seen, pictures)


def schedules_of(mix: MixCallback) -> Iterator[tuple[str, Schedule]]:
    """Everything about a mixing callback that follows a schedule, by the path of the argument.

    Args:
        mix: the callback; the methods that it chooses from, or wraps, are searched too.

    Examples:
        >>> from lightning_mixup import CutMix, Mixup, RandomChoice
        >>> from lightning_mixup.schedules import Linear
        >>> mix = RandomChoice([Mixup(alpha=Linear(0, 1)), CutMix()], weights=[1, Linear(0, 2)])
        >>> dict(schedules_of(mix))
        {'methods[0].alpha': Linear(start=0.0, end=1.0), 'weights[1]': Linear(start=0.0, end=2.0)}
    """
    for name, value in mix._arguments().items():
        yield from _schedules(name, value)


def _schedules(name: str, value: Any) -> Iterator[tuple[str, Schedule]]:  # noqa: ANN401
    if isinstance(value, MixCallback):
        for inner, schedule in schedules_of(value):
            yield f"{name}.{inner}", schedule
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _schedules(f"{name}.{key}", entry)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, entry in enumerate(value):
            yield from _schedules(f"{name}[{index}]", entry)
    elif isinstance(value, Schedule):
        yield name, value


def _show(look: Look, console: Console) -> None:
    console.print(repr(look.mix), markup=False, highlight=False, soft_wrap=True)
    columns = {name: [str(getattr(batch, name)) for batch in look.batches] for name in Shown._fields}
    told = {name: column for name, column in columns.items() if name in _ALWAYS or set(column) - {"", "0"}}
    if look.batches:
        table = Table()
        for name in told:
            table.add_column(name, justify="left" if name in ("method", "layer", "labels") else "right")
        for row in zip(*told.values(), strict=True):
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
    if len(look.batches) < look.seen:
        console.print(f"Of the first {look.seen} batches {len(look.batches)} are mixed, the others left as they are.")
    for picture in look.pictures:
        console.print(str(picture), soft_wrap=True, markup=False, highlight=False)


class _SeenEnoughError(Exception):
    """Ends a fit at once: to stop it would validate first."""


class _Observer(Callback):
    """Notes the batches that are mixed, until there are enough."""

    def __init__(self, mix: MixCallback, shown: MixPreview, enough: int) -> None:
        self.mix, self.shown, self.enough = mix, shown, enough
        self.batches: list[Shown] = []
        self.seen = 0

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:  # noqa: ANN401
        draw = self.mix.last
        self.seen += 1
        if draw is not None and draw.method is not None and self.mix.mixed is not None:
            texts = self.shown.texts(self.mix, trainer, _SAMPLES)
            where = (
                trainer.current_epoch,
                trainer.fit_loop.batch_idx,
                type(draw.method).__name__,
                getattr(draw, "layer", ""),
            )
            labels = ", ".join(filter(None, map(_labels, texts)))
            self.batches.append(Shown(*where, _values(draw.values), _lam(draw.lam), labels))
        if len(self.batches) == self.enough or self.seen >= _PATIENCE * self.enough:
            raise _SeenEnoughError


def _values(values: Mapping[str, float]) -> str:
    """The strength, where the method has one."""
    return f"{values['alpha']:.3g}" if "alpha" in values else ""


def _lam(lam: float | np.ndarray[Any, Any]) -> str:
    """The weights of the samples that are mixed."""
    each = np.atleast_1d(lam)
    mixed = each[each < 1] if (each < 1).any() else each
    low, high = f"{mixed.min():.2f}", f"{mixed.max():.2f}"
    return low if low == high else f"{low} to {high}"


def _labels(text: str) -> str:
    """The labels of a sample without their weights, which the table tells once."""
    return "+".join(
        re.sub(r": \d+%$", "", line) for line in text.split("\n") if not re.fullmatch(r"lam \d\.\d\d", line)
    )
