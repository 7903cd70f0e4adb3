"""Every kind of batch, with and without a data module, through every method."""

from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from support import Spy, make
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_mixup import CutMix, ManifoldMixup, MixedTarget, Mixup
from lightning_mixup.callbacks import containers

Pair = namedtuple("Pair", ["image", "label"])


@dataclass
class Data:
    image: Any
    label: Any
    note: str = "kept"


@dataclass(frozen=True)
class Frozen:
    image: Any
    label: Any

    def __post_init__(self) -> None:
        if not isinstance(self.image, Tensor) or len(self.image) < 2:
            raise AssertionError("a copy must not run the constructor's checks")


class ReadOnly(Mapping):
    """A mapping that only knows how to be copied, as configuration objects do."""

    def __init__(self, items: dict[str, Any]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class Encoding(UserDict):
    """Looks like the batches of a tokenizer: a dictionary whose entries are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(name) from None

    def to(self, device: Any) -> "Encoding":
        self.data = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.data.items()}
        return self


NAMED = {"input_key": "image", "target_key": "label"}
# name: (make a batch, arguments that find its entries)
BATCHES = {
    "list": (lambda x, y: [x, y], {}),
    "tuple": (lambda x, y: (x, y), {}),
    "namedtuple": (Pair, NAMED),
    "namedtuple by index": (Pair, {}),
    "dict": (lambda x, y: {"image": x, "label": y, "id": list(range(len(x)))}, NAMED),
    "OrderedDict": (lambda x, y: OrderedDict(image=x, label=y), NAMED),
    "UserDict": (lambda x, y: UserDict(image=x, label=y), NAMED),
    "Encoding": (lambda x, y: Encoding(image=x, label=y), NAMED),
    "read-only mapping": (lambda x, y: ReadOnly({"image": x, "label": y}), NAMED),
    "dataclass": (Data, NAMED),
    "frozen dataclass": (Frozen, NAMED),
    "object": (lambda x, y: SimpleNamespace(image=x, label=y, extra=None), NAMED),
    "nested": (
        lambda x, y: {"views": (x, x + 1), "meta": {"label": y, "id": "a"}},
        {"input_key": "views.0", "target_key": "meta.label"},
    ),
    "two inputs": (
        lambda x, y: {"image": x, "depth": 2 * x, "label": y},
        {"input_key": ("image", "depth"), "target_key": "label"},
    ),
    "two targets": (lambda x, y: (x, y, y % 3), {"target_key": (1, 2)}),
    "three deep": (lambda x, y: [[[x], y]], {"input_key": "0.0.0", "target_key": "0.1"}),
}


class Module(LightningDataModule):
    def __init__(self, build: Any, x: Tensor, y: Tensor) -> None:
        super().__init__()
        self.loader = DataLoader([0, 1], batch_size=1, collate_fn=lambda _: build(x, y))

    def train_dataloader(self) -> DataLoader:
        return self.loader


class Overriding(Module):
    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch


class Reader(Spy):
    """Takes its entries out of any batch by the same keys."""

    keys: Any = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        found = [[containers.get(batch, key) for key in entry] for entry in self.keys]
        self.seen["train"].append(batch)
        self.entries = found
        logits = sum(self(x) for x in found[0])
        return sum(torch.nn.functional.cross_entropy(logits, y) for y in found[1])


@pytest.mark.parametrize("method", [Mixup, CutMix, ManifoldMixup])
@pytest.mark.parametrize("data", [None, Module, Overriding], ids=["loader", "data module", "overriding data module"])
@pytest.mark.parametrize("name", BATCHES)
def test_every_batch_is_mixed_and_keeps_its_type(name, data, method, trainer):
    build, keys = BATCHES[name]
    if name in ("UserDict", "Encoding", "read-only mapping", "object", "frozen dataclass") and data is not Overriding:
        data = Overriding  # Lightning's own transfer does not know these.
    x, y = torch.randn(4, 1, 8, 8), torch.tensor([1, 2, 3, 4])
    clean = x.clone(), y.clone()
    mix = make(method, seed=4, **keys, **({"layers": ["input"]} if method is ManifoldMixup else {}))
    module = Reader()
    module.keys = mix.input_key, mix.target_key
    loader = DataLoader([0, 1], batch_size=1, collate_fn=lambda _: build(x, y))
    trainer(mix).fit(module, **({"train_dataloaders": loader} if data is None else {"datamodule": data(build, x, y)}))
    original = build(x, y)
    assert [type(batch) for batch in module.seen["train"]] == [type(original)] * 2
    for key, mixed in zip(mix.input_key, module.entries[0], strict=True):
        before = containers.get(original, key)
        assert mixed.shape == before.shape
        assert not torch.equal(mixed, before)
    assert all(isinstance(target, MixedTarget) for target in module.entries[1])
    assert torch.equal(x, clean[0])
    assert torch.equal(y, clean[1])


def test_all_inputs_share_one_draw_and_the_rest_passes(trainer):
    x, y = torch.randn(4, 1, 8, 8), torch.tensor([1, 2, 3, 4])
    rest = {"mask": torch.ones(4, dtype=torch.bool), "name": ["a", "b", "c", "d"], "none": None}
    batch = {"image": x, "depth": 2 * x, "label": y, **rest}
    module = Reader()
    module.keys = ("image", "depth"), ("label",)
    mix = Mixup(1.0, input_key=("image", "depth"), target_key="label", seed=0)
    trainer(mix).fit(module, DataLoader([0], collate_fn=lambda _: batch))
    seen = module.seen["train"][0]
    torch.testing.assert_close(seen["depth"], 2 * seen["image"])
    assert seen["mask"].all()
    assert (seen["name"], seen["none"]) == (rest["name"], None)
    assert list(seen) == list(batch)


def test_one_stream_of_a_combined_loader(trainer):
    x, y = torch.randn(6, 1, 8, 8), torch.randint(0, 10, (6,))
    loaders = CombinedLoader(
        {"labelled": DataLoader(list(zip(x, y, strict=True)), 3), "unlabelled": DataLoader(x, 2)}, "max_size_cycle"
    )

    class Semi(Reader):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return super().training_step(batch, batch_idx) + self(batch["unlabelled"]).square().mean()

    module = Semi()
    module.keys = ("labelled.0",), ("labelled.1",)
    trainer(Mixup(1.0, input_key="labelled.0", target_key="labelled.1", seed=0)).fit(module, loaders)
    for index, batch in enumerate(module.seen["train"]):
        assert isinstance(batch["labelled"][1], MixedTarget)
        assert torch.equal(batch["unlabelled"], x[2 * index : 2 * index + 2])


def test_inputs_alone_for_those_who_have_no_labels(trainer):
    class SelfSupervised(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.seen["train"].append(batch)
            return self(batch).square().mean()

    x = torch.randn(4, 1, 8, 8)
    module = SelfSupervised()
    with pytest.raises(Exception, match="no entry 0: it is a Tensor"):
        trainer(Mixup()).fit(module, DataLoader(x, 4))
    batch = {"image": x}
    module.training_step = lambda batch, batch_idx: SelfSupervised.training_step(module, batch["image"], batch_idx)
    trainer(Mixup(1.0, input_key="image", target_key=None, seed=0)).fit(
        module, DataLoader([0], collate_fn=lambda _: batch)
    )
    assert not torch.equal(module.seen["train"][0], x)


@pytest.mark.parametrize(
    ("batch", "key", "message"),
    [
        (
            {"image": 1, "label": 2},
            "imgae",
            r"no entry 'imgae': it is a dict with \['image', 'label'\] \(did you mean 'image'",
        ),
        ((1, 2), 2, "no entry 2: it is a tuple of 2"),
        (Pair(1, 2), "labels", r"Pair with \['image', 'label'\] \(did you mean 'label'"),
        (Data(1, 2), "lable", r"Data with \['image', 'label', 'note'\] \(did you mean 'label'"),
        ({"a": [1, 2]}, "a.5", "no entry '5': it is a list of 2"),
        ({"a": {"b": 1}}, "a.c", r"no entry 'c': it is a dict with \['b'\]"),
    ],
)
def test_a_missing_entry_is_named_with_what_there_is(batch, key, message):
    for lookup in (lambda: containers.get(batch, key), lambda: containers.replace(batch, key, 0)):
        with pytest.raises(KeyError, match=message):
            lookup()


def test_a_key_with_a_dot_of_its_own_is_found_first():
    batch = {"a.b": 1, "a": {"b": 2}}
    assert containers.get(batch, "a.b") == 1
    assert containers.replace(batch, "a.b", 3) == {"a.b": 3, "a": {"b": 2}}
