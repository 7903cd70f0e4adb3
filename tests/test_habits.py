"""What runs on every change, and what releases: files that fail only where nobody tries them."""

import re
import runpy
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_may_do_little(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())
    for line in re.findall(r"uses: .*", text):
        assert re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_the_scripts_that_workflows_call_are_there():
    for path in WORKFLOWS:
        for script in re.findall(r"\.ci/[\w.]+", path.read_text()):
            assert (ROOT / script).exists(), f"{path.name} calls {script}"


def test_the_lowest_versions_are_those_that_the_project_declares(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    runpy.run_path(".ci/lowest.py")
    lowest = {Requirement(line).name: line for line in capsys.readouterr().out.split()}
    assert {"lightning", "torch", "torchmetrics", "hydra-core"} <= set(lowest)
    assert lowest["lightning"] == "lightning==2.6.6"
