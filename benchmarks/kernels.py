"""The kernels, beside what moving the bytes costs, the textbook expression and other libraries."""

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.timing import Contender, Row, Target, race
from lightning_mixup.functional import (
    Box,
    cutmix,
    fmix,
    generator,
    mixup,
    resizemix,
    sample_box,
    sample_fmix,
    sample_lam,
    sample_resize,
)

SHAPES = [(128, 3, 32, 32), (64, 3, 224, 224), (8, 3, 16, 112, 112), (256, 4096)]
TARGETS = {
    "mixup": [Target(1.15, "clone"), Target(1 / 4, "textbook")],
    "mixup, in place": [Target(2, "warm copy"), Target(1 / 15, "textbook")],
    "mixup, per sample": [Target(1.3, "mixup")],
    "cutmix": [Target(1.15, "clone")],
    "cutmix, in place": [Target(1, "warm copy")],
    "cutmix, per sample": [Target(2, "clone")],
}
# Of small images, Python's walk over the samples takes longer than their bytes.
SMALL_TARGETS = {"cutmix, per sample": [Target(6, "clone")]}


def rows() -> Iterator[Row]:
    for shape in SHAPES:
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        for memory_format in dict.fromkeys([torch.contiguous_format, formats.get(len(shape), torch.contiguous_format)]):
            for dtype in (torch.float32, torch.bfloat16):
                x = torch.randn(shape, device=device()).to(dtype=dtype, memory_format=memory_format)
                targets: dict[str, list[Target]] = {}
                if dtype == torch.float32 and len(shape) == 4:
                    large, contiguous = shape[-1] == 224, memory_format == torch.contiguous_format
                    targets = SMALL_TARGETS if not large else TARGETS if contiguous else {}
                yield from compare(x, targets)


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def compare(x: torch.Tensor, targets: dict[str, list[Target]]) -> Iterator[Row]:
    layout = "contiguous" if x.is_contiguous() else "channels_last"
    case = f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')} {layout}"
    others, missing = peers(x)
    yield from race(case, {**floors(x), **ours(x), **others}, ("warm copy", "clone", "textbook"), targets)
    for name, reason in missing.items():
        yield Row(case, name, note=reason)


def floors(x: torch.Tensor) -> dict[str, Contender]:
    warm, lam, index = torch.empty_like(x), 0.3, torch.randperm(len(x), device=x.device)
    return {
        "warm copy": lambda: warm.copy_(x),
        "clone": lambda: x.clone(),
        "textbook": lambda: lam * x + (1 - lam) * x[index],
    }


def ours(x: torch.Tensor) -> dict[str, Contender]:
    batch_size, shift, scratch = len(x), len(x) // 3, x.clone()
    rng = generator(seed=0, rank=0, step=0)
    lams = sample_lam(rng, alpha=1.0, size=batch_size)
    weights = {"": 0.3, ", per sample": torch.from_numpy(lams).to(x.device, torch.float32)}
    contenders: dict[str, Contender] = {}

    def add(name: str, kernel: Callable[..., Any], how: object) -> None:
        contenders[name] = lambda: kernel(x, how, shift)
        contenders[name + (" in place" if "," in name else ", in place")] = lambda: kernel(
            scratch, how, shift, inplace=True
        )

    for suffix, lam in weights.items():
        add("mixup" + suffix, mixup, lam)
    if x.ndim > 2:
        # The same size wherever chance has put it: half of the image, from its middle.
        size = x.shape[-2:]
        side = (np.array(size) * 0.5**0.5).astype(int)
        low = (np.array(size) - side) // 2
        middle = Box(tuple(low.tolist()), tuple((low + side).tolist()), 0.5)
        for suffix, box in {"": middle, ", per sample": sample_box(rng, lams, size)}.items():
            add("cutmix" + suffix, cutmix, box)
        for suffix, share in {"": 0.5, ", per sample": lams}.items():
            add("fmix" + suffix, fmix, sample_fmix(rng, share, size))
        for suffix, number in {"": None, ", per sample": batch_size}.items():
            add("resizemix" + suffix, resizemix, sample_resize(rng, 0.1, 0.8, size, number))
    return contenders


def peers(x: torch.Tensor) -> tuple[dict[str, Contender], dict[str, str]]:
    """Other libraries on the same batch, labels included as they insist on them; and why one is missing."""
    found: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for library, build in {"kornia": _kornia, "torchvision": _torchvision, "timm": _timm}.items():
        try:
            candidates = build(x.clone(), labels)
            for candidate in candidates.values():
                candidate()
        except Exception as error:
            missing[library] = f"not compared: {type(error).__name__}: {error}".splitlines()[0][:100]
        else:
            found.update({f"{library} {name}": candidate for name, candidate in candidates.items()})
    return found, missing


def _kornia(x: torch.Tensor, labels: torch.Tensor) -> dict[str, Contender]:
    augmentation = importlib.import_module("kornia.augmentation")
    keys = ["input", "class"]
    methods = {
        "mixup": augmentation.RandomMixUpV2(p=1.0, same_on_batch=True, data_keys=keys),
        "cutmix": augmentation.RandomCutMixV2(p=1.0, same_on_batch=True, data_keys=keys),
        "cutmix, per sample": augmentation.RandomCutMixV2(p=1.0, data_keys=keys),
    }
    return {name: partial(method, x, labels) for name, method in methods.items()}


def _torchvision(x: torch.Tensor, labels: torch.Tensor) -> dict[str, Contender]:
    v2 = importlib.import_module("torchvision.transforms.v2")
    methods = {"mixup": v2.MixUp(num_classes=1000), "cutmix": v2.CutMix(num_classes=1000)}
    return {name: partial(method, x, labels) for name, method in methods.items()}


def _timm(x: torch.Tensor, labels: torch.Tensor) -> dict[str, Contender]:
    mix = importlib.import_module("timm.data.mixup").Mixup
    methods = {
        "mixup, in place": mix(mixup_alpha=1.0, cutmix_alpha=0.0),
        "cutmix, in place": mix(mixup_alpha=0.0, cutmix_alpha=1.0),
        "cutmix, per sample in place": mix(mixup_alpha=0.0, cutmix_alpha=1.0, mode="elem"),
    }
    return {name: partial(method, x, labels) for name, method in methods.items()}
