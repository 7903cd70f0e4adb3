"""Sweeps by Optuna, joblib and submitit: they know the direction, tell how far they are, and end in the comparison."""

import os
import subprocess
import sys

import pytest
import yaml
from application import FAST

pytestmark = pytest.mark.slow


def sweep(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "lightning_mixup", "-m", *FAST, *words, f"hydra.sweep.dir={folder}"],
        cwd=folder.parent,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("words", [["data=wine"], ["data=diabetes"]], ids=["accuracy", "rmse"])
def test_optuna_looks_for_the_best(tmp_path, words):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    folder = tmp_path / "sweep"
    rate = "optimizer.lr=choice(0.0000001,0.05)"
    trials = [
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=grid",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.n_jobs=1",
    ]
    done = sweep(folder, *trials, rate, "trainer.max_epochs=20", *words)
    assert done.returncode == 0, done.stderr
    best = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert best["best_params"] == {"optimizer.lr": 0.05}
    assert "Job 2 of 2: optimizer.lr=" in done.stdout
    assert (folder / "comparison" / "comparison.md").is_file()


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_in_other_processes_are_told_of_and_compared(tmp_path, launcher):
    plugin = {"joblib": "joblib_launcher", "submitit_local": "submitit_launcher"}[launcher]
    pytest.importorskip(f"hydra_plugins.hydra_{plugin}")
    folder = tmp_path / "sweep"
    done = sweep(folder, f"hydra/launcher={launcher}", "mix=none,mixup", "data.label_noise=0,2")
    assert done.returncode == 1
    assert "2 of the jobs failed" in done.stderr
    assert "label_noise must be a share" in done.stderr
    assert f"lightning-mixup resume {folder}" in done.stderr
    for number, words in enumerate(["mix=none data.label_noise=0", "mix=none data.label_noise=2 failed"]):
        assert f"Job {number + 1} of 4: {words}" in done.stdout
    assert "Comparison" in done.stdout
    assert (folder / "comparison" / "comparison.md").is_file()
