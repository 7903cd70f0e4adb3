"""How partners are chosen: a pairing gives every sample of a batch the distance to its partner.

A pairing is an immutable value, called with the batch's own generator. All chance is drawn on the host; what depends on
the labels is sorted and looked up where they are, so that no device is waited for.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.functional.sampling import sample_shift


class Pairing(ABC):
    """Base of all pairings. A subclass implements ``__call__`` and keeps its arguments under their names.

    Pairings are equal if their arguments are.

    Attributes:
        looks_at: What the target has to be: ``"labels"`` (class indices), ``"values"``, or None, if the pairing does
            not look at it.
        remembers: Whether partners come from the batch before, of which there is none at first.
    """

    looks_at: ClassVar[Literal["labels", "values"] | None] = None
    remembers: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> int | Tensor:
        """Find a partner for every sample.

        Args:
            rng: Source of randomness.
            batch_size: Number of samples B, at least 1.
            target: Labels or values of shape ``(B, ...)``, for pairings that look at them.

        Returns:
            The distance along the batch at which a sample finds its partner: one number for all, or an integer tensor
            of shape ``(B,)``. Sample ``i`` is mixed with sample ``(i + shift) % B``.
        """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Shift(Pairing):
    """One distance for the whole batch, by ``sample_shift``: no sample meets itself, and nothing is gathered.

    Examples:
        >>> Shift()(np.random.default_rng(0), batch_size=128)
        81
    """

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> int:
        """See ``Pairing.__call__``."""
        return sample_shift(rng, batch_size)


class Permutation(Pairing):
    """A uniform random permutation, as in the code of Zhang et al. 2018: one sample of a batch meets itself on average.

    Examples:
        >>> shift = Permutation()(np.random.default_rng(0), batch_size=5)
        >>> (torch.arange(5) + shift) % 5
        tensor([2, 4, 3, 0, 1])
    """

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> Tensor:
        """See ``Pairing.__call__``."""
        return torch.from_numpy(rng.permutation(batch_size) - np.arange(batch_size))


class Flip(Pairing):
    """The first sample with the last, the second with the last but one, as timm does; the middle one stays alone.

    Examples:
        >>> (torch.arange(5) + Flip()(np.random.default_rng(0), batch_size=5)) % 5
        tensor([4, 3, 2, 1, 0])
    """

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> Tensor:
        """See ``Pairing.__call__``."""
        return torch.arange(batch_size - 1, -batch_size, -2)


class SameClass(Pairing):
    """The next sample of the same class, in random order; the only one of its class is left as it is.

    Examples:
        >>> y = torch.tensor([7, 3, 7, 3, 7, 5])
        >>> shift = SameClass()(np.random.default_rng(0), len(y), y)
        >>> y[(torch.arange(len(y)) + shift) % len(y)]
        tensor([7, 3, 7, 3, 7, 5])
    """

    looks_at = "labels"

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> Tensor:
        """See ``Pairing.__call__``."""
        order, first = _by_class(rng, _given(target))
        following = torch.arange(1, batch_size + 1, device=first.device)
        # A class ends where the next sample, cyclically, has not the same first of its class.
        ends = first != first.roll(-1)
        ends[-1:] = True
        return _shift(order, order[first.where(ends, following % batch_size)])


class DifferentClass(Pairing):
    """A sample of another class. If one class is more than half of the batch, the rest of it meets its own class.

    Samples are sorted by class and rotated, by at least the largest class and at most all others.

    Examples:
        >>> y = torch.tensor([7, 3, 7, 3, 7, 5])
        >>> shift = DifferentClass()(np.random.default_rng(0), len(y), y)
        >>> y[(torch.arange(len(y)) + shift) % len(y)]
        tensor([5, 7, 3, 7, 3, 7])
    """

    looks_at = "labels"

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> Tensor:
        """See ``Pairing.__call__``."""
        order, first = _by_class(rng, _given(target))
        position = torch.arange(batch_size, device=first.device)
        largest = (position - first).max() + 1
        choices = (batch_size - 2 * largest + 1).clamp_min(1)
        # The product may round up to the number of choices.
        distance = largest + (choices * rng.random()).long().clamp_max(choices - 1)
        return _shift(order, order[(position + distance.clamp_max(max(batch_size - 1, 1))) % batch_size])


class Nearest(Pairing):
    """A sample of a similar value, as in C-Mixup (Yao et al. 2022), of the same batch and never itself.

    The partner of ``i`` is ``j`` with a probability proportional to ``exp(-|y_i - y_j|**2 / (2 * bandwidth**2))``. The
    paper tunes the bandwidth for each data set in the units of its target, from 0.05 (exchange rates) over 1.75
    (Airfoil, whose target has a standard deviation of 6.9) to 4. Wide ones pair as at random.

    A sample whose value is missing (NaN, or infinite) stays alone, and is nobody's partner.

    Args:
        bandwidth: Above 0.
        unit: What the bandwidth counts: ``"std"``, standard deviations of the targets of the batch, along each of their
            dimensions; or ``"target"``, the target's own unit, as in the paper.

    Raises:
        ValueError: If the bandwidth is not above 0, or the unit another one.

    Examples:
        >>> y = torch.tensor([0.0, 10.0, 0.1, 10.1])
        >>> Nearest(bandwidth=0.1)(np.random.default_rng(0), len(y), y)
        tensor([2, 2, 2, 2])
    """

    looks_at = "values"

    def __init__(self, bandwidth: float = 0.25, unit: Literal["std", "target"] = "std") -> None:
        if isinstance(bandwidth, bool) or not isinstance(bandwidth, (int, float)) or not bandwidth > 0:
            raise ValueError(f"Nearest: bandwidth must be a number above 0, got {bandwidth!r}")
        if unit not in ("std", "target"):
            raise ValueError(f"Nearest: unit must be 'std' or 'target', got {unit!r}")
        self.bandwidth = bandwidth
        self.unit = unit

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> int | Tensor:
        """See ``Pairing.__call__``."""
        y = _given(target).reshape(batch_size, -1)
        if batch_size == 1:
            return 0
        y = y if y.is_floating_point() else y.float()
        known = y.isfinite().all(1)
        count = known.sum().clamp_min(1)
        y = y.where(known[:, None], 0)
        y = (y - y.mean(0) * (batch_size / count)).float().where(known[:, None], 0)
        if self.unit == "std":
            spread = (y.square().sum(0) / (count - 1).clamp_min(1)).sqrt()
            y = y / spread.where(spread > 0, 1)
        distance = torch.cdist(y, y, compute_mode="donot_use_mm_for_euclid_dist")
        # By shift instead of by partner: so there is no column for the sample itself.
        shifts = torch.arange(1, batch_size, device=y.device)
        partner = (torch.arange(batch_size, device=y.device)[:, None] + shifts) % batch_size
        likely = (distance.gather(1, partner) / self.bandwidth).square().div(-2)
        eligible = known[:, None] & known[partner]
        below = likely.where(eligible, -torch.inf).softmax(1).cumsum(1)
        point = torch.from_numpy(rng.random((batch_size, 1), np.float32)).to(y.device, non_blocking=True)
        # The product may round up to the whole, which would be the last sample whether it is eligible or not.
        point = torch.minimum(point * below[:, -1:], below[:, -1:].nextafter(torch.zeros_like(point)))
        found = 1 + torch.searchsorted(below, point, right=True)[:, 0].clamp_max(batch_size - 2)
        return found.where(eligible.any(1), 0)


class Memory(Pairing):
    """The batch before: every sample is mixed with the one at its place there, modulo the length of that batch.

    So a batch of one sample is mixed, too. While there is none before, at the start and after a resume, it is
    ``Shift``.

    Examples:
        >>> Memory()(np.random.default_rng(0), batch_size=1)
        0
    """

    remembers = True

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> int:
        """Find a partner within the batch, as there is none before. See ``Pairing.__call__``."""
        return sample_shift(rng, batch_size)


PAIRINGS: dict[str, Pairing] = {
    "shift": Shift(),
    "permutation": Permutation(),
    "flip": Flip(),
    "same_class": SameClass(),
    "different_class": DifferentClass(),
    "nearest": Nearest(),
    "memory": Memory(),
}
"""Every pairing by its name."""


def _given(target: Tensor | None) -> Tensor:
    if target is None:
        raise ValueError("this pairing looks at the target, got None")
    return target


def _by_class(rng: np.random.Generator, target: Tensor) -> tuple[Tensor, Tensor]:
    """Samples sorted by class, in random order within it; and for each place, the first place of its class."""
    label = target.reshape(-1).long()
    shuffled = torch.from_numpy(rng.permutation(len(label))).to(label.device, non_blocking=True)
    label, within = label[shuffled].sort(stable=True)
    return shuffled[within], torch.searchsorted(label, label)


def _shift(samples: Tensor, partners: Tensor) -> Tensor:
    """Distances, in the order of the batch, from samples in any order to their partners."""
    return torch.empty_like(samples).scatter_(0, samples, partners - samples)
