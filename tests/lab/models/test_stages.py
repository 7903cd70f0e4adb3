"""What holds for every network: shapes, stages, gradients, and what is refused."""

import pytest
import torch
import torch.nn.functional as F

from lightning_mixup.callbacks.manifold_mixup import default_layers
from lightning_mixup.lab.models import (
    MLP,
    CNN1d,
    PreActResNet,
    PyramidNet,
    ResNet,
    SentenceCNN,
    SmallResNet,
    ThinResNet,
    ViT,
    WideResNet,
)

# A small one of each: how to build it, the shape of a sample, and where Manifold Mixup mixes it by default.
STAGES = ["input", "stage1", "stage2"]
NETWORKS = {
    "mlp": (MLP, {"width": 8}, (1, 3, 3), ["input", "layer1", "layer2"]),
    "mlp_shallow": (MLP, {"width": 8, "depth": 1}, (2,), ["input", "layer1"]),
    "cnn1d": (CNN1d, {"width": 8}, (2, 17), STAGES),
    "small_resnet": (SmallResNet, {"width": 4}, (1, 8, 8), STAGES),
    "resnet": (ResNet, {}, (3, 8, 8), STAGES),
    "thin_resnet": (ThinResNet, {"depth": 20}, (3, 8, 8), STAGES),
    "thin_resnet_basic": (ThinResNet, {"depth": 14, "bottleneck": False}, (3, 9, 7), STAGES),
    "preact_resnet": (PreActResNet, {"dropout": 0.1}, (3, 8, 8), STAGES),
    "preact_resnet_strided": (PreActResNet, {"stem_stride": 2}, (1, 16, 16), STAGES),
    "wide_resnet": (WideResNet, {"depth": 16, "width": 1}, (3, 8, 8), STAGES),
    "pyramidnet": (PyramidNet, {"depth": 20, "alpha": 24}, (3, 9, 7), STAGES),
    "pyramidnet_basic": (PyramidNet, {"depth": 14, "alpha": 9.5, "bottleneck": False}, (3, 8, 8), STAGES),
    "vit": (ViT, {"width": 16, "depth": 3, "heads": 2}, (3, 8, 12), ["input", "block1", "block2"]),
    "sentence_cnn": (SentenceCNN, {"vocab_size": 30, "width": 6, "filters": 4}, (5,), ["embedding", "encode"]),
}
each = pytest.mark.parametrize("name", NETWORKS)


def build(name, **arguments):
    network, small, shape, _ = NETWORKS[name]
    announced = {} if name == "sentence_cnn" else {"input_shape": shape}
    torch.manual_seed(0)
    return network(**{"num_classes": 7, **announced, **small, **arguments})


def sample(name, batch):
    generator = torch.Generator().manual_seed(0)
    shape = NETWORKS[name][2]
    if name == "sentence_cnn":
        return torch.randint(30, (batch, *shape), generator=generator)
    return torch.rand(batch, *shape, generator=generator)


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
        ("small_resnet", "input_shape", (8, 8)),
        ("small_resnet", "width", 0),
        ("small_resnet", "blocks", 0),
        ("resnet", "depth", 20),
        ("thin_resnet", "depth", 14),
        ("thin_resnet_basic", "depth", 29),
        ("thin_resnet", "depth", 2),
        ("preact_resnet", "depth", 50),
        ("preact_resnet", "stem_stride", 4),
        ("preact_resnet", "dropout", 1),
        ("wide_resnet", "depth", 4),
        ("wide_resnet", "depth", 20),
        ("wide_resnet", "width", 0),
        ("wide_resnet", "dropout", -0.1),
        ("pyramidnet", "depth", 14),
        ("pyramidnet", "alpha", 0),
        ("vit", "patch", 5),
        ("vit", "patch", 0),
        ("vit", "heads", 0),
        ("vit", "heads", 3),  # width is no multiple
        ("vit", "width", 6),
        ("vit", "depth", 0),
        ("vit", "mlp_ratio", 0),
        ("vit", "dropout", 1),
        ("sentence_cnn", "vocab_size", 1),
        ("sentence_cnn", "width", 0),
        ("sentence_cnn", "filters", 0),
        ("sentence_cnn", "lengths", []),
        ("sentence_cnn", "lengths", [0, 3]),
        ("sentence_cnn", "dropout", 1),
    ],
)
def test_impossible_values_are_named(name, argument, value):
    named = "width" if (name, argument, value) == ("vit", "heads", 3) else argument
    with pytest.raises(ValueError, match=rf"^{named} must be .*; got "):
        build(name, **{argument: value})


def test_a_block_may_start_as_its_shortcut():
    x, net = sample("resnet", 2), build("resnet", zero_init=True).eval()
    block, hidden = net.stage1[0], net.stem(x)
    torch.testing.assert_close(block(hidden), hidden)  # rectified already
    assert not torch.allclose(build("resnet").eval().stage1[0](hidden), hidden)


def count(network, **arguments):
    with torch.device("meta"):
        net = network(**arguments)
    return sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize(
    ("network", "classes", "arguments", "published"),
    [
        (PreActResNet, 10, {}, "11.17M"),  # counted in the code of Verma et al. 2019, vikasverma1077/manifold_mixup
        (PreActResNet, 10, {"depth": 34}, "21.28M"),  # likewise
        (WideResNet, 10, {}, "36.5M"),  # Zagoruyko and Komodakis 2016, table 4
        (WideResNet, 10, {"depth": 16, "width": 8}, "11.0M"),  # likewise
        (WideResNet, 10, {"depth": 40, "width": 4}, "8.9M"),  # likewise
        (ThinResNet, 10, {"bottleneck": False}, "1.7M"),  # He et al. 2016, table 6
        (ThinResNet, 10, {"bottleneck": False, "depth": 20}, "0.27M"),  # likewise
        (PyramidNet, 100, {}, "26.8M"),  # Yun et al. 2019, table 5
        (PyramidNet, 100, {"depth": 110, "alpha": 64}, "1.7M"),  # Yun et al. 2019, table 6
    ],
)
def test_parameters_are_as_many_as_published(network, classes, arguments, published):
    digits = len(published.partition(".")[2]) - 1
    found = count(network, num_classes=classes, input_shape=(3, 32, 32), **arguments)
    assert f"{found / 1e6:.{digits}f}M" == published


def test_the_resnet_of_the_cutmix_paper_has_bottlenecks():
    """1.1 million (Yun et al. 2019, table 6): that is what its code, where bottlenecks are the default, cuts off."""
    assert count(ThinResNet, num_classes=100, input_shape=(3, 32, 32)) // 100_000 == 11
    assert count(ThinResNet, num_classes=100, input_shape=(3, 32, 32), bottleneck=False) // 100_000 == 17


def test_a_sentence_cnn_counts_its_words():
    words = count(SentenceCNN, num_classes=6, vocab_size=9000) - count(SentenceCNN, num_classes=6, vocab_size=2)
    assert words == 8998 * 300
