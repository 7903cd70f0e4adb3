"""What every classification data set does with its labels, whatever its inputs are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_mixup.lab.data.noise import NoiseKind, corrupt_labels
from lightning_mixup.lab.data.splits import Indices, Split, keep_samples, long_tail, split_samples


class Labels(NamedTuple):
    """Who is in which part, and under which label."""

    split: Split
    pool: Indices
    """The training part before ``train_size`` and ``imbalance`` took samples away."""
    held_out: Indices
    """All samples of the classes that were held out; they are in no part."""
    given: npt.NDArray[np.int64]
    """Labels to train and judge with, shape ``(N,)``: noisy in training, clean elsewhere; -1 where held out."""
    true: npt.NDArray[np.int64]
    """The right labels, shape ``(N,)``; -1 where held out."""


def arrange_labels(
    labels: npt.NDArray[np.int64],
    num_classes: int,
    *,
    val_share: float,
    test_share: float | None = None,
    test: Indices | None = None,
    held_out_classes: Sequence[int] = (),
    imbalance: float = 1.0,
    train_size: int | float | None = None,
    label_noise: float = 0.0,
    noise_kind: NoiseKind = "symmetric",
    seed: int = 0,
) -> Labels:
    """Hold classes out, split, thin out and corrupt, in this order.

    Validation and test samples depend on the seed and on ``held_out_classes`` alone, and their labels are always right.

    Args:
        labels: class indices, shape ``(N,)``, each in ``[0, num_classes)``.
        num_classes: number of classes, those held out included.
        val_share: see ``split_samples``.
        test_share: likewise.
        test: likewise.
        held_out_classes: classes that are in no part; the others are numbered anew, in their order.
        imbalance: see ``long_tail``; of training samples alone.
        train_size: see ``keep_samples``; counts what ``imbalance`` leaves.
        label_noise: share of the kept training labels that are replaced, in ``[0, 1]``.
        noise_kind: see ``corrupt_labels``.
        seed: decides all.

    Returns:
        Indices into the data set, and labels for all of it.

    Examples:
        >>> labels = np.repeat(np.arange(4), 100)
        >>> found = arrange_labels(labels, 4, val_share=0.1, test_share=0.3, held_out_classes=[1], label_noise=0.4)
        >>> [len(part) for part in found.split], len(found.held_out), np.unique(found.true).tolist()
        ([180, 30, 90], 100, [-1, 0, 1, 2])
        >>> int((found.given != found.true).sum())
        72
    """
    held_out = np.flatnonzero(np.isin(labels, held_out_classes))
    known = np.flatnonzero(~np.isin(labels, held_out_classes))
    number = np.full(num_classes, -1, dtype=np.int64)
    kept = np.setdiff1d(np.arange(num_classes), held_out_classes)
    number[kept] = np.arange(len(kept))
    true = number[labels]
    fixed = None if test is None else np.flatnonzero(np.isin(known, test))
    places = split_samples(len(known), true[known], val_share=val_share, test_share=test_share, test=fixed, seed=seed)
    pool, val, test = (known[part] for part in places)
    train = keep_samples(long_tail(pool, true, imbalance, seed), true, train_size, seed)
    given = true.copy()
    given[train] = corrupt_labels(true[train], label_noise, len(kept), seed, noise_kind)
    return Labels(Split(train, val, test), pool, held_out, given, true)
