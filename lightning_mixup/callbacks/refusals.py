"""What cannot be mixed, said before the first step: looked at when the structure of the batches changes."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lightning_mixup.callbacks import containers
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.functional.checks import check_mixable, shared_memory


class Checked(Protocol):
    """What the refusals need to know of a callback."""

    input_key: tuple[Key, ...]
    target_key: tuple[Key, ...]
    targets: tuple[str, ...]
    inplace: bool

    @property
    def hidden(self) -> bool:
        """Whether the method mixes hidden states."""

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs that the method cannot mix."""

    def _error(self, message: str) -> Exception: ...


SIGNALS = (type(None), str, bytes, bool, int, float)
"""A batch that is none but a sign between a loader and a module."""

_MASK = "attention_mask"


class Found(NamedTuple):
    """What a callback mixes of a batch.

    Attributes:
        inputs: Its inputs, by their keys.
        targets: Its targets, likewise.
        words: What was said about each target, such as ``"auto"``.
        masks: Attention masks that stand beside the inputs, likewise by their keys.
    """

    inputs: dict[Key, Any]
    targets: dict[Key, Any]
    words: tuple[str, ...]
    masks: Mapping[Key, Tensor] = MappingProxyType({})

    @property
    def entries(self) -> dict[Key, Any]:
        """Inputs and targets."""
        return {**self.inputs, **self.targets}


def find(mix: Checked, batch: Any) -> Found:  # noqa: ANN401
    """The entries of a batch that a callback mixes, whatever they are.

    Args:
        mix: The callback.
        batch: Any batch.

    Returns:
        Inputs and targets.

    Raises:
        MisconfigurationException: If there is no such entry.
    """
    # Nearly all batches are tuples or lists; in these an index needs no search.
    if type(batch) in (tuple, list):
        try:
            inputs = dict(zip(mix.input_key, map(batch.__getitem__, mix.input_key), strict=True))
            targets = dict(zip(mix.target_key, map(batch.__getitem__, mix.target_key), strict=True))
            return Found(inputs, targets, mix.targets)
        except (TypeError, IndexError):
            pass
    inputs = {name: entry for key in mix.input_key for name, entry in _expand(mix, batch, key, "input_key")}
    targets, words = {}, []
    for key, word in zip(mix.target_key, mix.targets, strict=True):
        for name, entry in _expand(mix, batch, key, "target_key"):
            targets[name] = entry
            words.append(word)
    return Found(inputs, targets, tuple(words), _masks(batch, inputs, targets))


def _masks(batch: Any, inputs: Mapping[Key, Any], targets: Mapping[Key, Any]) -> dict[Key, Tensor]:  # noqa: ANN401
    """What is called ``attention_mask`` beside an input, or in the batch itself if no input is named."""
    found: dict[Key, Tensor] = {}
    for key in inputs or ("",):
        name = f"{str(key).rpartition('.')[0]}.{_MASK}".lstrip(".") if isinstance(key, str) else _MASK
        if name in inputs or name in targets:
            continue
        with contextlib.suppress(KeyError):
            if isinstance(mask := containers.get(batch, name), Tensor) and mask.ndim > 1 and not mask.is_complex():
                found[name] = mask
    return found


def _expand(mix: Checked, batch: Any, key: Key, argument: str) -> list[tuple[Key, Any]]:  # noqa: ANN401
    try:
        return [(name, containers.get(batch, name)) for name in containers.expand(batch, key)]
    except KeyError as error:
        raise mix._error(f"{error.args[0]}. Name the right one with {argument}=...") from None


def check_batch(mix: Checked, found: Found) -> None:
    """Refuse a batch that cannot be mixed.

    Args:
        mix: The callback.
        found: Its inputs and targets.

    Raises:
        MisconfigurationException: If an entry is no tensor or one of a kind that cannot be mixed, if their numbers of
            samples do not fit, or if memory that is to be overwritten is shared.
    """
    inputs, targets, entries = found.inputs, found.targets, found.entries
    for key, entry in entries.items():
        if not isinstance(entry, Tensor):
            raise mix._error(f"batch entry {key!r} is a {type(entry).__name__}, not a tensor: {entry!r:.80}")
        if why := check_mixable(entry):
            raise mix._error(f"batch entry {key!r} {why}")
    sizes = {len(entry) for entry in entries.values()}
    streams = {len(entry) for entry in inputs.values()}
    alone = {len(entry) for entry in targets.values()} - streams
    if len(sizes) > 1 and ((alone and inputs) or len(streams) < 2 or mix.hidden):
        shapes = {key: tuple(entry.shape) for key, entry in entries.items()}
        raise mix._error(
            f"inputs and targets differ in their number of samples, the first dimension: {shapes}; streams of "
            "different sizes, such as labelled and unlabelled samples, need an input for each target"
        )
    mix.check(list(inputs.values()))
    if mix.inplace and (why := shared_memory(entries)):
        raise mix._error(why)


def require_floats(mix: Checked, inputs: Sequence[Tensor]) -> None:
    """Refuse inputs whose numbers cannot be averaged."""
    for key, x in zip(mix.input_key, inputs, strict=False):
        if not (x.is_floating_point() or x.is_complex()):
            cure = (
                "scale it to floating point in the data set or a transform: x.float() / 255"
                if x.dtype == torch.uint8
                else "mix token ids at their embedding: ManifoldMixup(layers=['<name of the embedding>'])"
            )
            raise mix._error(f"input {key!r} is {x.dtype} of shape {tuple(x.shape)}, not floating point; {cure}")
        if x.is_complex():
            raise mix._error(
                f"input {key!r} is {x.dtype} of shape {tuple(x.shape)}; give real and imaginary part a dimension: "
                "torch.view_as_real(x)"
            )


def check_labels(mix: Checked, target: Tensor, classes: int) -> None:
    """Refuse targets of ``targets="soft"`` that are no class indices."""
    if target.is_floating_point():
        raise mix._error(f"targets='soft' takes class indices, got {target.dtype} of shape {tuple(target.shape)}")
    # A look at the values would wait for a device; there, indices out of range end in its own assertion.
    if target.device.type == "cpu":
        low, high = (int(bound) for bound in target.aminmax())
        if low < 0 or high >= classes:
            raise mix._error(f"targets='soft' needs labels in [0, {classes}), got {low} to {high}")


def check_memory(mix: Checked, before: Mapping[Key, Tensor], entries: Mapping[Key, Tensor]) -> None:
    """Refuse a batch that cannot be mixed with the one before."""
    for key, entry in before.items():
        was, now = ((tuple(x.shape[1:]), x.dtype) for x in (entry, entries[key]))
        if was != now:
            raise mix._error(
                f"batch entry {key!r} was {was[1]} (B, *{was[0]}) before and is {now[1]} (B, *{now[0]}) now; "
                "pairing='memory' mixes with the batch before: give all one shape, or take another pairing"
            )


def check_loss(mix: Checked, module: nn.Module, loss: str) -> None:
    """Refuse the name of a loss that the module does not have."""
    known = dict(module.named_modules())
    if loss not in known:
        near = difflib.get_close_matches(loss, known, n=5, cutoff=0.3)
        raise mix._error(f"loss names no submodule: {loss!r}; similar: {near}")
