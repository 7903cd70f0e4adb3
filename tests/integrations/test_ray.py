"""A search by Ray Tune, whose trials are Lightning Trainers in processes of Ray."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray.tune", reason="a scheduled job installs it")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ray_tune.py"


def test_all_trials_train(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(EXAMPLE), "2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 trials, 0 failed" in done.stdout
    assert float(re.search(r"validation accuracy ([\d.]+)%", done.stdout)[1]) > 85
