"""All judges at once, for any module that maps inputs to logits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor

from lightning_mixup.evaluation import calibration, robustness
from lightning_mixup.evaluation.calibration import Bin
from lightning_mixup.evaluation.robustness import Pixels
from lightning_mixup.evaluation.scores import accuracy, calibrate, describe, detection_auroc, memorisation

Change = Callable[[Tensor, Tensor], Tensor]
"""Inputs and labels to other inputs."""


class Report(NamedTuple):
    """What an evaluation found."""

    scores: dict[str, float]
    """Name to number; shares are in ``[0, 1]``."""
    reliability: list[Bin]
    """The reliability diagram of the test samples."""


class Evaluation(Protocol):
    """What the configuration group ``evaluate`` builds."""

    def __call__(self, module: LightningModule, data: LightningDataModule) -> Report:
        """Judge a module on the test samples of a data module that is set up."""


class FullEvaluation:
    """Judge a classifier by accuracy, likelihood, calibration, robustness, memory and doubt about the unknown.

    Works on any module that maps a batch of inputs to logits ``(B, C)``, and on any data module with test batches of
    inputs and class indices. A data module may offer more, and is asked for what it offers:

    - ``val_dataloader``: the temperature is fitted on it;
    - ``mean``, ``std``, ``pixel_range``: see :class:`~lightning_mixup.evaluation.robustness.Pixels`;
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
        input_key: where inputs are in a batch: index or key.
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

    def __call__(self, module: LightningModule, data: LightningDataModule) -> Report:
        """Judge a module. ``data`` is set up; the module stays on its device, and keeps its modes.

        Args:
            module: maps inputs to logits.
            data: gives test samples, and what else it has.

        Returns:
            The scores, named ``test/...`` (test samples), ``val/...`` (the temperature) and ``train/...`` (memory).
        """
        with _judging(module):
            batches = [self._pair(batch, module) for batch in data.test_dataloader()]
            x = batches[0][0]
            pixels = Pixels.of(data, x)
            logits, labels = _predict(module, batches), _labels(batches)
            scores = describe(logits, labels)
            validation = [self._pair(batch, module) for batch in _offered(data, "val_dataloader")]
            if validation:
                fitted = calibration.fit_temperature(_predict(module, validation), _labels(validation))
                scores |= {"temperature": fitted}
                scores |= {f"{name}_scaled": score for name, score in calibrate(logits / fitted, labels).items()}
            for name, change in self._changes(module, pixels, images=x.ndim == 4):
                changed = _predict(module, ((change(x, y), y) for x, y in batches))
                scores[f"{name}/accuracy"] = accuracy(changed, labels)
            unknown = self._unknown(data, module, batches, pixels)
            if unknown:
                scores["ood_auroc"] = detection_auroc(logits, _predict(module, unknown))
            memory = [_on(batch, module) for batch in _offered(data, "memory_dataloader")]
            learned = memorisation(_predict(module, memory), *_both(memory)) if memory else {}
        named = {f"test/{name}": score for name, score in scores.items()}
        return Report(
            named | {f"train/{name}": share for name, share in learned.items()}, calibration.reliability(logits, labels)
        )

    def _pair(self, batch: Any, module: LightningModule) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        x, y = _on([batch[self.input_key], batch[self.target_key]], module)
        return x, y

    def _changes(self, module: LightningModule, pixels: Pixels, images: bool) -> Iterator[tuple[str, Change]]:
        for epsilon in self.epsilons:
            yield f"fgsm_{epsilon:g}", partial(robustness.fgsm, module, epsilon=epsilon, pixels=pixels)
            if self.pgd_steps:
                pgd = partial(robustness.pgd, module, epsilon=epsilon, pixels=pixels, steps=self.pgd_steps)
                yield f"pgd_{epsilon:g}", pgd
        for std in self.noise:
            yield f"noise_{std:g}", partial(_add_noise, std, pixels, self._generator())
        if images:
            for degrees in self.rotations:
                yield f"rotation_{degrees:g}", partial(_tilt, robustness.rotate, degrees, pixels, self._generator())
            for degrees in self.shears:
                yield f"shear_{degrees:g}", partial(_tilt, robustness.shear, degrees, pixels, self._generator())
            for view in self.zooms:
                yield f"zoom_{view:g}", partial(_zoom, view, pixels)

    def _unknown(
        self, data: LightningDataModule, module: LightningModule, known: list[tuple[Tensor, Tensor]], pixels: Pixels
    ) -> list[tuple[Tensor, ...]]:
        held_out = [_on([batch[self.input_key]], module) for batch in _offered(data, "ood_dataloader")]
        if held_out or pixels.low is None or pixels.high is None:
            return [tuple(batch) for batch in held_out]
        low, span, generator = pixels.low, pixels.high - pixels.low, self._generator()
        return [(pixels.to_inputs(low + span * torch.rand(x.shape, generator=generator).to(x)),) for x, _ in known]

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def _add_noise(std: float, pixels: Pixels, generator: torch.Generator, x: Tensor, _: Tensor) -> Tensor:
    return robustness.add_noise(x, std, pixels, generator)


def _tilt(
    tilt: Callable[..., Tensor], limit: float, pixels: Pixels, generator: torch.Generator, x: Tensor, _: Tensor
) -> Tensor:
    return tilt(x, limit * (2 * torch.rand(len(x), generator=generator) - 1), pixels)


def _zoom(view: float, pixels: Pixels, x: Tensor, _: Tensor) -> Tensor:
    return robustness.zoom(x, view, pixels)


def _predict(module: LightningModule, batches: Iterable[Sequence[Tensor]]) -> Tensor:
    logits = []
    for batch in batches:
        with torch.no_grad():
            logits.append(module(batch[0]).float().cpu())
    return torch.cat(logits)


def _labels(batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    return torch.cat([y for _, y in batches]).cpu()


def _both(memory: Iterable[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
    given, true = (torch.cat(part).cpu() for part in zip(*(batch[1:] for batch in memory), strict=True))
    return given, true


def _on(tensors: Sequence[Tensor], module: LightningModule) -> list[Tensor]:
    return [tensor.to(module.device) for tensor in tensors]


def _offered(data: LightningDataModule, name: str) -> Iterable[Any]:
    if getattr(type(data), name, None) in (None, getattr(LightningDataModule, name, None)):
        return ()
    batches: Iterable[Any] = getattr(data, name)()
    return batches


@contextmanager
def _judging(module: LightningModule) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
