"""What holds for every network: shapes, stages, gradients, and what is refused."""

import pytest
import torch
import torch.nn.functional as F

from lightning_mixup.callbacks.manifold_mixup import default_layers
from lightning_mixup.models import MLP, CNN1d

# A small one of each: how to build it, the shape of a sample, and where Manifold Mixup mixes it by default.
NETWORKS = {
    "mlp": (MLP, {"width": 8}, (1, 3, 3), ["input", "layer1", "layer2"]),
    "mlp_shallow": (MLP, {"width": 8, "depth": 1}, (2,), ["input", "layer1"]),
    "cnn1d": (CNN1d, {"width": 8}, (2, 17), ["input", "stage1", "stage2"]),
}
each = pytest.mark.parametrize("name", NETWORKS)


def build(name, **arguments):
    network, small, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    return network(**{"num_classes": 7, "input_shape": shape, **small, **arguments})


def sample(name, batch):
    return torch.rand(batch, *NETWORKS[name][2], generator=torch.Generator().manual_seed(0))


@each
@pytest.mark.parametrize("batch", [1, 4])
def test_one_logit_a_class(name, batch):
    assert build(name).eval()(sample(name, batch)).shape == (batch, 7)


@each
def test_stages_are_its_children_and_compose_to_the_whole(name):
    net = build(name).eval()
    x = hidden = sample(name, 2)
    for stage in net.children():
        hidden = stage(hidden)
    torch.testing.assert_close(net(x), hidden)


@each
def test_every_parameter_learns(name):
    net = build(name)
    F.cross_entropy(net(sample(name, 8)), torch.arange(8) % 7).backward()
    idle = [key for key, weight in net.named_parameters() if weight.grad is None or not weight.grad.abs().sum() > 0]
    assert not idle


@each
def test_manifold_mixup_mixes_the_input_and_the_first_blocks(name):
    assert list(default_layers(build(name))) == NETWORKS[name][3]


@each
def test_samples_do_not_influence_each_other_when_judged(name):
    net, x = build(name).eval(), sample(name, 4)
    torch.testing.assert_close(net(x)[:1], net(x[:1]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in NETWORKS if len(NETWORKS[name][2]) == 3])
def test_memory_format_changes_nothing(name):
    net, x = build(name).eval(), sample(name, 2)
    plain = net(x)
    last = net.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("mlp", "input_shape", ()),
        ("mlp", "num_classes", 0),
        ("mlp", "width", 0),
        ("mlp", "depth", 0),
        ("mlp", "dropout", 1.0),
        ("cnn1d", "input_shape", (40,)),
        ("cnn1d", "input_shape", (1, 0)),
        ("cnn1d", "num_classes", 0),
        ("cnn1d", "width", 0),
        ("cnn1d", "stages", 0),
        ("cnn1d", "kernel_size", 4),
    ],
)
def test_impossible_values_are_named(name, argument, value):
    with pytest.raises(ValueError, match=rf"^{argument} must be .*; got "):
        build(name, **{argument: value})
