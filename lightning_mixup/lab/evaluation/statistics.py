"""What a few seeds can say: pure functions of one number a seed."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy import special

from lightning_mixup.lab.require import require

CONFIDENCE = 0.95
"""Share of intervals that hold the true mean; one minus it is the share of false verdicts that is accepted."""
ROUNDING = 8 * 2.0**-24
"""Differences of float32 scores that are equal may differ by so much, times the greatest score."""
Test = Literal["t", "permutation"]
TESTS: tuple[str, ...] = get_args(Test)


class Estimate(NamedTuple):
    """A mean over seeds."""

    mean: float
    """Of the seeds."""
    margin: float
    """The true mean lies within ``mean ± margin`` in 95 % of all experiments; NaN for fewer than two seeds."""
    seeds: int
    """How many."""


class Difference(NamedTuple):
    """A method minus its baseline, seed by seed."""

    mean: float
    """Of the differences."""
    margin: float
    """Half of the 95 % confidence interval of that mean, for this row alone; NaN for fewer than two seeds."""
    p_value: float
    """Of the two-sided paired test; 1 where the seeds cannot tell, NaN where there are no numbers to test."""
    seeds: int
    """How many seeds both have."""


def estimate(values: Sequence[float]) -> Estimate:
    """Give the mean of some seeds with its Student's t interval.

    The interval is exact for normally distributed values, and good for means of anything without outliers.

    Args:
        values: one number a seed, at least one. If any is not finite, as of a run that diverged, neither is the mean.

    Examples:
        >>> mean, margin, seeds = estimate([0.90, 0.92, 0.94])
        >>> round(mean, 4), round(margin, 4), seeds  # 4.30 standard errors
        (0.92, 0.0497, 3)
    """
    sample = np.asarray(values, dtype=float)
    if not np.isfinite(sample).all():
        return Estimate(math.nan, math.nan, len(sample))
    if len(sample) < 2:
        return Estimate(float(sample.mean()), math.nan, len(sample))
    standard_error = sample.std(ddof=1) / math.sqrt(len(sample))
    quantile = special.stdtrit(len(sample) - 1, (1 + CONFIDENCE) / 2)
    return Estimate(float(sample.mean()), float(quantile * standard_error), len(sample))


def paired_difference(method: Sequence[float], baseline: Sequence[float], test: str = "t") -> Difference:
    """Compare two methods on the same seeds.

    A seed decides the split, the first weights and the order of batches: a lucky seed lifts both methods, and their
    difference varies less than they do.

    What the tests assume: ``t``, that differences are distributed nearly as a normal distribution is. ``permutation``,
    that without a true difference each could as well have had the other sign, which holds whenever both methods have
    the same distribution, whatever that is. Of 5 seeds it can say nothing (its least p-value is 2 in 32), of 6 little.

    Args:
        method: one number a seed.
        baseline: likewise, the same seeds in the same order.
        test: ``t`` for Student's paired t-test; ``permutation`` for the exact test over the signs of all differences
            (above 12 seeds: of 9,999 random ones).

    Returns:
        The difference. Two differences or more that are equal up to the rounding of float32, in which scores are
        computed, have no spread to judge by: a p-value of 1, unless they are many (the sign test then says what it
        can). Values that are not finite give NaN throughout.

    Raises:
        ValueError: there is no such test.

    Examples:
        >>> difference = paired_difference([0.93, 0.95, 0.94], [0.90, 0.91, 0.91])
        >>> round(difference.mean, 4), round(difference.margin, 4), round(difference.p_value, 4)
        (0.0333, 0.0143, 0.0099)
        >>> paired_difference([0.93, 0.95, 0.94], [0.90, 0.91, 0.91], test="permutation").p_value  # 2 of 8 signs
        0.25
    """
    require(test in TESTS, "test", test, f"one of {', '.join(TESTS)}")
    pair = np.asarray([method, baseline], dtype=float)
    if not np.isfinite(pair).all():
        return Difference(math.nan, math.nan, math.nan, pair.shape[1])
    differences = pair[0] - pair[1]
    mean, margin, seeds = estimate(differences.tolist())
    if seeds < 2:
        return Difference(mean, margin, 1.0, seeds)
    rounding = ROUNDING * float(np.abs(pair).max())
    if np.ptp(differences) <= rounding:
        # Measures that come in steps, such as the accuracy on few images, agree by chance: no spread is no proof.
        p_value = 1.0 if abs(mean) <= rounding else 2.0 ** (1 - seeds)
        return Difference(mean, 0.0, p_value, seeds)
    if test == "permutation":
        return Difference(mean, margin, _permutation(differences), seeds)
    standard_error = differences.std(ddof=1) / math.sqrt(seeds)
    return Difference(mean, margin, float(2 * special.stdtr(seeds - 1, -abs(mean) / standard_error)), seeds)


def _permutation(differences: npt.NDArray[np.float64]) -> float:
    from scipy import stats  # half a second, for those who ask

    found = stats.permutation_test(
        (differences,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being several (Holm 1979): reject those at most 0.05, and the chance of any false one is 5 %.

    Args:
        p_values: one a comparison; NaN is passed on and not counted.

    Returns:
        The adjusted p-values, in the same order.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted = np.asarray(p_values, dtype=float)
    order = [index for index in np.argsort(adjusted, kind="stable") if not math.isnan(adjusted[index])]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(adjusted[order] * factors), 1.0)
    return [float(value) for value in adjusted]


def verdict(difference: Difference, adjusted: float, better: int) -> str:
    """Say in plain words what was shown.

    Args:
        difference: a method minus its baseline.
        adjusted: its p-value after ``holm`` over all rows of the table.
        better: 1 if higher is better, -1 if lower is, 0 if that is not for us to say.

    Returns:
        ``better``, ``worse`` (``higher``, ``lower`` without a direction) or that nothing was shown, and why.

    Examples:
        >>> verdict(Difference(0.1, 0.02, 0.001, seeds=5), adjusted=0.003, better=-1)
        'worse'
        >>> verdict(Difference(0.1, 0.2, 0.3, seeds=5), adjusted=0.3, better=1)
        'no difference shown at n = 5 seeds'
        >>> verdict(Difference(0.1, math.nan, 1.0, seeds=1), adjusted=1.0, better=1)
        'too few seeds to say (n = 1)'
        >>> verdict(Difference(math.nan, math.nan, math.nan, seeds=5), adjusted=math.nan, better=1)
        'not compared: not finite for every seed'
    """
    if math.isnan(difference.p_value):
        return "not compared: not finite for every seed"
    if difference.seeds < 2:
        return f"too few seeds to say (n = {difference.seeds})"
    if adjusted > 1 - CONFIDENCE:
        return f"no difference shown at n = {difference.seeds} seeds"
    if better == 0:
        return "higher" if difference.mean > 0 else "lower"
    return "better" if difference.mean * better > 0 else "worse"
