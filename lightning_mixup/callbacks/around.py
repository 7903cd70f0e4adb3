"""Draws made of draws: for some of the samples, behind a clean copy, of several methods, of several streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from torch import Tensor

from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.functional.sampling import Floats


class Around(Draw):
    """A draw made of others.

    Args:
        lam: Weights of the samples of the step.
        parts: The draws that it is made of, at least one.
    """

    def __init__(self, lam: float | Floats, parts: Sequence[Draw]) -> None:
        super().__init__(lam)
        first = parts[0]
        self.parts = tuple(parts)
        self.hidden = any(part.hidden for part in parts)
        self.method, self.batch_size = first.method, first.batch_size
        self.shift, self.memory, self.values = first.shift, first.memory, first.values

    def verify(self) -> None:
        """See `Draw.verify`."""
        for part in self.parts:
            part.verify()

    def disarm(self) -> None:
        """See `Draw.disarm`."""
        for part in self.parts:
            part.disarm()

    def arm(self, lam: float | Floats, shift: int | Tensor, batch_size: int, device: torch.device) -> None:
        """See `Draw.arm`."""
        for part in self.parts:
            part.arm(lam, shift, batch_size, device)

    def where(self) -> str:
        """See `Draw.where`."""
        return self.parts[0].where()

    def leaves(self) -> Iterator[Draw]:
        """See `Draw.leaves`."""
        for part in self.parts:
            yield from part.leaves()

    def align(self, shift: int | Tensor) -> Draw:
        """See `Draw.align`."""
        aligned = super().align(shift)
        assert isinstance(aligned, Around)
        aligned.parts = tuple(part.align(shift) for part in self.parts)
        return aligned

    def forget(self) -> Draw:
        """See `Draw.forget`."""
        forgetful = super().forget()
        assert isinstance(forgetful, Around)
        forgetful.parts = tuple(part.forget() for part in self.parts)
        return forgetful


class Restricted(Around):
    """A draw for some of the samples; the others stay as they are.

    Args:
        inner: The draw for all samples.
        rows: Which samples, shape ``(B,)``.
    """

    def __init__(self, inner: Draw, rows: NDArray[np.bool_]) -> None:
        super().__init__(np.where(rows, inner.lam, 1.0), (inner,))
        self.rows = rows

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """See `Draw.mix`."""
        return _choose(self.rows, self.parts[0].mix(x, key), x)

    def mix_mask(self, mask: Tensor, key: Key) -> Tensor | None:
        """See `Draw.mix_mask`."""
        mixed = self.parts[0].mix_mask(mask, key)
        return None if mixed is None else _choose(self.rows, mixed, mask)

    def outline(self, row: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """See `Draw.outline`."""
        return self.parts[0].outline(row) if self.rows[row] else None

    def leaves(self) -> Iterator[Draw]:
        """Itself, for the weights; it counts as the inner one does."""
        yield self

    def tally(self, lam: NDArray[np.float32]) -> dict[str, float]:
        """See `Draw.tally`."""
        return self.parts[0].tally(lam)


class Behind(Around):
    """A draw behind a clean copy: twice the samples, of which the second half is mixed."""

    def __init__(self, inner: Draw) -> None:
        size = inner.batch_size
        super().__init__(np.concatenate([np.ones(size), np.broadcast_to(inner.lam, size)]), (inner,))
        self.batch_size = 2 * size

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """Put the mixed inputs behind the clean ones."""
        return torch.cat([x, self.parts[0].mix(x, key)])

    def mix_mask(self, mask: Tensor, key: Key) -> Tensor | None:
        """Put the mixed mask behind the clean one."""
        mixed = self.parts[0].mix_mask(mask, key)
        return None if mixed is None else torch.cat([mask, mixed])

    def pair(self, target: Tensor, key: Key = 1) -> tuple[Tensor, Tensor]:
        """Put both targets behind the clean ones."""
        own, partner = self.parts[0].pair(target, key)
        return torch.cat([target, own]), torch.cat([target, partner])

    def weight(self, like: Tensor) -> float | Tensor:
        """Weights for a target of ``2B`` samples."""
        half = like[len(like) // 2 :]
        inner = self.parts[0].weight(half)
        inner = inner if isinstance(inner, Tensor) else torch.full((len(half),), inner, device=like.device)
        return torch.cat([torch.ones_like(inner), inner])

    def arm(self, lam: float | Floats, shift: int | Tensor, batch_size: int, device: torch.device) -> None:
        """Let the network mix the second half within itself."""
        if self.hidden:
            inner = self.parts[0]
            place = torch.arange(inner.batch_size)
            within = inner.shift.cpu() if isinstance(inner.shift, Tensor) else inner.shift
            away = (place + within) % inner.batch_size - place
            inner.arm(self.lam, torch.cat([torch.zeros_like(away), away]), self.batch_size, device)

    def outline(self, row: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """See `Draw.outline`."""
        size = self.parts[0].batch_size
        return self.parts[0].outline(row - size) if row >= size else None


class Several(Around):
    """A draw of several methods, each for some of the samples, with one partner for all of them.

    Args:
        parts: Draws of which every sample is mixed by one at most.
    """

    def __init__(self, parts: Sequence[Draw]) -> None:
        super().__init__(np.minimum.reduce([np.asarray(part.lam) for part in parts]), parts)

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """Let every part mix its samples."""
        mixed = x
        for part in self.parts:
            mixed = _choose(np.asarray(part.lam) < 1, part.mix(x, key), mixed)
        return mixed

    def mix_mask(self, mask: Tensor, key: Key) -> Tensor | None:
        """Let every part cut the mask of its samples."""
        cuts = [part.mix_mask(mask, key) for part in self.parts]
        if all(cut is None for cut in cuts):
            return None
        mixed = mask
        for part, cut in zip(self.parts, cuts, strict=True):
            if cut is None:
                raise MisconfigurationException(
                    "RandomChoice: a mask is cut by some of the methods and mixed by others, and cannot be both; "
                    "take per_sample=False here"
                )
            mixed = _choose(np.asarray(part.lam) < 1, cut, mixed)
        return mixed

    def outline(self, row: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """See `Draw.outline`."""
        outlines = [part.outline(row) for part in self.parts if np.broadcast_to(part.lam, self.batch_size)[row] < 1]
        return outlines[0] if outlines else None


class Streams(Around):
    """Draws for inputs and targets of different numbers of samples, such as labelled and unlabelled ones.

    Args:
        streams: A draw for each number of samples; the first one tells the weights that are logged.
    """

    def __init__(self, streams: Mapping[int, Draw]) -> None:
        parts = tuple(streams.values())
        mixing = [part for part in parts if part.method is not None]
        super().__init__(parts[0].lam, parts)
        self.method = mixing[0].method if mixing else None
        self.streams = dict(streams)

    def mix(self, x: Tensor, key: Key) -> Tensor:
        """Mix an input within its stream."""
        return self.streams[len(x)].mix(x, key)

    def mix_mask(self, mask: Tensor, key: Key) -> Tensor | None:
        """Mix a mask within its stream."""
        return self.streams[len(mask)].mix_mask(mask, key)

    def pair(self, target: Tensor, key: Key = 1) -> tuple[Tensor, Tensor]:
        """The targets of a stream, and those of their partners."""
        return self.streams[len(target)].pair(target, key)

    def weight(self, like: Tensor) -> float | Tensor:
        """Weights for a target of a stream."""
        return self.streams[len(like)].weight(like)

    def inside(self) -> bool:
        """See `Draw.inside`."""
        return all(part.inside() for part in self.parts)


def restrict(draw: Draw, rows: NDArray[np.bool_]) -> Draw:
    """The same draw for some of the samples alone.

    Args:
        draw: How to mix a batch of B samples.
        rows: Which samples, shape ``(B,)``.

    Returns:
        A draw that leaves the others as they are, with a weight for each sample.
    """
    narrow = draw.only(rows)
    if narrow is None:
        return Restricted(draw, rows)
    narrow.method, narrow.batch_size, narrow.shift = draw.method, draw.batch_size, draw.shift
    narrow.memory, narrow.values = draw.memory, draw.values
    return narrow


def _choose(rows: NDArray[np.bool_], mixed: Tensor, clean: Tensor) -> Tensor:
    chosen = torch.from_numpy(np.array(np.broadcast_to(rows, len(clean))))
    chosen = chosen.to(clean.device, non_blocking=True)
    return torch.where(chosen.view(-1, *[1] * (clean.ndim - 1)), mixed, clean)
