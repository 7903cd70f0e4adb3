import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lightning_mixup.functional import generator, sample_box, sample_lam, sample_shift


@given(st.integers(0, 2**64 - 1), st.integers(0, 4096), st.integers(0, 2**40))
def test_generator_is_a_pure_function(seed, rank, step):
    first, second = (generator(seed, rank, step).random(4) for _ in range(2))
    assert (first == second).all()


@given(st.integers(0, 2**32), st.integers(0, 64), st.integers(0, 2**20))
def test_generator_differs_in_each_argument(seed, rank, step):
    here = generator(seed, rank, step).random(4)
    for other in (generator(seed + 1, rank, step), generator(seed, rank + 1, step), generator(seed, rank, step + 1)):
        assert (here != other.random(4)).all()


def test_generators_are_uniform_across_steps_and_ranks():
    draws = [generator(7, rank, step).random() for rank in range(40) for step in range(100)]
    assert stats.kstest(draws, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("arguments", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (2**64, 0, 0)])
def test_generator_refuses(arguments):
    with pytest.raises(ValueError, match="must be in"):
        generator(*arguments)


@pytest.mark.parametrize("alpha", [1e-3, 0.05, 0.1, 0.2, 0.4, 1, 2, 8, 32, 100])
def test_lam_is_beta_distributed(alpha):
    lam = np.sort(sample_lam(generator(0, 0, 0), alpha, 20_000))
    assert 0 <= lam[0] <= lam[-1] <= 1
    # The Kolmogorov-Smirnov distance, but only where float64 has numbers: for a small alpha much of the distribution
    # lies nearer to 0 and 1 than any of them.
    at = np.concatenate([np.geomspace(1e-300, 1e-2, 500), np.linspace(0.01, 0.99, 500), 1 - np.geomspace(1e-2, 1e-12)])
    distance = np.abs(np.searchsorted(lam, at, side="right") / len(lam) - stats.beta(alpha, alpha).cdf(at)).max()
    assert stats.kstwo(len(lam)).sf(distance) > 1e-3


def test_lam_of_a_step_each_is_beta_distributed():
    lam = [sample_lam(generator(3, 0, step), 0.4) for step in range(5_000)]
    assert stats.kstest(lam, stats.beta(0.4, 0.4).cdf).pvalue > 1e-3


def test_alpha_zero_is_identity():
    rng = generator(0, 0, 0)
    assert sample_lam(rng, 0) == 1.0
    assert (sample_lam(rng, 0, 5) == 1).all()


@given(st.integers(1, 300), st.integers(0, 1000))
def test_nobody_is_its_own_partner(batch_size, step):
    shift = sample_shift(generator(0, 0, step), batch_size)
    assert (shift == 0) == (batch_size == 1)
    assert 0 <= shift <= batch_size // 2


def test_every_shift_is_drawn():
    assert {sample_shift(generator(0, 0, step), 12) for step in range(200)} == {1, 2, 3, 4, 5, 6}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.floats(0, 1), st.integers(0, 1000))
def test_box_lies_inside_and_lam_is_its_complement(size, lam, step):
    box = sample_box(generator(0, 0, step), lam, size)
    assert (box.low >= 0).all()
    assert (box.high <= size).all()
    assert (box.low <= box.high).all()
    assert box.lam == pytest.approx(1 - np.prod(box.high - box.low) / np.prod(size))
    # Clipping and rounding down take away from the box and never add to it.
    assert box.lam >= lam - 1e-9


@given(st.integers(1, 9), st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(0, 1000))
def test_box_per_sample(batch_size, size, step):
    rng = generator(0, 0, step)
    box = sample_box(rng, rng.random(batch_size), size)
    assert box.low.shape == box.high.shape == (batch_size, len(size))
    assert box.lam == pytest.approx(1 - np.prod(box.high - box.low, axis=1) / np.prod(size))


def test_box_centre_is_uniform_and_the_box_clipped():
    boxes = [sample_box(generator(0, 0, step), 0.75, (10, 20)) for step in range(4_000)]
    assert {tuple(box.high - box.low) for box in boxes} >= {(5, 10), (3, 5)}
    covered = np.zeros((10, 20))
    for box in boxes:
        covered[box.low[0] : box.high[0], box.low[1] : box.high[1]] += 1
    # The middle is covered by half of the centres along each side, the corner by a quarter of those.
    assert covered[5, 10] / 4_000 == pytest.approx(0.25, abs=0.03)
    assert covered[0, 0] / 4_000 == pytest.approx(0.3 * 0.3, abs=0.03)


def test_mean_pasted_area_is_the_known_one():
    """Clipped boxes of Beta(1, 1) paste 0.322 of the area on average, not a half."""
    rng = generator(0, 0, 0)
    pasted = [1 - sample_box(rng, sample_lam(rng, 1.0), (224, 224)).lam for _ in range(20_000)]
    assert np.mean(pasted) == pytest.approx(0.322, abs=0.006)
