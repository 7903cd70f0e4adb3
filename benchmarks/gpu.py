"""What only a GPU can tell: that no step waits for it, and how close the kernels come to its memory."""

import logging
from collections.abc import Iterator
from functools import partial

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.kernels import floors, ours, peers
from benchmarks.step import CALLBACKS, Bare
from benchmarks.timing import Row, Target, peak_memory, race

SHAPE = (256, 3, 224, 224)


def rows() -> Iterator[Row]:
    if not torch.cuda.is_available():
        for name in ("synchronisation", "kernels", "peak memory", "CUDA graph"):
            yield Row(str(SHAPE), name, note="not run: no CUDA device")
        return
    x = torch.randn(SHAPE, device="cuda")
    others, missing = peers(x)
    targets = {
        method: [Target(1.2, "warm copy"), *(Target(1 / 2.5, name) for name in others if name.split()[1] == method)]
        for method in ("mixup", "cutmix")
    }
    against = ("warm copy", "clone", "textbook")
    yield from race(f"{SHAPE} float32", {**floors(x), **ours(x), **others}, against, targets)
    yield from (Row(str(SHAPE), name, note=reason) for name, reason in missing.items())
    for name, kernel in ours(x).items():
        peak = peak_memory(kernel)
        yield Row(str(SHAPE), name, peak, unit="B", verdicts={"at most one batch": peak <= 1.01 * x.nbytes})
    for name, callback in CALLBACKS.items():
        yield _synchronisation(name, callback())
    yield _graph(x)


def _synchronisation(name: str, callback: Callback | None) -> Row:
    """Whether a step passes while waiting for the device is an error."""
    guard = _NoWaiting()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = TensorDataset(torch.randn(64, 3, 32, 32), torch.randint(10, (64,)))
    trainer = Trainer(
        accelerator="gpu",
        devices=1,
        max_steps=8,
        callbacks=[each for each in (callback, guard) if each is not None],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(Bare((64, 3, 32, 32)), DataLoader(data, batch_size=8, pin_memory=True))
    except RuntimeError as error:
        torch.cuda.set_sync_debug_mode("default")
        return Row("synchronisation", name, note=str(error).splitlines()[0], verdicts={"none": False})
    return Row("synchronisation", name, verdicts={"none": True})


class _NoWaiting(Callback):
    """Forbids to wait from before the callback under test draws until the backward pass is done."""

    def on_train_epoch_start(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("error")

    def on_train_epoch_end(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


def _graph(x: torch.Tensor) -> Row:
    """Whether a kernel can be captured: what changes from draw to draw must then be a tensor on the device."""
    graph = torch.cuda.CUDAGraph()
    kernel = partial(ours(x)["mixup, per sample"])
    kernel()
    try:
        with torch.cuda.graph(graph):
            kernel()
    except RuntimeError as error:
        return Row(str(SHAPE), "CUDA graph", note=str(error).splitlines()[0], verdicts={"captured": False})
    return Row(str(SHAPE), "CUDA graph of mixup, per sample", verdicts={"captured": True})
