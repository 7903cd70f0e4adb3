"""What is declared is what is there."""

import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lightning_mixup

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_folder_of_code_and_configuration_is_packaged():
    places = {"lightning_mixup": ROOT / "lightning_mixup", "lightning_mixup.conf": ROOT / "conf"}
    places["lightning_mixup.recipes"] = ROOT / "recipes"
    expected = set()
    for package, root in places.items():
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            if any(folder.glob("*.py")) or any(folder.glob("*.yaml")):
                expected.add(".".join((package, *folder.relative_to(root).parts)))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected


def test_versions_agree():
    assert metadata("lightning-mixup")["Version"] == lightning_mixup.__version__ == PROJECT["project"]["version"]
    assert f"version: {lightning_mixup.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_compromised_releases_of_lightning_are_excluded():
    floor = next(Requirement(line) for line in requires("lightning-mixup") if Requirement(line).name == "lightning")
    for version in ("2.6.1", "2.6.2", "2.6.3", "2.6.4", "2.6.5"):
        assert not floor.specifier.contains(version)


def test_core_depends_on_nothing_else():
    core = {Requirement(line).name for line in PROJECT["project"]["dependencies"]}
    assert core == {"lightning", "numpy", "torch", "torchmetrics"}


def test_constraints_pin_everything_that_is_asked_for():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = {Requirement(line).name.lower().replace("_", "-") for line in lines}
    assert all(re.search(r"==[\w.]+( *;|$)", line) for line in lines)
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(line for name in extras if name != "vision" for line in extras[name])]
    missing = {Requirement(line).name for line in asked} - pinned - {"lightning-mixup"}
    assert not missing


def test_public_names_are_importable_and_sorted():
    for name in lightning_mixup.__all__:
        assert getattr(lightning_mixup, name) is not None
    for module in ("lightning_mixup.callbacks", "lightning_mixup.functional"):
        names = importlib.import_module(module).__all__
        assert names == sorted(names)
    with pytest.raises(AttributeError, match="no attribute 'Mixdown'"):
        lightning_mixup.Mixdown  # noqa: B018


@pytest.mark.parametrize(
    ("use", "heavy"),
    [("", ["torch", "lightning", "hydra", "matplotlib", "sklearn"]), ("lightning_mixup.Mixup", ["hydra", "sklearn"])],
)
def test_importing_the_package_imports_nothing_heavy(use, heavy):
    code = f"import sys, lightning_mixup; {use}\nprint([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_no_two_packages_of_a_trainer_are_mixed():
    """``pytorch_lightning`` has a Callback of its own, which the Trainer of ``lightning`` does not know."""
    code = [path.read_text() for path in (ROOT / "lightning_mixup").rglob("*.py")]
    assert not any(re.search(r"^\s*(from|import) pytorch_lightning", text, flags=re.M) for text in code)
