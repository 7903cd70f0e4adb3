"""What only a GPU can tell: that no step waits for it, and how close the kernels come to its memory."""

import logging
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.kernels import floors, ours, peers
from benchmarks.step import CALLBACKS, Bare
from benchmarks.timing import Contender, Row, Target, peak_memory, race
from lightning_mixup import MixedTarget, Mixup
from lightning_mixup.functional import mixup, partners
from lightning_mixup.functional.pairing import PAIRINGS

SHAPE = (256, 3, 224, 224)
# Whatever else might look at the device while it decides.
VARIANTS: dict[str, Callable[[], Callback | None]] = {
    "no callback": lambda: None,
    **CALLBACKS,
    "Mixup, soft": partial(Mixup, targets="soft", num_classes=10),
    **{
        f"Mixup, {name}": partial(Mixup, pairing=name)
        for name, pairing in PAIRINGS.items()
        if pairing.looks_at != "values"
    },
}


def rows() -> Iterator[Row]:
    if not torch.cuda.is_available():
        for name in ("synchronisation", "kernels", "peak memory", "CUDA graph"):
            yield Row(str(SHAPE), name, note="not run: no CUDA device")
        return
    x = torch.randn(SHAPE, device="cuda")
    others, missing = peers(x)
    kernels = ours(x)
    # Each beside the libraries that do the same: torchvision out of place, timm in place.
    targets = {name: [Target(1 / 2.5, other) for other in others if other.endswith(f" {name}")] for name in kernels}
    for method in ("mixup", "cutmix"):
        targets[method].append(Target(1.2, "copy of 1.5 batches"))
        targets[f"{method}, in place"].append(Target(1.2, "warm copy" if method == "cutmix" else "copy of 1.5 batches"))
    contenders = {**floors(x), "copy of 1.5 batches": _copy_of_as_many_bytes(x), **kernels, **others}
    yield from race(f"{SHAPE} float32", contenders, ("copy of 1.5 batches", "clone", "textbook"), targets)
    yield from (Row(str(SHAPE), name, note=reason) for name, reason in missing.items())
    for name, kernel in kernels.items():
        peak = peak_memory(kernel)
        yield Row(str(SHAPE), name, peak, unit="B", verdicts={"at most one batch": peak <= 1.01 * x.nbytes})
    for name, build in VARIANTS.items():
        yield _synchronisation(name, build())
    yield _graph()


def _copy_of_as_many_bytes(x: Tensor) -> Contender:
    """Mixing reads two streams and writes one, or clones and reads and writes half: three halves of a copy."""
    source, copy = (torch.empty(len(x) * 3 // 2, *x.shape[1:], device=x.device, dtype=x.dtype) for _ in range(2))
    return lambda: copy.copy_(source)


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


def _graph() -> Row:
    """Whether a whole step can be captured once and replayed on other batches, with other draws."""
    name = "a step of Mixup, per sample"
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)).cuda()
    batches = [batch_and_draw(seed, "cuda") for seed in range(3)]
    expected = [gradient(network, *batch) for batch in batches]
    static = [entry.clone() for entry in batches[0]]
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            captured = gradient(network, *static)
    except RuntimeError as error:
        return Row("CUDA graph", name, note=str(error).splitlines()[0], verdicts={"captured": False})
    same = []
    for batch, gradients in zip(batches, expected, strict=True):
        for old, new in zip(static, batch, strict=True):
            old.copy_(new)
        graph.replay()
        same += [torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(captured, gradients, strict=True)]
    return Row("CUDA graph", name, verdicts={"captured": True, "replays other batches and draws": all(same)})


def batch_and_draw(seed: int, device: str) -> tuple[Tensor, ...]:
    """Images, labels and, as tensors on the device, what was drawn for them: a weight and a shift for each sample."""
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.randn(32, 3, 16, 16, generator=rng), torch.randint(10, (32,), generator=rng)
    return tuple(
        entry.to(device) for entry in (x, y, torch.rand(32, generator=rng), torch.randint(32, (32,), generator=rng))
    )


def gradient(network: nn.Module, x: Tensor, y: Tensor, lam: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
    """What a training step does with a batch, up to the optimizer."""
    loss = F.cross_entropy(network(mixup(x, lam, shift)), MixedTarget(y, partners(y, shift), lam))
    return torch.autograd.grad(loss, tuple(network.parameters()))
