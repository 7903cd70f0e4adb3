"""Which law cost follows: the exponent k of cost = c * size ** k, fitted to medians, beside the expected one."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import nn

from benchmarks.kernels import device
from benchmarks.loss import losses
from benchmarks.timing import Contender, Row, peak_memory, race
from lightning_mixup import ManifoldMixup
from lightning_mixup.functional import cutmix, generator, mixup, sample_box

# From where fixed costs no longer show to where the allocator takes new memory from the system every time.
BATCHES, CHANNELS, CLASSES, LAYERS = (16, 32, 64, 128), (2, 4, 8, 16), (1024, 2048, 4096, 8192), (2, 8, 32, 128)


def rows() -> Iterator[Row]:
    def images(batch_size: int = 64, channels: int = 8) -> torch.Tensor:
        return torch.randn(batch_size, channels, 64, 64, device=device())

    for name, sizes, batch in (
        ("batch size", BATCHES, lambda size: images(batch_size=size)),
        ("channels", CHANNELS, lambda size: images(channels=size)),
    ):
        for kernel, inplace in (("mixup", False), ("mixup", True), ("cutmix", False), ("cutmix", True)):
            title = f"{kernel}, in place" if inplace else kernel
            contenders = {size: _kernel(kernel, batch(size), inplace) for size in sizes}
            yield from laws(f"{title} by {name}", contenders)
    contenders = {size: losses(256, size)["mixed labels"] for size in CLASSES}
    yield from laws("mixed labels by number of classes", contenders)
    yield from layers()


def laws(case: str, contenders: dict[int, Contender]) -> Iterator[Row]:
    times = [row.median for row in race(case, {str(size): f for size, f in contenders.items()}, rounds=11)]
    for what, costs in (("time", times), ("peak memory", [peak_memory(f) for f in contenders.values()])):
        yield _law(case, what, list(contenders), costs)


def layers() -> Iterator[Row]:
    """Of the eligible layers all but one look whether it is their turn and go on: the time that takes."""
    added = []
    for size in LAYERS:
        plain, hooked = LightningModule(), LightningModule()
        for module in (plain, hooked):
            module.network = nn.Sequential(*(nn.Identity() for _ in range(size)))
        ManifoldMixup(layers=["network.*"]).attach(hooked)
        contenders = {"plain": partial(plain.network, None), "hooked": partial(hooked.network, None)}
        seconds = [row.median for row in race("", contenders, rounds=11)]
        added.append(seconds[1] - seconds[0])
    yield _law("hooks by number of eligible layers", "time", LAYERS, added)
    yield Row("hooks by number of eligible layers", "time a layer", added[-1] / LAYERS[-1])


def _law(case: str, what: str, sizes: Sequence[int], costs: Sequence[float]) -> Row:
    exponent = float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
    return Row(case, what, exponent, unit="", verdicts={"linear: exponent within 0.3 of 1": abs(exponent - 1) < 0.3})


def _kernel(name: str, x: torch.Tensor, inplace: bool) -> Contender:
    if name == "mixup":
        return lambda: mixup(x, 0.3, len(x) // 3, inplace=inplace)
    box = sample_box(generator(seed=0, rank=0, step=0), 0.5, x.shape[-2:])
    return lambda: cutmix(x, box, len(x) // 3, inplace=inplace)
