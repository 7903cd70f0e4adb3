"""What only a GPU can tell: that no step waits for it, how close the kernels come to its memory, what a step costs."""

import logging
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lightning_mixup
from benchmarks import resnet
from benchmarks.kernels import floors, ours, peers
from benchmarks.timing import Contender, Row, Target, peak_memory, race
from lightning_mixup import CutMix, ManifoldMixup, MixCallback, MixedTarget, Mixup, RandomChoice, RegMixup
from lightning_mixup.functional import mixup, partners
from lightning_mixup.functional.pairing import PAIRINGS

SHAPE = (256, 3, 224, 224)
DTYPES = (torch.float32, torch.bfloat16)
METHODS: dict[str, type[MixCallback]] = {
    name: getattr(lightning_mixup, name)
    for name in ("Mixup", "CutMix", "FMix", "ResizeMix", "ManifoldMixup")
    if name in lightning_mixup.__all__
}
# Whatever might look at the device while it decides.
VARIANTS: dict[str, Callable[[], Callback | None]] = {
    "no callback": lambda: None,
    **METHODS,
    **{f"{name}, per sample": partial(method, per_sample=True) for name, method in METHODS.items()},
    "RandomChoice": lambda: RandomChoice([Mixup(), CutMix(), ManifoldMixup()]),
    "RegMixup": lambda: RegMixup(Mixup()),
    "Mixup, soft": partial(Mixup, targets="soft", num_classes=10),
    **{
        f"Mixup, {name}": partial(Mixup, pairing=name)
        for name, pairing in PAIRINGS.items()
        if pairing.looks_at != "values"
    },
}


