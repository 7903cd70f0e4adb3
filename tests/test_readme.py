"""What README and the documentation show, runs."""

import inspect
import json
import logging
import re
import runpy
import tomllib
from pathlib import Path

import pytest

from lightning_mixup import CutMix, ManifoldMixup, Mixup

ROOT = Path(__file__).parents[1]
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if "\n```python" in path.read_text()
]
SLOW = ("tour.md",)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.name in SLOW else []) for page in PAGES],
    ids=[page.relative_to(ROOT).as_posix() for page in PAGES],
)
def test_python_blocks_run_as_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    logger = logging.getLogger("lightning.pytorch")  # which a page may silence
    level = logger.level
    try:
        exec(compile("\n".join(blocks), page.name, "exec"), {"__name__": "__main__"})
    finally:
        logger.setLevel(level)


def test_relative_links_lead_somewhere():
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (ROOT / target).exists(), f"{path.name} links to {target}"


def test_badges_and_address_are_those_of_the_project():
    readme, project = (ROOT / "README.md").read_text(), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lightning = next(line for line in project["dependencies"] if line.startswith("lightning"))
    assert f"badge/lightning-{lightning.removeprefix('lightning').split(',')[0].replace('>=', '%3E%3D')}-" in readme
    assert f"badge/licence-{project['license'].replace('-', '--')}-" in readme
    address = project["urls"]["Source"]
    assert f"git+{address}" in readme
    for workflow in re.findall(rf"{address}/actions/workflows/([\w.]+)/badge.svg", readme):
        assert (ROOT / ".github" / "workflows" / workflow).exists()


def test_the_page_of_shared_arguments_is_right_about_their_defaults():
    page = (ROOT / "docs" / "arguments.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (`[^`|]*`|by method) \|", page, flags=re.MULTILINE))
    for method in (Mixup, CutMix, ManifoldMixup):
        parameters = inspect.signature(method).parameters
        for name, default in rows.items():
            if name in parameters and default != "by method":
                assert default == f"`{parameters[name].default!r}`".replace("'", '"'), f"{method.__name__}: {name}"
    assert set(rows) <= set(inspect.signature(Mixup).parameters)


def test_the_page_of_the_notebook_shows_what_the_notebook_holds():
    tour = runpy.run_path(str(ROOT / "docs" / "tour.py"))
    text, pictures = tour["page"](json.loads((ROOT / "docs" / "tour.ipynb").read_text()))
    assert text == (ROOT / "docs" / "tour.md").read_text(), "run python -m docs.tour"
    assert pictures
    for name, content in pictures.items():
        assert (ROOT / "docs" / "assets" / name).read_bytes() == content
