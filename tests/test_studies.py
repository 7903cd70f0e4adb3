"""The studies that fill the documentation."""

import csv
import importlib
import shlex
from pathlib import Path

import pytest
from application import composing
from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).parents[1]


@pytest.fixture
def studies():
    return importlib.import_module("benchmarks.studies")


def sweeps():
    found = importlib.import_module("benchmarks.studies").STUDIES
    lines = {name: (*study.sweeps, *study.later) for name, study in found.items()}
    return [pytest.param(name, line, id=f"{name}-{n}") for name in lines for n, line in enumerate(lines[name])]


@pytest.mark.parametrize(("name", "line"), sweeps())
def test_the_jobs_of_a_study_compose(name, line):
    parsed = OverridesParser.create().parse_overrides(shlex.split(line))
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    assert len(jobs) > 1 or "mix.alpha=" in line or "mix.prob=" in line or name == "fashion_mnist_preact18"
    with composing():
        for job in (jobs[0], jobs[-1]):
            assert compose("train", job).trainer.max_epochs > 0


def test_every_study_has_its_page_and_every_recipe_of_one_names_it(studies):
    for name, study in studies.STUDIES.items():
        recipe = study.recipe or name
        assert (studies.RESULTS / f"{name}.md").is_file() == (studies.RESULTS / f"{name}.csv").is_file()
        assert all(f"recipe={recipe} " in line for line in (*study.sweeps, *study.later))
        assert f"# Study:  python -m benchmarks.studies {recipe}," in (ROOT / "recipes" / f"{recipe}.yaml").read_text()


def test_the_documentation_holds_what_the_tables_of_the_studies_say(studies):
    assert studies.summary(studies.RESULTS) in studies.SUMMARY.read_text()
    assert studies.claims(studies.RESULTS) in studies.SUMMARY.read_text()


def test_the_summary_brackets_what_was_not_shown(studies, tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "STUDIES", {"moons": None})
    with (tmp_path / "moons.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["measure", "row", "mean", "difference", "verdict"])
        table.writerow(["test/accuracy", "data.noise=0.3 mix=none", 0.9, "", "baseline"])
        table.writerow(["test/accuracy", "data.noise=0.3 mix=mixup", 0.92, 0.02, "better"])
        table.writerow(
            ["test/accuracy", "data.noise=0.3 mix=mixup mix.alpha=8", 0.89, -0.01, "no difference shown at n"]
        )
    shown = studies.summary(tmp_path)
    assert "|  | none | mixup | mixup, alpha 8 |" in shown
    assert "| [moons](results/moons.md) noise=0.3 | 90.0 | +2.0 better | (-1.0) |" in shown
    assert "likelihood" not in shown
