"""Measure what mixing does, study by study, through the commands that users run.

    python -m benchmarks.studies moons mnist1d_mlp --seeds 5 --jobs 2
    python -m benchmarks.studies --write

Every study is one or more sweeps over a recipe, in one folder, and their comparison. A study that was interrupted goes
on where it stopped. ``--write`` puts tables and pictures into docs/results, beside the page that
is written from them, "Which mix, how strong?".
"""

import argparse
import csv
import datetime
import json
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.recipes import ROOT, fill, hardware
from lightning_mixup.lab.evaluation.measures import measure

RESULTS = ROOT / "docs" / "results"
SUMMARY = ROOT / "docs" / "which.md"
SUMMARISED = ("test/accuracy", "test/nll", "test/ece", "test/fgsm_0.1/accuracy", "test/rmse")
PICTURES = ("measures.png", "reliability.png", "by_*.png", "curves.png")
METHODS = "mix=none,label_smoothing,mixup,cutmix,manifold_mixup"
VECTORS = "mix=none,label_smoothing,mixup,manifold_mixup"  # nothing to cut boxes from
QUIET = ("callbacks.progress=null",)


class Study(NamedTuple):
    """A question, and the sweeps that answer it."""

    title: str
    question: str
    sweeps: tuple[str, ...]
    """What stands on the command line beside the seeds."""


