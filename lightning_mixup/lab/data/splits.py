"""Which samples train, validate and test."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class Split(NamedTuple):
    """Disjoint indices into one data set."""

    train: Indices
    val: Indices
    test: Indices


def split_samples(
    count: int,
    strata: npt.NDArray[np.int64] | None = None,
    *,
    val_share: float,
    test_share: float | None = None,
    test: Indices | None = None,
    seed: int = 0,
) -> Split:
    """Split samples so that every part has the class proportions of the whole.

    Args:
        count: number of samples, ``N``.
        strata: class indices, shape ``(N,)``; ``None`` (as in regression) shuffles without regard to classes.
        val_share: share kept for validation, in ``[0, 1)``: of all samples, or, where ``test`` is given, of the rest.
        test_share: share of all samples kept for testing, in ``(0, 1)``; with ``val_share`` less than 1. Unused where
            ``test`` is given.
        test: indices of a test part that is fixed, as in data sets that come with one.
        seed: the same seed always gives the same split.

    Returns:
        The indices of each part, shuffled; a ``test`` that is given stays in order.

    Raises:
        ValueError: some part would not get a sample of every class.

    Examples:
        >>> labels = np.array([0] * 60 + [1] * 40)
        >>> split = split_samples(100, labels, val_share=0.2, test_share=0.3)
        >>> [len(part) for part in split], [int(labels[part].sum()) for part in split]
        ([50, 20, 30], [20, 8, 12])
    """
    rest = np.arange(count)
    val_size = round(val_share * count)
    if test is not None:
        rest = np.setdiff1d(rest, test)
        val_size = round(val_share * len(rest))
    else:
        assert test_share is not None
        rest, test = _divide(rest, round(test_share * count), strata, seed, f"test_share={test_share}")
    if val_size == 0 and val_share > 0:
        raise ValueError(f"val_share={val_share} leaves no validation sample of {count}; give more, or 0 on purpose.")
    train, val = _divide(rest, val_size, strata, seed, f"val_share={val_share}") if val_size else (rest, rest[:0])
    return Split(train, val, test)


def keep_samples(
    samples: Indices, strata: npt.NDArray[np.int64] | None, train_size: int | float | None, seed: int
) -> Indices:
    """Keep some training samples, in the proportions of their classes.

    Args:
        samples: indices of those there are.
        strata: class indices of the whole data set, shape ``(N,)``, or ``None`` where there are no classes.
        train_size: how many to keep: a count, a share in ``(0, 1)``, or all (``None``).
        seed: decides which.

    Returns:
        The indices that are kept.

    Raises:
        ValueError: ``train_size`` asks for more samples than there are, or for fewer than one a class.

    Examples:
        >>> labels = np.array([0] * 60 + [1] * 40)
        >>> labels[keep_samples(np.arange(100), labels, train_size=10, seed=0)].tolist()
        [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    """
    if train_size is None:
        return samples
    count = train_size if isinstance(train_size, int) else round(train_size * len(samples))
    groups = np.zeros(len(samples)) if strata is None else strata[samples]
    classes = len(np.unique(groups))
    if not classes <= count <= len(samples):
        raise ValueError(
            f"train_size must keep between {classes} (one a class) and {len(samples)} (all) training samples; "
            f"got {train_size}, which keeps {count}."
        )
    # scikit-learn refuses a split that leaves nothing, or too little to stratify, on the other side; ranking the
    # samples of each class and taking the lowest ranks keeps the proportions for every count.
    shuffled = np.random.default_rng(seed).permutation(len(samples))
    rank = np.empty(len(samples))
    for group in np.unique(groups):
        mine = groups[shuffled] == group
        rank[mine] = (np.arange(mine.sum()) + 0.5) / mine.sum()
    kept: Indices = samples[shuffled[np.argsort(rank, kind="stable")[:count]]]
    return kept


def long_tail(samples: Indices, labels: npt.NDArray[np.int64], imbalance: float, seed: int) -> Indices:
    """Thin out classes exponentially, as in long-tailed CIFAR (Cui et al. 2019, section 5).

    Of ``C`` classes in order of their index, class ``c`` keeps ``n * imbalance ** (-c / (C - 1))`` samples, rounded
    down, where ``n`` is the size of the largest; at least one, and never more than it has.

    Args:
        samples: indices of the training samples.
        labels: class indices of the whole data set, shape ``(N,)``.
        imbalance: size of the largest class over that of the smallest, at least 1; 1 keeps all.
        seed: decides which samples stay.

    Returns:
        The indices that are kept, in their order.

    Examples:
        >>> labels = np.repeat(np.arange(10), 5000)  # as in CIFAR-10
        >>> np.bincount(labels[long_tail(np.arange(50_000), labels, imbalance=100, seed=0)]).tolist()
        [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    if imbalance == 1:
        return samples
    order = np.random.default_rng(seed).permutation(len(samples))
    mine = labels[samples]
    classes = np.unique(mine)
    most = np.bincount(mine).max()
    kept = []
    for position, label in enumerate(classes):
        count = max(int(most * imbalance ** (-position / (len(classes) - 1))), 1)
        kept.append(order[mine[order] == label][:count])
    left: Indices = samples[np.sort(np.concatenate(kept))]
    return left


def _divide(
    samples: Indices, size: int, strata: npt.NDArray[np.int64] | None, seed: int, why: str
) -> tuple[Indices, Indices]:
    from sklearn.model_selection import train_test_split

    groups = None if strata is None else strata[samples]
    if groups is not None:
        sizes = np.unique(groups, return_counts=True)[1]
        if not len(sizes) <= size <= len(samples) - len(sizes) or min(sizes) < 2:
            raise ValueError(
                f"{why} takes {size} of {len(samples)} samples in {len(sizes)} classes, the smallest of {min(sizes)}; "
                "both sides need a sample of every class. Change the share, or use a larger data set."
            )
    rest, part = train_test_split(samples, test_size=size, stratify=groups, random_state=seed)
    return rest, part
