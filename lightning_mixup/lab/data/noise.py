"""Wrong labels on purpose."""

from typing import Literal

import numpy as np
import numpy.typing as npt

NoiseKind = Literal["symmetric", "random"]


def corrupt_labels(
    labels: npt.NDArray[np.int64], share: float, num_classes: int, seed: int, kind: NoiseKind = "symmetric"
) -> npt.NDArray[np.int64]:
    """Replace an exact share of the labels by random ones.

    Args:
        labels: class indices, shape ``(N,)``, each in ``[0, num_classes)``. Left untouched.
        share: share of labels to replace, in ``[0, 1]``; ``round(share * N)`` labels are drawn anew.
        num_classes: number of classes, at least 2.
        seed: the same seed always corrupts the same labels in the same way.
        kind: ``"symmetric"`` draws from the *other* classes, so that the whole share is wrong. ``"random"`` draws from
            all classes, as Zhang et al. 2018, section 3.4, do ("replaced by random noise"): of ``C`` classes, one in
            ``C`` of the replaced labels stays right.

    Returns:
        A new array of shape ``(N,)``.

    Examples:
        >>> clean = np.zeros(10, dtype=np.int64)
        >>> corrupt_labels(clean, share=0.4, num_classes=3, seed=0).tolist()
        [0, 0, 2, 0, 2, 0, 2, 2, 0, 0]
        >>> corrupt_labels(clean, share=0.4, num_classes=3, seed=0, kind="random").tolist()
        [0, 0, 2, 0, 1, 0, 1, 2, 0, 0]
    """
    rng = np.random.default_rng(seed)
    noisy: npt.NDArray[np.int64] = labels.copy()
    victims = rng.permutation(len(labels))[: round(share * len(labels))]
    # A shift around the circle of classes is uniform over where it may land; one of at least 1 never lands on the
    # label itself.
    shift = rng.integers(1 if kind == "symmetric" else 0, num_classes, size=len(victims))
    noisy[victims] = (labels[victims] + shift) % num_classes
    return noisy
