"""What a sweep tells of jobs that run in other processes."""

import os
import pickle

from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from sweeps import job

from lightning_mixup.lab.app import errors, sweep
from lightning_mixup.lab.app.guard import _GuardedLoader


def test_ends_are_told_once_and_failures_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(sweep.BEGUN, "")
    monkeypatch.setattr(errors, "_failures", [])
    before = job(tmp_path, ["mix=none", "seed=0"], {"test/accuracy": 0.5})
    os.utime(before / "results.json", (0, 0))  # of an earlier process
    with sweep.reported_at_end():
        sweep.note_sweep(tmp_path, "hydra_plugins.Launcher")
        job(tmp_path, ["mix=none", "seed=1"], {"test/accuracy": 0.5})
        failed = job(
            tmp_path,
            ["mix=none", "seed=2"],
            failed="Traceback ...\nlightning_mixup.lab.app.errors.ConfigError: it must be 1.\n",
        )
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Job ")]
    assert [line[:5] for line in sorted(told)] == ["Job 2", "Job 3"]
    assert "seed=1" in min(told)
    assert "seed=2 failed" in max(told)
    assert errors._failures == [f"{failed}: it must be 1."]


def test_jobs_in_this_process_tell_of_themselves(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(sweep.BEGUN, "")
    with sweep.reported_at_end():
        sweep.note_sweep(tmp_path, "hydra._internal.core_plugins.basic_launcher.BasicLauncher")
        job(tmp_path, ["mix=none", "seed=1"], {"test/accuracy": 0.5})
    assert "Job" not in capsys.readouterr().out


def test_what_loads_configurations_can_be_sent_to_other_processes():
    loader = _GuardedLoader(False, lambda cfg, is_sweep: 1 / 0, ConfigSearchPathImpl())
    again = pickle.loads(pickle.dumps(loader))
    assert again.looking is False
    again.begin({}, True)  # nothing: it was begun where the sweep was
