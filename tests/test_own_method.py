"""CONTRIBUTING's example of a new method, carried out in a copy of the project: all that others can, it can at once."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("lightning_mixup", "conf", "recipes", "tests", "pyproject.toml")
EVERYTHING = """
import os, tempfile, torch
from lightning.pytorch import Trainer, seed_everything
from support import Spy
from torch.utils.data import DataLoader, TensorDataset
from lightning_mixup import Concat, CutMix, MixMonitor, MixPreview, RandomChoice, RegMixup, check_mixing

seed_everything(0)
batch = torch.randn(8, 1, 8, 8), torch.randint(10, (8,))
loader = DataLoader(TensorDataset(torch.randn(32, 1, 8, 8), torch.randint(10, (32,))), batch_size=8)
quiet = dict(accelerator="cpu", logger=False, log_every_n_steps=1,
             enable_progress_bar=False, enable_model_summary=False)
folder = tempfile.mkdtemp()
os.chdir(folder)
for mix in (Concat(seed=0), RandomChoice([Concat(seed=0), CutMix(seed=0)]), RegMixup(Concat(seed=0))):
    check_mixing(Spy(), batch, mix)
    monitor = MixMonitor()
    trainer = Trainer(max_epochs=2, callbacks=[mix, monitor, MixPreview()],
                      default_root_dir=folder, enable_checkpointing=False, **quiet)
    trainer.fit(Spy(), loader)
    assert 0 < float(trainer.callback_metrics["mix/lam"]) <= 1
    assert any("pasted_area" in name for name in trainer.callback_metrics), list(trainer.callback_metrics)

def weights(epochs, ckpt=None):
    seed_everything(0)
    module = Spy()
    module.net[4].p = 0.0
    trainer = Trainer(max_epochs=epochs, callbacks=[Concat(seed=1)], enable_checkpointing=False, **quiet)
    trainer.fit(module, DataLoader(loader.dataset, batch_size=8), ckpt_path=ckpt)
    trainer.save_checkpoint(f"{folder}/{epochs}.ckpt")
    return module.net[0].weight
whole = weights(2)
weights(1)
seen = weights(2, f"{folder}/1.ckpt")
print("SAME" if torch.equal(seen, whole) else "OTHER")
"""


def blocks():
    """The files that CONTRIBUTING shows: language, path and text of each."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return re.findall(r"```(python|yaml|diff)\n# (\S+)\n(.*?)```", text, flags=re.DOTALL)


def apply(path, diff):
    """Insert the added lines where their neighbours stand, and nothing else."""
    text = path.read_text()
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines()
        before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        after = "\n".join(line[1:] for line in lines)
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path.write_text(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    copy = tmp_path_factory.mktemp("project")
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "conf", "recipes")
            shutil.copytree(ROOT / part, copy / part, ignore=ignored if part == "lightning_mixup" else None)
        else:
            shutil.copy(ROOT / part, copy / part)
    for part in ("conf", "recipes"):  # as the installed package has them
        (copy / "lightning_mixup" / part).symlink_to(copy / part)
    touched = []
    for language, name, text in blocks():
        path = copy / name
        if language == "diff":
            touched.append(name)
            apply(path, text)
        else:
            assert not path.exists(), f"{name} is to be new"
            path.write_text(text)
    assert touched == ["lightning_mixup/callbacks/__init__.py", "lightning_mixup/__init__.py"]
    return copy


def run(project, *arguments):
    path = os.pathsep.join([str(project), str(project / "tests")])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_what_all_methods_promise_it_promises(project):
    tests = [str(path) for path in sorted((project / "tests" / "callbacks").glob("test_*.py"))]
    files = ["lightning_mixup/callbacks/concat.py", "lightning_mixup/functional/concat.py"]
    output = run(project, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", "oncat", *tests, *files)
    assert int(re.search(r"(\d+) passed", output)[1]) > 30


@pytest.mark.slow
def test_preview_monitor_composites_and_resume_know_it(project):
    assert "SAME" in run(project, "-c", EVERYTHING)


@pytest.mark.slow
def test_the_command_line_knows_it(project):
    run(
        *(project, "-m", "lightning_mixup", "recipe=digits_mixup", "mix=concat", "trainer.max_epochs=1"),
        *("hydra.run.dir=run", "mix.share=[0.4,0.6]"),
    )
    results = json.loads((project / "run" / "results.json").read_text())
    assert "concat" in json.dumps(results)
