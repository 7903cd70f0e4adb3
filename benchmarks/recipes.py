"""Measure recipes over seeds, through the command that users run.

    python -m benchmarks.recipes digits_noisy_baseline digits_noisy_mixup --seeds 5
    python -m benchmarks.recipes --seeds 5 --write

prints mean and standard deviation for the named recipes (by default, all whose header has room for them). ``--write``
puts them into the header of each recipe, and the table of all headers into README.md.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
MEASURES = {  # in results.json: (label, factor, digits, unit)
    "test/accuracy": ("test accuracy", 100, 1, "%"),
    "test/nll": ("negative log-likelihood", 1, 3, "nats"),
    "test/ece": ("calibration error", 100, 1, "%"),
    "duration": ("training time", 1, 0, "s"),
}
START, END = "# measured:\n", "# /measured\n"
README_START, README_END = "<!-- results -->\n", "<!-- /results -->"


def main() -> None:
    headers = {path.stem: path.read_text() for path in sorted(RECIPES.glob("*.yaml"))}
    names = list(headers)
    measured = [name for name, header in headers.items() if START in header]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=measured, metavar="RECIPE", help=f"of {', '.join(names)}")
    parser.add_argument("--seeds", type=int, default=5, help="runs a recipe, with seeds 0 to SEEDS-1 (at least 2)")
    parser.add_argument("--write", action="store_true", help="write the numbers into the recipes and README.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.recipes) - set(names):
        parser.error(f"no recipe {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if arguments.seeds < 2:
        parser.error(f"--seeds must be at least 2, for a standard deviation; got {arguments.seeds}")
    table = Table()
    table.add_column("recipe", no_wrap=True)
    for label, *_ in MEASURES.values():
        table.add_column(label, justify="right")
    for name in arguments.recipes:
        results = measure(name, arguments.seeds)
        lines = summarise(results)
        table.add_row(name, *lines.values())
        if arguments.write:
            path = RECIPES / f"{name}.yaml"
            path.write_text(fill(path.read_text(), START, END, block(name, lines, results)))
    Console().print(table)
    if arguments.write:
        readme = ROOT / "README.md"
        readme.write_text(fill(readme.read_text(), README_START, README_END, results_table()))


def measure(name: str, seeds: int) -> list[dict[str, Any]]:
    """Run one recipe with seeds 0 to ``seeds - 1``; return what each run wrote to its results.json."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = ["-m", f"recipe={name}", f"seed=range({seeds})", f"hydra.sweep.dir={folder}", "callbacks.progress=null"]
        subprocess.run([sys.executable, "-m", "lightning_mixup", *sweep], check=True, stdout=sys.stderr)
        return [json.loads((Path(folder) / str(job) / "results.json").read_text()) for job in range(seeds)]


def summarise(results: list[dict[str, Any]]) -> dict[str, str]:
    """Give each measure as mean and sample standard deviation."""
    lines = {}
    for key, (label, factor, digits, unit) in MEASURES.items():
        values = [factor * result[key] for result in results]
        lines[label] = f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f} {unit}"
    return lines


def block(name: str, lines: dict[str, str], results: list[dict[str, Any]]) -> str:
    """Word the measurement as YAML comments."""
    packages = ("torch", "lightning", "torchmetrics", "lightning_mixup")
    versions = ", ".join(f"{package} {results[0][package]}" for package in ("python", *packages))
    text = [
        *(f"{label:24} {value}" for label, value in lines.items()),
        f"mean ± standard deviation of {len(results)} seeds, last epoch, on {hardware()}, {datetime.date.today()}",
        versions,
        f"by: python -m benchmarks.recipes {name} --seeds {len(results)} --write",
    ]
    return "".join(f"#   {line}\n" for line in text)


def hardware() -> str:
    """Name the processor and how much of it this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return f"{cores} CPU cores ({named[1] if named else platform.processor() or platform.machine()})"


def fill(text: str, start: str, end: str, inside: str) -> str:
    """Replace what stands between two markers."""
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"Nowhere to write: the file needs the lines {start.strip()!r} and {end.strip()!r}.")
    return f"{before}{start}{inside}{end}{after}"


def results_table() -> str:
    """Collect the measured headers of all recipes in a Markdown table."""
    labels = [label for label, *_ in MEASURES.values()]
    rows = [f"| recipe | {' | '.join(labels)} |\n", "| --- |" + " ---: |" * len(labels) + "\n"]
    for path in sorted(RECIPES.glob("*.yaml")):
        header = path.read_text()
        found = [re.search(rf"^#   {label} +(.*)$", header, re.MULTILINE) for label in labels]
        if all(found):
            rows.append(f"| `{path.stem}` | {' | '.join(match[1] for match in found if match)} |\n")
    return "".join(rows)


if __name__ == "__main__":
    main()
