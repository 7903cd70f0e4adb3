"""What the examples say, done in a copy of their folder."""

import csv
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PROJECT = EXAMPLES / "own_project"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The folder, and its commands run one after another as its README gives them."""
    folder = tmp_path_factory.mktemp("examples") / "own_project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("multirun", "outputs", "__pycache__"))
    blocks = re.findall(r"^```sh\n(.*?)^```", (PROJECT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    script = Path(sys.executable).with_name("lightning-mixup")
    done = []
    for line in commands:
        name, *arguments = shlex.split(line)
        assert name == "lightning-mixup"
        done.append(subprocess.run([script, *arguments], cwd=folder, capture_output=True, text=True, check=False))
    return folder, done


@pytest.mark.slow
def test_a_project_of_ones_own_ends_with_its_comparison(project):
    folder, (sweep, _) = project
    assert sweep.returncode == 0, sweep.stderr
    with next(folder.glob("multirun/*/*/comparison/comparison.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["row"], row["seeds"]) for row in rows} == {("mix=none", "5"), ("mix=mixup", "5")}
    measures = {row["measure"] for row in rows}
    assert {"test/accuracy", "test/nll_scaled", "test/pgd_0.1/accuracy", "val_acc", "duration"} <= measures
    assert not any("rotation" in name for name in measures)  # two coordinates are no picture
    assert "Job 10 of 10: mix=mixup seed=4, " in sweep.stdout
    assert sweep.stdout.count("Comparison") == 1


@pytest.mark.slow
def test_its_classes_can_be_named_on_the_command_line(project):
    folder, (_, single) = project
    assert single.returncode == 0, single.stderr
    assert len(list(folder.glob("outputs/*/*/results.json"))) == 1


def test_the_project_knows_nothing_of_us():
    code = (PROJECT / "rings.py").read_text()
    assert "lightning_mixup" not in code
    assert len((PROJECT / "recipe" / "rings.yaml").read_text().splitlines()) < 20


def command(folder, *arguments):
    """Run a script of an example in a copy of its folder, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def copied(name, folder):
    shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("outputs", "multirun", "__pycache__"))
    return folder / name


@pytest.mark.slow
@pytest.mark.parametrize("config", ["mixup.yaml", "choice.yaml"])
def test_lightning_cli_reads_callbacks_and_schedules_from_yaml(config, tmp_path):
    folder = copied("lightning_cli", tmp_path)
    quiet = ["--trainer.fast_dev_run=true", "--trainer.enable_progress_bar=false"]
    command(folder, "main.py", "fit", "--config", config, *quiet)


@pytest.mark.slow
def test_a_hydra_application_finds_the_groups_of_this_package(tmp_path):
    folder = copied("hydra_app", tmp_path)
    assert "callbacks: none" in command(folder, "train.py", "+trainer.fast_dev_run=false")
    assert "Mixup(alpha=0.4" in command(folder, "train.py", "experiment=mixup", "trainer.max_epochs=1")
    assert "CutMix(" in command(folder, "train.py", "+mix@callbacks.mix=cutmix", "callbacks.mix.prob=0.5")


def test_a_loop_of_plain_pytorch_repeats_itself_after_an_interruption():
    output = command(EXAMPLES.parent, "examples/plain_torch.py")
    assert output.count("resumed alike: True") == 3
    assert "resumed alike: False" not in output
    assert min(map(float, re.findall(r"accuracy ([\d.]+)%", output))) > 75


@pytest.mark.ddp
@pytest.mark.slow
def test_fabric_trains_on_two_processes():
    output = command(EXAMPLES.parent, "examples/fabric.py", "2")
    assert "on 2 processes, the same weights on all: True" in output
    assert float(re.search(r"accuracy ([\d.]+)%", output)[1]) > 75
