"""Distributed runs under Hydra: one folder and one configuration a job, in sweeps too."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Trainer
from omegaconf import read_write

import __main__
from lightning_mixup.lab.app.stopping import SECONDS, at_the_latest


def starts_processes(trainer: Trainer) -> bool:
    """Whether fitting starts other processes, by repeating the command line."""
    environment = getattr(trainer.strategy.launcher, "cluster_environment", None)
    return environment is not None and not environment.creates_processes_externally


def run_apart(config: Path) -> None:
    """Carry out a distributed job of a sweep as a program of its own, in the run folder of the job.

    If one of its processes dies, Lightning kills the one that started it, as nothing else ends a wait for the dead. In
    the process of the sweep that would end the jobs to come.

    Args:
        config: the resolved configuration of the job, a YAML in its run folder.

    Raises:
        RuntimeError: the job failed.
    """
    program = ["-m", "lightning_mixup"] if __main__.__spec__ else [sys.argv[0]]
    job = [
        f'hydra.run.dir="{config.parent}"',
        "hydra.output_subdir=null",
        f"hydra.job.name={HydraConfig.get().job.name}",  # and with it the log file
    ]
    process = subprocess.Popen([sys.executable, *program, *_arguments(config), *job])
    try:
        code = process.wait()
    except BaseException:
        process.terminate()  # it ends the other ranks, which a kill would leave waiting for it
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
        process.kill()
        raise
    if code:
        how = f"was killed by signal {-code}, which Lightning sends if another one dies" if code < 0 else "failed"
        raise RuntimeError(f"The first process of this distributed job {how}.")


@contextmanager
def own_processes(trainer: Trainer, config: Path) -> Iterator[None]:
    """Let Lightning start the other processes on the very configuration of this one, and leave nothing of them behind.

    Lightning repeats the command line in every process it starts, where it would be composed anew, with another time of
    day. Here a process is started on the saved configuration instead, and what Lightning leaves in the environment is
    taken back when training has ended, for this process goes on alone.

    Args:
        trainer: the trainer about to fit.
        config: the resolved configuration of this job, a YAML in its run folder.
    """
    if not starts_processes(trainer):
        yield
        return
    argv, environ, threads = sys.argv, dict(os.environ), torch.get_num_threads()
    sys.argv = [argv[0], *_arguments(config), "hydra/job_logging=none", "hydra/hydra_logging=none"]
    # Lightning appends hydra.run.dir as it was given, where the time of day may be asked for.
    hydra: Any = HydraConfig.get()
    with read_write(hydra):
        hydra.run.dir = str(config.parent)
    try:
        with at_the_latest(partial(_kill, trainer)):
            yield
    except BaseException:
        _end_processes(trainer, kill=True)
        raise
    else:
        _end_processes(trainer)
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environ)
        torch.set_num_threads(threads)


def _arguments(config: Path) -> list[str]:
    return [f"--config-path={config.parent}", f"--config-name={config.stem}"]


def _kill(trainer: Trainer) -> None:
    for process in getattr(trainer.strategy.launcher, "procs", []):
        process.kill()


def _end_processes(trainer: Trainer, kill: bool = False) -> None:
    watched = getattr(trainer.strategy.launcher, "procs", [])
    processes = list(watched)
    # Lightning's observer watches this very list, and kills this process if one in it ended badly.
    watched.clear()
    for process in processes if kill else ():
        process.kill()
    if dist.is_initialized():
        dist.destroy_process_group()
    for process in processes:
        process.wait()
