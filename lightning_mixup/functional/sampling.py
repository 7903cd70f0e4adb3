"""What chance decides: the mixing weight and the partner, drawn on the host in float64."""

from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray
from torch import Tensor

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


class Stream:
    """The random numbers of one process in one run: for every batch a generator that depends on nothing else.

    Seed and rank are the key of a counter-based generator (Philox, Salmon et al. 2011), the step is the high word of
    its counter. So there is one generator for the whole run, and ``at`` moves it to a step, which costs a fifth of
    a new one. Nothing has to be saved for a resumed run to repeat its draws, and no other stream of random numbers
    moves.

    Args:
        seed: Seed of the run, ``0 <= seed < 2**64``.
        rank: Global rank of the process, at least 0. Processes with the same rank draw alike.

    Attributes:
        rank: As above.

    Raises:
        ValueError: If an argument is negative or too large.

    Examples:
        >>> stream = Stream(seed=7, rank=0)
        >>> [round(stream.at(step).random(), 4) for step in (0, 1, 0)]
        [0.8721, 0.8325, 0.8721]
    """

    def __init__(self, seed: int, rank: int) -> None:
        if not (0 <= seed < 2**64 and 0 <= rank < 2**64):
            raise ValueError(f"seed and rank must be in [0, 2**64), got {seed} and {rank}")
        self.rank = rank
        self._bits = np.random.Philox(_Key(seed, rank), counter=np.zeros(4, np.uint64))  # type: ignore[arg-type]
        self._rng = np.random.Generator(self._bits)
        self._start: Any = self._bits.state
        self._counter = self._start["state"]["counter"]

    def at(self, step: int) -> np.random.Generator:
        """Move to a step.

        Args:
            step: Number of the batch since the start of training, ``0 <= step < 2**64``.

        Returns:
            The one generator of this stream, at the first number of that step. It is independent of those of every
            other ``(seed, rank, step)``, and the next call moves it.

        Raises:
            OverflowError: If the step is negative or too large.
        """
        self._counter[3] = step
        self._bits.state = self._start
        return self._rng


def generator(seed: int, rank: int, step: int) -> np.random.Generator:
    """Random generator of one batch, a pure function of where that batch stands in a run.

    Args:
        seed: Seed of the run, ``0 <= seed < 2**64``.
        rank: Global rank of the process, at least 0.
        step: Number of the batch since the start of training, ``0 <= step < 2**64``.

    Returns:
        A fresh generator; it draws what ``Stream(seed, rank).at(step)`` draws.

    Raises:
        ValueError: If an argument is negative or too large.

    Examples:
        >>> [round(generator(seed=7, rank=0, step=s).random(), 4) for s in (0, 1, 0)]
        [0.8721, 0.8325, 0.8721]
    """
    if not 0 <= step < 2**64:
        raise ValueError(f"step must be in [0, 2**64), got {step}")
    return Stream(seed, rank).at(step)


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

    All distances are equally likely, so every ordered pair of different samples is, too.

    Args:
        rng: Source of randomness.
        batch_size: Number of samples B, at least 1.

    Returns:
        An integer in ``[1, B - 1]``, or 0 for a batch of one, which has no partner.

    Examples:
        >>> rng = generator(seed=7, rank=0, step=0)
        >>> [sample_shift(rng, batch_size) for batch_size in (1, 2, 3, 128)]
        [0, 1, 1, 54]
    """
    # Below B - 1 also after rounding, and three times as fast as a bounded integer.
    return 1 + int(rng.random() * (batch_size - 1)) if batch_size > 1 else 0


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
