"""What chance decides: the mixing weight, the partner and the box, drawn on the host in float64."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray
from torch import Tensor

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def generator(seed: int, rank: int, step: int) -> np.random.Generator:
    """Random generator of one batch, a pure function of where that batch stands in a run.

    Seed and rank are the key of a counter-based generator (Philox, Salmon et al. 2011), the step is the high word of
    its counter. Nothing has to be saved for a resumed run to repeat its draws, and no other stream of random numbers
    moves.

    Args:
        seed: Seed of the run, ``0 <= seed < 2**64``.
        rank: Global rank of the process, at least 0. Processes with the same rank draw alike.
        step: Number of the batch since the start of training, at least 0.

    Returns:
        A fresh generator, independent of those of every other ``(seed, rank, step)``.

    Raises:
        ValueError: If an argument is negative or too large.

    Examples:
        >>> [round(generator(seed=7, rank=0, step=s).random(), 4) for s in (0, 1, 0)]
        [0.8721, 0.8325, 0.8721]
    """
    if not (0 <= seed < 2**64 and 0 <= rank < 2**64 and 0 <= step < 2**64):
        raise ValueError(f"seed, rank and step must be in [0, 2**64), got {seed}, {rank} and {step}")
    return np.random.Generator(np.random.Philox(_Key(seed, rank), counter=np.array((0, 0, 0, step), np.uint64)))  # type: ignore[arg-type]


class _Key(ISeedSequence):
    """A key as it is. The argument ``key`` of Philox means the same, but asks the system for entropy all the same."""

    def __init__(self, *words: int) -> None:
        self.words = np.array(words, np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> NDArray[np.uint64]:  # noqa: ANN401
        return self.words


def sample_lam(rng: np.random.Generator, alpha: float, size: int | None = None) -> float | Floats:
    """Draw mixing weights from Beta(alpha, alpha) (Zhang et al. 2018, section 2).

    Args:
        rng: Source of randomness.
        alpha: Strength, at least 0. Near 0 most samples stay almost pure, 1 is uniform, large values mix half and
            half. 0 is no mixing at all.
        size: Number of weights, one for each sample; None draws a single one for the whole batch.

    Returns:
        Weights of the original samples in [0, 1]: a float, or an array of shape ``(size,)``.

    Examples:
        >>> rng = generator(seed=7, rank=0, step=0)
        >>> round(sample_lam(rng, alpha=0.2), 4), sample_lam(rng, alpha=1.0, size=3).round(4)
        (0.9956, array([0.5089, 0.1063, 0.3232]))
    """
    if alpha == 0:
        return 1.0 if size is None else np.ones(size)
    return rng.beta(alpha, alpha, size)


def sample_shift(rng: np.random.Generator, batch_size: int) -> int:
    """Draw the distance along the batch at which every sample finds its partner.

    Shifts beyond half a batch would only repeat the pairs of the smaller ones with the roles exchanged.

    Args:
        rng: Source of randomness.
        batch_size: Number of samples B, at least 1.

    Returns:
        An integer in ``[1, B // 2]``, or 0 for a batch of one, which has no partner.

    Examples:
        >>> rng = generator(seed=7, rank=0, step=0)
        >>> [sample_shift(rng, batch_size) for batch_size in (1, 2, 3, 128)]
        [0, 1, 1, 11]
    """
    return int(rng.integers(1, batch_size // 2, endpoint=True)) if batch_size > 1 else 0


class ByValue:
    """Equality of dataclasses that hold arrays and tensors, which by themselves compare number by number."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            np.array_equal(_on_host(getattr(self, field.name)), _on_host(getattr(other, field.name)))
            for field in fields(self)  # type: ignore[arg-type]
            if field.compare
        )

    __hash__ = None  # type: ignore[assignment]


def _on_host(value: Any) -> Any:  # noqa: ANN401
    return value.cpu().numpy() if isinstance(value, Tensor) else value


@dataclass(frozen=True, eq=False)
class Box(ByValue):
    """A region of an image, or one region for each image of a batch.

    Attributes:
        low: First pixel inside along every boxed dimension, shape ``(D,)``, or ``(B, D)`` for a region per sample.
        high: First pixel beyond, same shape.
        lam: Share of the pixels outside, in [0, 1]: a float, or an array of shape ``(B,)``.
    """

    low: Ints
    high: Ints
    lam: float | Floats


def sample_box(rng: np.random.Generator, lam: float | Floats, size: Sequence[int]) -> Box:
    """Draw the region that CutMix pastes (Yun et al. 2019, section 3.1 and algorithm A1).

    The centre is uniform over the image and every side is the ``(1 - lam) ** (1 / D)``-th part of the image, so that
    the region holds the share ``1 - lam`` of it, unless the border clips it.

    Args:
        rng: Source of randomness.
        lam: Intended weight of the original in [0, 1]: a number, or an array of shape ``(B,)`` for a box per sample.
        size: Extent in pixels of the D boxed dimensions: ``(H, W)`` for images, ``(L,)`` for a series.

    Returns:
        The box with the weight that it really has, after rounding and clipping.

    Examples:
        >>> box = sample_box(generator(seed=7, rank=0, step=0), lam=0.75, size=(32, 48))
        >>> box.low, box.high, box.lam
        (array([ 0, 29]), array([13, 48]), 0.8391927083333334)
    """
    extent = np.asarray(size)
    share = np.asarray(1.0 - lam)[..., None]
    side = (extent * share ** (1 / len(extent))).astype(np.int64)
    # For one box the same numbers come three times as fast one by one.
    centre = rng.integers(0, extent, side.shape) if side.ndim > 1 else np.array([rng.integers(n) for n in size])
    low = centre - side // 2
    low, high = np.maximum(low, 0), np.minimum(low + side, extent)
    outside = 1.0 - (high - low).prod(-1) / math.prod(size)
    return Box(low, high, outside if outside.ndim else float(outside))
