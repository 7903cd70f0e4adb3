"""Keys: every make of a batch, patterns, several entries at once, and what a wrong key is told."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from lightning_mixup.callbacks import containers

Pair = namedtuple("Pair", ["image", "label"])


@dataclass(slots=True)
class Slots:
    image: Any
    label: Any
    name: str = "kept"


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    image: Any
    label: Any


class Attrs:
    """Frozen as attrs does it."""

    def __init__(self, image: Any, label: Any) -> None:
        self.__dict__.update(image=image, label=label)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


class Plain:
    __slots__ = ("_cache", "image", "label")

    def __init__(self, image: Any, label: Any) -> None:
        self.image, self.label, self._cache = image, label, image


class Graphs:
    """Looks like the batches of PyTorch Geometric: what it holds is in a store, and its names are from a method."""

    def __init__(self, **entries: Any) -> None:
        self.__dict__["_store"] = entries

    def __getattr__(self, name: str) -> Any:
        if name == "_store" or name not in self._store:
            raise AttributeError(f"'GlobalStorage' object has no attribute {name!r}")
        return self._store[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._store[name] = value

    def __copy__(self) -> "Graphs":
        return Graphs(**self._store)

    def keys(self) -> list[str]:
        return list(self._store)


X = torch.zeros(4, 3)
OBJECTS = [Slots, FrozenSlots, Attrs, Plain, lambda image, label: Graphs(image=image, label=label, num_graphs=4)]


@pytest.mark.parametrize("build", OBJECTS)
def test_objects_of_every_make_are_copied_and_changed(build):
    batch = build(X, X + 1)
    changed = containers.replace_all(batch, {"image": X + 2, "label": X + 3})
    assert type(changed) is type(batch)
    assert torch.equal(containers.get(changed, "image"), X + 2)
    assert torch.equal(containers.get(changed, "label"), X + 3)
    assert containers.get(batch, "image") is X


@pytest.mark.parametrize("build", OBJECTS)
def test_a_missing_attribute_is_named_with_the_public_ones_that_hold_tensors(build):
    batch = build(X, [X])
    for key in ("imgae", "image.0", 0):
        with pytest.raises(KeyError) as error:
            containers.get(batch, key)
        if key == "imgae":
            assert "with ['image', 'label'] (did you mean 'image'?)" in str(error.value)


def test_a_batch_that_is_itself_the_tensor():
    assert containers.get(X, ".") is X
    assert containers.replace(X, ".", 3) == 3
    for key in (0, "image", "T", "0.1"):
        with pytest.raises(KeyError, match=r"it is a Tensor of shape \(4, 3\); a batch that is itself.*the key '\.'"):
            containers.get(X, key)
    assert containers.get({".": 1}, ".") == 1


def test_methods_are_no_entries():
    for batch in ((X, X), [X, X]):
        with pytest.raises(KeyError, match=r"no entry 'index': it is a .* of 2"):
            containers.get(batch, "index")


class Counted(dict):
    copies = 0

    def __copy__(self) -> "Counted":
        Counted.copies += 1
        return Counted(self)


def test_every_container_is_copied_once():
    Counted.copies = 0
    inner = Counted(a=1, b=2, c=[3, 4])
    batch = Counted(inner=inner, other=Counted(a=5), d=6)
    changed = containers.replace_all(batch, {"inner.a": 10, "inner.b": 20, "inner.c.-1": 40, "d": 60})
    assert changed == {"inner": {"a": 10, "b": 20, "c": [3, 40]}, "other": {"a": 5}, "d": 60}
    assert changed["other"] is batch["other"]
    assert Counted.copies == 2
    assert batch == {"inner": {"a": 1, "b": 2, "c": [3, 4]}, "other": {"a": 5}, "d": 6}
    assert containers.replace_all(batch, {}) is batch
    assert containers.replace_all(Pair(1, 2), {"image": 3, 1: 4}) == Pair(3, 4)


@pytest.mark.parametrize("values", [{"a": [0], "a.0": 1}, {"a.0": 1, "a": [0]}, {".": {}, "b": 1}, {"b": 1, ".": {}}])
def test_keys_inside_of_others_are_refused(values):
    with pytest.raises(KeyError, match=r"keys must be apart from each other.*is not: got"):
        containers.replace_all({"a": [1], "b": 2}, values)


def test_names_with_dots_are_found_at_every_depth():
    batch = {"a": {"b.c": 1, "b": {"c": 2}, 3: 4}}
    assert containers.get(batch, "a.b.c") == 1
    assert containers.get(batch, "a.3") == 4
    assert containers.replace_all(batch, {"a.b.c": 5, "a.3": 6}) == {"a": {"b.c": 5, "b": {"c": 2}, 3: 6}}


@pytest.mark.parametrize(
    ("batch", "pattern", "keys"),
    [
        ({"labelled": (X, X), "unlabelled": (X, X)}, "*.0", ("labelled.0", "unlabelled.0")),
        ({"labelled": (X, X), "unlabelled": (X, X)}, "un*.*", ("unlabelled.0", "unlabelled.1")),
        ({"a": {"image": X}, "b": [{"image": X, "y": X}]}, "**.image", ("a.image", "b.0.image")),
        ({"a": {"image": X}, "b": [{"image": X, "y": X}]}, "b.**", ("b.0.image", "b.0.y")),
        ({"a": {"image": X}, "image": X}, "**.image", ("a.image", "image")),
        ({"image_1": X, "image_2": X, "name": "x", "y": X}, "image_*", ("image_1", "image_2")),
        ({"image": X, "name": "x", "ids": [1], "y": X}, "*", ("image", "y")),
        ((X, [X, X]), "*", (0,)),
        ((X, [X, X]), "**", (0, "1.0", "1.1")),
        (Pair(X, [X]), "**", ("image", "label.0")),
        (Slots(X, X), "*", ("image", "label")),
        (Slots(X, X), "**", ("image", "label")),
        (Graphs(x=X, batch=X, num_graphs=4), "*", ("x", "batch")),
        (X, "**", (".",)),
        ({"*": X, "y": X}, "*", ("*",)),
        ({"image": X}, "label", ("label",)),
        ({"image": X}, 0, (0,)),
    ],
)
def test_patterns_find_tensors(batch, pattern, keys):
    assert containers.expand(batch, pattern) == keys
    if keys not in (("label",), (0,)):
        assert all(containers.get(batch, key) is X for key in keys)


def test_a_pattern_without_a_tensor_is_named_with_what_there_is():
    message = r"no tensor of the batch matches 'view\*': it is a dict with tensors \['image', 'more\.0'\]"
    with pytest.raises(KeyError, match=message):
        containers.expand({"image": X, "more": [X], "views": "none", "generator": torch.Generator()}, "view*")
