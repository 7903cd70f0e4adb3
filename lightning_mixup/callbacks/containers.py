"""Take entries out of a batch, and put others in their place without touching the batch.

A key is an index, a key of a mapping or the name of an attribute. Dots lead into nested containers: ``"labelled.0"``.
The key ``"."`` stands for a batch that is itself the tensor.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from copy import copy
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from torch import Tensor

Key: TypeAlias = int | str

WHOLE = "."
"""The key of a batch that is itself the tensor."""

# Nearly all batches are one of these, with keys that are numbers, and need no search.
_PLAIN = (tuple, list)


def get(batch: Any, key: Key) -> Any:  # noqa: ANN401
    """Take one entry out of a batch.

    Args:
        batch: A sequence, mapping, dataclass or any object with attributes, nested at will; or a tensor.
        key: Index, key or attribute name. Dots lead into nested batches: ``"labelled.0"``. ``"."`` is the batch itself.

    Returns:
        The entry itself; None within a stream that is None, because it is exhausted.

    Raises:
        KeyError: If there is none; the message lists what there is.

    Examples:
        >>> get({"views": ("left", "right"), "y": 3}, "views.1"), get("all", ".")
        ('right', 'all')
    """
    entry = batch
    for _, entry in _walk(batch, key):  # noqa: B007
        pass
    return entry


def get_all(batch: Any, keys: Iterable[Key]) -> list[Any]:  # noqa: ANN401
    """Take several entries out of a batch, each as ``get`` does, in the order of their keys.

    Examples:
        >>> get_all({"views": ("left", "right"), "y": 3}, ["y", "views.0"])
        [3, 'left']
    """
    if type(batch) in _PLAIN:
        try:
            return [*map(batch.__getitem__, keys)]
        except (TypeError, IndexError):
            pass
    return [get(batch, key) for key in keys]


def replace(batch: Any, key: Key, value: Any) -> Any:  # noqa: ANN401
    """Copy a batch with one entry exchanged; see ``replace_all``.

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
    return replace_all(batch, {key: value})


def replace_all(batch: Any, values: Mapping[Key, Any]) -> Any:  # noqa: ANN401
    """Copy a batch with several entries exchanged.

    Only the containers on the way to the entries are copied, each once, and each keeps its type. An object with
    attributes is copied by ``copy.copy``, without a call of its constructor, and may be frozen.

    Args:
        batch: As for ``get``.
        values: The new entries by their keys.

    Returns:
        The new batch; the batch itself if there is nothing to exchange.

    Raises:
        KeyError: As ``get``, and if one of the keys lies inside of another one.

    Examples:
        >>> replace_all({"views": ("left", "right"), "y": 3}, {"views.0": "up", "views.1": "down", "y": 4})
        {'views': ('up', 'down'), 'y': 4}
        >>> replace_all(1, {".": 2})
        2
    """
    if type(batch) in _PLAIN:
        entries = list(batch)
        for key, value in values.items():
            if type(key) is not int or not 0 <= key < len(entries):
                break
            entries[key] = value
        else:
            return entries if type(batch) is list else tuple(entries)
    changes: dict[Key, Any] = _Inside()
    for key, value in values.items():
        inner, path = changes, [name for name, _ in _walk(batch, key)]
        for name in path[:-1]:
            inner = inner.setdefault(name, _Inside()) if isinstance(inner, _Inside) else {}
        last = path[-1] if path else WHOLE
        if not isinstance(inner, _Inside) or isinstance(inner.get(last), _Inside) or (not path and len(values) > 1):
            raise KeyError(f"keys must be apart from each other, and {key!r} is not: got {list(values)}")
        if not path:
            return value
        inner[last] = value
    return _rebuilt(batch, changes) if changes else batch


def expand(batch: Any, key: Key) -> tuple[Key, ...]:  # noqa: ANN401
    """Find the tensors of a batch that a pattern stands for.

    Args:
        batch: As for ``get``.
        key: As for ``get``; or a pattern, in which ``*`` stands for any name or any part of one, and ``**`` for any
            number of names with the dots between them. A key that the batch has is no pattern.

    Returns:
        Keys of tensors in the order of the batch. A key without a ``*`` is returned as it is.

    Raises:
        KeyError: If no tensor matches.

    Examples:
        >>> import torch
        >>> x = torch.zeros(2, 3)
        >>> batch = {"views": [x, x], "image_1": x, "image_2": x, "id": ["a", "b"]}
        >>> expand(batch, "views.*"), expand(batch, "image_*"), expand(batch, "*"), expand(batch, "id")
        (('views.0', 'views.1'), ('image_1', 'image_2'), ('image_1', 'image_2'), ('id',))
        >>> expand(batch, "**")
        ('views.0', 'views.1', 'image_1', 'image_2')
    """
    if not isinstance(key, str) or "*" not in key or (isinstance(batch, Mapping) and key in batch):
        return (key,)
    tensors = [".".join(map(str, path)) for path in _tensors(batch)]
    found = [
        path for path, name in zip(_tensors(batch), tensors, strict=True) if _fits(name.split("."), key.split("."))
    ]
    if not found:
        raise KeyError(f"no tensor of the batch matches {key!r}: it is a {type(batch).__name__} with tensors {tensors}")
    return tuple(path[0] if len(path) == 1 else ".".join(map(str, path)) or WHOLE for path in found)


class _Inside(dict[Key, Any]):
    """Changes of a container within a container."""


