"""timm cannot be imported beside a torch without CUDA, so a stand-in shows what it would be asked for."""

import sys
from types import SimpleNamespace

import pytest
import torch
from support import need_timm
from torch import nn

from lightning_mixup.callbacks.manifold_mixup import default_layers
from lightning_mixup.lab.models import timm_model


@pytest.fixture
def asked(monkeypatch):
    """A timm that knows two networks, and remembers how it was asked for one."""
    calls = []
    names = ["resnet50", "deit_small_patch16_224"]
    timm = SimpleNamespace(
        list_models=lambda: names,
        is_model=lambda name: name in names,
        create_model=lambda name, **arguments: calls.append((name, arguments)) or nn.Identity(),
    )
    monkeypatch.setitem(sys.modules, "timm", timm)
    return calls


def test_timm_is_asked_for_the_network_that_the_data_need(asked):
    timm_model("resnet50", num_classes=100, input_shape=[1, 64, 64], drop_path_rate=0.05)
    [(name, arguments)] = asked
    assert name == "resnet50"
    given = {key: value for key, value in arguments.items() if value is not None}
    assert given == {"num_classes": 100, "in_chans": 1, "drop_path_rate": 0.05, "pretrained": False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet5o"}, r"name must be a model of timm, such as resnet50.*got 'resnet5o'"),
        ({"name": "hf-hub:someone/anything"}, "name must be a model of timm itself"),
        ({"input_shape": (224, 224)}, r"input_shape must be \(channels, height, width\)"),
        ({"drop_rate": 1.0}, r"drop_rate must be null or in \[0, 1\); got 1.0"),
        ({"drop_path_rate": -1}, r"drop_path_rate must be null or in \[0, 1\); got -1"),
    ],
)
def test_impossible_requests_are_refused(asked, arguments, message):
    with pytest.raises(ValueError, match=message):
        timm_model(**{"name": "resnet50", "num_classes": 10, "input_shape": (3, 224, 224), **arguments})
    assert not asked


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'timm'"), RuntimeError("torchvision::nms")])
def test_without_timm_the_cure_is_named(monkeypatch, error):
    class Refusing:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "timm":
                raise error

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusing, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'lightning-mixup\[vision\]' \({error}\)"):
        timm_model("resnet50", num_classes=10, input_shape=(3, 224, 224))


@pytest.mark.parametrize(
    ("name", "published", "layers"),
    [
        ("resnet50", "25.6M", ("input", "layer1", "layer2")),  # torchvision's documentation
        ("deit_small_patch16_224", "22.1M", ("input", "blocks.0", "blocks.1")),  # timm's model card
    ],
)
def test_networks_for_imagenet_are_what_their_papers_train(name, published, layers):
    need_timm()
    with torch.device("meta"):
        net = timm_model(name, num_classes=1000, input_shape=(3, 224, 224))
    assert f"{sum(weight.numel() for weight in net.parameters()) / 1e6:.1f}M" == published
    assert default_layers(net) == layers
