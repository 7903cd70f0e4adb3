"""Measure speed and memory beside what the hardware allows and what other libraries reach.

    python -m benchmarks                    # everything, some minutes
    python -m benchmarks kernels draw       # some groups
    python -m benchmarks --write            # also fill the tables of benchmarks/README.md

Ratios are taken within one run, in which all contenders of a case take turns. On a machine with other work to do,
--threads 1 keeps its waiting for threads out of the numbers.
"""

import argparse
import dataclasses
import importlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.report import machine, markdown, quietness, table
from benchmarks.timing import Row

GROUPS = ("kernels", "hidden", "loss", "draw", "step", "start", "scaling", "gpu")
README = Path(__file__).with_name("README.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", default=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where to write all numbers")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: %(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="fill benchmarks/README.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    torch.set_num_threads(arguments.threads)
    console = Console(width=None if sys.stdout.isatty() else 160)
    results: dict[str, Any] = {"machine": machine()}
    for group in arguments.groups:
        load = os.getloadavg()[0]
        rows: list[Row] = []
        for row in importlib.import_module(f"benchmarks.{group}").rows():
            rows.append(row)
            # After every row: a run that is cut off keeps what it has measured.
            results[group] = {"quietness": quietness(rows, load), "rows": [dataclasses.asdict(row) for row in rows]}
            arguments.json.write_text(json.dumps(results, indent=1))
        heard = quietness(rows, load)
        console.print(table(group, rows), heard)
        if arguments.write:
            README.write_text(fill(README.read_text(), group, f"{machine()}. {heard}\n\n{markdown(rows)}"))


def fill(text: str, group: str, block: str) -> str:
    """Put a block between the markers of a group."""
    markers = rf"(<!-- {group} -->\n).*?(<!-- /{group} -->)"
    return re.sub(markers, lambda found: f"{found[1]}{block}\n{found[2]}", text, count=1, flags=re.DOTALL)


if __name__ == "__main__":
    main()
