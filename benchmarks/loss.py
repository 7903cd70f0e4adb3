"""Cross entropy on two labels at once, beside plain and soft ones. No other library has it without soft labels."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.kernels import device
from benchmarks.timing import Contender, Row, Target, peak_memory, race, rows_of
from lightning_mixup import MixedTarget

SIZES = [(1024, 1000), (512, 50257)]
SHAPES = {"(128, 10)": ((128, 10), 2.5), "(8, 19, 64, 64)": ((8, 19, 64, 64), 2.0)}
"""Of predictions, with how many times the plain loss one that is written by hand may take."""


def rows() -> Iterator[Row]:
    for size in SIZES:
        contenders = losses(*size)
        targets = {name: [Target(1.3, "plain labels")] for name in contenders if name.startswith("mixed")}
        case = f"{size} float32, forward and backward"
        yield from race(f"{case}: time", contenders, ("plain labels",), targets, turn=0.03)
        memory = {name: [peak_memory(f)] for name, f in contenders.items()}
        yield from rows_of(f"{case}: peak memory", memory, ("plain labels",), targets, unit="B")
    for words, (shape, limit) in SHAPES.items():
        for name, loss in {"cross entropy": F.cross_entropy, **BY_HAND}.items():
            case = f"{words} float32, forward and backward: {name}"
            targets = {"mixed labels": [Target(1.4 if name == "cross entropy" else limit, "plain labels")]}
            yield from race(case, trained(loss, shape), ("plain labels",), targets, turn=0.02)


def focal(logits: Tensor, y: Tensor) -> Tensor:
    """The focal loss (https://arxiv.org/abs/1708.02002, equation 4), as users write it by hand."""
    log_p = logits.log_softmax(1).gather(1, y.unsqueeze(1)).squeeze(1)
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


def smoothed(logits: Tensor, y: Tensor) -> Tensor:
    """Cross entropy with smoothed labels, as users write it by hand."""
    log_p, classes = logits.log_softmax(1), logits.shape[1]
    target = torch.full_like(log_p, 0.1 / classes).scatter_(1, y.unsqueeze(1), 0.9 + 0.1 / classes)
    return -(target * log_p).sum(1).mean()


def dice(logits: Tensor, y: Tensor) -> Tensor:
    """The soft Dice loss (https://arxiv.org/abs/1606.04797, section 3), as users write it by hand."""
    p, hot = logits.softmax(1), F.one_hot(y, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    dims = (0, *range(2, logits.ndim))
    return (1 - (2 * (p * hot).sum(dims) + 1) / (p.sum(dims) + hot.sum(dims) + 1)).mean()


BY_HAND: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "focal, by hand": focal,
    "smoothing, by hand": smoothed,
    "Dice, by hand": dice,
}


def trained(loss: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...]) -> dict[str, Contender]:
    """A loss and its gradient on plain labels and on mixed ones."""
    logits = torch.randn(shape, device=device(), requires_grad=True)
    original, partner = (torch.randint(shape[1], (shape[0], *shape[2:]), device=device()) for _ in range(2))

    def train(mixed: bool) -> Contender:
        def step() -> None:
            # As in a training step: the pair is made there, and the loss leaves it as its value.
            labels = MixedTarget(original, partner, 0.3) if mixed else original
            found = loss(logits, labels)
            torch.autograd.grad(found.value if isinstance(found, MixedTarget) else found, logits)

        return step

    return {"plain labels": train(False), "mixed labels": train(True)}


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
            found = F.cross_entropy(logits, labels)
            torch.autograd.grad(found.value if isinstance(found, MixedTarget) else found, logits)

        return step

    return {
        "plain labels": train(original),
        "soft labels": train(None),
        "mixed labels": train(MixedTarget(original, partner, 0.3)),
        "mixed labels, per sample": train(MixedTarget(original, partner, torch.rand(batch_size, device=logits.device))),
    }
