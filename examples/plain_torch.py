"""Mixing in a loop of plain PyTorch, interrupted and resumed.

python examples/plain_torch.py

Hidden layers, schedules and the guard against labels that no loss uses work as in a Trainer.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lightning_mixup import ManifoldMixup, MixCallback, Mixup
from lightning_mixup.schedules import Linear

EPOCHS, BATCH = 6, 64


def data() -> tuple[Tensor, Tensor]:
    """Images and labels of the digits."""
    digits = load_digits()
    return torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(digits.target)


def network() -> nn.Module:
    """A network with the same first weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(16 * 8 * 8, 10),
    )


def train(mix: MixCallback, net: nn.Module, start: int = 0, stop: int | None = None) -> int:
    """Train from one step to another; a step is mixed alike whether or not the loop was interrupted before it."""
    x, y = (entry[:1500] for entry in data())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    steps = len(x) // BATCH
    total = EPOCHS * steps
    for step in range(start, total if stop is None else stop):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(step // steps))
        rows = order[step % steps * BATCH :][:BATCH]
        with mix.step((x[rows], y[rows]), step=step, module=net, progress=step / total) as (inputs, labels):
            loss = F.cross_entropy(net(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
    mix.close()
    return total


def accuracy(net: nn.Module) -> float:
    """Accuracy on the digits that were not trained on."""
    x, y = (entry[1500:] for entry in data())
    with torch.no_grad():
        return float((net(x).argmax(1) == y).float().mean())


if __name__ == "__main__":
    for mix in (
        Mixup(alpha=0.4, seed=0),
        Mixup(alpha=Linear(1.0, 0.0), per_sample=True, seed=0),
        ManifoldMixup(alpha=1.0, layers=["input", "1"], seed=0),
    ):
        whole, parts = network(), network()
        total = train(mix, whole)
        train(mix, parts, stop=total // 3)
        train(mix, parts, start=total // 3)
        same = all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
        print(f"{mix}: accuracy {accuracy(whole):.1%}, resumed alike: {same}")
