import pytest
import torch

from lightning_mixup.functional import check_mixable, overlaps, shared_memory, shares_memory

X = torch.arange(24.0)


def masked(x):
    return torch.masked.masked_tensor(x, x > 0)


@pytest.mark.filterwarnings("ignore")  # torch calls all of these prototypes
@pytest.mark.parametrize(
    ("build", "what", "cure"),
    [
        (lambda: masked(X.view(4, 6)), "MaskedTensor", "x.get_data()"),
        (lambda: torch.nested.nested_tensor([X[:3], X[:4]]), "nested", "to_padded_tensor"),
        (lambda: torch.nested.nested_tensor([X[:3], X[:4]], layout=torch.jagged), "nested", "to_padded_tensor"),
        (lambda: X.view(4, 6).to_sparse(), "sparse", "x.to_dense()"),
        (lambda: X.view(4, 6).to_sparse_csr(), "sparse", "x.to_dense()"),
        (lambda: torch.quantize_per_tensor(X.view(4, 6), 0.1, 0, torch.qint8), "quantized", "x.dequantize()"),
        (lambda: X.view(4, 6).to(torch.float8_e4m3fn), "float8_e4m3fn", "x.bfloat16()"),
        (lambda: X.view(4, 6).to(torch.float8_e5m2), "float8_e5m2", "x.bfloat16()"),
        (lambda: torch.tensor(3.0), "a single number", "(B, ...)"),
        (lambda: torch.zeros(0, 3), r"empty batch", "drop_last=True"),
        (lambda: torch.zeros(4, 0), "samples without a number", "leave it out"),
    ],
)
def test_what_cannot_be_mixed_is_named_with_its_cure(build, what, cure):
    reason = check_mixable(build())
    assert what in reason
    assert cure in reason


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.uint8, torch.bool, torch.int64])
def test_ordinary_tensors_can_be_mixed(dtype):
    assert check_mixable(torch.ones(4, 3).to(dtype)) is None
    assert check_mixable(torch.ones(4, 3, device="meta").to(dtype)) is None


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (X, False),
        (X.view(4, 6).T, False),
        (X.view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last), False),
        (X.view(4, 6)[::2, 1::2], False),
        (X.view(4, 6)[:, :1], False),
        (X[None].expand(4, 24), True),
        (X[None].expand(1, 24), False),
        (X.unfold(0, 6, 2), True),
        (X.unfold(0, 6, 6), False),
        (X.as_strided((3, 3), (1, 1)), True),
        (X[:0], False),
        (torch.tensor(1.0), False),
    ],
)
def test_overlapping_memory_is_seen(x, expected):
    assert overlaps(x) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (X, X, True),
        (X, X.view(4, 6), True),
        (X, X.clone(), False),
        (X[:12], X[12:], False),
        (X[:13], X[12:], True),
        (X.view(4, 6)[:, :3], X.view(4, 6)[:, 3:], False),
        (X.view(4, 6)[:, :4], X.view(4, 6)[:, 3:], True),
        (X.view(torch.int32), X, True),
        (X[::2], X[1::2], False),
        (X[:0], X, False),
    ],
)
def test_shared_memory_is_seen(first, second, expected):
    assert shares_memory(first, second) == expected
    assert shares_memory(second, first) == expected


def test_entries_that_share_memory_are_named():
    x = X.view(4, 6).clone()
    assert shared_memory({0: x, 1: x.clone()}) is None
    assert shared_memory({0: x[:, :3], 1: x[:, 3:]}) is None
    assert "0 and 1 share memory" in shared_memory({0: x, 1: x})
    assert "'a' and 'c' share memory" in shared_memory({"a": x, "b": X, "c": x[:, 0]})
    windows = shared_memory({"a": X.unfold(0, 6, 2)})
    assert windows.startswith("elements of 'a' share memory")
    assert "inplace=False" in windows
