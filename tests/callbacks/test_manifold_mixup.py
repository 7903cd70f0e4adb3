"""Hidden layers: which, when, and what of their outputs."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from support import Spy
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from lightning_mixup import ManifoldMixup
from lightning_mixup.callbacks.manifold_mixup import default_layers
from lightning_mixup.functional import mixup


class Net(Spy):
    """A network of named parts, which notes what each of them gave to the next."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        self.net = nn.ModuleDict(parts or {"a": nn.Linear(6, 6), "b": nn.Linear(6, 6), "c": nn.Linear(6, 6)})
        self.head = nn.Linear(6, 10)
        self.states: dict[str, list[Any]] = {}

    def forward(self, x: Tensor) -> Tensor:
        for name, part in self.net.items():
            before = x
            x = part(x)
            self.states.setdefault(name, []).append((before, x))
        return self.head(x)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Standing still, so that a test can compute again what the step did."""
        return torch.optim.SGD(self.parameters(), 0.0)


@pytest.fixture
def features() -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 6, generator=generator)
    return DataLoader(list(zip(x, torch.arange(16) % 10, strict=True)), 8)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("layer", ["input", "net.a", "net.b", "net.c", "head"])
def test_the_chosen_layer_is_mixed_and_no_other(layer, per_sample, features, trainer):
    module, mix = Net(), ManifoldMixup(layers=[layer], seed=0, per_sample=per_sample)
    trainer(mix, max_steps=1).fit(module, features)
    draw = mix.last
    assert draw.layer == layer
    x = next(iter(features))[0]
    seen = module.seen["train"][0][0]
    torch.testing.assert_close(seen, mixup(x, draw.weight(x), draw.shift) if layer == "input" else x)
    for name, part in module.net.items():
        before, after = module.states[name][0]
        clean = part(before)
        torch.testing.assert_close(after, mixup(clean, draw.weight(x), draw.shift) if layer == f"net.{name}" else clean)


def test_layers_are_drawn_uniformly(features, trainer):
    module, mix = Net(), ManifoldMixup(layers=["input", "net.*"], seed=0)
    drawn = []
    fit = trainer(mix, max_epochs=100)
    module.on_train_batch_end = lambda *_: drawn.append(mix.last.layer)
    fit.fit(module, features)
    counts = [drawn.count(layer) for layer in ("input", "net.a", "net.b", "net.c")]
    assert sum(counts) == 200
    assert min(counts) > 30


def test_the_choice_is_logged(features, trainer, caplog):
    with caplog.at_level("INFO"):
        trainer(ManifoldMixup(layers=["net.a", "input"]), max_steps=1).fit(Net(), features)
    assert "ManifoldMixup: one layer a batch of net.a, input" in caplog.text


def test_a_layer_that_does_not_run_stops_the_step(features, trainer):
    class Skipping(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.net["a"](x))

    fit = trainer(ManifoldMixup(layers=["net.b"]))
    with pytest.raises(MisconfigurationException, match=r"layer 'net.b' did not run in training_step.*leave it out"):
        fit.fit(Skipping(), features)
    assert fit.global_step == 0


@pytest.mark.parametrize(("wrong", "near"), [("net.aa", "net.a"), ("nets.b", "net.b"), ("layer1.*", "net")])
def test_a_wrong_name_lists_similar_ones(wrong, near, features, trainer):
    with pytest.raises(
        MisconfigurationException, match=rf"no layer is called '{wrong}'; similar: .*{near}".replace("*'", r"\*'")
    ):
        trainer(ManifoldMixup(layers=[wrong])).fit(Net(), features)


def test_a_layer_that_moves_the_batch_is_refused_by_name(features, trainer):
    with pytest.raises(
        ValueError, match=r"layer 'net.a' returned shape \(6, 8\).*first dimension is not the batch of 8"
    ):
        trainer(ManifoldMixup(layers=["net.a"])).fit(Net(a=Transposing()), features)


class Transposing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.T


class Output(OrderedDict):
    """Like the outputs of transformers: a dictionary with attributes."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Wrapping(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.linear = kind, nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Any:
        h = self.linear(x)
        attention = torch.ones(len(x), 3)
        return {
            "tuple": (h, attention, None),
            "list": [h, attention],
            "output": Output(lengths=torch.ones(len(x), dtype=torch.long), last_hidden_state=h, attentions=attention),
        }[self.kind]


@pytest.mark.parametrize("kind", ["tuple", "list", "output"])
def test_the_first_floating_tensor_of_an_output_is_mixed(kind, features, trainer):
    class Unwrap(nn.Module):
        def forward(self, output: Any) -> Tensor:
            return output.last_hidden_state if isinstance(output, Output) else output[0]

    module = Net(a=Wrapping(kind), b=Unwrap())
    mix = ManifoldMixup(layers=["net.a"], seed=0)
    trainer(mix, max_steps=1).fit(module, features)
    x, output = module.states["a"][0]
    hidden, attention = (output[key] for key in (("last_hidden_state", "attentions") if kind == "output" else (0, 1)))
    torch.testing.assert_close(hidden, mixup(module.net["a"].linear(x), mix.last.lam, mix.last.shift))
    assert (attention == 1).all()
    assert type(output) is {"tuple": tuple, "list": list, "output": Output}[kind]


