"""Measure what mixing does, study by study, through the commands that users run.

    python -m benchmarks.studies moons mnist1d_mlp --seeds 5 --workers 2
    python -m benchmarks.studies fashion_mnist --device cuda --workers 12 --with data.folder=PATH
    python -m benchmarks.studies --write

Every study is one or more sweeps over a recipe, in one folder, and their comparison. A name chooses the studies that go
on from it, too: fashion_mnist chooses fashion_mnist_noisy. What was interrupted goes on where it stopped, run by run,
and is written up as far as it has come: with ``--deadline 0`` nothing is run for that. ``--write`` puts tables and
pictures into docs/results, beside the page that is written from them, "Which mix, how strong?".
"""

import argparse
import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import fashion
from benchmarks.cells import Cell, carry_out
from benchmarks.claims import claims
from benchmarks.questions import STUDIES
from benchmarks.recipes import ROOT, fill
from lightning_mixup.lab.evaluation.measures import measure

RESULTS = ROOT / "docs" / "results"
SUMMARY = ROOT / "docs" / "which.md"
SUMMARISED = ("test/accuracy", "test/nll", "test/ece", "test/fgsm_0.1/accuracy", "test/rmse")
PICTURES = ("answer.png", "measures.png", "reliability.png", "by_*.png", "curves.png")
QUIET = ("callbacks.progress=null", "callbacks.checkpoint=null")
DEVICES = {"cpu": (), "cuda": ("trainer.accelerator=gpu", "threads=1")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=list(STUDIES), metavar="STUDY", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--seeds", type=int, default=5, help="runs a row, with seeds 0 to SEEDS-1 (at least 2)")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time; on a CPU each keeps one core busy")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where to train (default: %(default)s)")
    parser.add_argument("--deadline", type=float, metavar="SECONDS", help="begin no run after so long; 0 runs nothing")
    parser.add_argument("--grace", type=float, default=60, metavar="SECONDS", help="stop what runs so long after that")
    parser.add_argument("--only-run", action="store_true", help="compare nothing: that can be done elsewhere")
    parser.add_argument(
        "--with", dest="extra", nargs="+", default=[], metavar="WORD", help="more words for each command line"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("studies"), help="where the runs are kept (default: %(default)s)"
    )
    parser.add_argument("--write", action="store_true", help=f"write what was found into {RESULTS.relative_to(ROOT)}")
    arguments = parser.parse_args()
    chosen = chosen_studies(arguments.studies)
    if unknown := [name for name in arguments.studies if not chosen_studies([name])]:
        parser.error(f"no study {', '.join(unknown)}; there are {', '.join(STUDIES)}")
    if arguments.seeds < 2:
        parser.error(f"--seeds must be at least 2, for intervals; got {arguments.seeds}")
    parts = {name: STUDIES[name].cells(arguments.folder / name, arguments.seeds) for name in chosen}
    carry_out(
        [cell for part in (0, 1) for cells in parts.values() for cell in cells[part]],
        (*QUIET, *DEVICES[arguments.device], *arguments.extra),
        arguments.workers,
        arguments.deadline,
        arguments.grace,
    )
    if arguments.only_run:
        return
    reached = [name for name, (now, later) in parts.items() if any(cell.results.is_file() for cell in (*now, *later))]
    for name in reached:
        command(f"compare={arguments.folder / name}")
        if arguments.write:
            write(name, arguments.folder / name, [cell for part in parts[name] for cell in part])
    if arguments.write:
        fashion.write(RESULTS, {name: [*parts[name][0], *parts[name][1]] for name in reached})
        page = fill(SUMMARY.read_text(), "<!-- summary -->\n", "<!-- /summary -->", summary(RESULTS))
        SUMMARY.write_text(fill(page, "<!-- claims -->\n", "<!-- /claims -->", claims(RESULTS)))


def chosen_studies(names: Sequence[str]) -> list[str]:
    """The studies of these names, and those that go on from them, in the order in which they are carried out."""
    return [study for study in STUDIES if any(study == name or study.startswith(f"{name}_") for name in names)]


def command(*words: str) -> None:
    """Run ``lightning-mixup``."""
    subprocess.run([sys.executable, "-m", "lightning_mixup", *words], check=True, stdout=sys.stderr)


