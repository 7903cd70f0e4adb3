"""Draw the pictures of the documentation: ``python -m docs.pictures``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits

from lightning_mixup.functional import Box, cutmix, mixup, partners

ASSETS = Path(__file__).parent / "assets"
COLUMNS = 8


def mixed_digits() -> None:
    """One batch, clean and mixed: what the functions of the library make of it, and the weights of its labels."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images[:COLUMNS].reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
    y = torch.tensor(labels[:COLUMNS])
    shift = 3
    box = Box(np.array([2, 3]), np.array([8, 8]), 1 - 30 / 64)
    lams = torch.linspace(0.9, 0.1, COLUMNS)
    rows = [
        ("clean", x, None),
        ("Mixup, lam 0.6", mixup(x, 0.6, shift), 0.6),
        ("Mixup, lam per sample", mixup(x, lams, shift), lams),
        (f"CutMix, lam {box.lam:.2f}", cutmix(x, box, shift), box.lam),
    ]
    figure, axes = plt.subplots(len(rows), COLUMNS, figsize=(1.15 * COLUMNS, 1.45 * len(rows)), layout="constrained")
    for line, (name, batch, lam) in zip(axes, rows, strict=True):
        weights = torch.ones(COLUMNS) if lam is None else torch.as_tensor(lam).expand(COLUMNS)
        for axis, image, own, other, weight in zip(line, batch, y, partners(y, shift), weights, strict=True):
            axis.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            mixed = f"{own}: {weight:.0%}\n{other}: {1 - weight:.0%}"
            axis.set_xlabel(own.item() if lam is None else mixed, fontsize=9)
            axis.spines[:].set_color("#bbbbbb")
        line[0].set_ylabel(name.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize=10)
    ASSETS.mkdir(exist_ok=True)
    figure.savefig(ASSETS / "mixed_digits.png", dpi=110)


if __name__ == "__main__":
    mixed_digits()
