import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lightning_mixup.functional import Nearest, generator
from lightning_mixup.functional.pairing import PAIRINGS

STEPS = st.integers(0, 1000)
CLASSES = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(torch.tensor)
VALUES = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30).map(torch.tensor)


def partners_of(pairing, step, batch_size, target=None):
    shift = PAIRINGS.get(pairing, pairing)(generator(0, 0, step), batch_size, target)
    if isinstance(shift, torch.Tensor):
        assert shift.shape == (batch_size,)
        assert shift.dtype == torch.int64
    return (torch.arange(batch_size) + shift) % batch_size


def target_for(pairing, batch_size):
    return torch.arange(batch_size) % 3 if pairing.looks_at == "labels" else torch.randn(batch_size)


@pytest.mark.parametrize("name", PAIRINGS)
@given(batch_size=st.integers(1, 40), step=STEPS)
def test_a_pure_function_of_its_generator(name, batch_size, step):
    target = target_for(PAIRINGS[name], batch_size)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (partners_of(name, step, batch_size, target) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("pairing", PAIRINGS.values(), ids=PAIRINGS)
def test_no_label_is_looked_at_on_the_host(pairing):
    """Tensors without values cannot be: so no device is waited for."""
    target = target_for(pairing, 8).to("meta")
    shift = pairing(generator(0, 0, 0), 8, target)
    assert isinstance(shift, int) or shift.device.type == ("meta" if pairing.looks_at else "cpu")


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_labels_of_any_integer_type(dtype, shape):
    y = torch.tensor([0, 1, 0, 1, 1, 0]).to(dtype).reshape(shape)
    assert torch.equal(y[partners_of("same_class", 0, 6, y)], y)
    assert (y[partners_of("different_class", 0, 6, y)] != y).all()


@pytest.mark.parametrize("name", ["shift", "permutation", "flip"])
@given(batch_size=st.integers(1, 40), step=STEPS)
def test_everybody_is_a_partner_once(name, batch_size, step):
    assert partners_of(name, step, batch_size).sort().values.equal(torch.arange(batch_size))


@pytest.mark.parametrize("name", ["same_class", "different_class"])
@given(y=CLASSES, step=STEPS)
def test_everybody_is_a_partner_once_by_class_too(name, y, step):
    assert partners_of(name, step, len(y), y).sort().values.equal(torch.arange(len(y)))


@given(batch_size=st.integers(1, 40), step=STEPS)
def test_flip_is_timms(batch_size, step):
    assert partners_of("flip", step, batch_size).equal(torch.arange(batch_size).flip(0))


def test_permutations_are_uniform():
    counts = {}
    for step in range(6_000):
        found = tuple(partners_of("permutation", step, 4).tolist())
        counts[found] = counts.get(found, 0) + 1
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@given(y=CLASSES, step=STEPS)
def test_same_class_meets_its_own_and_nobody_itself_but_loners(y, step):
    partner = partners_of("same_class", step, len(y), y)
    assert y[partner].equal(y)
    alone = (y[:, None] == y).sum(1) == 1
    assert (partner == torch.arange(len(y))).equal(alone)


@given(y=CLASSES, step=STEPS)
def test_different_class_meets_as_many_others_as_there_can_be(y, step):
    partner = partners_of("different_class", step, len(y), y)
    largest = max(y.bincount().tolist())
    assert (y[partner] == y).sum() == max(2 * largest - len(y), 0)
    if len(y) > 1:
        assert (partner != torch.arange(len(y))).all()


@pytest.mark.parametrize("name", ["same_class", "different_class"])
def test_any_eligible_partner_is_as_likely(name):
    y = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1])
    drawn = [partners_of(name, step, len(y), y)[0].item() for step in range(3_000)]
    eligible = [i for i in range(1, 8) if (y[i] == y[0]) == (name == "same_class")]
    counts = [drawn.count(i) for i in eligible]
    assert sum(counts) == len(drawn)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_every_other_class_is_met():
    y = torch.arange(50) % 5
    met = {y[partners_of("different_class", step, 50, y)[0]].item() for step in range(200)}
    assert met == {1, 2, 3, 4}


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, 2)])
@pytest.mark.parametrize(("bandwidth", "unit"), [(0.5, "std"), (2.0, "target")])
def test_nearest_has_the_frequencies_of_the_paper(shape, bandwidth, unit):
    y = torch.tensor([0.0, 1.0, 3.0, 3.5, 6.0, 8.0, 8.0, 20.0]).reshape(shape)
    flat = y.reshape(len(y), -1).double()
    scaled = flat / flat.std(0) if unit == "std" else flat
    distance = (scaled[:, None] - scaled).square().sum(-1)
    expected = torch.exp(-distance / (2 * bandwidth**2)).fill_diagonal_(0)
    expected /= expected.sum(1, keepdim=True)
    size = len(y)
    drawn = torch.stack([partners_of(Nearest(bandwidth, unit), step, size, y) for step in range(4_000)])
    for i in range(size):
        counts = drawn[:, i].bincount(minlength=size).double()
        assert counts[i] == 0
        likely = expected[i] * len(drawn) > 5
        assert counts[~likely].sum() <= 5 * size
        observed = torch.cat([counts[likely], counts[~likely].sum()[None]])
        share = torch.cat([expected[i][likely], expected[i][~likely].sum()[None]])
        kept = share > 0
        wanted = share[kept] * observed.sum() / share[kept].sum()
        if kept.sum() > 1 and wanted.min() > 1:
            assert stats.chisquare(observed[kept], wanted).pvalue > 1e-3


