"""Distributed runs under Hydra: one folder a job, in sweeps too."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Trainer
from omegaconf import read_write


@contextmanager
def own_processes(trainer: Trainer, config: Path) -> Iterator[None]:
    """Let Lightning start the other processes of this job only, and leave nothing of them behind.

    Lightning repeats the command line in every process it starts. In a sweep each of them would begin the whole sweep
    again, in folders of its own; and the environment variables that it leaves behind would make the next job believe
    that it was started by a launcher. Here a process is started on the saved configuration of this job instead, and
    the environment is restored when training has ended.

    Args:
        trainer: the trainer about to fit.
        config: the resolved configuration of this job, a YAML in its run folder.
    """
    if "LOCAL_RANK" in os.environ:  # started by rank 0, torchrun or a cluster: nothing is launched from here
        yield
        return
    argv, environ, threads = sys.argv, dict(os.environ), torch.get_num_threads()
    sys.argv = [
        argv[0],
        f"--config-path={config.parent}",
        f"--config-name={config.stem}",
        "hydra/job_logging=none",
        "hydra/hydra_logging=none",
    ]
    # Lightning appends hydra.run.dir, which in a sweep is not where this job runs.
    hydra: Any = HydraConfig.get()
    with read_write(hydra):
        hydra.run.dir = str(config.parent)
    try:
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
