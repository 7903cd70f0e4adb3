"""Every tensor of an output that has the batch in it is mixed, and what hides samples is refused."""

import dataclasses
from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from lightning_mixup import MixedTarget
from lightning_mixup.callbacks.hidden import HiddenLayers
from lightning_mixup.functional import mixup

B = 4
Pair = namedtuple("Pair", "h attention")


@dataclasses.dataclass(frozen=True)
class Frozen:
    h: torch.Tensor
    deep: dict


class ModelOutput(OrderedDict):
    """Like the outputs of transformers: a dictionary with attributes."""

    def __getattr__(self, name):
        return self[name]


class Layer(nn.Module):
    """Returns what it is told to make of a trained state."""

    def __init__(self, make):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.make = make

    def forward(self, x):
        return self.make(x * self.weight)


X = torch.randn(B, 3, generator=torch.Generator().manual_seed(0))


def mix(x):
    return mixup(x, 0.75, 1)


def run(layer, *args, order=None):
    net = nn.ModuleDict({"layer": layer})
    hidden = HiddenLayers(["layer"] if order is None else {"layer": order})
    hidden.attach(net)
    hidden.arm("layer", B, 0.75, 1, torch.device("cpu"))
    try:
        output = layer(*args)
        hidden.verify()
    finally:
        hidden.detach()
    return output


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda h: h, lambda o: [o]),
        (lambda h: (h, 2 * h, None, "text", 3), lambda o: [o[0], o[1] / 2]),
        (lambda h: [h, (h + 1, {"a": h})], lambda o: [o[0], o[1][0] - 1, o[1][1]["a"]]),
        (lambda h: {"h": h, "lengths": torch.arange(B)}, lambda o: [o["h"]]),
        (lambda h: ModelOutput(last_hidden_state=h, hidden_states=(h, h)), lambda o: [o.last_hidden_state, *o[1:][0]]),
        (lambda h: Pair(h, h.detach()), lambda o: [o.h, o.attention]),
        (lambda h: Frozen(h, {"deep": h}), lambda o: [o.h, o.deep["deep"]]),
        (lambda h: torch.max(h[:, None], 1), lambda o: [o.values]),
    ],
    ids=["tensor", "tuple", "nested", "dict", "output", "namedtuple", "dataclass", "structseq"],
)
def test_every_tensor_is_mixed(make, parts):
    if make(X).__class__ is ModelOutput:
        parts = lambda o: [o["last_hidden_state"], *o["hidden_states"]]  # noqa: E731
    output = run(Layer(make), X)
    assert type(output) is type(make(X))
    for part in parts(output):
        torch.testing.assert_close(part, mix(X))


def test_a_tensor_in_two_places_stays_one():
    output = run(Layer(lambda h: {"last": h, "all": (h,)}), X)
    assert output["last"] is output["all"][0]


def test_what_has_no_batch_in_front_stays():
    bias, ids, flags = torch.randn(1, 5), torch.arange(B), torch.ones(B, dtype=torch.bool)
    output = run(Layer(lambda h: (h, bias, ids, flags, h.sum())), X)
    assert output[1] is bias
    assert output[2] is ids
    assert output[3] is flags
    torch.testing.assert_close(output[4], X.sum())


def test_complex_states_are_mixed():
    output = run(Layer(lambda h: torch.complex(h, 2 * h)), X)
    torch.testing.assert_close(output, torch.complex(mix(X), 2 * mix(X)))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("steps", [5, B])  # as many steps as samples: the shape alone does not tell
def test_outputs_and_states_of_rnns(kind, batch_first, steps):
    torch.manual_seed(0)
    layer = kind(3, 6, 2, batch_first=batch_first)
    x = torch.randn(B, steps, 3) if batch_first else torch.randn(steps, B, 3)
    clean, states = layer(x)
    out, mixed = run(layer, x)
    dim = 0 if batch_first else 1
    torch.testing.assert_close(out, mix(clean.transpose(0, dim)).transpose(0, dim))
    states, mixed = (s if isinstance(s, tuple) else (s,) for s in (states, mixed))
    for state, other in zip(states, mixed, strict=True):
        torch.testing.assert_close(other, mix(state.transpose(0, 1)).transpose(0, 1))


def test_states_of_what_holds_an_rnn():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(3, 6, 2, batch_first=True)

        def forward(self, x):
            out, (h, c) = self.rnn(x)
            return {"out": out, "state": (h, c)}

    layer, x = Encoder(), torch.randn(B, 5, 3)
    clean, output = layer(x), run(layer, x)
    torch.testing.assert_close(output["out"], mix(clean["out"]))
    for state, other in zip(clean["state"], output["state"], strict=True):
        torch.testing.assert_close(other, mix(state.transpose(0, 1)).transpose(0, 1))