def _walk(batch: Any, key: Key) -> Iterator[tuple[Key, Any]]:  # noqa: ANN401
    """The way to an entry: name by name, with what each of them leads to."""
    if not isinstance(key, str) or "." not in key:
        yield _find(batch, key)
        return
    if key == WHOLE and not (isinstance(batch, Mapping) and key in batch):
        return
    parts = key.split(".")
    while parts:
        # Names of a mapping may have dots of their own.
        length = len(parts) if isinstance(batch, Mapping) else 1
        while length > 1 and ".".join(parts[:length]) not in batch:
            length -= 1
        name, entry = _find(batch, ".".join(parts[:length]))
        yield name, entry
        if entry is None:  # a stream that is exhausted
            return
        batch, parts = entry, parts[length:]


def _find(batch: Any, key: Key) -> tuple[Key, Any]:  # noqa: ANN401
    """The one name under which a container has what a key means, and the entry."""
    try:
        if isinstance(batch, Mapping):
            name = int(key) if isinstance(key, str) and key not in batch and key.isdigit() else key
            return name, batch[name]
        if isinstance(batch, Sequence) and not isinstance(batch, str):
            index = key
            if isinstance(key, str) and key in getattr(batch, "_fields", ()):
                index = batch._fields.index(key)  # type: ignore[attr-defined]
            elif isinstance(key, str) and key.removeprefix("-").isdigit():
                index = int(key)
            if isinstance(index, int):
                return range(len(batch))[index], batch[index]
        # What tensors and lists have by name are their methods, and no entries.
        entry = None if isinstance(batch, Tensor) else getattr(batch, str(key))
        if not isinstance(batch, Tensor) and not callable(entry):
            return str(key), entry
    except (LookupError, AttributeError):
        pass
    raise KeyError(_no_such_entry(batch, key))


def _rebuilt(batch: Any, changes: Mapping[Key, Any]) -> Any:  # noqa: ANN401
    values = {
        name: _rebuilt(_find(batch, name)[1], value) if isinstance(value, _Inside) else value
        for name, value in changes.items()
    }
    if isinstance(batch, tuple) and all(isinstance(name, int) for name in values):
        items = [values.get(index, item) for index, item in enumerate(batch)]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    if isinstance(batch, Mapping) and not isinstance(batch, MutableMapping):
        return type(batch)({**batch, **values})  # type: ignore[call-arg]
    changed: Any = copy(batch)
    for name, value in values.items():
        if isinstance(batch, Mapping) or isinstance(name, int):
            changed[name] = value
        else:
            _set(changed, name, value)
    return changed


def _set(copied: Any, name: str, value: Any) -> None:  # noqa: ANN401
    """Set an attribute of an object. A frozen one forbids that, which is right for its owner and not for a copy."""
    if not dataclasses.is_dataclass(copied):
        try:
            setattr(copied, name, value)
        except AttributeError:
            pass
        else:
            return
    object.__setattr__(copied, name, value)


def _tensors(batch: Any, path: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:  # noqa: ANN401
    """The ways to all tensors of a batch, in its order."""
    if isinstance(batch, Tensor):
        yield path
    # Objects may lead anywhere, and back to where they came from.
    elif not path or isinstance(batch, Mapping | Sequence) or dataclasses.is_dataclass(batch):
        for name, entry in _entries(batch).items():
            yield from _tensors(entry, (*path, name))


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern or not names:
        return not names and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return any(_fits(names[start:], pattern[1:]) for start in range(len(names) + 1))
    return fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


def _entries(batch: Any) -> dict[Key, Any]:  # noqa: ANN401
    """Entries of a container by their names. Of an object, its public attributes that hold tensors, if any do."""
    if isinstance(batch, Mapping):
        return dict(batch)
    if hasattr(batch, "_fields"):
        return dict(zip(batch._fields, batch, strict=True))
    if isinstance(batch, Sequence):
        return {} if isinstance(batch, str) else dict(enumerate(batch))
    names = list(getattr(batch, "__dict__", {}))
    if dataclasses.is_dataclass(batch):
        names += [field.name for field in dataclasses.fields(batch)]
    for cls in type(batch).__mro__:
        slots = vars(cls).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    # Graphs of PyTorch Geometric keep their tensors in a store.
    keys = getattr(batch, "keys", ())
    names += keys() if callable(keys) else keys
    entries: dict[Key, Any] = {name: getattr(batch, name, None) for name in names if not name.startswith("_")}
    return {name: entry for name, entry in entries.items() if _holds_tensors(entry)} or entries


def _holds_tensors(entry: Any) -> bool:  # noqa: ANN401
    if isinstance(entry, Mapping):
        return any(map(_holds_tensors, entry.values()))
    if isinstance(entry, list | tuple):
        return any(map(_holds_tensors, entry))
    return isinstance(entry, Tensor) or dataclasses.is_dataclass(entry)


def _no_such_entry(batch: Any, key: Key) -> str:  # noqa: ANN401
    kind = f"the batch has no entry {key!r}: it is a {type(batch).__name__}"
    if isinstance(batch, Tensor):
        return f"{kind} of shape {tuple(batch.shape)}; a batch that is itself the tensor has the key {WHOLE!r}"
    if isinstance(batch, Sequence) and not hasattr(batch, "_fields"):
        return f"{kind} of {len(batch)}"
    names = [str(name) for name in _entries(batch)]
    near = difflib.get_close_matches(str(key), names, n=1)
    return f"{kind} with {names}" + (f" (did you mean {near[0]!r}?)" if near else "")
