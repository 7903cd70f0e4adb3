"""Checkpoints, results and folders from others: whatever is in them, nothing of it runs, in any way of calling us."""

import csv
import itertools
import json
import os
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest
import torch
import yaml
from application import in_this_process

from lightning_mixup.__main__ import main


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run as it should be, from which hostile ones are made."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        for app in in_this_process(folder, patch):
            app("mix=none", f"hydra.run.dir={folder / 'run'}", "trainer.max_epochs=2")
    return folder / "run"


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call the program; gives its message, and whether code of a stranger ran."""
    sentinel, code = tmp_path / "sentinel", tmp_path / "code"
    code.mkdir()
    (code / "evil.py").write_text("import os, pathlib\npathlib.Path(os.environ['SENTINEL']).mkdir(exist_ok=True)\n")
    monkeypatch.setenv("SENTINEL", str(sentinel))
    monkeypatch.syspath_prepend(code)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lightning-mixup", *words])
        try:
            main()
            message = ""
        except SystemExit as end:
            message = str(end.code)
        ran = sentinel.exists() or "evil" in sys.modules
        sys.modules.pop("evil", None)
        return message, ran

    with_app = in_this_process(tmp_path, monkeypatch)  # puts logging and threads back
    next(with_app)
    yield run
    next(with_app, None)


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["SENTINEL"],)


def poisoned(good, where):
    """A checkpoint with code in it, at some place of a good one."""
    checkpoint = torch.load(good, weights_only=True)
    if where == "alone":
        return Evil()
    if where == "weights":
        checkpoint["state_dict"] = {**checkpoint["state_dict"], "evil": Evil()}
    elif where == "callbacks":
        checkpoint["callbacks"] = {"Evil": Evil()}
    elif where == "hyperparameters":
        checkpoint["hyper_parameters"] = {"network": Evil()}
        checkpoint["hparams_type"] = Evil()
    return checkpoint


WAYS = (["evaluate", "RUN"], ["evaluate", "CKPT"], ["ckpt=CKPT"], ["resume", "RUN"], ["-m", "ckpt=CKPT", "seed=0,1"])


@pytest.mark.parametrize(
    ("where", "words"),
    [("weights", words) for words in WAYS]
    + [(where, words) for where in ("alone", "callbacks", "hyperparameters") for words in (WAYS[0], WAYS[3])],
)
def test_no_checkpoint_runs_code(call, finished, tmp_path, where, words):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "results.json").unlink()
    for path in (run / "checkpoints").glob("*.ckpt"):
        torch.save(poisoned(path, where), path)
    words = [word.replace("RUN", str(run)).replace("CKPT", str(run / "checkpoints" / "model.ckpt")) for word in words]
    message, ran = call(*words)
    assert not ran
    assert message  # it is no success
    assert "CKPT" not in message
    assert re.search(r"ckpt|checkpoint", message)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_named(call, finished, tmp_path, damage):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = run / "checkpoints" / "model.ckpt"
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    message, _ = call("evaluate", str(path))
    assert str(path) in message


WORDS = [
    "allow_targets=[evil]",
    "+hydra.callbacks.x._target_=evil.Callback",
    "hydra.searchpath=[pkg://evil]",
    "hydra/launcher=../../evil",
    "++hydra.job.env_set.PYTHONPATH=evil",
    "--config-dir=evil",
    "--config-path=evil",
    "-cp=evil",
    "hydra.sweeper._target_=evil.Sweeper",
    "+evil@hydra.launcher=evil",
    "hydra.job_logging.handlers.file.filename=/tmp/evil.pth",
    "model._target_=evil.Net",
    "+callbacks.mine._target_=evil.Callback",
    "mix.prob={_target_:evil.schedule}",
    "'+callbacks.mine={_target_:hydra.utils.get_method,path:evil.run}'",
    "data._target_=lightning_mixup.lab.optim.import_timm",
    "+model.x={_target_:evil.Net}",
]


PLACES = [(kind, part) for kind in ("run", "sweep") for part in ("hydra", "task")]


@pytest.mark.parametrize(
    ("word", "kind", "part"), [(word, *place) for word, place in zip(WORDS, itertools.cycle(PLACES))]
)
def test_no_folder_runs_code_when_it_is_resumed(call, finished, tmp_path, word, kind, part):
    folder = tmp_path / "theirs"
    shutil.copytree(finished, folder)
    (folder / "results.json").unlink()
    source = finished / ".hydra" / "hydra.yaml"
    record = folder / "multirun.yaml" if kind == "sweep" else folder / ".hydra" / "hydra.yaml"
    said = yaml.safe_load(source.read_text())
    said["hydra"]["overrides"][part] = [*said["hydra"]["overrides"][part], word.strip("'")]
    record.write_text(yaml.safe_dump(said))
    if word.startswith(("allow_targets", "-")):  # is left out, and the rest would run
        message, ran = call("resume", str(folder), "trainer.fast_dev_run=maybe")
    else:
        message, ran = call("resume", str(folder))
    assert not ran
    assert message
    assert not call("resume", str(folder), "--info=config")[1]


def test_no_configuration_beside_a_checkpoint_runs_code(call, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for path in (run / "config.yaml", run / ".hydra" / "config.yaml"):
        said = yaml.safe_load(path.read_text())
        said["model"] = {"_target_": "evil.Net"}
        path.write_text(yaml.safe_dump(said))
    for words in (["evaluate", str(run)], [f"ckpt={run}"], ["-m", f"ckpt={run}", "seed=0,1"]):
        _, ran = call(*words)
        assert not ran, words


# Results: shown in a terminal, in Markdown, HTML and CSV, and drawn.

NASTY = [
    "test/<img src=x onerror=alert(1)>",
    "test/<script>alert(1)</script>",
    "test/=cmd|' /C calc'!A0",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "test/[red]red[/red]",
    "test/[/data]",
    "test/a|b`c`\n# head",
    "test/$\\frac{1}{0$",
    "test/\x1b[2Jescape",
    "../../../tmp/evil",
    "test/" + "long" * 500,
    "",
]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


def sweep_of(folder, jobs):
    """A sweep with these results and overrides."""
    (folder / "multirun.yaml").parent.mkdir(parents=True)
    for number, (settings, values) in enumerate(jobs):
        run = folder / str(number)
        (run / ".hydra").mkdir(parents=True)
        (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(settings))
        (run / "results.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("place", ["measure", "setting"])
def test_no_results_get_out_of_their_place(call, tmp_path, capsys, place):
    names = NASTY if place == "measure" else [""]
    words = [f"mix=mixup{name}" for name in NASTY] if place == "setting" else ["mix=mixup"]
    jobs = []
    for word in ("mix=none", *words):
        for seed in range(2):
            measures = dict.fromkeys(names, 0.1 * seed)
            settings = [word, f"seed={seed}"]
            jobs.append((settings, {"test/accuracy": 0.5 + 0.1 * seed, **measures, "seed": seed, "settings": settings}))
    folder = sweep_of(tmp_path / "sweep", jobs)
    message, ran = call(f"compare={folder}")
    assert not ran
    assert message == ""
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    report = folder / "comparison"
    assert {path.parent for path in tmp_path.rglob("comparison.*")} == {report}
    assert not list(tmp_path.parent.glob("evil*"))
    tags = Tags()
    tags.feed((report / "comparison.html").read_text())
    assert not [tag for tag, attrs in tags.found if tag == "script" or any(key.startswith("on") for key, _ in attrs)]
    markdown = (report / "comparison.md").read_text()
    assert not re.search(r"<(img|script)", markdown)
    assert "\n# head" not in markdown
    with (report / "comparison.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t" and cell and not is_number(cell)]


def is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


BROKEN = [
    b"",
    b"[]",
    b"null",
    b'{"seed": 0',
    b'{"seed": "0"}',
    b'{"test/accuracy": 1}',
    b"[" * 100_000,
    b'{"seed": 0, "settings": 7}',
    b'{"seed": 0, "settings": ["mix=cutmix", "seed=0"]}',
    b'{"seed": 1e999}',
    b"\xed\xa0\x80",
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_record_is_listed_and_stops_nothing(call, tmp_path, capsys, text):
    rows = [(mix, seed) for mix in ("none", "mixup") for seed in range(3)]
    jobs = [([f"mix={mix}", f"seed={seed}"], {"test/accuracy": 0.5 + 0.1 * seed, "seed": seed}) for mix, seed in rows]
    folder = sweep_of(tmp_path / "sweep", jobs)
    (folder / "5" / "results.json").write_bytes(text)
    message, _ = call(f"compare={folder}")
    assert message == ""
    assert "No results: 5 (mix=mixup seed=2): results.json is " in capsys.readouterr().out
