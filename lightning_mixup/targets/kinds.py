"""Kinds of targets, and what ``training_step`` receives of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.functional.losses import blend
from lightning_mixup.targets.errors import MixedTargetError
from lightning_mixup.targets.pair import MixedTarget
from lightning_mixup.targets.watched import watch


def infer_kind(target: Tensor, spatial: Sequence[int] = (), *, channels_last: bool = False) -> str:
    """Kind of a target that nobody named, by its shape and a look at its values.

    Args:
        target: Tensor of shape ``(B, ...)``.
        spatial: Sizes of the spatial dimensions of the input, of ``(B, C, *spatial)``.
        channels_last: Whether channels stand behind the spatial dimensions, ``(B, *spatial, C)``, in input and target.

    Returns:
        ``"mask"`` if the target covers the spatial dimensions, at their resolution or, of integers and two dimensions
        at least, at another one of the same proportions; else ``"labels"`` if all its numbers are whole, 0/1 and -1/1
        among them; else ``"values"``. Missing values, NaN, do not count.

    Examples:
        >>> infer_kind(torch.zeros(8, 32, 32), spatial=(32, 32))
        'mask'
        >>> infer_kind(torch.zeros(8, 16, 16, dtype=torch.int64), spatial=(32, 32))
        'mask'
        >>> infer_kind(torch.tensor([0.0, 1.0])), infer_kind(torch.rand(8))
        ('labels', 'values')
    """
    floating = target.is_floating_point()
    if target.is_complex():
        return "values"
    spatial = tuple(spatial)
    sizes = (tuple(target.shape[1:]), tuple(target.shape[1:-1] if channels_last else target.shape[2:]))
    covers = bool(spatial) and spatial in sizes
    if covers and not (floating and len(spatial) == 1 and target.ndim == 2):
        return "mask"
    whole = not floating or _whole(target)
    if whole and not floating and any(_proportional(spatial, size) for size in sizes):
        return "mask"
    # As many floats a sample as the input is long: bits are labels, other numbers a value for each place.
    return "labels" if whole else "mask" if covers else "values"


def _proportional(spatial: Sequence[int], size: Sequence[int]) -> bool:
    """Whether a map has the proportions of the input, in two dimensions at least."""
    if len(spatial) < 2 or len(size) != len(spatial) or min(size) < 2:
        return False
    return all(n * spatial[0] == size[0] * m for n, m in zip(size, spatial, strict=True))


def _whole(target: Tensor) -> bool:
    with torch.no_grad():
        return bool(((target == target.round()) | target.isnan()).all())


def soft_labels(target: MixedTarget, num_classes: int) -> Tensor:
    """Probabilities that say the same as mixed class labels.

    Args:
        target: Class indices of shape ``(B, ...)``.
        num_classes: Number of classes C.

    Returns:
        Floating point tensor of shape ``(B, C, ...)``, as losses of torch take probabilities; they sum to 1 over the
        classes.

    Examples:
        >>> soft_labels(MixedTarget(torch.tensor([0]), torch.tensor([2]), lam=0.75), num_classes=3)
        tensor([[0.7500, 0.0000, 0.2500]])
    """
    # Not one_hot, which waits for the device to look for labels out of range.
    empty = torch.zeros(*target.shape, num_classes, device=target.device)
    first, second = (empty.scatter(-1, half.long().unsqueeze(-1), 1.0) for half in (target.original, target.partner))
    return blend(first, second, target.lam).movedim(-1, 1)


def mix_target(
    kind: str,
    original: Tensor,
    partner: Tensor,
    lam: float | Tensor,
    *,
    num_classes: int | None = None,
    ignore_value: float | None = None,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """What ``training_step`` receives of a target.

    Args:
        kind: ``"labels"``: a ``MixedTarget``. ``"values"``: the weighted mean, watched until a loss uses it.
            ``"mask"``, of what is not cut with the image: labels, or values if its numbers are not whole. ``"soft"``:
            probabilities of shape ``(B, num_classes, ...)``. ``"sampled"``: of each sample its own target, with
            probability ``lam``, or its partner's, a plain tensor.
        original: Targets of the samples, shape ``(B, ...)``.
        partner: Targets of their partners.
        lam: Weight of the original: a number, or a tensor of shape ``(B,)``.
        num_classes: Number of classes, for ``"soft"``.
        ignore_value: A value that means that there is none, beside NaN. Where either target has it, so has the mix.
        rng: Source of randomness for ``"sampled"``. Targets that belong together need generators in the same state.

    Returns:
        The mixed target.

    Raises:
        ValueError: If the kind is unknown, or an argument that it needs is missing.

    Examples:
        >>> mix_target("values", torch.tensor([1.0, -1.0]), torch.tensor([3.0, 3.0]), 0.5, ignore_value=-1)
        tensor([ 2., -1.])
        >>> mix_target("sampled", torch.zeros(4), torch.ones(4), 0.5, rng=np.random.default_rng(0))
        tensor([1., 0., 0., 0.])
    """
    if kind == "sampled":
        if rng is None:
            raise ValueError("mix_target: kind='sampled' needs rng, a numpy.random.Generator")
        own = torch.from_numpy(rng.random(len(original))) < torch.as_tensor(lam, dtype=torch.float64, device="cpu")
        own = own.to(original.device, non_blocking=True).reshape(-1, *[1] * (original.ndim - 1))
        return torch.where(own, original, partner)
    if kind == "soft":
        if num_classes is None:
            raise ValueError("mix_target: kind='soft' needs num_classes")
        if original.is_floating_point():
            raise MixedTargetError(f"targets='soft' takes class indices, got {original.dtype}; take targets='values'")
        return soft_labels(MixedTarget(original, partner, lam), num_classes)
    floating = original.is_floating_point() or original.is_complex()
    if kind == "labels" or (kind == "mask" and (not floating or _whole(original))):
        return MixedTarget(original, partner, lam)
    if kind not in ("values", "mask"):
        raise ValueError(f"mix_target: kind must be labels, soft, values, sampled or mask, got {kind!r}")
    mixed = blend(original, partner, lam)
    if ignore_value is not None:
        mixed = _without(mixed, original, partner, lam, ignore_value)
    return watch(mixed)


def _without(mixed: Tensor, original: Tensor, partner: Tensor, lam: float | Tensor, ignored: float) -> Tensor:
    """Nothing where either has nothing, unless it has no weight."""
    if isinstance(lam, Tensor):
        lam = lam.reshape(lam.shape + (1,) * (original.ndim - lam.ndim))
    nothing = ((original == ignored) & (lam > 0)) | ((partner == ignored) & (lam < 1))
    return torch.where(nothing, ignored, mixed)
