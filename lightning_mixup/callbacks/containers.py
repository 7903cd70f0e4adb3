"""Take entries out of a batch, and put others in their place without touching the batch."""

import dataclasses
import difflib
from collections.abc import Mapping, MutableMapping, Sequence
from copy import copy
from typing import Any, TypeAlias

Key: TypeAlias = int | str


def get(batch: Any, key: Key) -> Any:  # noqa: ANN401
    """Take one entry out of a batch.

    Args:
        batch: A sequence, mapping, dataclass or any object with attributes, nested at will.
        key: Index, key or attribute name. Dots lead into nested batches: ``"labelled.0"``.

    Returns:
        The entry itself.

    Raises:
        KeyError: If there is none; the message lists what there is.

    Examples:
        >>> get({"views": ("left", "right"), "y": 3}, "views.1")
        'right'
    """
    for part in _path(batch, key):
        batch = _get(batch, part)
    return batch


def replace(batch: Any, key: Key, value: Any) -> Any:  # noqa: ANN401
    """Copy a batch with one entry exchanged.

    Only the containers on the way to the entry are copied, and each keeps its type; an object with attributes is
    copied by ``copy.copy``, without calling its constructor, and may be frozen.

    Args:
        batch: As for ``get``.
        key: As for ``get``.
        value: The new entry.

    Returns:
        The new batch.

    Raises:
        KeyError: As ``get``.

    Examples:
        >>> batch = {"views": ("left", "right"), "y": 3}
        >>> replace(batch, "views.1", "back"), batch
        ({'views': ('left', 'back'), 'y': 3}, {'views': ('left', 'right'), 'y': 3})
    """
    return _replace(batch, _path(batch, key), value)


def _path(batch: Any, key: Key) -> list[Key]:  # noqa: ANN401
    if isinstance(key, str) and "." in key and not (isinstance(batch, Mapping) and key in batch):
        return list(key.split("."))
    return [key]


def _index(batch: Any, key: Key) -> int | None:  # noqa: ANN401
    """The position in a sequence that a key means, if it means one."""
    if not isinstance(batch, Sequence) or isinstance(batch, str):
        return None
    if isinstance(key, str):
        return int(key) if key.removeprefix("-").isdigit() else None
    return key


def _get(batch: Any, key: Key) -> Any:  # noqa: ANN401
    index = _index(batch, key)
    try:
        if index is not None:
            return batch[index]
        if isinstance(batch, Mapping):
            return batch[key] if key in batch or not isinstance(key, str) or not key.isdigit() else batch[int(key)]
        return getattr(batch, str(key))
    except (LookupError, AttributeError):
        raise KeyError(_no_such_entry(batch, key)) from None


def _replace(batch: Any, path: list[Key], value: Any) -> Any:  # noqa: ANN401
    key, *rest = path
    if rest:
        value = _replace(_get(batch, key), rest, value)
    else:
        _get(batch, key)
    changed: Any
    index = _index(batch, key)
    if index is not None:
        items = list(batch)
        items[index] = value
        if isinstance(batch, tuple):
            return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
        changed = copy(batch)
        changed[index] = value
    elif isinstance(batch, Mapping):
        name = key if key in batch else int(key)
        if not isinstance(batch, MutableMapping):
            return type(batch)({**batch, name: value})  # type: ignore[call-arg]
        changed = copy(batch)
        changed[name] = value
    elif hasattr(batch, "_fields"):
        changed = batch._replace(**{str(key): value})
    else:
        changed = copy(batch)
        # A frozen dataclass forbids setattr, which is right for its owner and not for a copy of it.
        (object.__setattr__ if dataclasses.is_dataclass(batch) else setattr)(changed, str(key), value)
    return changed


def _no_such_entry(batch: Any, key: Key) -> str:  # noqa: ANN401
    kind = f"the batch has no entry {key!r}: it is a {type(batch).__name__}"
    if isinstance(batch, Sequence) and not hasattr(batch, "_fields"):
        return f"{kind} of {len(batch)}"
    attributes = getattr(batch, "_fields", None) or getattr(batch, "__dict__", {})
    names = [str(name) for name in (batch if isinstance(batch, Mapping) else attributes)]
    near = difflib.get_close_matches(str(key), names, n=1)
    return f"{kind} with {names}" + (f"; did you mean {near[0]!r}?" if near else "")
