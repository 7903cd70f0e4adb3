"""Go on with a run or a sweep that was interrupted.

This module loads with the command: nothing in it is heavy.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.guard import check_words
from lightning_mixup.lab.app.plans import RESUMING, words_of
from lightning_mixup.lab.app.records import OVERRIDES
from lightning_mixup.lab.app.verbs import quoted

RESUME = "resume="


def resumed(arguments: Sequence[str]) -> list[str]:
    """Turn ``resume=FOLDER`` into the command line that began the run or the sweep.

    A run goes on from the end of its last whole epoch. Of a sweep, jobs that have their ``results.json`` are passed
    over, and all others run, in the folders that they had. Options such as ``--config-dir`` are not kept by Hydra, and
    ``allow_targets`` is never taken from a file: both are given again.

    Args:
        arguments: of the command, without its name.

    Returns:
        What to run; ``arguments`` themselves if they do not say ``resume=``.

    Raises:
        ConfigError: the folder is that of no run and no sweep.
    """
    named = [word for word in arguments if word.startswith(RESUME)]
    if not named:
        return list(arguments)
    value = named[0].removeprefix(RESUME)
    rest = [word for word in arguments if not word.startswith(RESUME)]
    folder = Path(value).absolute()
    sweep = folder / "multirun.yaml"
    record = sweep if sweep.is_file() else (folder / OVERRIDES).with_name("hydra.yaml")
    if not record.is_file():
        raise ConfigError(
            "resume must be followed by the folder of a run (with .hydra/ in it) or of a sweep (with multirun.yaml); "
            f"got {value!r}."
        )
    given = words_of(record)
    # An option in a file is not from our hand.
    ours = ("hydra.mode=", "hydra.sweep.dir=", "hydra.run.dir=", "allow_targets=", "overwrite=", "-")
    words = [word for word in (*given["hydra"], *given["task"]) if not word.lstrip("+").startswith(ours)]
    before = [word for word in words if word not in rest]
    check_words(before, str(record))
    os.environ[RESUMING] = "1"
    where = "hydra.sweep.dir" if record == sweep else "hydra.run.dir"
    return [*(["-m"] if record == sweep else []), *before, *rest, f"{where}={quoted(str(folder))}"]
