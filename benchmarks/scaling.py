"""Which law cost follows: cost = fixed + each * size, and how well that fits.

The number of a row is the exponent k of cost = c * size ** k: below 1 where the fixed part is large, above 1 if the law
were steeper than a line.
"""

import logging
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import nn

from benchmarks.kernels import device
from benchmarks.loss import losses
from benchmarks.timing import Contender, Row, peak_memory, take_turns
from lightning_mixup import ManifoldMixup
from lightning_mixup.functional import cutmix, generator, mixup, sample_box

# From where fixed costs hardly show to where the cache no longer holds what goes in and what comes out.
BATCHES, CHANNELS = (16, 24, 32, 48, 64), (4, 6, 8, 12, 16)
CLASSES, LAYERS = (1024, 2048, 4096, 8192), (2, 8, 32, 128)


def rows() -> Iterator[Row]:
    threads = torch.get_num_threads()
    # Threads wait for each other as long whatever the size.
    torch.set_num_threads(1)
    yield from all_laws()
    torch.set_num_threads(threads)


def all_laws() -> Iterator[Row]:
    def images(batch_size: int = 32, channels: int = 8) -> torch.Tensor:
        return torch.randn(batch_size, channels, 64, 64, device=device())

    by: dict[str, tuple[tuple[int, ...], Callable[[int], torch.Tensor]]] = {
        "batch size": (BATCHES, lambda size: images(batch_size=size)),
        "channels": (CHANNELS, lambda size: images(channels=size)),
    }
    for name, (sizes, batch) in by.items():
        for kernel, inplace in (("mixup", False), ("mixup", True), ("cutmix", False), ("cutmix", True)):
            title = f"{kernel}, in place" if inplace else kernel
            contenders = {size: _kernel(kernel, batch(size), inplace) for size in sizes}
            yield from laws(f"{title} by {name}", contenders)
    contenders = {size: losses(256, size)["mixed labels"] for size in CLASSES}
    yield from laws("mixed labels by number of classes", contenders)
    yield from layers()


def laws(case: str, contenders: dict[int, Contender]) -> Iterator[Row]:
    times = _fastest({str(size): f for size, f in contenders.items()})
    yield _law(case, "time", list(contenders), times)
    yield _law(case, "peak memory", list(contenders), [peak_memory(f) for f in contenders.values()])


def layers() -> Iterator[Row]:
    """Of the eligible layers all but one look whether it is their turn and go on: the time that takes."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    added, held = [], []
    for size in LAYERS:
        plain, hooked = (nn.Sequential(*(nn.Identity() for _ in range(size))) for _ in range(2))
        module = LightningModule()
        module.network = hooked
        callback = ManifoldMixup(layers=["network.*"])
        tracemalloc.start()
        callback.attach(module)
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        without, with_hooks = _fastest({"plain": partial(plain, None), "hooked": partial(hooked, None)})
        added.append(with_hooks - without)
    yield _law("hooks by number of eligible layers", "time", LAYERS, added)
    yield _law("hooks by number of eligible layers", "memory", LAYERS, held)
    yield Row("hooks by number of eligible layers", "time a layer", added[-1] / LAYERS[-1])
    yield Row("hooks by number of eligible layers", "memory a layer", held[-1] / LAYERS[-1], unit="B")


def _fastest(contenders: Mapping[str, Contender]) -> list[float]:
    # Other work of the machine only ever adds to a time.
    return [min(seconds) for seconds in take_turns(contenders).values()]


def _law(case: str, what: str, sizes: Sequence[int], costs: Sequence[float]) -> Row:
    exponent = float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
    line = np.polyval(np.polyfit(sizes, costs, 1), sizes)
    explained = 1 - np.var(costs - line) / np.var(costs)
    verdicts = {f"linear: a line explains {explained:.1%}, at least 95 %": bool(explained >= 0.95)}
    return Row(case, what, exponent, unit="", verdicts=verdicts)


def _kernel(name: str, x: torch.Tensor, inplace: bool) -> Contender:
    if name == "mixup":
        return lambda: mixup(x, 0.3, len(x) // 3, inplace=inplace)
    box = sample_box(generator(seed=0, rank=0, step=0), 0.5, x.shape[-2:])
    return lambda: cutmix(x, box, len(x) // 3, inplace=inplace)
