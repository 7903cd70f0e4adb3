"""The batches of one module in training: which step gets which of them, mixed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lightning_mixup.callbacks import containers
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.refusals import Found
from lightning_mixup.targets import Lockstep, MixedTarget, listeners

_NEVER = (
    "training_step was called, but never with the batch that was drawn for, so that nothing was mixed: another "
    "callback replaced or enlarged the batch in on_train_batch_start, or the step was handed a copy. Put this callback "
    "behind the other one in Trainer(callbacks=[...]), or change batches in on_after_batch_transfer"
)
_PART = (
    "training_step was called with a part of the batch, of which hidden states, or clean and mixed samples together, "
    "cannot be mixed; take Mixup or CutMix for such a module, or hand over whole batches"
)


class Mixes(Protocol):
    """What is needed of a callback to mix a batch."""

    targets: tuple[str, ...]

    def mix_found(self, found: Found, kinds: Sequence[str], draw: Draw) -> dict[Key, Tensor]:
        """Mix inputs and targets."""

    def mix_target(self, target: Tensor, key: Key, kind: str, word: str, draw: Draw) -> Tensor:
        """Mix one target."""

    def _error(self, message: str) -> Exception: ...


class Mixing:
    """One module in training, and the batch that it is trained on.

    A step on the batch gets it mixed, a step on rows of it these rows mixed, and a step on another batch gets that
    one as it is. A batch is recognised by the tensors in it.

    Args:
        mix: The callback.
        module: The module.
    """

    def __init__(self, mix: Mixes, module: nn.Module) -> None:
        self.mix = mix
        self.module = module
        self.lockstep = Lockstep(module, type(mix).__name__)
        self.lockstep.attach()
        self.draw: Draw | None = None
        self.found: Found | None = None
        self.kinds: Sequence[str] = ()
        self.entries: Mapping[Key, Tensor] = {}
        self.mixed: dict[Key, Tensor] | None = None
        self._depth = 0
        self._strangers = self._taken = False

    def start(self, found: Found, kinds: Sequence[str], draw: Draw) -> None:
        """Take a new batch, when the one before has been left.

        Args:
            found: Its inputs and targets.
            kinds: What each target is.
            draw: How to mix it.
        """
        self.found, self.entries, self.kinds, self.draw = found, found.entries, kinds, draw
        self._strangers = self._taken = False

    def around(self, step: Callable[..., Any], trained: Callable[[Any], bool], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Take a step.

        Args:
            step: ``training_step`` of the module.
            trained: Tells by its output whether it has trained the module.
            args: Its arguments, of which the first is a batch.
            kwargs: Likewise.

        Returns:
            What the step returns, in plain tensors.
        """
        draw = self.draw
        if draw is None or (draw.method is None and not listeners and "soft" not in self.mix.targets):
            return step(*args, **kwargs)
        name = "" if args else next(iter(kwargs), "")
        batch = args[0] if args else kwargs.get(name)
        mine = self.batch(batch)
        if mine is None:
            return step(*args, **kwargs)
        if args:
            args = (mine, *args[1:])
        else:
            kwargs = {**kwargs, name: mine}
        if self._depth:  # a step within the step
            return step(*args, **kwargs)
        self._depth += 1
        try:
            output = self.lockstep.call(step, *args, **kwargs)
            if draw.hidden:
                draw.verify()
            output = self.lockstep.result(output)
        except Exception as error:
            self.lockstep.explain(error)
            raise
        else:
            if draw.method is not None:
                self.lockstep.require_use(trained(output))
        finally:
            self._depth -= 1
        return output

    def batch(self, batch: Any) -> Any:  # noqa: ANN401
        """What a step on a batch has to get instead; None if that is another batch than the one drawn for."""
        draw = self.draw
        assert draw is not None
        rows: slice | bool | None = True
        try:  # nearly all batches have the very tensors of the one drawn for
            own = all(map(operator.is_, containers.get_all(batch, self.entries), self.entries.values()))
        except (KeyError, TypeError):
            own = False
        if not own:
            rows = self._rows(batch)
        if rows is None:
            self._strangers = True
            return None
        self._taken = True
        if draw.method is None:
            self.lockstep.begin({})
            return containers.replace_all(batch, self._certain())
        if self.mixed is None:
            assert self.found is not None
            self.mixed = self.mix.mix_found(self.found, self.kinds, draw)
        if not self._depth:
            self.lockstep.begin(self.mixed)
            if draw.hidden:
                draw.arm(draw.lam, draw.shift, draw.batch_size, next(iter(self.entries.values())).device)
        replaced = self.mixed
        if own:
            return containers.replace_all(batch, replaced)
        if isinstance(rows, slice):
            if draw.batch_size != _size(self.entries) or draw.hidden:
                raise self.mix._error(_PART)
            replaced = {key: value[rows] for key, value in replaced.items()}
        return containers.replace_all(
            batch, {key: _cast(value, containers.get(batch, key)) for key, value in replaced.items()}
        )

    def leave(self, strictly: bool = False) -> None:
        """The batch is done, its backward pass included. Without need it does nothing.

        Args:
            strictly: Raise if steps were taken, but none on the batch.
        """
        draw = self.draw
        if draw is None:
            return
        if strictly and self._strangers and not self._taken and draw.method is not None:
            raise self.mix._error(_NEVER)
        self.draw, self.mixed, self.found, self.entries = None, None, None, {}
        if draw.hidden:
            draw.disarm()
        self.lockstep.end()

    def close(self) -> None:
        """Leave the module as it came."""
        self.leave()
        self.lockstep.detach()

    def _certain(self) -> dict[Key, Tensor]:
        """Class labels of a batch that is left as it is.

        As probabilities where a step takes these; else as pairs, which tell listeners of their losses as mixed ones do.
        """
        assert self.found is not None
        assert self.draw is not None
        _, targets, words, _ = self.found
        certain: dict[Key, Tensor] = {}
        for (key, target), kind, word in zip(targets.items(), self.kinds, words, strict=True):
            if kind == "soft":
                certain[key] = self.mix.mix_target(target, key, kind, word, self.draw)
            elif kind == "labels" and word != "sampled" and listeners:
                certain[key] = MixedTarget(target, target, 1.0)
        return certain

    def _rows(self, batch: Any) -> slice | bool | None:  # noqa: ANN401
        """Which rows of the batch drawn for another one has: True for all of them, None if it is a stranger."""
        found: set[tuple[int, int]] = set()
        others: list[tuple[Tensor, Any]] = []
        for key, whole in self.entries.items():
            try:
                part = containers.get(batch, key)
            except (KeyError, TypeError):
                return None
            if part is whole:
                found.add((0, len(whole)))
            elif isinstance(part, Tensor) and (rows := rows_of(whole, part)) is not None:
                found.add(rows)
            else:
                others.append((whole, part))
        if len(found) > 1:
            sizes = {len(whole) for whole in self.entries.values()}
            return True if found == {(0, size) for size in sizes} and not others else None
        if others and not self._taken and all(_copied(whole, part, bool(found)) for whole, part in others):
            return True
        if others and not all(found and _is_cast(whole, part) for whole, part in others):
            return None
        if not found:
            return None
        start, stop = found.pop()
        return True if (start, stop) == (0, _size(self.entries)) else slice(start, stop)