def write(name: str, folder: Path, cells: Sequence[Cell]) -> None:
    """Copy a comparison into the documentation, with what was asked, how it was measured, and on what."""
    study, found = STUDIES[name], folder / "comparison"
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob(f"{name}_*.png"):
        if not any(old.name.startswith(f"{other}_") for other in STUDIES if other.startswith(f"{name}_")):
            old.unlink()
    report = (found / "comparison.md").read_text().partition("## Every measure")[0]
    report = report.partition("# Comparison\n")[2]
    for pattern in PICTURES:
        for picture in sorted(found.glob(pattern)):
            shutil.copy(picture, RESULTS / f"{name}_{picture.name}")
    report = re.sub(r"\]\((\w+\.png)\)", rf"]({name}_\1)", report)
    shutil.copy(found / "comparison.csv", RESULTS / f"{name}.csv")
    (RESULTS / f"{name}.md").write_text(
        f"# {study.title}\n\n{study.question} Every measure is in [{name}.csv]({name}.csv).\n"
        f"{report}\n{origin(name, folder, cells)}"
    )


def origin(name: str, folder: Path, cells: Sequence[Cell]) -> str:
    """Say how the numbers came about, and which runs were not reached."""
    done = [cell for cell in cells if cell.results.is_file()]
    left = [cell for cell in cells if not cell.results.is_file()]
    with (folder / "comparison" / "comparison.csv").open(newline="") as file:
        rows = len({row["row"] for row in csv.DictReader(file)})
    seeds = 1 + max(cell.seed for cell in cells)
    sweeps = "\n".join(
        f"lightning-mixup -m {line} 'seed=range({seeds})'" for line in (*STUDIES[name].sweeps, *STUDIES[name].later)
    )
    machines = sorted({(cell.folder / "machine.txt").read_text() for cell in done})
    where = "".join(f"\n- {machine}" for machine in machines)
    fewer = "" if not left else f"{len(left)} of {len(cells)} runs were not reached:\n\n{_listed(left)}\n\n"
    return (
        f"## How it was measured\n\n{rows} settings, {seeds} seeds each, by\n"
        f"`python -m benchmarks.studies {name} --write`, which carries out\n\n```text\n{sweeps}\n```\n\n"
        f"{fewer}on\n{where}\n"
    )


def _listed(cells: Sequence[Cell]) -> str:
    """Settings, with the seeds of each."""
    seeds: dict[str, list[int]] = {}
    for cell in cells:
        words = [word for word in cell.words if word.partition("=")[0] not in ("recipe", "evaluate", "seed")]
        seeds.setdefault(" ".join(words), []).append(cell.seed)
    return "\n".join(f"- `{words}`: seeds {', '.join(map(str, sorted(found)))}" for words, found in seeds.items())


def summary(results: Path) -> str:
    """Lay the studies side by side: for each measure a table, a row a setting, a column a method."""
    parts = []
    for name in SUMMARISED:
        one = measure(name)
        cells: dict[str, dict[str, str]] = {}
        for study in STUDIES:
            path = results / f"{study}.csv"
            if not path.is_file():  # not reached yet
                continue
            with path.open(newline="") as file:
                found = [row for row in csv.DictReader(file) if row["measure"] == name]
            for row in found:
                mixing, around = (
                    [word for word in row["row"].split() if word.startswith("mix") == ours] for ours in (True, False)
                )
                method = ", ".join(word.removeprefix("mix=").removeprefix("mix.").replace("=", " ") for word in mixing)
                setting = " ".join([f"[{study}](results/{study}.md)", *(word.removeprefix("data.") for word in around)])
                value, difference = float(row["mean"]), row["difference"].replace("nan", "")  # nothing to compare
                judged = (
                    f"{one.show(float(difference), signed=True)} {row['verdict']}" if difference else one.show(value)
                )
                shown = re.sub(r"^(\S+) (no difference|too few|not ).*", r"(\1)", judged)
                cells.setdefault(setting, {})[method] = shown
        if not cells:
            continue
        methods = list(dict.fromkeys(method for row in cells.values() for method in row))
        lines = [["", *methods], ["---", *["---:"] * len(methods)]]
        lines += [[setting, *(row.get(method, "") for method in methods)] for setting, row in cells.items()]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"### {one.title[0].upper()}{one.title[1:]}\n\n{table}\n")
    return "\n" + "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
