"""Wrong labels on purpose."""

import numpy as np
import numpy.typing as npt


def corrupt_labels(labels: npt.NDArray[np.int64], share: float, num_classes: int, seed: int) -> npt.NDArray[np.int64]:
    """Replace an exact share of the labels by a uniformly random *other* class (symmetric noise).

    Args:
        labels: class indices, shape ``(N,)``, each in ``[0, num_classes)``. Left untouched.
        share: share of labels to replace, in ``[0, 1]``; ``round(share * N)`` labels change.
        num_classes: number of classes, at least 2.
        seed: the same seed always corrupts the same labels in the same way.

    Returns:
        A new array of shape ``(N,)``.

    Example:
        >>> clean = np.zeros(10, dtype=np.int64)
        >>> noisy = corrupt_labels(clean, share=0.4, num_classes=3, seed=0)
        >>> noisy.tolist()
        [0, 0, 2, 0, 2, 0, 2, 2, 0, 0]
    """
    rng = np.random.default_rng(seed)
    noisy: npt.NDArray[np.int64] = labels.copy()
    victims = rng.permutation(len(labels))[: round(share * len(labels))]
    # A shift of 1..C-1 around the circle of classes is uniform over the others and never lands on the label itself.
    noisy[victims] = (labels[victims] + rng.integers(1, num_classes, size=len(victims))) % num_classes
    return noisy