@pytest.mark.parametrize("run", [0, 1, "all"])
def test_of_a_reused_layer_the_run_that_was_named_is_mixed(run, features, trainer):
    shared = nn.Linear(6, 6)
    module = Net(a=shared, b=shared)
    mix = ManifoldMixup(layers=["net.a"], seed=0, run=run)
    trainer(mix, max_steps=1).fit(module, features)
    for at, name in enumerate("ab"):
        before, after = module.states[name][0]
        clean = shared(before)
        torch.testing.assert_close(after, mixup(clean, mix.last.lam, mix.last.shift) if run in (at, "all") else clean)


def test_a_reused_layer_is_ambiguous(features, trainer):
    shared = nn.Linear(6, 6)
    fit = trainer(ManifoldMixup(layers=["net.a"]))
    with pytest.raises(MisconfigurationException, match=r"layer 'net.a' runs more than once.*run=0, run=1, ..., or"):
        fit.fit(Net(a=shared, b=shared), features)
    assert fit.global_step == 0


def test_too_late_a_run_is_named(features, trainer):
    with pytest.raises(MisconfigurationException, match=r"'net.a' ran 1 times while it trained .* run=1 is counted"):
        trainer(ManifoldMixup(layers=["net.a"], run=1)).fit(Net(), features)


@pytest.mark.parametrize("reentrant", [None, False, True], ids=["plain", "checkpoint", "reentrant checkpoint"])
@pytest.mark.parametrize("layer", ["input", "net.a", "net.b.0"])
def test_activation_checkpointing_changes_no_gradient(layer, reentrant, features, trainer):
    class Checkpointing(Net):
        def forward(self, x: Tensor) -> Tensor:
            x = x.requires_grad_()
            for part in self.net.values():
                x = part(x) if reentrant is None else checkpoint(part, x, use_reentrant=reentrant)
            return self.head(x)

        def on_after_backward(self) -> None:
            self.gradients = [p.grad.clone() for p in self.net.parameters()]

    def gradients(kind: type[Net]) -> list[Tensor]:
        torch.manual_seed(0)
        module = kind(a=nn.Linear(6, 6), b=nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)))
        trainer(ManifoldMixup(layers=[layer], seed=3), max_steps=1).fit(module, features)
        return module.gradients

    got = gradients(Checkpointing)
    reentrant = None
    for one, other in zip(got, gradients(Checkpointing), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("per_sample", [False, True])
def test_hidden_dtype_and_layout_stay(dtype, per_sample, trainer):
    class Images(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            h = self.net[0](batch[0])
            self.hidden = h
            return F.cross_entropy(h.flatten(1)[:, :10].float(), batch[1])

    module = Images().to(dtype).to(memory_format=torch.channels_last)
    x = torch.randn(4, 1, 8, 8, dtype=dtype).to(memory_format=torch.channels_last)
    loader = DataLoader([0], collate_fn=lambda _: [x, torch.arange(4)])
    trainer(ManifoldMixup(layers=["net.0"], per_sample=per_sample, seed=0)).fit(module, loader)
    assert module.hidden.dtype == dtype
    assert module.hidden.is_contiguous(memory_format=torch.channels_last)


def residual(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3))


class ResNet(nn.Module):
    """Named like torchvision's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()
        self.layer1, self.layer2, self.layer3, self.layer4 = (residual(8) for _ in range(4))
        self.fc = nn.Linear(8, 10)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 3, enable_nested_tensor=False)
        self.head = nn.Linear(8, 2)


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 8, 4, 4)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16) for _ in range(4))
        self.head = nn.Linear(8, 2)


class Holding(nn.Module):
    """What a LightningModule is to this: a network beside losses and metrics."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(10))
        self.model = network


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (ResNet(), ("input", "layer1", "layer2")),
        (Holding(ResNet()), ("input", "model.layer1", "model.layer2")),
        (ViT(), ("input", "blocks.0", "blocks.1")),
        (Transformer(), ("embedding", "encoder.layers.0", "encoder.layers.1")),
        (nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), ("input", "0", "2")),
        (nn.Sequential(nn.Linear(2, 4)), ("input",)),
        (nn.Linear(2, 4), ("input",)),
        (Spy().net, ("input", "1", "2")),
    ],
    ids=["resnet", "module with resnet", "vit", "transformer", "mlp", "linear in a list", "linear", "spy"],
)
def test_default_layers_are_the_first_stages(network, expected):
    assert default_layers(network) == expected


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch 2.13's own compiler
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # likewise
def test_wrappers_do_not_change_names(features, trainer):
    module = Net()
    module.net["b"] = torch.compile(module.net["b"], backend="eager")
    mix = ManifoldMixup(layers=["net.b"], seed=0)
    trainer(mix, max_steps=1).fit(module, features)
    assert mix.eligible == ("net.b",)


def test_constructor_refuses_names_without_a_list():
    with pytest.raises(ValueError, match="ManifoldMixup: layers must be None or a sequence of names, got 'net'"):
        ManifoldMixup(layers="net")
