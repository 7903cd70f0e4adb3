import numpy as np
import pytest
from sweeps import job, numbers


@pytest.fixture
def sweep(tmp_path):
    """Twelve runs, in which mixup gains ten points, cutmix loses ten, and manifold_mixup changes nothing."""
    rng = np.random.default_rng(0)
    for mix, gain in (("mixup", 0.1), ("none", 0), ("cutmix", -0.1), ("manifold_mixup", 0)):
        for seed in range(5):
            luck = np.random.default_rng(seed).normal(0, 0.05)
            score = 0.7 + luck + gain + rng.normal(0, 0.01)
            job(tmp_path, [f"mix={mix}", f"seed={seed}", "trainer.max_epochs=3"], numbers(score, rng))
    return tmp_path
