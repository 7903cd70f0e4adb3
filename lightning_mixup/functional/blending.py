"""How a batch and its partners become one: block by block, by a weight or a mask, with a gradient."""

from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.functional.checks import writable
from lightning_mixup.functional.pairs import blocks, blocks_to_overwrite, is_small, partners, places
from lightning_mixup.functional.sampling import Floats


def blend(
    x: Tensor,
    weight: float | Tensor,
    shift: int | Tensor,
    memory: Tensor | None,
    inplace: bool,
    pure: Tensor | None = None,
) -> Tensor:
    """Mix with a weight of the partner: a number, one for each sample or pixel, or a boolean mask, which chooses.

    ``pure`` tells what has a weight of 0 or 1, because interpolation would make NaN of it where something is infinite:
    the indices of such samples, if there are any, or a mask, for pixels and where only the device knows.
    """
    if isinstance(shift, Tensor) and not shift.ndim and not torch.compiler.is_compiling():
        shift = int(shift)
    if inplace:
        return _write(writable(x), weight, shift, memory, pure, out=x)
    if is_small(x):
        if memory is None and not isinstance(weight, Tensor) and 0 < weight < 1:
            return torch.lerp(x, partners(x, shift), weight)  # what nearly all steps ask for, in fewer calls
        return _by_copy(x, weight, shift, None if memory is None else memory.detach(), pure)
    mixed: Tensor = (_Mix.apply if x.requires_grad else _Mix.forward)(x, weight, shift, memory, pure)
    return mixed


class Weights:
    """Weights of the samples of a batch, looked at and converted before they are used.

    Args:
        lam: Weights of the originals in [0, 1], shape ``(B,)``.

    Attributes:
        lam: As above.
        shape: Of ``lam``.
        inside: Whether all are between 0 and 1 in single precision.

    Examples:
        >>> weights = Weights(np.array([1.0, 0.25]))
        >>> weights.inside
        False
        >>> weights.of_partners(torch.zeros(2, 3))
        (tensor([[0.0000],
                [0.7500]]), tensor([0]))
    """

    def __init__(self, lam: Floats) -> None:
        self.lam, self.shape = lam, lam.shape
        single = lam.astype(np.float32)
        share = 1 - single
        pure = (single * share == 0).nonzero()[0]
        self.inside = not len(pure)
        self._pure = torch.from_numpy(pure) if len(pure) else None
        self._originals, self._partners = torch.from_numpy(single), torch.from_numpy(share)

    def of_originals(self, like: Tensor) -> Tensor:
        """Weights of the originals.

        Args:
            like: Labels, for their device. Those in double precision have weights in double precision.

        Returns:
            A tensor of shape ``(B,)``.
        """
        weights = torch.from_numpy(self.lam) if like.dtype == torch.float64 else self._originals
        return weights.to(like.device, non_blocking=True)

    def of_partners(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weights of the partners.

        Args:
            x: Batch of shape ``(B, ...)``.

        Returns:
            A tensor that broadcasts over the batch, of its dtype and device, and the indices of the weights that are 0
            or 1, if there are any.
        """
        pure = self._pure
        weights = torch.from_numpy(1 - self.lam) if x.dtype == torch.float64 else self._partners
        weights = weights.to(x.device, x.dtype, non_blocking=True).view(-1, *[1] * (x.ndim - 1))
        return weights, pure if pure is None else pure.to(x.device, non_blocking=True)


def within(weight: Tensor) -> bool:
    """Whether weights are known to lie between 0 and 1. Where only the device knows, or the compiler, they are not."""
    if weight.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if not weight.numel():
        return True
    low, high = torch.aminmax(weight)
    return low.item() > 0 and high.item() < 1


class _Mix(torch.autograd.Function):
    """Mixing whose gradient finds the samples as mixing finds the partners, where that is one shift for all."""

    @staticmethod
    def forward(
        x: Tensor, weight: float | Tensor, shift: int | Tensor, memory: Tensor | None, pure: Tensor | None
    ) -> Tensor:
        if isinstance(shift, Tensor) and torch.compiler.is_compiling():
            # The compiler makes one pass of this, while it would compile slices anew for every shift.
            return _by_copy(x, weight, shift, memory, pure)
        return _write(x, weight, shift, memory, pure, out=torch.empty_like(x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        _, ctx.weight, ctx.shift, memory, _ = inputs
        ctx.remembered = memory is not None

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:  # noqa: ANN401
        weight, shift = ctx.weight, ctx.shift
        if not (isinstance(weight, Tensor) or isinstance(shift, Tensor) or ctx.remembered):
            return blend(grad, weight, -shift, None, inplace=False), None, None, None, None
        if isinstance(weight, Tensor):
            weight = weight.to(grad.dtype)
        total = grad * (1 - weight)
        if ctx.remembered:
            return total, None, None, None, None
        if isinstance(shift, Tensor):
            passed = grad * weight
            total = (
                total.index_add(0, places(grad, shift, grad), passed)
                if shift.ndim
                else total + partners(passed, -shift)
            )
            return total, None, None, None, None
        for (rows, passed), (_, share) in zip(blocks(grad, -shift), blocks(weight, -shift), strict=True):
            total[rows].addcmul_(passed, share)
        return total, None, None, None, None


def _by_copy(
    x: Tensor, weight: float | Tensor, shift: int | Tensor, memory: Tensor | None, pure: Tensor | None
) -> Tensor:
    """Mix with all partners at once, by functions that torch differentiates."""
    mixed = _lerp(x, partners(x, shift, memory), weight, pure)
    return mixed.index_copy_(0, pure, _taken(x, weight, shift, memory, pure)) if _listed(pure) else mixed


def _write(
    x: Tensor, weight: float | Tensor, shift: int | Tensor, memory: Tensor | None, pure: Tensor | None, out: Tensor
) -> Tensor:
    taken = _taken(x, weight, shift, memory, pure) if _listed(pure) else None
    for rows, other in (blocks_to_overwrite if out is x else blocks)(x, shift, memory):
        share = weight[rows] if isinstance(weight, Tensor) else weight
        chosen = None if pure is None or _listed(pure) else pure[rows]
        _lerp(x[rows], other, share, chosen, out=out[rows])
    return out.index_copy_(0, pure, taken) if _listed(pure) and taken is not None else out


def _lerp(
    x: Tensor, other: Tensor, weight: float | Tensor, pure: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    if isinstance(weight, Tensor):
        if weight.dtype == torch.bool:
            return torch.where(weight, other, x) if out is None else torch.where(weight, other, x, out=out)
        if pure is not None and not _listed(pure):
            mixed = torch.where(pure, torch.where(weight == 0, x, other), torch.lerp(x, other, weight))
            return mixed if out is None else out.copy_(mixed)
    elif weight in (0, 1):
        only = other if weight else x
        return only.clone() if out is None else out.copy_(only)
    return torch.lerp(x, other, weight, out=out)


def _listed(pure: Tensor | None) -> TypeGuard[Tensor]:
    return pure is not None and pure.dtype != torch.bool


def _taken(x: Tensor, weight: float | Tensor, shift: int | Tensor, memory: Tensor | None, rows: Tensor) -> Tensor:
    """What samples with a weight of 0 or 1 show: themselves, or their partners."""
    assert isinstance(weight, Tensor)
    source = x if memory is None else memory
    found = (rows + (shift[rows] if isinstance(shift, Tensor) else shift)) % len(source)
    own = weight[rows] == 0
    if memory is None:
        return x[torch.where(own.flatten(), rows, found)]
    return torch.where(own, x[rows], memory[found])
