"""Results that are cut off, foreign or of other settings; folders that are in use or hold something."""

import json
import os
import subprocess
import sys

import pytest

from lightning_mixup.lab.app.compare import read_sweep
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.folders import claim, locked
from lightning_mixup.lab.app.records import read_record, write_record


def job(folder, settings, results):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(settings))
    if results is not None:
        (folder / "results.json").write_text(results)
    return folder


GOOD = {"seed": 1, "settings": ["mix=none", "seed=1"], "test/accuracy": 0.5}


@pytest.mark.parametrize(
    ("written", "trouble"),
    [
        (json.dumps(GOOD), ""),
        (json.dumps({"seed": 1, "test/accuracy": 0.5}), ""),  # of version 0.1, without settings
        (json.dumps(GOOD)[:30], "results.json is damaged"),
        ("", "results.json is damaged"),
        ("[" * 100_000, "results.json is damaged"),
        ("[1, 2]", "results.json is no record of a run"),
        ("{}", "results.json is no record of a run"),
        (json.dumps(GOOD | {"settings": 3}), "results.json is no record of a run"),
        (json.dumps(GOOD | {"settings": ["mix=none", "seed=5"]}), "of other settings (seed=5 instead of seed=1)"),
        (json.dumps(GOOD | {"settings": ["seed=1"]}), "of other settings (the defaults instead of mix=none)"),
        (json.dumps({"seed": 5}), "of other settings (seed=5 instead of seed=1)"),
    ],
)
def test_results_that_cannot_be_trusted_say_why(tmp_path, written, trouble):
    found = read_record(job(tmp_path / "0", ["mix=none", "seed=1"], written))
    assert bool(found.results) == (not trouble)
    assert trouble in found.trouble


def test_a_comparison_lists_them_and_goes_on(tmp_path):
    job(tmp_path / "0", ["mix=none", "seed=1"], json.dumps(GOOD))
    job(tmp_path / "1", ["mix=none", "seed=2"], json.dumps(GOOD)[:20])
    job(tmp_path / "2", ["mix=mixup", "seed=1"], json.dumps(GOOD))
    runs, missing = read_sweep(tmp_path)
    assert [bool(run.results) for run in runs] == [True, False, False]
    assert missing[0].startswith("1 (mix=none seed=2): results.json is damaged")
    assert missing[1].startswith("2 (mix=mixup seed=1): results.json is of other settings (mix=none instead")


def test_settings_that_change_no_result_make_no_difference(tmp_path):
    folder = job(tmp_path, ["mix=none", "seed=1", "allow_targets=[mine]", "objective=null"], json.dumps(GOOD))
    assert read_record(folder).results["test/accuracy"] == 0.5


def test_a_record_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "results.json"
    write_record(path, {"seed": 0})
    with pytest.raises(TypeError):
        write_record(path, {"seed": object()})
    assert json.loads(path.read_text()) == {"seed": 0}
    assert [one.name for one in tmp_path.iterdir()] == ["results.json"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_mask()


def _mask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


HOLD = "import sys, pathlib; from lightning_mixup.lab.app.folders import locked\n" + (
    "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def test_a_folder_in_use_is_refused_and_the_lock_of_the_dead_is_none(tmp_path):
    folder = tmp_path / "sweep"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match=rf"in use by process {holder.pid}, since "), locked(folder):
        pass
    holder.kill()
    holder.communicate(timeout=60)
    assert (folder / ".lock").exists()  # left behind
    with locked(folder):
        pass
    assert not list(folder.iterdir())


def test_a_folder_with_results_or_half_a_run_is_kept(tmp_path):
    claim(tmp_path / "new", sweep=False, overwrite=False)
    run = job(tmp_path / "run", [], json.dumps(GOOD))
    with pytest.raises(ConfigError, match=r"(?s)holds the results of a run.* resume .*overwrite=true"):
        claim(run, sweep=False, overwrite=False)
    claim(run, sweep=False, overwrite=True)
    assert not (run / "results.json").exists()
    claim(run, sweep=False, overwrite=False)
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(ConfigError, match="holds a part of a run"):
        claim(run, sweep=False, overwrite=False)


def test_a_new_sweep_does_not_take_over_jobs_of_an_old_one(tmp_path):
    for number in range(3):
        job(tmp_path / str(number), [f"seed={number}"], json.dumps({"seed": number}))
    with pytest.raises(ConfigError, match="holds the results of a sweep"):
        claim(tmp_path, sweep=True, overwrite=False)
    claim(tmp_path, sweep=True, overwrite=True)
    assert read_sweep(tmp_path) == ([], [])
