"""A run that is interrupted, in whatever way, goes on to what an undisturbed one gives, bit for bit."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import yaml
from application import FAST, command, in_this_process, results, started

from benchmarks.interrupted import equal, lasting

FAULT = """
import os, signal
from lightning.pytorch import Callback

class Fault(Callback):
    '''Does to its process what FAULT says, as SIGTERM@1/2, at the third batch of the second epoch; once.'''

    def fault(self, where):
        what, _, wanted = os.environ.get("FAULT", "").partition("@")
        if where == wanted:
            os.environ["FAULT"] = ""
            if what == "raise":
                raise ZeroDivisionError("on purpose")
            if what == "exit":
                raise SystemExit(0)
            if what == "swallow":  # as an import in C does
                try:
                    os.kill(os.getpid(), signal.SIGTERM)
                except BaseException as error:
                    raise ImportError("interrupted") from None
            os.kill(os.getpid(), getattr(signal, what))

    def on_train_batch_start(self, trainer, module, batch, index):
        self.fault(f"{trainer.current_epoch}/{index}")

    def on_fit_end(self, trainer, module):
        self.fault("test")
"""
SPY = ["+callbacks.fault._target_=fault.Fault", "allow_targets=[fault]"]
ALLOW = "allow_targets=[fault]"
LONG = ["trainer.max_epochs=4", "data.train_size=300"]


@pytest.fixture(autouse=True)
def fault(tmp_path, monkeypatch):
    (tmp_path / "fault.py").write_text(FAULT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda what: monkeypatch.setenv("FAULT", what)


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same_run(one, other):
    first, second = lasting(one), lasting(other)
    assert first.keys() == second.keys()
    for part in first:
        assert equal(first[part], second[part]), part
    assert results(one)["duration"] > 0
    assert results(other)["duration"] > 0


CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGKILL": -9}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "where"),
    [("SIGTERM", "2/1"), ("SIGINT", "1/0"), ("SIGKILL", "2/2"), ("SIGTERM", "0/1"), ("SIGTERM", "test")],
)
def test_a_run_that_is_killed_goes_on_bit_for_bit(app, fault, tmp_path, capsys, what, where):
    whole, cut = tmp_path / "whole", tmp_path / "one that was cut"  # a space must not matter
    arguments = [*FAST, *SPY, *LONG, "mix=manifold_mixup"]
    fault(f"{what}@{where}")
    done = command(*arguments, f"hydra.run.dir='{cut}'", cwd=tmp_path)
    assert done.returncode == CODES[what]
    epoch = 4 if where == "test" else int(where[0])
    assert not (cut / "results.json").exists()
    assert not (cut / "failed.txt").exists()
    if what != "SIGKILL":
        head = "Ended by SIGTERM." if what == "SIGTERM" else "Interrupted by Ctrl-C."
        assert done.stderr.startswith(head)
        position = "after training" if where == "test" else f"in epoch {epoch + 1} of 4"
        begin = f"From the end of epoch {epoch}" if epoch else "No epoch was finished: from its beginning"
        assert f"It was {position}. {begin} it goes on with:" in done.stderr
        assert f"lightning-mixup resume '{cut}' '{ALLOW}'" in done.stderr
    fault("")
    app("resume", str(cut), ALLOW)
    said = f"Going on from the end of epoch {epoch}." if epoch else "Starting at the beginning: no epoch was finished."
    assert said in capsys.readouterr().out
    app(*SPY, *LONG, "mix=manifold_mixup", f"hydra.run.dir={whole}")
    assert_same_run(whole, cut)


PLATEAU = (
    "lr_scheduler={_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, _partial_: true, patience: 0, threshold: 9}"
)


@pytest.mark.parametrize(
    "more",
    [
        ["mix=mixup"],
        ["mix=random_choice", "lr_scheduler=multistep"],
        ["mix=cutmix", "lr_scheduler=warmup_cosine", "callbacks=[default,insight]", "optimizer=adam"],
        ["mix=mixup", "callbacks.checkpoint.monitor=val/accuracy", "evaluate=full", "evaluate.pgd_steps=1"],
        ["mix=mixup", "+trainer.accumulate_grad_batches=2", "+trainer.check_val_every_n_epoch=2"],
        ["mix=mixup", "+trainer.max_steps=35", "trainer.max_epochs=-1"],
        ["mix=mixup", "data.num_workers=1"],
    ],
    ids=lambda more: more[-1],
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_run_that_fails_goes_on_bit_for_bit(app, fault, tmp_path, more):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    arguments = [*SPY, *LONG, *more]
    fault("")
    app(*arguments, f"hydra.run.dir={whole}")
    fault("raise@2/1")
    with pytest.raises(SystemExit, match=r"(?s)ZeroDivisionError: on purpose.*From the end of epoch 2 it goes on"):
        app(*arguments, f"hydra.run.dir={cut}")
    fault("")
    app("resume", str(cut), ALLOW)
    assert_same_run(whole, cut)


def test_more_epochs_train_longer_on_the_curve_of_the_new_length(app, fault, tmp_path):
    whole, grown = tmp_path / "whole", tmp_path / "grown"
    fault("")
    app(*SPY, "data.train_size=300", "trainer.max_epochs=2", f"hydra.run.dir={grown}")
    short = results(grown)
    app("resume", str(grown), ALLOW, "trainer.max_epochs=4")
    long = results(grown)
    assert "trainer.max_epochs=4" in long["settings"]
    assert long["duration"] > short["duration"]
    app(*SPY, "data.train_size=300", "trainer.max_epochs=4", f"hydra.run.dir={whole}")
    first, second = state(whole), state(grown)
    assert first["loops"]["fit_loop"]["epoch_progress"] == second["loops"]["fit_loop"]["epoch_progress"]
    assert first["lr_schedulers"] == second["lr_schedulers"]
    rates = [one["optimizer_states"][0]["param_groups"][0]["lr"] for one in (first, second)]
    assert rates[0] == rates[1] == pytest.approx(0, abs=1e-9)
    assert not equal(first["state_dict"], second["state_dict"])  # its first epochs were those of a shorter curve
    epochs = [line.split(",") for line in (grown / "log" / "metrics.csv").read_text().splitlines()]
    assert {row[epochs[0].index("epoch")] for row in epochs[1:]} >= {"0", "1", "2", "3"}


def test_a_finished_run_is_left_alone(app, fault, tmp_path, capsys):
    fault("")
    app(*SPY, f"hydra.run.dir={tmp_path / 'run'}")
    before = (tmp_path / "run" / "results.json").read_bytes()
    app("resume", str(tmp_path / "run"), ALLOW)
    assert (tmp_path / "run" / "results.json").read_bytes() == before
    assert "trainer.max_epochs=... beside it trains longer" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["optimizer.lr=0.01", "mix=cutmix", "seed=1"])
def test_another_run_is_no_continuation(app, fault, tmp_path, change):
    fault("raise@1/0")
    run = tmp_path / "run"
    with pytest.raises(SystemExit, match="on purpose"):
        app(*SPY, *LONG, f"hydra.run.dir={run}")
    with pytest.raises(SystemExit, match=rf"resume must leave alone what the run is: got {change} instead of its def"):
        app("resume", str(run), ALLOW, change)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", None], ids=["empty", "cut off", "foreign"])
def test_a_damaged_state_is_told_and_the_run_begins_anew(app, fault, tmp_path, capsys, content):
    fault("raise@1/0")
    run = tmp_path / "run"
    with pytest.raises(SystemExit, match="on purpose"):
        app(*SPY, *LONG, f"hydra.run.dir={run}")
    last = run / "checkpoints" / "last.ckpt"
    if content is None:
        torch.save({"weights": torch.ones(2)}, last)
    else:
        last.write_bytes(content)
    fault("")
    app("resume", str(run), ALLOW)
    assert "Starting at the beginning: checkpoints/last.ckpt is damaged" in capsys.readouterr().out
    app(*SPY, *LONG, f"hydra.run.dir={tmp_path / 'whole'}")
    assert_same_run(tmp_path / "whole", run)


class Gift:
    def __reduce__(self):
        return Path.touch, (Path("gift"),)


def test_a_state_that_would_run_code_is_refused(app, fault, tmp_path):
    fault("raise@1/0")
    run = tmp_path / "run"
    with pytest.raises(SystemExit, match="on purpose"):
        app(*SPY, *LONG, f"hydra.run.dir={run}")
    torch.save(Gift(), run / "checkpoints" / "last.ckpt")
    with pytest.raises(SystemExit, match=r"last\.ckpt must hold nothing but plain data"):
        app("resume", str(run), ALLOW)
    assert not Path("gift").exists()


def test_results_are_not_overwritten_by_accident(app, fault, tmp_path):
    fault("")
    where = f"hydra.run.dir={tmp_path / 'run'}"
    app(*SPY, where)
    before = results(tmp_path / "run")
    with pytest.raises(SystemExit, match=r"(?s)holds the results of a run already.*resume .*run.*overwrite=true"):
        app(*SPY, where, "seed=1")
    assert results(tmp_path / "run") == before
    assert "seed=1" not in yaml.safe_load((tmp_path / "run" / ".hydra" / "overrides.yaml").read_text())
    app(*SPY, where, "seed=1", "overwrite=true")
    assert results(tmp_path / "run")["seed"] == 1


def test_sys_exit_in_a_job_fails_that_job_alone(app, fault, tmp_path):
    fault("exit@0/0")
    with pytest.raises(SystemExit, match=r"1 of the jobs failed:\n.*the job called sys\.exit\(0\)"):
        app("-m", *SPY, "seed=0,1")
    (sweep,) = tmp_path.glob("multirun/*/*")
    assert [(sweep / job / "results.json").exists() for job in "01"] == [False, True]
    assert "sys.exit" in (sweep / "0" / "failed.txt").read_text()
    with pytest.raises(SystemExit, match=r"folder of a run \(with .hydra/ in it\) or of a sweep"):
        app("resume", str(tmp_path / "elsewhere"))


@pytest.mark.slow
def test_a_sweep_cut_short_is_no_success_and_goes_on_within_its_jobs(app, fault, tmp_path, capsys):
    arguments = ["-m", *FAST, *SPY, *LONG, "seed=0,1"]
    fault("SIGTERM@2/0")  # of the first job, for the fault comes once a process
    done = command(*arguments, "hydra.sweep.dir=cut", cwd=tmp_path)
    assert done.returncode == 143
    assert done.stderr.startswith(f"Ended by SIGTERM.\nIt was in epoch 3 of 4 of {tmp_path / 'cut' / '0'}.\n")
    assert "To run what has no results yet:\n" in done.stderr
    assert f"lightning-mixup resume {tmp_path / 'cut'} '{ALLOW}'" in done.stderr
    fault("SIGINT@1/0")  # of the second job, for the first goes on after that
    again = command("resume", "cut", ALLOW, cwd=tmp_path)
    assert again.returncode == 130
    assert "Going on from the end of epoch 2." in again.stdout
    fault("")
    app("resume", "cut", ALLOW)
    said = capsys.readouterr().out
    assert "Done before: " in said
    assert "Going on from the end of epoch 1." in said
    app("-m", *SPY, *LONG, "seed=0,1", "hydra.sweep.dir=whole")
    for job in "01":
        assert_same_run(tmp_path / "whole" / job, tmp_path / "cut" / job)


def test_what_fails_because_of_a_signal_ends_the_sweep_as_the_signal_does(app, fault, tmp_path):
    folder = tmp_path / "sweep"
    fault("swallow@0/1")
    done = command("-m", *FAST, *SPY, *LONG, "seed=0,1", f"hydra.sweep.dir={folder}", cwd=tmp_path)
    assert done.returncode == CODES["SIGTERM"], done.stderr
    assert done.stderr.startswith("Ended by SIGTERM.")
    assert not (folder / "0" / "failed.txt").exists()
    assert not (folder / "1").exists()


@pytest.mark.slow
def test_one_folder_is_for_one_sweep_at_a_time_and_the_lock_of_the_dead_is_none(app, fault, tmp_path):
    fault("SIGSTOP@0/1")
    with started("-m", *FAST, *SPY, "seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path) as first:
        while "T" not in Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2].split()[0]:
            time.sleep(0.05)
        fault("")
        for words in (
            ["-m", "seed=2", "hydra.sweep.dir=sweep"],
            ["resume", "sweep", ALLOW],
            ["resume", "sweep/0", ALLOW],
        ):
            with pytest.raises(SystemExit, match=f"sweep is in use by process {first.pid}, since"):
                app(*words)
        first.kill()
        first.communicate(timeout=60)
    app("resume", "sweep", ALLOW)
    assert [(tmp_path / "sweep" / job / "results.json").exists() for job in "01"] == [True, True]


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("what", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_all_ranks_within_a_minute(fault, tmp_path, what):
    arguments = [*FAST, *LONG, "trainer=ddp_cpu", "trainer.max_epochs=2000", "hydra.run.dir=run"]
    with started(*arguments, cwd=tmp_path) as run:
        last = tmp_path / "run" / "checkpoints" / "last.ckpt"
        while not last.exists() and run.poll() is None:
            time.sleep(0.05)
        begun = time.monotonic()
        run.send_signal(getattr(signal, what))
        _, errors = run.communicate(timeout=60)  # the pipe is closed when every rank has ended
    assert time.monotonic() - begun < 60
    assert run.returncode == CODES[what], errors
    assert "it goes on with:" in errors
    busy = subprocess.run(["pgrep", "-f", str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert busy.stdout == ""
    streams = state(tmp_path / "run")["callbacks"]["RunState"]["streams"]
    assert len(streams) == 2
