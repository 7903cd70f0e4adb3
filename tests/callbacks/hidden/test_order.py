"""Where the samples are: written as people write it, and found again in the tensor."""

import pytest
import torch

from lightning_mixup.callbacks.hidden import HiddenLayers
from lightning_mixup.callbacks.hidden.order import Order
from lightning_mixup.functional import mixup

B = 4


def mix(x):
    return mixup(x, 0.75, 1)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("b", Order()),
        ("t b", Order(1)),
        ("b t c", Order()),
        ("(b w)", Order(0, "first")),
        ("(b h w) c", Order(0, "first")),
        ("(v b)", Order(0, "last")),
        ("t (b h)", Order(1, "first")),
        ("b+", Order(0, "front")),
    ],
)
def test_orders_are_read(text, order):
    assert Order.parse(text) == order


@pytest.mark.parametrize("text", ["", "t", "b b", "(v b w)", "t b+ b", "(b b)", None, "batch"])
def test_what_names_no_batch_is_refused(text):
    with pytest.raises(ValueError, match=r"name the batch once, as b: 'b', 't b'.*got "):
        Order.parse(text)
    with pytest.raises(ValueError, match=r"^ManifoldMixup: layers: the order"):
        HiddenLayers({"net": text})


@pytest.mark.parametrize(
    ("text", "shape", "samples"),
    [
        ("b", (B, 3), lambda x: x),
        ("t b", (5, B, 3), lambda x: x.transpose(0, 1)),
        ("(b w)", (B * 3, 2), lambda x: x.view(B, 3, 2)),
        ("(v b)", (B * 3, 2), lambda x: x.view(3, B, 2).transpose(0, 1)),
        ("t (b h)", (5, B * 2, 3), lambda x: x.view(5, B, 2, 3).transpose(0, 1)),
        ("t (v b)", (5, B * 2, 3), lambda x: x.view(5, 2, B, 3).permute(2, 0, 1, 3)),
        ("b+", (B + 3, 2), lambda x: x[:B]),
        ("b+", (B, 2), lambda x: x),
    ],
)
def test_samples_are_mixed_where_they_are(text, shape, samples):
    x, order = torch.randn(shape), Order.parse(text)
    assert order.fits(x, B)
    mixed = order.apply(x, B, mix)
    assert mixed.shape == x.shape
    torch.testing.assert_close(samples(mixed), mix(samples(x).contiguous()))
    if text == "b+":
        assert torch.equal(mixed[B:], x[B:])


@pytest.mark.parametrize(("text", "shape"), [("b", (8, 2)), ("t b", (B,)), ("(b w)", (6, 2)), ("b+", (3, 2))])
def test_what_does_not_fit(text, shape):
    assert not Order.parse(text).fits(torch.zeros(shape), B)
