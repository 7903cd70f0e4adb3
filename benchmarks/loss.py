"""Cross entropy on two labels at once, beside plain and soft ones. No other library has it without soft labels."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import device
from benchmarks.timing import Contender, Row, Target, peak_memory, race, rows_of
from lightning_mixup import MixedTarget

SIZES = [(1024, 1000), (512, 50257)]


def rows() -> Iterator[Row]:
    for size in SIZES:
        contenders = losses(*size)
        targets = {name: [Target(1.3, "plain labels")] for name in contenders if name.startswith("mixed")}
        case = f"{size} float32, forward and backward"
        yield from race(f"{case}: time", contenders, ("plain labels",), targets, turn=0.03)
        memory = {name: [peak_memory(f)] for name, f in contenders.items()}
        yield from rows_of(f"{case}: peak memory", memory, ("plain labels",), targets, unit="B")


def losses(batch_size: int, num_classes: int) -> dict[str, Contender]:
    logits = torch.randn(batch_size, num_classes, device=device(), requires_grad=True)
    original, partner = (torch.randint(num_classes, (batch_size,), device=device()) for _ in range(2))

    def train(target: Tensor | None) -> Contender:
        def step() -> None:
            labels = target
            if labels is None:
                # Part of the cost of soft labels is to make them.
                first, second = (F.one_hot(half, num_classes).float() for half in (original, partner))
                labels = 0.3 * first + 0.7 * second
            torch.autograd.grad(F.cross_entropy(logits, labels), logits)

        return step

    return {
        "plain labels": train(original),
        "soft labels": train(None),
        "mixed labels": train(MixedTarget(original, partner, 0.3)),
        "mixed labels, per sample": train(MixedTarget(original, partner, torch.rand(batch_size, device=logits.device))),
    }
