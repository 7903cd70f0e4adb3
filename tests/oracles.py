"""Small batches, and what mixing makes of them, sample by sample and pixel by pixel."""

import numpy as np
import torch

from lightning_mixup.functional import generator, sample_box

# A permutation, and samples that several others have for a partner.
SHIFTS = [torch.tensor([1, 3, -1, 2, 0]), torch.tensor([2, 1, 0, -1, -2])]
TOLERANCE = {torch.float64: 1e-15, torch.float32: 1e-6, torch.bfloat16: 2e-2}


def noise(shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def weights(batch_size, dtype=torch.float64):
    return torch.linspace(0.1, 0.9, batch_size).to(dtype)


def boxes(shape, per_sample):
    """Boxes of several sizes: whole images, nothing, and in between."""
    lam = np.linspace(0, 1, shape[0]) if per_sample else 0.4
    return sample_box(generator(seed=1, rank=0, step=0), lam, shape[2:][-2:])


def mask_of(box, shape):
    """Pixel by pixel, which ones show the partner."""
    inside = np.zeros((shape[0], *shape[2:][-2:]), dtype=bool)
    for i in range(shape[0]):
        low, high = (box.low[i], box.high[i]) if box.per_sample else (box.low, box.high)
        for pixel in np.ndindex(inside.shape[1:]):
            inside[(i, *pixel)] = all(low[d] <= pixel[d] < high[d] for d in range(len(pixel)))
    return torch.from_numpy(inside).reshape(shape[0], *[1] * (len(shape) - inside.ndim), *inside.shape[1:])


def plain_mixup(x, lam, shift):
    rows = [
        (lam[i] if isinstance(lam, torch.Tensor) else lam) * x[i]
        + (1 - (lam[i] if isinstance(lam, torch.Tensor) else lam)) * x[(i + shift) % len(x)]
        for i in range(len(x))
    ]
    return torch.stack(rows)


def plain_cutmix(x, box, shift):
    mask = mask_of(box, x.shape)
    return torch.stack([torch.where(mask[i], x[(i + shift) % len(x)], x[i]) for i in range(len(x))])


def gathered(x, shift, memory):
    source = x if memory is None else memory
    return torch.stack([source[(i + int(shift[i])) % len(source)] for i in range(len(x))])


def layouts(x):
    yield x
    if x.ndim == 4:
        yield x.contiguous(memory_format=torch.channels_last)
    if x.ndim == 5:
        yield x.contiguous(memory_format=torch.channels_last_3d)
    yield x.repeat_interleave(2, -1)[..., ::2]
