"""Which samples train, validate and test."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split


class Split(NamedTuple):
    """Disjoint indices into one data set."""

    train: npt.NDArray[np.int64]
    val: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


def stratified_split(
    labels: npt.NDArray[np.int64],
    *,
    val_share: float,
    test_share: float,
    train_size: int | float | None = None,
    seed: int = 0,
) -> Split:
    """Split samples so that every part has the class proportions of the whole.

    ``train_size`` only ever removes training samples: runs with more and with less training data are judged on the
    same validation and test samples.

    Args:
        labels: class indices, shape ``(N,)``.
        val_share: share of all samples kept for validation, in ``(0, 1)``.
        test_share: share of all samples kept for testing, in ``(0, 1)``; with ``val_share`` less than 1.
        train_size: how many training samples to keep: a count, a share of those available in ``(0, 1)``, or all
            (``None``).
        seed: the same seed always gives the same split.

    Returns:
        The indices of each part, shuffled.

    Raises:
        ValueError: ``train_size`` asks for more samples than there are, or for fewer than one a class.

    Example:
        >>> labels = np.array([0] * 60 + [1] * 40)
        >>> split = stratified_split(labels, val_share=0.2, test_share=0.3, train_size=10)
        >>> [len(part) for part in split], [int(labels[part].sum()) for part in split]
        ([10, 20, 30], [4, 8, 12])
    """
    everything = np.arange(len(labels))
    val_size, test_size = (round(share * len(labels)) for share in (val_share, test_share))
    rest, test = train_test_split(everything, test_size=test_size, stratify=labels, random_state=seed)
    train, val = train_test_split(rest, test_size=val_size, stratify=labels[rest], random_state=seed)
    if train_size is not None:
        train = _keep(train, labels, train_size, seed)
    return Split(train, val, test)


def _keep(
    train: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], train_size: int | float, seed: int
) -> npt.NDArray[np.int64]:
    count = train_size if isinstance(train_size, int) else round(train_size * len(train))
    classes = len(np.unique(labels))
    if not classes <= count <= len(train):
        raise ValueError(
            f"train_size must keep between {classes} (one a class) and {len(train)} (all) training samples; "
            f"got {train_size}, which keeps {count}."
        )
    # scikit-learn refuses a split that leaves nothing, or too little to stratify, on the other side; ranking the
    # samples of each class and taking the lowest ranks keeps the proportions for every count.
    order = np.random.default_rng(seed).permutation(train)
    rank = np.empty(len(order))
    for label in np.unique(labels):
        mine = labels[order] == label
        rank[mine] = (np.arange(mine.sum()) + 0.5) / mine.sum()
    kept: npt.NDArray[np.int64] = order[np.argsort(rank, kind="stable")[:count]]
    return kept
