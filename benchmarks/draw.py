"""What chance costs: everything that is decided about one batch, on the host."""

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import torch

from benchmarks.timing import Row, Target, race
from lightning_mixup import CutMix, MixCallback, Mixup, RandomChoice
from lightning_mixup.functional import generator


def rows() -> Iterator[Row]:
    images = [torch.zeros(64, 3, 32, 32)]
    steps = count()

    def draw(callback: MixCallback) -> Callable[[], object]:
        return lambda: callback.draw(generator(seed=0, rank=0, step=next(steps)), images, when=0.5)

    beta = torch.distributions.Beta(torch.tensor(0.2), torch.tensor(0.2))
    contenders = {
        "numpy: one number of the global generator": lambda: np.random.beta(0.2, 0.2),  # noqa: NPY002
        "numpy: a generator made for it": lambda: np.random.default_rng(next(steps)).beta(0.2, 0.2),
        "torch.distributions.Beta": lambda: beta.sample().item(),
        "Mixup": draw(Mixup()),
        "Mixup, per sample": draw(Mixup(per_sample=True)),
        "CutMix": draw(CutMix()),
        "CutMix, per sample": draw(CutMix(per_sample=True)),
        "RandomChoice": draw(RandomChoice([Mixup(), CutMix()])),
    }
    targets = {name: [Target(25e-6)] for name in contenders if not name.startswith(("numpy", "torch"))}
    yield from race("batch of 64", contenders, ("torch.distributions.Beta",), targets, turn=0.002)