@given(y=VALUES, step=STEPS, bandwidth=st.floats(1e-3, 1e3), unit=st.sampled_from(["std", "target"]))
def test_nearest_never_meets_itself(y, step, bandwidth, unit):
    partner = partners_of(Nearest(bandwidth, unit), step, len(y), y)
    assert (partner != torch.arange(len(y))).all() or len(y) == 1


@pytest.mark.parametrize("missing", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("shape", [(-1,), (-1, 2)])
@given(y=st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=20), step=STEPS, data=st.data())
def test_nearest_leaves_samples_without_a_value_alone(missing, shape, y, step, data):
    y = torch.tensor(y * (2 if len(shape) == 2 else 1)).reshape(shape)
    unknown = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(y), max_size=len(y))))
    holes = y.clone()
    holes.reshape(len(y), -1)[unknown, 0] = missing
    partner = partners_of(Nearest(), step, len(y), holes)
    itself = partner == torch.arange(len(y))
    assert itself[unknown].all()
    if (~unknown).sum() > 1:
        assert not itself[~unknown].any()
    assert not unknown[partner[~unknown]].any()


def test_nearest_is_as_near_beside_samples_without_a_value():
    y = torch.tensor([0.0, torch.nan, 5.0, 0.1, torch.nan, 5.3])
    for step in range(50):
        assert partners_of(Nearest(1e-2), step, 6, y).tolist() == [3, 1, 5, 0, 4, 2]
    known = y.isfinite()
    drawn = [
        torch.stack([partners_of(Nearest(0.5), step, len(values), values) for step in range(2_000)])
        for values in (y, y[known])
    ]
    for sample, place in enumerate([0, 2, 3, 5]):
        shares = [
            torch.bincount(drawn[0][:, place], minlength=6)[known] / 2_000,
            torch.bincount(drawn[1][:, sample], minlength=4) / 2_000,
        ]
        torch.testing.assert_close(*shares, rtol=0, atol=0.05)


def test_wide_bandwidths_pair_at_random_and_narrow_ones_the_nearest():
    y = torch.tensor([0.0, 0.1, 5.0, 5.3])
    assert partners_of(Nearest(1e-3), 0, 4, y).tolist() == [1, 0, 3, 2]
    drawn = [partners_of(Nearest(1e6), step, 4, y)[0].item() for step in range(3_000)]
    assert stats.chisquare([drawn.count(i) for i in (1, 2, 3)]).pvalue > 1e-3


@pytest.mark.parametrize("target", [torch.full((5,), 3.0), torch.arange(5), torch.randn(5).half() * 1e3 + 1e4])
def test_nearest_takes_values_of_any_kind(target):
    partner = partners_of("nearest", 0, 5, target)
    assert (partner != torch.arange(5)).all()


def test_nearest_does_not_depend_on_the_scale_unless_told():
    y = torch.randn(20, generator=torch.Generator().manual_seed(0))
    assert partners_of(Nearest(0.3), 0, 20, y).equal(partners_of(Nearest(0.3), 0, 20, 1000 * y + 5))
    assert partners_of(Nearest(0.3, "target"), 0, 20, y).equal(partners_of(Nearest(300, "target"), 0, 20, 1000 * y))


@pytest.mark.parametrize(
    ("arguments", "message"), [((0,), "bandwidth"), ((-1.0,), "bandwidth"), ((float("nan"),), "b")]
)
def test_nearest_refuses(arguments, message):
    with pytest.raises(ValueError, match=rf"Nearest: {message}.* must be .*, got"):
        Nearest(*arguments)
    with pytest.raises(ValueError, match="Nearest: unit must be 'std' or 'target', got 'sd'"):
        Nearest(1.0, "sd")


@pytest.mark.parametrize("name", ["same_class", "different_class", "nearest"])
def test_without_a_target_there_is_nothing_to_look_at(name):
    with pytest.raises(ValueError, match="looks at the target, got None"):
        PAIRINGS[name](generator(0, 0, 0), 4)


@pytest.mark.parametrize("pairing", [*PAIRINGS.values(), Nearest(2.0, "target")], ids=repr)
def test_values_by_argument(pairing):
    for twin in (copy.deepcopy(pairing), pickle.loads(pickle.dumps(pairing))):
        assert twin == pairing
        assert hash(twin) == hash(pairing)
        assert repr(twin) == repr(pairing)
    assert sum(pairing == other for other in (*PAIRINGS.values(), Nearest(2.0, "target"))) == 1
