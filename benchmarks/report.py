"""Rows for people: on the console, and in a README."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table

from benchmarks.timing import Row, quantity

LIBRARIES = ("torch", "lightning", "numpy", "kornia", "torchvision", "timm")


def machine() -> str:
    """What was measured on, when, and with which versions, in one line."""
    installed = {found.name: found.version for found in importlib.metadata.distributions()}
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {installed[name]}" for name in LIBRARIES if name in installed),
    ]
    cores = f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        cores += f", {torch.cuda.get_device_name()}, driver {_driver()}, CUDA {torch.version.cuda}"
    return f"{cores}; {', '.join(versions)}; {datetime.date.today()}"


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout.split()[0]


def quietness(rows: Sequence[Row], load: float) -> str:
    """How far the machine's other work may have got into the numbers, in one sentence.

    Args:
        rows: What was measured.
        load: Average number of processes that wanted to run when it began.
    """
    disturbed, timed = sum(row.disturbed for row in rows), sum(bool(row.ratios) for row in rows)
    heard = "The machine was quiet" if 4 * disturbed <= timed else "The machine was busy (believe ratios, not times)"
    far = f"{heard}: in {disturbed} of {timed} rows the quartiles are far apart. " if timed else ""
    return f"{far}Load {load:.1f} at the start."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def table(group: str, rows: Sequence[Row]) -> Table:
    """The rows as the console shows them."""
    drawn = Table("", "median", "quartiles", "times", "target", title=group)
    case = None
    for row in rows:
        if row.case != case:
            case = row.case
            drawn.add_section()
            drawn.add_row(f"[bold]{case}")
        median, quartiles, ratios, verdicts = _cells(row)
        colour = "green" if all(row.verdicts.values()) else "red"
        drawn.add_row(f"  {row.name}", median, quartiles, ratios, f"[{colour}]{verdicts}" if row.verdicts else row.note)
    return drawn


def markdown(rows: Sequence[Row]) -> str:
    """The rows as one table of a README."""
    lines = ["| | median | quartiles | times | target |", "|---|---:|---:|---|---|"]
    case = None
    for row in rows:
        if row.case != case:
            case = row.case
            lines.append(f"| **{case}** | | | | |")
        median, quartiles, ratios, verdicts = _cells(row)
        lines.append(f"| {row.name} | {median} | {quartiles} | {ratios} | {verdicts or row.note} |")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str]:
    median = "" if row.median is None else quantity(row.median, row.unit)
    quartiles = (
        ""
        if row.low is None or row.low == row.high
        else (f"{quantity(row.low, row.unit)} to {quantity(row.high or row.low, row.unit)}")
    )
    ratios = ", ".join(f"{value:.2f} {name}" for name, value in row.ratios.items() if name != row.name)
    verdicts = "; ".join(f"{words}: {'met' if met else 'MISSED'}" for words, met in row.verdicts.items())
    return median, quartiles, ratios, verdicts
