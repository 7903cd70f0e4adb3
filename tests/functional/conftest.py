import pytest

from lightning_mixup.functional import mixing, pairs


@pytest.fixture(params=[0, 2**15], ids=["large", "small"])
def any_size(request, monkeypatch):
    """Small batches as they are, and as if they were large."""
    monkeypatch.setattr(pairs, "_SMALL", request.param)
    monkeypatch.setattr(mixing, "_SMALL_SAMPLE", request.param)