def rows() -> Iterator[Row]:
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "synchronisation": _synchronisations,
        **{f"whole, {_short(dtype)}": partial(_whole, SHAPE, dtype) for dtype in DTYPES},
        **{f"kernels and peak memory, {_short(dtype)}": partial(_kernels, SHAPE, dtype) for dtype in DTYPES},
        "a step of ResNet-50": resnet.rows,
        "CUDA graph": _graph,
    }
    for name, part in parts.items():
        if not torch.cuda.is_available():
            yield Row("without a GPU", name, note="not run: no CUDA device")
            continue
        try:
            yield from part()
        except Exception as error:  # it is reported, and the other parts are measured
            yield Row(name, "not finished", note=_reason(error), verdicts={"finished": False})


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _reason(error: Exception) -> str:
    """What went wrong, and which line of ours was the last on the way there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "lightning_mixup" in Path(frame.filename).parts] or frames
    return f"{type(error).__name__}: {error}".splitlines()[0] + f" ({Path(own[-1].filename).name}: {own[-1].line})"


def _kernels(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Row]:
    x = torch.randn(shape, device="cuda", dtype=dtype)
    case = f"{shape} {_short(dtype)}"
    others, missing = peers(x)
    kernels = ours(x)
    # Each beside the libraries that do the same: torchvision out of place, timm in place.
    targets = {name: [Target(1 / 2.5, other) for other in others if other.endswith(f" {name}")] for name in kernels}
    for method in ("mixup", "cutmix"):
        targets[method].append(Target(1.2, "copy of 1.5 batches"))
        targets[f"{method}, in place"].append(Target(1.2, "warm copy" if method == "cutmix" else "copy of 1.5 batches"))
    contenders = {**floors(x), "copy of 1.5 batches": _copy_of_as_many_bytes(x), **kernels, **others}
    yield from race(case, contenders, ("copy of 1.5 batches", "clone", "textbook"), targets)
    yield from (Row(case, name, note=reason) for name, reason in missing.items())
    for name, kernel in kernels.items():
        peak = peak_memory(kernel)
        yield Row(f"{case}, peak memory", name, peak, unit="B", verdicts={"at most one batch": peak <= 1.01 * x.nbytes})


def _whole(shape: tuple[int, ...], dtype: torch.dtype, device: str = "cuda") -> Iterator[Row]:
    """Drawing and mixing, inputs and labels, as a training step has it done, beside libraries and the textbook."""
    x = torch.randn(shape, device=device, dtype=dtype)
    y = torch.randint(resnet.CLASSES, (len(x),), device=device)
    others, missing = peers(x)
    for method in (Mixup, CutMix):
        name = method.__name__
        callbacks = {
            name: method(1.0),
            f"{name}, in place": method(1.0, inplace=True),
            f"{name}, per sample": method(1.0, per_sample=True),
            f"{name}, soft targets": method(1.0, targets="soft", num_classes=resnet.CLASSES),
        }
        found = {words: _at_work(callback, x.clone(), y) for words, callback in callbacks.items()}
        baselines = {other: run for other, run in others.items() if name.lower() in other}
        targets = {words: [Target(1.0, other) for other in baselines if _alike(words, other)] for words in found}
        for words, run in list(found.items()):
            try:
                run()
            except Exception as error:
                del found[words], targets[words]
                missing[words] = _reason(error)
        textbook = {"textbook": _textbook(x, y)} if method is Mixup else {}
        case = f"{shape} {_short(dtype)}, {name} of inputs and targets, its draw included"
        yield from race(case, {**found, **textbook, **baselines}, tuple(baselines), targets)
    yield from (Row(f"{shape} {_short(dtype)}", name, note=reason) for name, reason in missing.items())


def _alike(words: str, other: str) -> bool:
    return all((how in words) == (how in other) for how in ("in place", "per sample"))


def _at_work(callback: MixCallback, x: Tensor, y: Tensor) -> Contender:
    rng = np.random.default_rng(0)

    def run() -> object:
        draw = callback.draw(rng, [x], 0.0, [y])
        return None if draw.method is None else callback.mix_batch((x, y), draw)

    return run


def _textbook(x: Tensor, y: Tensor) -> Contender:
    rng = np.random.default_rng(0)

    def run() -> object:
        lam, index = rng.beta(1.0, 1.0), torch.randperm(len(x), device=x.device)
        return lam * x + (1 - lam) * x[index], y, y[index], lam

    return run


def _copy_of_as_many_bytes(x: Tensor) -> Contender:
    """Mixing reads two streams and writes one, or clones and reads and writes half: three halves of a copy."""
    source, copy = (torch.empty(len(x) * 3 // 2, *x.shape[1:], device=x.device, dtype=x.dtype) for _ in range(2))
    return lambda: copy.copy_(source)


def _synchronisations() -> Iterator[Row]:
    for name, build in VARIANTS.items():
        for precision in ("32-true", "bf16-mixed"):
            yield _synchronisation(f"{name}, {precision}", build(), precision)


def _synchronisation(name: str, callback: Callback | None, precision: Any) -> Row:  # noqa: ANN401
    """Whether a step passes while waiting for the device is an error."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = TensorDataset(torch.randn(64, 3, 32, 32), torch.randint(10, (64,)))
    trainer = Trainer(
        accelerator="gpu",
        devices=1,
        precision=precision,
        max_epochs=1,
        callbacks=[each for each in (callback, _NoWaiting()) if each is not None],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(_Linear(), DataLoader(data, batch_size=8, pin_memory=True))
    except RuntimeError as error:
        return Row("synchronisation", name, note=_reason(error), verdicts={"none": False})
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return Row("synchronisation", name, verdicts={"none": True})


class _Linear(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10), nn.Identity())

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return F.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class _NoWaiting(Callback):
    """Forbids to wait from before the first batch is fetched until the last step is done."""

    def on_train_epoch_start(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("error")

    def on_train_epoch_end(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


def _graph() -> Iterator[Row]:
    """Whether a whole step can be captured once and replayed on other batches, with other draws."""
    name = "a step of Mixup, per sample"
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)).cuda()
    batches = [batch_and_draw(seed, "cuda") for seed in range(3)]
    static = [entry.clone() for entry in batches[0]]
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # where it is captured, so that nothing is left that belongs to another
        expected = [gradient(network, *batch) for batch in batches]
    torch.cuda.synchronize()
    try:
        with torch.cuda.graph(graph, stream=stream):
            captured = gradient(network, *static)
    except RuntimeError as error:
        yield Row("CUDA graph", name, note=_reason(error), verdicts={"captured": False})
        return
    same = []
    for batch, gradients in zip(batches, expected, strict=True):
        for old, new in zip(static, batch, strict=True):
            old.copy_(new)
        graph.replay()
        same += [torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(captured, gradients, strict=True)]
    yield Row("CUDA graph", name, verdicts={"captured": True, "replays other batches and draws": all(same)})


def batch_and_draw(seed: int, device: str) -> tuple[Tensor, ...]:
    """Images, labels and, as tensors on the device, what was drawn for them: a weight and a shift for each sample."""
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.randn(32, 3, 16, 16, generator=rng), torch.randint(10, (32,), generator=rng)
    return tuple(
        entry.to(device) for entry in (x, y, torch.rand(32, generator=rng), torch.randint(32, (32,), generator=rng))
    )


def gradient(network: nn.Module, x: Tensor, y: Tensor, lam: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
    """What a training step does with a batch, up to the optimizer."""
    network.zero_grad()
    F.cross_entropy(network(mixup(x, lam, shift)), MixedTarget(y, partners(y, shift), lam)).backward()
    return tuple(weight.grad for weight in network.parameters() if weight.grad is not None)
