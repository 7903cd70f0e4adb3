"""A share of the fuzzer: nothing is silently wrong, and nothing crashes without a word of ours."""

import logging
import zlib

import pytest
from callbacks.fuzz import KEPT, tried
from support import methods

CASES = 40


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
def test_random_cases_are_right_or_refused(method, caplog):
    caplog.set_level(logging.ERROR, "lightning.pytorch")
    first = zlib.crc32(method.__name__.encode()) % 1000  # others for each method
    results = tried(method, range(first, first + CASES))
    assert not [(seed, what) for seed, what, _ in results if what not in KEPT]
    assert sum(what == "right" for _, what, _ in results) >= CASES // 5
