"""The folder that a run or a sweep is about to write into: whether it may, and that nobody else does.

This module loads with the command: nothing in it is heavy.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.plans import is_resumed
from lightning_mixup.lab.app.records import OVERRIDES, RESULTS
from lightning_mixup.lab.app.sweep import note_sweep

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
LAST = Path("checkpoints", "last.ckpt")
"""The state that an interrupted run goes on from, in its folder."""


# The folder that a process of this run or sweep has locked, for the processes that it starts.
HELD = "LIGHTNING_MIXUP_HELD"


@contextmanager
def begun() -> Iterator[Callable[[DictConfig, bool], None]]:
    """Give what claims and locks the folder of a run or a sweep as soon as it is known, for as long as this lasts."""
    with ExitStack() as locks:
        folders: list[Path] = []

        def begin(cfg: DictConfig, sweep: bool) -> None:
            if folders:  # the jobs of a sweep are composed too
                return
            with _known_to_hydra(cfg):
                folder = Path(cfg.hydra.sweep.dir if sweep else cfg.hydra.run.dir).absolute()
            folders.append(folder)
            held = os.environ.get(HELD)
            if held and folder.is_relative_to(held):
                return
            of_sweep = not sweep and (folder.parent / "multirun.yaml").is_file()
            for one in [folder.parent, folder] if of_sweep else [folder]:
                locks.enter_context(locked(one))
            if not is_resumed():
                claim(folder, sweep, bool(cfg.get("overwrite")))
            os.environ[HELD] = str(folder)
            if sweep:
                note_sweep(folder, str(cfg.hydra.launcher._target_))

        yield begin


@contextmanager
def _known_to_hydra(cfg: DictConfig) -> Iterator[None]:
    """Let interpolations such as ``${hydra:job.name}`` find what they ask for, as in a job."""
    config, before = HydraConfig.instance(), HydraConfig.instance().cfg
    config.set_config(cfg)
    try:
        yield
    finally:
        config.cfg = before


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder to this process; others that ask for it are refused.

    The lock is the operating system's: it ends with the process that holds it, however that ends.

    Args:
        folder: made if it does not exist.

    Raises:
        ConfigError: another process is at work in it.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    handle = _taken(path)
    try:
        yield
    finally:
        if handle is not None:
            with suppress(FileNotFoundError):
                path.unlink()  # while it is ours
            os.close(handle)


def _taken(path: Path) -> int | None:
    """A handle that holds the lock; ``None`` where the file system has no locks."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise ConfigError(
                f"{path.parent} is in use by {holder}. Two runs in one folder would mix their results: wait for it to"
                " end, or choose another folder."
            ) from None
        except OSError:
            os.close(handle)
            return None
        with suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(handle).st_ino:  # else its holder has just taken it away
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
                return handle
        os.close(handle)


def claim(folder: Path, sweep: bool, overwrite: bool) -> None:
    """Refuse a folder that holds what a new run would overwrite, or clear it if that is wanted.

    Args:
        folder: of the run or the sweep to begin.
        sweep: whether it is a sweep.
        overwrite: whether old results may go.

    Raises:
        ConfigError: the folder holds results, or a run that was interrupted, and ``overwrite`` is false.
    """
    homes = [folder]
    if sweep:
        homes += [path.parents[1] for path in folder.glob(f"*/{OVERRIDES}")]
    held = [home for home in homes if (home / RESULTS).exists() or (home / LAST).exists()]
    if held and not overwrite:
        finished = any((home / RESULTS).exists() for home in held)
        what = "the results of a" if finished else "a part of a"
        raise ConfigError(
            f"{folder} holds {what} {'sweep' if sweep else 'run'} already. Go on with it: lightning-mixup resume"
            f" {folder}\nAnother folder keeps both; overwrite=true gives the old one up."
        )
    for home in homes if overwrite else ():
        names: list[Path | str] = [RESULTS, LAST, "failed.txt", *([OVERRIDES] if home != folder else [])]
        for name in names:
            (home / name).unlink(missing_ok=True)