@pytest.mark.parametrize("steps", [5, B])
@pytest.mark.parametrize("batch_first", [True, False])
def test_transformers_say_where_their_batch_is(batch_first, steps):
    block = nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=batch_first)
    attention = nn.MultiheadAttention(6, 2, batch_first=batch_first)
    x, dim = torch.randn(*((B, steps) if batch_first else (steps, B)), 6), 0 if batch_first else 1
    for layer in (block, nn.TransformerEncoder(block, 2, enable_nested_tensor=False)):
        torch.testing.assert_close(run(layer, x), mix(layer(x).transpose(0, dim)).transpose(0, dim))
    clean, weights = attention(x, x, x)
    out, mixed = run(attention, x, x, x)
    torch.testing.assert_close(out, mix(clean.transpose(0, dim)).transpose(0, dim))
    torch.testing.assert_close(mixed, mix(weights))


def test_orders_that_are_given():
    windows = run(Layer(lambda h: h.repeat_interleave(2, 0)), X, order="(b w)")
    torch.testing.assert_close(windows, mix(X).repeat_interleave(2, 0))
    views = run(Layer(lambda h: torch.cat([h, -h])), X, order="(v b)")
    torch.testing.assert_close(views, torch.cat([mix(X), -mix(X)]))
    joined = run(Layer(lambda h: (torch.cat([h, h[:3]]), None)), X, order="b+")[0]
    torch.testing.assert_close(joined, torch.cat([mix(X), X[:3]]))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda h: h.T, ValueError, r"shape \(3, 4\), of which the first dimension is not the batch of 4; choose an"),
        (lambda h: h.repeat(2, 1), ValueError, r"\(8, 3\).*layers=\{'layer': '\(b w\)'\} if .* '\(v b\)' if .* 'b\+'"),
        (lambda h: (h.T, h), ValueError, r"shape \(3, 4\), of which"),
        (lambda h: h.sum(), ValueError, r"shape \(\), "),
        (lambda h: pack_padded_sequence(h[None], [B], True), TypeError, r"PackedSequence.*pad_packed_sequence"),
        (lambda h: (pack_padded_sequence(h[:, None], [1] * B, True), h), TypeError, "PackedSequence"),
        (lambda h: h.to_sparse(), TypeError, r"is sparse .*make it dense: x.to_dense\(\), or choose another layer"),
        (lambda h: (h, MixedTarget(h, h, 0.5)), TypeError, "had computed from the labels"),
        (lambda h: (h, torch.distributions.Normal(h, 1.0)), TypeError, r"a Normal, whose 'loc' of shape \(4, 3\)"),
        (
            lambda h: (h, SimpleNamespace(z=h)),
            TypeError,
            r"a SimpleNamespace, whose 'z' .* or dataclasses",
        ),
    ],
    ids=["moved", "multiple", "first", "scalar", "packed", "packed in a tuple", "sparse", "loss", "normal", "object"],
)
def test_what_cannot_be_mixed_is_refused(make, error, message):
    with pytest.raises(error, match=rf"^ManifoldMixup: layer 'layer' returned .*{message}"):
        run(Layer(make), X)


@pytest.mark.parametrize(
    ("output", "kind"), [(torch.arange(B), r"torch.int64 of shape \(4,\)"), ({"a": 1}, "<class 'dict'>")]
)
def test_without_a_floating_point_tensor(output, kind):
    with pytest.raises(TypeError, match=f"layer 'layer' returned no floating point tensor: {kind}; choose another"):
        run(nn.Identity(), output)


def test_a_given_order_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"no batch of 4 can be where layers\['layer'\] says"):
        run(Layer(lambda h: h[:3]), X, order="(b w)")


def test_weights_for_each_sample_and_shifts():
    lam, shift = torch.tensor([0.1, 0.5, 1.0, 0.0]), torch.tensor([1, 2, 3, 1])
    layer = Layer(lambda h: h)
    net, hidden = nn.ModuleDict({"layer": layer}), HiddenLayers(["layer"])
    hidden.attach(net)
    for weight in (lam, lam.double().numpy()):
        hidden.arm("layer", B, weight, shift, torch.device("cpu"))
        torch.testing.assert_close(layer(X), mixup(X, lam, shift))
        hidden.verify()
    hidden.disarm()
    assert torch.equal(layer(X), X)
    hidden.arm("layer", B, 0.5, 1, torch.device("cpu"))
    with pytest.raises(MisconfigurationException, match="did not run"):
        hidden.verify()