STUDIES = {
    "digits_noisy": Study(
        "Wrong labels: digits",
        "Two to six in ten training labels are wrong. Who learns them by heart?",
        (
            f"recipe=digits_noisy evaluate=full data.label_noise=0.2,0.4,0.6 {METHODS},regmixup",
            "recipe=digits_noisy evaluate=full data.label_noise=0.2,0.4,0.6 mix=mixup mix.alpha=1,8,32",
        ),
    ),
    "moons": Study(
        "Calibration: two moons",
        "Points that nobody can tell apart with certainty. Is the network as sure as it is right?",
        (
            f"recipe=moons evaluate=full data.noise=0.1,0.3,0.5 {VECTORS},regmixup",
            "recipe=moons evaluate=full data.noise=0.1,0.3,0.5 mix=mixup mix.alpha=1",
        ),
    ),
    "mnist5k_few_shot": Study(
        "Few images: MNIST",
        "One hundred or five hundred images to learn from.",
        (
            f"recipe=mnist5k_few_shot evaluate=full data.train_size=100,500 {METHODS},regmixup",
            "recipe=mnist5k_few_shot evaluate=full data.train_size=100,500 mix=mixup mix.alpha=1",
        ),
    ),
    "mnist1d_mlp": Study(
        "Series, a network that overfits",
        "MNIST-1D with fully connected layers.",
        (
            f"recipe=mnist1d_mlp evaluate=full {METHODS},regmixup",
            "recipe=mnist1d_mlp evaluate=full mix=mixup mix.alpha=1",
        ),
    ),
    "mnist1d_cnn": Study(
        "Series, a network that fits",
        "MNIST-1D with convolutions, for ten epochs and for forty.",
        (
            f"recipe=mnist1d_cnn evaluate=full trainer.max_epochs=10,40 {METHODS}",
            "recipe=mnist1d_cnn evaluate=full trainer.max_epochs=10,40 mix=mixup mix.alpha=1",
        ),
    ),
    "breast_cancer": Study(
        "Tables: breast cancer",
        "Thirty measurements of a tumour, with right labels and with three in ten wrong.",
        (f"recipe=breast_cancer evaluate=full data.label_noise=0,0.3 {VECTORS}",),
    ),
    "wine": Study(
        "Tables: wine",
        "Thirteen measurements of a wine, with right labels and with three in ten wrong.",
        (f"recipe=wine evaluate=full data.label_noise=0,0.3 {VECTORS}",),
    ),
    "diabetes": Study(
        "Regression: diabetes",
        "Labels are numbers, and are mixed as numbers; C-Mixup takes partners with similar ones.",
        ("recipe=diabetes mix=none,mixup,c_mixup,manifold_mixup",),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=list(STUDIES), metavar="STUDY", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--seeds", type=int, default=5, help="runs a row, with seeds 0 to SEEDS-1 (at least 2)")
    parser.add_argument("--jobs", type=int, default=1, help="sweeps at a time; each keeps one core busy")
    parser.add_argument(
        "--folder", type=Path, default=Path("studies"), help="where the runs are kept (default: %(default)s)"
    )
    parser.add_argument("--write", action="store_true", help=f"write what was found into {RESULTS.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - set(STUDIES):
        parser.error(f"no study {', '.join(sorted(unknown))}; there are {', '.join(STUDIES)}")
    if arguments.seeds < 2:
        parser.error(f"--seeds must be at least 2, for intervals; got {arguments.seeds}")
    sweeps = [
        (arguments.folder / name / str(number), [*shlex.split(line), f"seed=range({arguments.seeds})"])
        for name in arguments.studies
        for number, line in enumerate(STUDIES[name].sweeps)
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda sweep: run(*sweep), sweeps))
    for name in arguments.studies:
        folder = arguments.folder / name
        command(f"compare={folder}")
        if arguments.write:
            write(name, folder, arguments.seeds)
    if arguments.write:
        SUMMARY.write_text(fill(SUMMARY.read_text(), "<!-- summary -->\n", "<!-- /summary -->", summary(RESULTS)))


def run(folder: Path, line: list[str]) -> None:
    """Carry out a sweep, or what is missing of it."""
    begun = (folder / "multirun.yaml").is_file()
    command(*([f"resume={folder}"] if begun else ["-m", *line, *QUIET, f"hydra.sweep.dir={folder}"]))


def command(*words: str) -> None:
    """Run ``lightning-mixup``."""
    subprocess.run([sys.executable, "-m", "lightning_mixup", *words], check=True, stdout=sys.stderr)


def write(name: str, folder: Path, seeds: int) -> None:
    """Copy a comparison into the documentation, with what was asked, how it was measured, and on what."""
    study, found = STUDIES[name], folder / "comparison"
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob(f"{name}_*.png"):
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
        f"{report}\n{origin(name, folder, seeds)}"
    )


def origin(name: str, folder: Path, seeds: int) -> str:
    """Say how the numbers came about."""
    results = json.loads(next(folder.rglob("results.json")).read_text())
    packages = ("python", "torch", "lightning", "torchmetrics", "lightning_mixup")
    with (folder / "comparison" / "comparison.csv").open(newline="") as file:
        rows = len({row["row"] for row in csv.DictReader(file)})
    sweeps = "\n".join(f"lightning-mixup -m {line} 'seed=range({seeds})'" for line in STUDIES[name].sweeps)
    versions = ", ".join(f"{package} {results[package]}" for package in packages)
    return (
        f"## How it was measured\n\n{rows} settings, {seeds} seeds each, by\n"
        f"`python -m benchmarks.studies {name} --write`, which runs\n\n```text\n{sweeps}\n```\n\n"
        f"on {hardware()}, {datetime.date.today()}; {versions}.\n"
    )


def summary(results: Path) -> str:
    """Lay the studies side by side: for each measure a table, a row a setting, a column a method."""
    parts = []
    for name in SUMMARISED:
        one = measure(name)
        cells: dict[str, dict[str, str]] = {}
        for study in STUDIES:
            path = results / f"{study}.csv"
            with path.open(newline="") as file:
                found = [row for row in csv.DictReader(file) if row["measure"] == name]
            for row in found:
                mixing, around = (
                    [word for word in row["row"].split() if word.startswith("mix") == ours] for ours in (True, False)
                )
                method = ", ".join(word.removeprefix("mix=").removeprefix("mix.").replace("=", " ") for word in mixing)
                setting = " ".join([f"[{study}](results/{study}.md)", *(word.removeprefix("data.") for word in around)])
                value, difference = float(row["mean"]), row["difference"]
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
