"""Every use of labels in the corpus: exact without a word to it, or refused with a cure that works."""

import itertools
import traceback

import pytest
from targets.corpus import Case, check_exact, cured, fit
from targets.corpus_losses import LOSSES
from targets.corpus_uses import USES

from lightning_mixup import Mixup

CASES = [*LOSSES, *USES]
EXACT = [case for case in CASES if not case.cures]
REFUSED = [case for case in CASES if case.cures]
# Weights of the first batch on either side of one half: so that neither label is always the heavier one.
SEEDS = (0, 1)

pytestmark = pytest.mark.filterwarnings(
    "ignore:Converting a tensor with requires_grad=True to a scalar:UserWarning",
    "ignore:To copy construct from a tensor:UserWarning",
    "ignore:The ``compute`` method of metric:UserWarning",
)


def test_the_corpus_is_as_large_as_it_says():
    assert len(list(LOSSES)) >= 60
    assert len(list(USES)) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(EXACT) / len(CASES) >= 0.8


@pytest.mark.parametrize(
    ("case", "seed"), [(c, s) for c, s in zip(EXACT, itertools.cycle(SEEDS))], ids=[case.name for case in EXACT]
)
def test_is_exact(case: Case, seed: int):
    check_exact(case, seed)


@pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
def test_is_refused_with_cures(case: Case):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # ours or torch's
        fit(case)
    told = "".join(traceback.format_exception(caught.value))
    for name in case.cures:
        assert name in told


@pytest.mark.parametrize(
    ("case", "cure"),
    [(case, cure) for case in REFUSED for cure in case.cures],
    ids=[f"{case.name}-{cure}" for case in REFUSED for cure in case.cures],
)
def test_a_cure_is_exact(case: Case, cure: str):
    if cure == "sampled" and not _knows_sampled():
        pytest.skip("targets='sampled' is on its way")
    check_exact(cured(case, cure))


def _knows_sampled() -> bool:
    try:
        Mixup(targets="sampled")
    except ValueError:
        return False
    return True
