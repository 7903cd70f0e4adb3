"""Mixing a hidden layer: forward and backward, eager and compiled. No other library has a kernel for it."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.kernels import device
from benchmarks.timing import Contender, Row, Target, race
from lightning_mixup.functional import mixup


def rows() -> Iterator[Row]:
    shape, lam, shift = (128, 64, 32, 32), 0.3, 43
    x = torch.randn(shape, device=device())
    index = torch.randperm(len(x), device=x.device)
    # As a hook holds them, in whose network numbers would be compiled in.
    weight, distance = torch.tensor(lam, device=x.device), torch.tensor(shift)
    weights = torch.rand(len(x), device=x.device)
    layers: dict[str, Callable[[Tensor], Tensor]] = {
        "hook that clones": lambda h: h.clone(),
        "textbook": lambda h: lam * h + (1 - lam) * h[index],
        "mixup": lambda h: mixup(h, weight, distance),
        "mixup, per sample": lambda h: mixup(h, weights, distance),
    }
    contenders: dict[str, Contender] = {"two clones": lambda: (x.clone(), x.clone())}
    for name, layer in layers.items():
        contenders[name] = _train(x, layer)
        contenders[f"{name}, compiled"] = _train(x, torch.compile(layer))
    targets = {name: [Target(1.3, "two clones")] for name in contenders if name.startswith("mixup")}
    yield from race(f"{shape} float32, forward and backward", contenders, ("two clones", "textbook"), targets)


def _train(x: Tensor, layer: Callable[[Tensor], Tensor]) -> Contender:
    leaf, grad = x.clone().requires_grad_(), torch.randn_like(x)

    def step() -> None:
        torch.autograd.grad(layer(leaf), leaf, grad)

    return step
