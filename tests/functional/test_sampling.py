import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lightning_mixup.functional import Stream, generator, sample_lam, sample_shift


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


@given(st.integers(0, 2**64 - 1), st.integers(0, 4096), st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_a_stream_draws_at_every_step_what_a_fresh_generator_draws(seed, rank, steps):
    stream = Stream(seed, rank)
    for step in steps:
        ours, fresh = stream.at(step), generator(seed, rank, step)
        # Small integers are drawn by halves, and what is left of a number must not reach the next step.
        for rng in (ours, fresh):
            rng.integers(0, 5, 3, dtype=np.int32)
        assert ours.integers(0, 5, dtype=np.int32) == fresh.integers(0, 5, dtype=np.int32)
        assert (ours.random(5) == fresh.random(5)).all()


def test_two_streams_do_not_move_each_other():
    first, second = Stream(1, 0), Stream(1, 0)
    expected = generator(1, 0, 3).random(4)
    rng = first.at(3)
    second.at(9).random(3)
    assert (rng.random(4) == expected).all()


@pytest.mark.parametrize("step", [-1, 2**64])
def test_a_stream_refuses_steps_out_of_range(step):
    with pytest.raises(OverflowError):
        Stream(0, 0).at(step)


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
    assert 0 <= shift < batch_size


@pytest.mark.parametrize("batch_size", [2, 3, 8, 13])
def test_every_ordered_pair_of_different_samples_is_equally_likely(batch_size):
    stream = Stream(0, 0)
    drawn = [sample_shift(stream.at(step), batch_size) for step in range(6_000)]
    counts = np.bincount(drawn, minlength=batch_size)
    assert counts[0] == 0
    assert len(counts) == batch_size
    if batch_size > 2:
        assert stats.chisquare(counts[1:]).pvalue > 1e-3


class Largest:
    """Draws the largest number below 1."""

    def random(self):
        return np.nextafter(1.0, 0.0)


@given(st.integers(2, 2**40))
def test_the_largest_random_number_is_not_too_large(batch_size):
    assert sample_shift(Largest(), batch_size) == batch_size - 1
