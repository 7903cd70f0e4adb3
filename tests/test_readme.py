"""What README and the documentation show, runs."""

import re
from pathlib import Path

import pytest

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
