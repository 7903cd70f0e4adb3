"""What chance decided for one batch, and what follows from it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.callbacks.containers import Key
from lightning_mixup.functional import Weights, partners
from lightning_mixup.functional.sampling import Floats

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Draw:
    """What chance decided for one batch. This one leaves the batch as it is.

    Every method has a subclass that knows how to mix: it implements `mix`, and what else its batches need. The shell
    sets all attributes but ``lam``.

    Args:
        lam: Weight of the original samples in [0, 1]: a number, or an array of shape ``(B,)``, one for each sample.

    Attributes:
        lam: As above.
        weights: The same, as it is used: a number, also if that is the weight of all, or `Weights`.
        method: The callback whose draw it is; None leaves the batch as it is.
        batch_size: Number of samples that ``training_step`` receives.
        shift: Sample ``i`` is mixed with sample ``(i + shift) % B``: a number, or a tensor of shape ``(B,)``.
        memory: The batch to find partners in instead, by the keys of its inputs and targets.
        values: Values of the scheduled arguments at this moment of training, such as ``alpha``, by their names.
        coin: Seed of the choice between two targets, for ``targets="sampled"``.

    Examples:
        >>> draw = Draw()
        >>> draw.lam, draw.method, draw.mix(torch.tensor([1.0, 2.0]), key=0)
        (1.0, None, tensor([1., 2.]))
    """

    hidden = False
    """Whether hidden states are mixed, by `arm`, and not the inputs."""

    method: Any = None
    batch_size: int = 0
    shift: int | Tensor = 0
    memory: Mapping[Key, Tensor] = _NOTHING
    values: Mapping[str, float] = _NOTHING
    coin: int = 0

    def __init__(self, lam: float | Floats = 1.0) -> None:
        self.lam = lam
        # Draws are made many at once, which makes it a third as dear to convert weights here as in a step.
        self.weights = _one_or_many(lam)

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """Mix an input.

        Args:
            x: Tensor of shape ``(B, ...)`` that the method's `check` let pass.
            key: Where it is in the batch, and its partners in ``memory``.

        Returns:
            The mixed input.
        """
        return x

    def mix_mask(self, mask: Tensor, key: Key) -> Tensor | None:
        """Mix a map over the pixels of the input, such as a segmentation mask, as the input itself.

        Args:
            mask: Tensor of shape ``(B, *spatial)`` or ``(B, K, *spatial)``, perhaps at another resolution.
            key: As for `mix`.

        Returns:
            A mask of the same shape and dtype; None if its values have to be mixed instead.
        """
        return None

    def pair(self, target: Tensor, key: Key = 1) -> tuple[Tensor, Tensor]:
        """The targets of the samples that ``training_step`` receives, and those of their partners."""
        return target, partners(target, self.shift, self.memory.get(key))

    def weight(self, like: Tensor) -> float | Tensor:
        """``lam`` for a target: a number if it is one for all, or a tensor of shape ``(B,)`` on its device."""
        return self.weights.of_originals(like) if isinstance(self.weights, Weights) else self.weights

    def inside(self) -> bool:
        """Whether `weight` gives one for each sample, all known to lie between 0 and 1."""
        return isinstance(self.weights, Weights) and self.weights.inside

    def only(self, rows: NDArray[np.bool_]) -> Draw | None:
        """The same for some of the samples alone; None if the shell has to choose between mixed and clean samples."""
        return None

    def arm(self, lam: float | Floats, shift: int | Tensor, batch_size: int, device: torch.device) -> None:
        """Prepare the network for a step, where hidden states are mixed.

        Args:
            lam: Weights of the samples of the step, which may be more than those of this draw.
            shift: Distances to their partners.
            batch_size: Number of samples of the step.
            device: Where they are.
        """

    def verify(self) -> None:
        """Raise after a step if the network was not mixed as the targets are."""

    def disarm(self) -> None:
        """Leave the network as it is, when the batch is done, its backward pass included."""

    def where(self) -> str:
        """What the title of a picture says about the place of mixing; empty if it is the input."""
        return ""

    def outline(self, row: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """The first and the last-but-one corner ``(row, column)`` of the pasted region of a sample, to draw it."""
        return None

    def tally(self, lam: NDArray[np.float32]) -> dict[str, float]:
        """What to count for `MixMonitor`, beside the weights.

        Args:
            lam: Weights of the samples that are mixed.

        Returns:
            Sums over these samples. ``"name"`` is logged as a mean over the samples, ``"kind/name"`` as a share of all
            counts of this kind, where there are several.
        """
        return {}

    def leaves(self) -> Iterator[Draw]:
        """The draws that mix: this one, or those that it is made of."""
        if self.method is not None:
            yield self

    def mixed(self) -> NDArray[np.float32]:
        """The weights of the samples that are mixed, as tensors have them: what is nearly 1 is 1 there."""
        lam = np.broadcast_to(np.asarray(self.lam, np.float32), self.batch_size)
        return lam[lam < 1]

    def align(self, shift: int | Tensor) -> Draw:
        """The same with other partners."""
        aligned = copy.copy(self)
        aligned.shift = shift
        return aligned

    def forget(self) -> Draw:
        """The same without the memory, which would keep a batch alive."""
        forgetful = copy.copy(self)
        forgetful.memory = _NOTHING
        return forgetful

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _same(self._decided(), other._decided())

    __hash__ = None  # type: ignore[assignment]

    def _decided(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("method", "memory", "weights")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._decided().items())})"


def _one_or_many(lam: float | Floats) -> float | Weights:
    if isinstance(lam, float):
        return lam
    lam = np.ravel(np.asarray(lam, np.float64))  # draws of a method of one's own may have whole numbers or tensors
    return float(lam[0]) if lam[0] == lam[-1] and (lam == lam[0]).all() else Weights(lam)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Equality that looks into containers, arrays and tensors."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Tensor):
        return one.shape == other.shape and bool((one == other).all())
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
