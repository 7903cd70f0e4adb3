"""Mixing in a loop of Lightning Fabric, on as many processes as you like.

python examples/fabric.py 2
"""

import sys

import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import ManifoldMixup


def main(processes: int = 1, epochs: int = 4) -> None:
    """Train on digits, and say how it went."""
    fabric = Fabric(accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto")
    fabric.launch()
    fabric.seed_everything(0, verbose=False)
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(digits.target)
    loader = DataLoader(TensorDataset(x[:1500], y[:1500]), batch_size=32, shuffle=True, drop_last=True)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(16 * 8 * 8, 10),
    )
    mix = ManifoldMixup(alpha=1.0, layers=["input", "1"])
    model, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    loader = fabric.setup_dataloaders(loader)
    step = 0
    for _ in range(epochs):
        for batch in loader:
            with mix.step(batch, step=step, module=net, rank=fabric.global_rank) as (inputs, labels):
                loss = F.cross_entropy(model(inputs), labels)
                optimizer.zero_grad()
                fabric.backward(loss)
            optimizer.step()
            step += 1
    mix.close()
    with torch.no_grad():
        accuracy = float((net(x[1500:]).argmax(1) == y[1500:]).float().mean())
    weights = fabric.all_gather(next(net.parameters()).detach().sum()).flatten()
    fabric.print(
        f"accuracy {accuracy:.1%} on {processes} processes, the same weights on all: {len(weights.unique()) == 1}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
