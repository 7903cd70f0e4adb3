import pytest
import torch

from lightning_mixup.lab.models import SmallResNet


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 7, 5)])
@pytest.mark.parametrize("batch", [1, 4])
def test_one_logit_a_class_for_any_image(shape, batch):
    net = SmallResNet(num_classes=7, input_shape=shape, width=4, blocks=2)
    assert net(torch.rand(batch, *shape)).shape == (batch, 7)


def test_stages_are_its_children_and_compose_to_the_whole():
    net = SmallResNet(num_classes=10, input_shape=(1, 8, 8)).eval()
    stages = dict(net.named_children())
    assert list(stages) == ["stem", "stage1", "stage2", "head"]
    x = hidden = torch.rand(2, 1, 8, 8)
    for stage in stages.values():
        hidden = stage(hidden)
    torch.testing.assert_close(net(x), hidden)


def test_every_parameter_learns():
    net = SmallResNet(num_classes=3, input_shape=(1, 8, 8), width=4)
    torch.nn.functional.cross_entropy(net(torch.rand(6, 1, 8, 8)), torch.arange(6) % 3).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())


@pytest.mark.parametrize("arguments", [{"width": 0}, {"blocks": 0}, {"input_shape": (8, 8)}])
def test_impossible_values_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SmallResNet(**{"num_classes": 10, "input_shape": (1, 8, 8), **arguments})
