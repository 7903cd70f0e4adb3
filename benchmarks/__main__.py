"""Measure speed and memory beside what the hardware allows and what other libraries reach.

    python -m benchmarks                    # everything, over an hour
    python -m benchmarks kernels draw       # some groups
    python -m benchmarks --write            # also fill the tables of benchmarks/README.md and benchmarks/results
    python -m benchmarks step --read --write    # the same with the numbers of an earlier run

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import summary
from benchmarks.report import machine, markdown, quietness, table
from benchmarks.timing import Row

GROUPS = ("kernels", "hidden", "loss", "draw", "step", "alone", "parts", "start", "scaling", "gpu")
README = Path(__file__).with_name("README.md")
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", default=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where to write all numbers")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: %(default)s)"
    )
    parser.add_argument("--read", action="store_true", help="measure nothing: take the numbers of --json")
    parser.add_argument("--write", action="store_true", help="fill benchmarks/README.md and benchmarks/results")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if arguments.threads < 1:
        parser.error(f"--threads must be at least 1; got {arguments.threads}")
    if not (folder := arguments.json.resolve().parent).is_dir():
        parser.error(f"--json: there is no folder {folder}; make it first, or name another file")
    torch.set_num_threads(arguments.threads)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if arguments.read:
        if not arguments.json.is_file():
            parser.error(f"--read: there is no {arguments.json}; measure first, or name the file with --json")
        known = json.loads(arguments.json.read_text())
        if missing := [group for group in arguments.groups if group not in known]:
            parser.error(f"--read: {arguments.json} has no {', '.join(missing)}; name the groups that it has")
        show(known, arguments.groups, console, write=arguments.write)
        return
    results: dict[str, Any] = {"machine": machine()}
    for group in arguments.groups:
        load = os.getloadavg()[0]
        rows: list[Row] = []
        for row in importlib.import_module(f"benchmarks.{group}").rows():
            rows.append(row)
            # After every row: a run that is cut off keeps what it has measured.
            results[group] = {"quietness": quietness(rows, load), "rows": [dataclasses.asdict(row) for row in rows]}
            arguments.json.write_text(json.dumps(results, indent=1))
        show(results, [group], console, write=arguments.write)


def show(results: Mapping[str, Any], groups: Sequence[str], console: Console, *, write: bool) -> None:
    """Print what was measured, and write it into the pages."""
    for group in groups:
        heard = results[group]["quietness"]
        rows = [Row(**row) for row in results[group]["rows"]]
        console.print(table(group, rows), heard)
        if not write:
            continue
        page = RESULTS / f"{group}.md"
        page.write_text(fill(page.read_text(), group, f"{results['machine']}. {heard}\n\n{markdown(rows)}"))
        if group == "step":
            summary.draw(rows)
            README.write_text(fill(README.read_text(), "summary", f"{results['machine']}.\n\n{summary.markdown(rows)}"))


def fill(text: str, group: str, block: str) -> str:
    """Put a block between the markers of a group."""
    markers = rf"(<!-- {group} -->\n).*?(<!-- /{group} -->)"
    return re.sub(markers, lambda found: f"{found[1]}{block}\n{found[2]}", text, count=1, flags=re.DOTALL)


if __name__ == "__main__":
    main()