def rows_of(whole: Tensor, part: Tensor) -> tuple[int, int] | None:
    """Which rows of a tensor another one shows.

    Args:
        whole: A strided tensor of shape ``(B, ...)``.
        part: Another one.

    Returns:
        First row, and the row behind the last one; None if it is no view of whole rows.

    Examples:
        >>> x = torch.arange(12).view(6, 2)
        >>> rows_of(x, x[2:5]), rows_of(x, x[2:5].clone()), rows_of(x, x[:, :1])
        ((2, 5), None, None)
    """
    if whole.shape[1:] != part.shape[1:] or whole.dtype != part.dtype or whole.device != part.device or part.ndim == 0:
        return None
    if type(part) is not type(whole) or whole.layout != torch.strided or part.layout != torch.strided:
        return None
    if whole.stride() != part.stride() and len(part) > 1:
        return None
    if whole.untyped_storage().data_ptr() != part.untyped_storage().data_ptr() or not part.numel():
        return None
    start, rest = divmod(int(part.storage_offset()) - int(whole.storage_offset()), whole.stride(0) or 1)
    return (start, start + len(part)) if rest == 0 and 0 <= start <= len(whole) - len(part) else None


def _size(entries: Mapping[Key, Tensor]) -> int:
    return len(next(iter(entries.values())))


def _is_cast(whole: Tensor, part: Any) -> bool:  # noqa: ANN401
    """Whether a tensor may be the other one at another precision, as sharded training casts inputs."""
    return isinstance(part, Tensor) and part.shape == whole.shape and part.dtype != whole.dtype


def _copied(whole: Tensor, part: Any, known: bool) -> bool:  # noqa: ANN401
    """Whether a tensor is a copy of another one; looked at once a batch at most, as it waits for the device."""
    if not isinstance(part, Tensor) or part.shape != whole.shape:
        return False
    if part.dtype != whole.dtype:
        return known
    return type(part) is type(whole) and part.device == whole.device and torch.equal(whole, part)


def _cast(value: Tensor, like: Any) -> Tensor:  # noqa: ANN401
    if isinstance(value, MixedTarget) or not isinstance(like, Tensor) or not value.is_floating_point():
        return value
    return value.to(like.dtype) if like.is_floating_point() and like.dtype != value.dtype else value
