"""What README and the documentation show, runs."""

import inspect
import re
import sys
from pathlib import Path

import pytest

from lightning_mixup import CutMix, ManifoldMixup, Mixup

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if "\n```python" in path.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run_as_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    exec(compile("\n".join(blocks), page.name, "exec"), {"__name__": "__main__"})


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
