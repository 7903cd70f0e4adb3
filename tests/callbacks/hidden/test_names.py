"""Names of layers: wrappers leave no trace, and what is really called module keeps its name."""

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

from lightning_mixup.callbacks.hidden import HiddenLayers
from lightning_mixup.callbacks.hidden.names import find, layer_names, path


class Own(nn.Module):
    """A network whose parts are called like those of wrappers."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.head = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.module(x))


def test_a_submodule_called_module_has_a_name():
    assert list(layer_names(Own())) == ["module", "module.0", "module.1", "head"]
    assert HiddenLayers(["module", "module.*"]).attach(Own()) == ("module", "module.0", "module.1")


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch 2.13's own compiler
@pytest.mark.parametrize(
    ("wrap", "key"),
    [
        (lambda net: torch.compile(net, backend="eager"), "_orig_mod"),
        (checkpoint_wrapper, "_checkpoint_wrapped_module"),
        (nn.DataParallel, "module"),
    ],
    ids=["compiled", "checkpointed", "replicated"],
)
def test_wrappers_leave_no_trace(wrap, key):
    inner = Own()
    net = nn.ModuleDict({"net": wrap(inner)})
    assert list(layer_names(net)) == ["net", "net.module", "net.module.0", "net.module.1", "net.head"]
    assert layer_names(net)["net"] is inner
    assert find(net, "net.module.1") is inner.module[1]
    assert path(net, "net.head") == ["net", key, "head"]
    assert path(net, "net") == ["net", key]
    assert list(layer_names(wrap(Own()))) == list(layer_names(Own()))


def test_an_average_is_no_wrapper():
    assert "average.module.head" in layer_names(nn.ModuleDict({"average": AveragedModel(Own())}))


def test_a_shared_layer_is_known_by_both_names():
    shared = nn.Linear(2, 2)
    net = nn.ModuleDict({"a": shared, "b": nn.ModuleDict({"c": shared})})
    assert HiddenLayers(["b.c"]).attach(net) == ("b.c",)
    assert HiddenLayers(["**"]).attach(net) == ("input", "a", "b")


def test_modules_that_know_each_other_end():
    one, other = nn.ReLU(), nn.ReLU()
    one.other, other.one = other, one
    assert list(layer_names(nn.ModuleDict({"one": one}))) == ["one", "one.other"]


def test_a_wrong_name_says_when_layers_have_to_be_there():
    with pytest.raises(
        MisconfigurationException, match=r"no layer is called 'heads'; similar: \['head'\]; .*configure_model"
    ):
        HiddenLayers(["heads"]).attach(Own())
    with pytest.raises(MisconfigurationException, match="no layer is called 'tail'"):
        HiddenLayers(["head + tail"]).attach(Own())


def test_several_layers_in_one():
    assert HiddenLayers(["module.* + head", "input + head"]).attach(Own()) == (
        "module.0 + module.1 + head",
        "input + head",
    )
