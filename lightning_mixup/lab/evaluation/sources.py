"""How a full evaluation talks to modules and data of any kind: what it may ask for, and what it takes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn


def logits_of(module: nn.Module, x: Tensor) -> Tensor:
    """Call a module, and take the logits out of what it gives.

    Args:
        module: maps ``x`` to logits ``(B, C)``, or to an object or mapping that holds them as ``logits``.
        x: inputs, ``(B, ...)``.

    Raises:
        TypeError: it gives something else.

    Examples:
        >>> import torch
        >>> logits_of(nn.Linear(4, 3), torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """
    output = module(x)
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(found, Tensor) or found.ndim != 2 or found.shape[1] < 2:
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(output).__name__
        raise TypeError(
            f"A full evaluation needs a module whose forward gives logits of shape (B, C), with C at least 2, or "
            f"something that holds them as .logits; {type(module).__name__} gave {got}."
        )
    return found


def entry(batch: Any, name: str, key: int | str) -> Tensor:  # noqa: ANN401
    """Take a tensor out of a batch.

    Args:
        batch: a sequence or a mapping.
        name: of the argument that says where, for the message.
        key: where.

    Raises:
        TypeError: there is none.
    """
    try:
        found = batch[key]
    except (KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, Tensor):
        has = f"the keys {list(batch)}" if isinstance(batch, Mapping) else f"{len(batch)} entries"
        raise TypeError(f"evaluate.{name}={key!r} must lead to a tensor in a batch; the batch has {has}.")
    return found


def moved(module: LightningModule, data: LightningDataModule, batches: Iterable[Any]) -> Iterator[Any]:
    """Give batches on the device of the module, through whatever the data or the module do to them on the way."""

    def hook(name: str) -> Callable[..., Any]:
        ours: Callable[..., Any] = getattr(module if is_overridden(name, module) else data, name)
        theirs: Callable[..., Any] = getattr(data, name)
        return theirs if is_overridden(name, data) else ours  # as Lightning chooses

    before, move, after = map(hook, ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"))
    for batch in batches:
        yield after(move(before(batch, 0), module.device, 0), 0)


def offered(data: LightningDataModule, name: str) -> Iterable[Any]:
    """Batches of a loader that the data may have; none if it has no such method."""
    if not hasattr(data, name) or (hasattr(LightningDataModule, name) and not is_overridden(name, data)):
        return ()
    batches: Iterable[Any] = getattr(data, name)()
    return batches
