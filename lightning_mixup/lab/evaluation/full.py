"""All judges at once, for any module that maps inputs to logits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, Protocol

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor

from lightning_mixup.lab.evaluation import calibration, robustness
from lightning_mixup.lab.evaluation.calibration import Bin
from lightning_mixup.lab.evaluation.robustness import Pixels
from lightning_mixup.lab.evaluation.scores import (
    accuracy,
    calibrate,
    confusion,
    describe,
    detection_auroc,
    memorisation,
)
from lightning_mixup.lab.evaluation.sources import entry, logits_of, moved, offered

Change = Callable[[Tensor, Tensor], Tensor]
"""Inputs and labels to other inputs."""
_CLEAN, _NOISE = "clean", "unknown"
TEMPERATURE_AT_BOUND = (
    f"The fitted temperature is at a bound of its range, [{calibration.COOLEST}, {calibration.HOTTEST:g}]: the "
    "validation samples are too few, or all right, to fit one. Leave the scaled scores (*_scaled) alone."
)


class Report(NamedTuple):
    """What an evaluation found."""

    scores: dict[str, float]
    """Name to number; shares are in ``[0, 1]``."""
    reliability: list[Bin]
    """The reliability diagram of the test samples."""
    confusion: Sequence[Sequence[int]] = ()
    """How many test samples of each class, one row a class, are predicted as each class."""
    notes: Sequence[str] = ()
    """What has to be said beside the scores."""


class Evaluation(Protocol):
    """What the configuration group ``evaluate`` builds."""

    def __call__(self, module: LightningModule, data: LightningDataModule) -> Report:
        """Judge a module on the test samples of a data module that is set up."""


class FullEvaluation:
    """Judge a classifier by accuracy, likelihood, calibration, robustness, memory and doubt about the unknown.

    Works on any module that maps a batch of inputs to logits ``(B, C)``, or to something that holds them as
    ``logits``, and on any data module with test batches of inputs and class indices ``(B,)``. Inputs that are no
    floating point numbers, such as words, are neither attacked nor changed. A data module may offer more, and is asked
    for what it offers:

    - ``val_dataloader``: the temperature is fitted on it, unless ``val_is_test`` says that it shows test samples;
    - ``mean``, ``std``, ``pixel_range``: see ``Pixels``;
    - ``memory_dataloader()``: batches ``(x, given, true)`` of all training samples, with the labels that were trained
      on and the right ones: gives the share of each that is predicted;
    - ``ood_dataloader()``: batches whose first entry is inputs of classes that were held out of training; without
      it, images are told from uniform noise.

    Args:
        epsilons: strengths of the attacks in pixels: 8/255 is 0.0314 where pixels are in ``[0, 1]``.
        pgd_steps: steps of the iterated attack; 0 for none.
        noise: standard deviations of Gaussian noise, in pixels.
        rotations: images are turned by an angle drawn from ``[-degrees, degrees]``, for each number of degrees.
        shears: likewise, images are sheared.
        zooms: shares of the sides that are shown: below 1 zooms in, above 1 zooms out.
        seed: of noise, angles and unknown images, the same for every module that is judged.
        input_key: where inputs are in a batch, which is a sequence or a mapping: index or key.
        target_key: where labels are, likewise.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        epsilons: Sequence[float] = (0.0314, 0.1),
        pgd_steps: int = 10,
        noise: Sequence[float] = (0.1, 0.3),
        rotations: Sequence[float] = (20, 40),
        shears: Sequence[float] = (28.6, 57.3),
        zooms: Sequence[float] = (0.6, 0.8, 1.2, 1.4),
        seed: int = 0,
        input_key: int | str = 0,
        target_key: int | str = 1,
    ) -> None:
        lists = {"epsilons": epsilons, "noise": noise, "rotations": rotations, "shears": shears, "zooms": zooms}
        for name, values in lists.items():
            if any(value <= 0 for value in values):
                raise ValueError(f"{name} must be above 0, each of them; got {list(values)}.")
        if any(value >= 90 for value in shears):
            raise ValueError(f"shears must be below 90 degrees; got {list(shears)}.")
        if pgd_steps < 0:
            raise ValueError(f"pgd_steps must be 0 (no iterated attack) or more; got {pgd_steps!r}.")
        self.epsilons, self.noise, self.zooms = tuple(epsilons), tuple(noise), tuple(zooms)
        self.rotations, self.shears = tuple(rotations), tuple(shears)
        self.pgd_steps = pgd_steps
        self.seed = seed
        self.input_key, self.target_key = input_key, target_key

    def check(self, data: LightningDataModule) -> None:
        """Refuse, before anything is trained, what cannot be judged by logits.

        Raises:
            ValueError: ``data`` announce numbers to predict instead of classes.
        """
        if hasattr(data, "num_outputs") and not hasattr(data, "num_classes"):
            raise ValueError(
                "a full evaluation judges class probabilities, and needs data with num_classes; "
                f"{type(data).__name__} has values to predict. evaluate=basic tests a regression."
            )

    def __call__(self, module: LightningModule, data: LightningDataModule) -> Report:
        """Judge a module. ``data`` is set up; the module stays on its device, and keeps its modes.

        Args:
            module: maps inputs to logits.
            data: gives test samples, and what else it has.

        Returns:
            The scores, named ``test/...`` (test samples) and ``train/...`` (memory).

        Raises:
            TypeError: a batch, its labels or what the module gives is none of what is described above.
            ValueError: there are no test batches, or labels that are no class of the logits.
        """
        with _judging(module):
            held_out = [_logits(module, x) for (x,) in self._batches(module, data, "ood_dataloader", 1)]
            logits, labels = self._predict(module, data, noise_is_unknown=not held_out)
            clean = logits.pop(_CLEAN)
            scores = describe(clean, labels)
            if not getattr(data, "val_is_test", False):
                scores |= self._rescale(module, data, clean, labels)
            unknown = logits.pop(_NOISE, torch.cat(held_out) if held_out else None)
            if unknown is not None:
                scores["ood_auroc"] = detection_auroc(clean, unknown)
            scores |= {f"{name}/accuracy": accuracy(harder, labels) for name, harder in logits.items()}
            learned = self._remember(module, data)
        named = {f"test/{name}": score for name, score in scores.items()}
        return Report(
            named | {f"train/{name}": share for name, share in learned.items()},
            calibration.reliability(clean, labels),
            confusion(clean, labels),
            [TEMPERATURE_AT_BOUND] if calibration.at_bound(scores.get("temperature", 1.0)) else [],
        )

    def _predict(
        self, module: LightningModule, data: LightningDataModule, noise_is_unknown: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Logits of the test samples under every change, by its name, and labels: one pass over the samples."""
        logits: dict[str, list[Tensor]] = {}
        labels, changes = [], None
        for x, y in self._batches(module, data, "test_dataloader", 2):
            changes = changes or dict(self._changes(module, Pixels.of(data, x), x, noise_is_unknown))
            for name, change in changes.items():
                logits.setdefault(name, []).append(_logits(module, change(x, y)))
                _require_classes(y, logits[name][-1].shape[1])
            labels.append(y.cpu())
        if not labels:
            raise ValueError(f"A full evaluation needs test samples; {type(data).__name__} has no test batch.")
        return {name: torch.cat(parts) for name, parts in logits.items()}, torch.cat(labels)

    def _rescale(
        self, module: LightningModule, data: LightningDataModule, logits: Tensor, labels: Tensor
    ) -> dict[str, float]:
        validation = [(_logits(module, x), y.cpu()) for x, y in self._batches(module, data, "val_dataloader", 2)]
        if not validation:
            return {}
        temperature = calibration.fit_temperature(*map(torch.cat, zip(*validation, strict=True)))
        rescaled = calibrate(logits / temperature, labels)
        return {"temperature": temperature} | {f"{name}_scaled": score for name, score in rescaled.items()}

    def _remember(self, module: LightningModule, data: LightningDataModule) -> dict[str, float]:
        memory = [
            (_logits(module, x), given.cpu(), true.cpu())
            for x, given, true in moved(module, data, offered(data, "memory_dataloader"))
        ]
        return memorisation(*map(torch.cat, zip(*memory, strict=True))) if memory else {}

    def _batches(
        self, module: LightningModule, data: LightningDataModule, loader: str, entries: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Inputs and, as the second entry, labels of one of the loaders that the data offer."""
        for batch in moved(module, data, offered(data, loader)):
            x, *labels = (entry(batch, name, getattr(self, name)) for name in ("input_key", "target_key")[:entries])
            for y in labels:
                if y.ndim != 1 or y.is_floating_point():
                    raise TypeError(
                        f"evaluate.target_key={self.target_key!r} must lead to class indices, shape (B,); "
                        f"got {y.dtype} of shape {tuple(y.shape)}."
                    )
            yield x, *(y.long() for y in labels)

    def _changes(
        self, module: LightningModule, pixels: Pixels, x: Tensor, noise_is_unknown: bool
    ) -> Iterator[tuple[str, Change]]:
        yield _CLEAN, _leave
        if not x.is_floating_point():
            return
        network = partial(logits_of, module)
        for epsilon in self.epsilons:
            yield f"fgsm_{epsilon:g}", partial(robustness.fgsm, network, epsilon=epsilon, pixels=pixels)
            if self.pgd_steps:
                pgd = partial(robustness.pgd, network, epsilon=epsilon, pixels=pixels, steps=self.pgd_steps)
                yield f"pgd_{epsilon:g}", pgd
        for std in self.noise:
            yield f"noise_{std:g}", partial(_add_noise, std, pixels, self._generator())
        if x.ndim == 4:
            for degrees in self.rotations:
                yield f"rotation_{degrees:g}", partial(_tilt, robustness.rotate, degrees, pixels, self._generator())
            for degrees in self.shears:
                yield f"shear_{degrees:g}", partial(_tilt, robustness.shear, degrees, pixels, self._generator())
            for view in self.zooms:
                yield f"zoom_{view:g}", partial(_zoom, view, pixels)
        if noise_is_unknown and pixels.low is not None and pixels.high is not None:
            yield _NOISE, partial(_replace_by_noise, pixels.low, pixels.high, pixels, self._generator())

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def _leave(x: Tensor, _: Tensor) -> Tensor:
    return x


def _replace_by_noise(
    low: float, high: float, pixels: Pixels, generator: torch.Generator, x: Tensor, _: Tensor
) -> Tensor:
    return pixels.to_inputs(low + (high - low) * torch.rand(x.shape, generator=generator).to(x))


def _add_noise(std: float, pixels: Pixels, generator: torch.Generator, x: Tensor, _: Tensor) -> Tensor:
    return robustness.add_noise(x, std, pixels, generator)


def _tilt(
    tilt: Callable[..., Tensor], limit: float, pixels: Pixels, generator: torch.Generator, x: Tensor, _: Tensor
) -> Tensor:
    return tilt(x, limit * (2 * torch.rand(len(x), generator=generator) - 1), pixels)


def _zoom(view: float, pixels: Pixels, x: Tensor, _: Tensor) -> Tensor:
    return robustness.zoom(x, view, pixels)


def _logits(module: LightningModule, x: Tensor) -> Tensor:
    with torch.no_grad():
        return logits_of(module, x).float().cpu()


def _require_classes(labels: Tensor, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"Labels must be in [0, {classes}), for so many logits there are; got {low} to {high}.")


@contextmanager
def _judging(module: LightningModule) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
