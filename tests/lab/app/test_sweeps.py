"""One folder a job and one configuration a rank; a job that fails fails alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from application import FAST, command, in_this_process, results
from hydra.core.utils import JobReturn

SPY = """
import hashlib, json, os, pathlib, signal
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Callback

class Spy(Callback):
    def __init__(self, config, fault):
        self.config, self.fault = config, fault

    def on_train_start(self, trainer, module):
        folder = pathlib.Path(HydraConfig.get().runtime.output_dir)
        seen = {"world": trainer.world_size, "config": hashlib.sha256(json.dumps(self.config).encode()).hexdigest()}
        (folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(seen))

    def on_train_batch_end(self, trainer, *args):
        if trainer.global_rank == 1:
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "raise":
                raise ZeroDivisionError("on purpose")
"""
# The time of day, to the microsecond, would differ in a process that composed its own configuration.
CONFIG = "{now: ${now:%f}, seed: ${seed}, data: ${data}, model: ${model}, mix: ${mix}, logger: ${logger}}"


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


def test_a_job_that_fails_fails_alone(app, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        app("-m", "data.label_noise=0,2,0.1,3")
    (sweep,) = tmp_path.glob("multirun/*/*")
    assert [(sweep / job / "results.json").exists() for job in "0123"] == [True, False, True, False]
    assert [(sweep / job / "failed.txt").exists() for job in "0123"] == [False, True, False, True]
    assert "Traceback" in (sweep / "1" / "failed.txt").read_text()
    head, *failed, offer, again, switch = str(end.value.code).splitlines()
    assert head == "2 of the jobs failed:"
    for job, line in zip((1, 3), failed, strict=True):
        assert line.startswith(f"{sweep / str(job)}: data: label_noise must be a share in [0, 1]")
    assert "no results yet" in offer
    assert again == f"  lightning-mixup resume {sweep}"
    assert "HYDRA_FULL_ERROR" in switch
    assert "Failed: data: label_noise must be" in capsys.readouterr().out  # when it happened, not hours later


def test_a_sweeper_that_takes_failures_cannot_hide_them(app, monkeypatch):
    monkeypatch.setattr(JobReturn, "return_value", property(lambda job: None, JobReturn.return_value.fset))
    with pytest.raises(SystemExit, match=r"^1 of the jobs failed:\n.*label_noise must be"):
        app("-m", "data.label_noise=0,2")


def test_a_failure_is_forgotten_when_the_job_succeeds(app, tmp_path):
    folder = f"hydra.run.dir={tmp_path / 'run'}"
    with pytest.raises(SystemExit, match=r"^data: label_noise must be"):
        app(folder, "data.label_noise=2")
    assert (tmp_path / "run" / "failed.txt").exists()
    app(folder)
    assert not (tmp_path / "run" / "failed.txt").exists()


def test_a_sweep_over_wrong_names_does_not_begin(app, tmp_path):
    with pytest.raises(SystemExit, match="mix has no key 'alhpa'"):
        app("-m", "seed=0,1", "mix.alhpa=1")
    assert not list(tmp_path.glob("multirun/*/*/0"))


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    """A sweep over three distributed jobs, in two of which rank 1 ends badly."""
    tmp_path = tmp_path_factory.mktemp("sweep")
    (tmp_path / "spy.py").write_text(SPY)
    work = tmp_path / "work folder"  # a space in the path must not matter
    work.mkdir()
    spy = f"+callbacks.spy={{_target_: spy.Spy, _recursive_: false, fault: none, config: {CONFIG}}}"
    done = command(
        "-m",
        *FAST,
        "allow_targets=[spy]",
        "trainer=ddp_cpu",
        spy,
        "callbacks.spy.fault=kill,raise,none",
        cwd=work,
        env={"PYTHONPATH": str(tmp_path)},
    )
    (sweep,) = work.glob("multirun/*/*")
    return done, work, sweep


@pytest.mark.ddp
@pytest.mark.slow
def test_as_many_folders_as_jobs(distributed):
    _, work, sweep = distributed
    assert sorted(path.name for path in sweep.iterdir()) == ["0", "1", "2", "multirun.yaml"]
    assert list(work.iterdir()) == [work / "multirun"]


@pytest.mark.ddp
@pytest.mark.slow
def test_a_process_that_dies_takes_its_job_with_it_and_no_other(distributed):
    done, _, sweep = distributed
    assert done.returncode == 1
    assert [(sweep / job / "results.json").exists() for job in "012"] == [False, False, True]
    assert [(sweep / job / "failed.txt").exists() for job in "012"] == [True, True, False]
    assert "ZeroDivisionError: on purpose" in (sweep / "1" / "failed.txt").read_text()
    assert "2 of the jobs failed:" in done.stderr
    assert f"{sweep / '0'}: RuntimeError: The first process of this distributed job" in done.stderr
    assert results(sweep / "2")["val/accuracy"] > 0


@pytest.mark.ddp
@pytest.mark.slow
def test_a_distributed_job_tests_every_image_once_and_leaves_what_others_leave(distributed):
    done, _, sweep = distributed
    hits = results(sweep / "2")["test/accuracy"] * 539  # none of the 539 twice, to fill up a distributed batch
    assert hits == pytest.approx(round(hits), abs=1e-3)
    expected = ".hydra checkpoints config.yaml lightning-mixup.log log rank0.json rank1.json results.json"
    assert sorted(path.name for path in (sweep / "2").iterdir()) == expected.split()
    assert done.stdout.count("Job 3 of 3: ") == 1  # said by the sweep, and not by every process


@pytest.mark.ddp
@pytest.mark.slow
def test_every_rank_has_the_same_configuration(distributed):
    _, _, sweep = distributed
    seen = [[json.loads((sweep / job / f"rank{rank}.json").read_text()) for rank in (0, 1)] for job in "012"]
    for first, second in seen:
        assert first == second
        assert first["world"] == 2
    assert len({first["config"] for first, _ in seen}) == 3


RESUME = """
import json, sys
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from support import Spy
import torch
from torch.utils.data import DataLoader, TensorDataset
from lightning_mixup import Mixup

class Report(Callback):
    def __init__(self, name):
        self.name, self.draws = name, []

    def on_train_batch_end(self, trainer, *args):
        mix = trainer.callbacks[0]
        self.draws.append([mix.last.lam, mix.last.shift])

    def on_train_end(self, trainer, module):
        if trainer.global_rank == 0:
            open(self.name + ".json", "w").write(json.dumps(self.draws))

def fit(name, epochs, devices, ckpt_path=None):
    trainer = Trainer(
        accelerator="cpu", devices=devices, strategy="ddp_fork" if devices > 1 else "auto", max_epochs=epochs,
        callbacks=[Mixup(seed=7), Report(name), ModelCheckpoint(".", name)], logger=False, enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = TensorDataset(torch.randn(64, 1, 8, 8), torch.arange(64) % 10)
    trainer.fit(Spy(), DataLoader(data, batch_size=8), ckpt_path=ckpt_path)

if __name__ == "__main__":
    torch.set_num_threads(1)
    fit("whole", 2, 2)
    fit("half", 1, 2)
    fit("resumed", 2, 1, "half.ckpt")
"""


@pytest.mark.ddp
@pytest.mark.slow
def test_fewer_ranks_after_a_resume_draw_on(tmp_path):
    (tmp_path / "resume.py").write_text(RESUME)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "resume.py"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    whole, half, resumed = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "half", "resumed")
    )
    assert whole[:4] == half
    assert len(resumed) == 8  # alone, the rank has all the batches
    assert resumed[:4] == whole[4:]
