"""How long everything takes to start."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping

from benchmarks.timing import Row, Target, process_time, rows_of

ROUNDS = 7


def rows() -> Iterator[Row]:
    lightning = "import lightning.pytorch"
    imports = {
        "lightning.pytorch": lambda: process_time("-c", lightning),
        "lightning.pytorch and Mixup": lambda: process_time("-c", f"{lightning}; from lightning_mixup import Mixup"),
        "lightning_mixup alone": lambda: process_time("-c", "import lightning_mixup"),
    }
    targets = {"lightning.pytorch and Mixup": [Target(1.05, "lightning.pytorch")]}
    yield from rows_of("import", in_turns(imports), ("lightning.pytorch",), targets)

    command = ["-m", "lightning_mixup"]
    completion = {**os.environ, "COMP_LINE": "lightning-mixup mix=", "COMP_POINT": "20"}
    commands = {
        "--help": lambda: process_time(*command, "--help"),
        "--cfg job": lambda: process_time(*command, "--cfg", "job"),
        "completion": lambda: process_time(*command, "-sc", "query=bash", env=completion),
    }
    with tempfile.TemporaryDirectory() as folder:
        run = ("recipe=digits_mixup", "trainer.max_epochs=1", f"hydra.run.dir={folder}", "overwrite=true")
        commands["one epoch of digits"] = lambda: process_time(*command, *run)
        seconds = in_turns(commands)
    targets = {"--help": [Target(1)], "completion": [Target(1)]}
    arguments = {"--help": ("--help",), "completion": ("-sc", "query=bash")}
    for row in rows_of("lightning-mixup", seconds, (), targets):
        if row.name in arguments:
            row.verdicts["torch is not imported"] = not _imports_torch(*command, *arguments[row.name], env=completion)
        yield row


def in_turns(contenders: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    for contender in contenders.values():
        contender()  # bytecode and file cache
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            seconds[name].append(contender())
    return seconds


def _imports_torch(*arguments: str, env: Mapping[str, str]) -> bool:
    process = [sys.executable, "-X", "importtime", *arguments]
    report = subprocess.run(process, check=True, capture_output=True, text=True, env=env).stderr
    return any(line.endswith("| torch") for line in report.splitlines())
