import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from lightning_mixup.functional.losses import blend, label_weights, mixed_cross_entropy, reduce, two_cross_entropies

CLASSES = 4
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)
OPTIONS = [
    {"weight": weight, "reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignored}
    for weight, reduction, smoothing, ignored in itertools.product(
        (None, WEIGHT), ("mean", "sum", "none"), (0.0, 0.2), (-100, 2)
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(6,), (3, 2, 5), ()], ids=str)
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_two_cross_entropies_are_those_of_torch(large, shape, options, monkeypatch):
    if large:  # as with half a million scores of many classes
        for limit in ("_LARGE", "_MANY"):
            monkeypatch.setattr(f"lightning_mixup.functional.losses.{limit}", 0)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape[:1], CLASSES, *shape[1:], generator=rng, dtype=torch.float64, requires_grad=True)
    halves = [torch.randint(0, CLASSES, shape, generator=rng) for _ in range(2)]
    if shape:
        halves[0][0] = -100
        options = {**options, "ignore_index": -100} if options["ignore_index"] == -100 else options
        halves[0][0] = options["ignore_index"]
    got = two_cross_entropies(logits, *halves, **options)
    for loss, half in zip(got, halves, strict=True):
        want = F.cross_entropy(logits, half, **options)
        torch.testing.assert_close(loss, want, equal_nan=True)
        if not want.isnan().any():
            grads = [torch.autograd.grad(x.sum(), logits, retain_graph=True)[0] for x in (loss, want)]
            torch.testing.assert_close(*grads)


def test_a_mean_of_many_halves_does_not_overflow():
    logits = torch.zeros(20_000, 256, dtype=torch.float16)  # 20,000 times log(256) is more than float16 can hold
    labels = torch.zeros(20_000, dtype=torch.long)
    for loss in two_cross_entropies(logits, labels, labels + 1):
        assert loss.dtype == torch.float16
        assert loss.item() == pytest.approx(math.log(256), abs=0.01)


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_out_of_bounds_is_named_as_torch_does(label, large, monkeypatch):
    if large:
        for limit in ("_LARGE", "_MANY"):
            monkeypatch.setattr(f"lightning_mixup.functional.losses.{limit}", 0)
    with pytest.raises(IndexError, match=f"Target {label} is out of bounds"):
        two_cross_entropies(torch.zeros(2, CLASSES), torch.tensor([0, 1]), torch.tensor([1, label]))


@pytest.mark.parametrize("shape", [(6,), (3, 2, 5)], ids=str)
@pytest.mark.parametrize(
    "change",
    [
        lambda labels, weight: (labels[: len(labels) // 2], weight),
        lambda labels, weight: (labels[..., :1, None], weight),
        lambda labels, weight: (labels.int(), weight),
        lambda labels, weight: (labels, torch.ones(CLASSES + 1)),
        lambda labels, weight: (labels, weight.double()),
    ],
    ids=["half", "dimension", "int32", "weights", "dtype"],
)
def test_what_does_not_fit_is_refused_as_torch_does(change, shape, monkeypatch):
    for limit in ("_LARGE", "_MANY"):
        monkeypatch.setattr(f"lightning_mixup.functional.losses.{limit}", 0)
    logits = torch.zeros(*shape[:1], CLASSES, *shape[1:])
    labels, weight = change(torch.zeros(shape, dtype=torch.long), torch.ones(CLASSES))
    with pytest.raises((RuntimeError, ValueError)) as torchs:
        F.cross_entropy(logits, labels, weight)
    with pytest.raises(torchs.type) as ours:
        two_cross_entropies(logits, labels, labels, weight)
    assert str(ours.value) == str(torchs.value)


def test_labels_of_half_a_batch_are_refused_as_torch_does_also_with_a_weight_for_each():
    labels = torch.zeros(4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"Expected input batch_size \(8\) to match target batch_size \(4\)"):
        mixed_cross_entropy(torch.zeros(8, CLASSES), labels, labels, torch.full((4,), 0.5))


def test_labels_of_bytes_are_taken_as_torch_does(monkeypatch):
    for limit in ("_LARGE", "_MANY"):
        monkeypatch.setattr(f"lightning_mixup.functional.losses.{limit}", 0)
    logits, labels = torch.randn(3, CLASSES), torch.tensor([0, 1, 3], dtype=torch.uint8)
    for loss in two_cross_entropies(logits, labels, labels):
        torch.testing.assert_close(loss, F.cross_entropy(logits, labels))


def test_under_autocast_the_sums_are_in_full_precision():
    logits = torch.randn(64, 10).bfloat16()
    halves = torch.arange(64) % 10, torch.arange(64) % 7
    with torch.autocast("cpu", torch.bfloat16):
        got = two_cross_entropies(logits, *halves)
        want = [F.cross_entropy(logits, half) for half in halves]
    for loss, expected in zip(got, want, strict=True):
        assert loss.dtype == expected.dtype == torch.float32
        assert torch.equal(loss, expected)


def test_blend_takes_nothing_of_what_has_no_weight():
    nan, inf = float("nan"), float("inf")
    a, b = torch.tensor([1.0, nan, 3.0]), torch.tensor([inf, 2.0, 5.0])
    assert torch.equal(blend(a, b, torch.tensor([1.0, 0.0, 0.5])), torch.tensor([1.0, 2.0, 4.0]))
    assert torch.equal(blend(torch.ones(2), torch.full((2,), nan), 1.0), torch.ones(2))
    assert torch.equal(blend(torch.full((2,), nan), torch.ones(2), 0.0), torch.ones(2))


def test_blend_of_complex_numbers_keeps_their_imaginary_part():
    a, b = torch.tensor([1 + 2j]), torch.tensor([3 - 2j])
    torch.testing.assert_close(blend(a, b, 0.75), torch.tensor([1.5 + 1j]))


def test_blend_weighs_along_the_leading_dimensions():
    a, b = torch.ones(2, 3), torch.zeros(2, 3)
    assert torch.equal(blend(a, b, torch.tensor([0.25, 0.75])), torch.tensor([[0.25] * 3, [0.75] * 3]))


def test_reduce_knows_what_torch_knows():
    loss = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert [reduce(loss, how).item() for how in ("sum", "mean", "batchmean")] == [10, 2.5, 5]
    assert reduce(loss, "none") is loss
    with pytest.raises(ValueError, match="reduction must be"):
        reduce(loss, "median")


def test_label_weights_are_what_a_mean_divides_by():
    labels = torch.tensor([0, 3, 2, 2])
    assert torch.equal(label_weights(labels, WEIGHT, 2), torch.tensor([0.5, 0.25, 0.0, 0.0], dtype=torch.float64))
