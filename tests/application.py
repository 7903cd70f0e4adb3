"""What tests of the command need: to run it in this process or in one of its own, and to read what it leaves."""

import json
import logging
import os
import subprocess
import sys
from contextlib import contextmanager

import torch
from hydra import initialize_config_module

from lightning_mixup.__main__ import main
from lightning_mixup.lab.app import add_recipes
from lightning_mixup.lab.app.guard import guarded

# Small enough to take a fraction of a second once torch is loaded.
FAST = ["model.width=2", "trainer.max_epochs=1", "data.train_size=64", "callbacks.progress=null"]


def in_this_process(tmp_path, monkeypatch):
    """Body of a fixture: runs the command from an empty folder, gives the run folders it made."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level, threads = root.handlers[:], root.level, torch.get_num_threads()

    def run(*arguments):
        if arguments[0] == "resume":
            return carry_out(*arguments)
        options = [argument for argument in arguments if argument.startswith("-")]
        verbs = [argument for argument in arguments if argument.isidentifier()]
        values = [argument for argument in arguments if argument not in (*options, *verbs)]
        return carry_out(*options, *verbs, *FAST, *values)

    def carry_out(*arguments):
        monkeypatch.setattr(sys, "argv", ["lightning-mixup", *arguments])
        before = set(tmp_path.rglob("results.json"))
        main()
        made = set(tmp_path.rglob("results.json")) - before
        return [path.parent for path in sorted(made)]

    yield run
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers, root.level = handlers, level
    torch.set_num_threads(threads)


@contextmanager
def composing():
    """Where ``hydra.compose`` does what the command does to show a configuration."""
    add_recipes()
    with (
        guarded(["--cfg=job"], lambda cfg, is_sweep: None),
        initialize_config_module("lightning_mixup.conf", version_base="1.3"),
    ):
        yield


def results(folder):
    return json.loads((folder / "results.json").read_text())


def command(*arguments, cwd, env=None):
    return subprocess.run(
        [sys.executable, "-m", "lightning_mixup", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@contextmanager
def started(*arguments, cwd):
    """The command in a process that is ended with the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_mixup", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
