"""The command line of a comparison, and of a sweep that is taken up."""

import csv

import pytest

from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.plans import RESUMING
from lightning_mixup.lab.app.resume import resumed
from lightning_mixup.lab.app.sweep import asked_to_compare, reported_at_end


def test_the_command_compares_and_nothing_else(sweep, capsys):
    assert asked_to_compare([f"compare={sweep}", "baseline=mix=cutmix"])
    with (sweep / "comparison" / "comparison.csv").open() as file:
        verdicts = {row["row"]: row["verdict"] for row in csv.DictReader(file) if row["measure"] == "test/accuracy"}
    assert verdicts["mix=cutmix"] == "baseline"
    assert verdicts["mix=none"] == "better"
    assert asked_to_compare([f"compare={sweep}", "test=permutation"])
    assert "an exact test over their signs" in (sweep / "comparison" / "comparison.md").read_text()
    assert not asked_to_compare(["mix=none"])
    with pytest.raises(
        ConfigError, match="takes nothing but baseline=ROW and test=t or test=permutation beside it; got seed=1"
    ):
        asked_to_compare([f"compare={sweep}", "seed=1"])


def test_an_interrupted_sweep_is_taken_up_with_its_own_words(tmp_path, monkeypatch):
    monkeypatch.setenv(RESUMING, "")  # so that it is restored
    folder = tmp_path / "a sweep"
    folder.mkdir()
    (folder / "multirun.yaml").write_text(
        "hydra:\n  overrides:\n    hydra: [hydra.mode=MULTIRUN, hydra.sweep.dir=elsewhere, hydra/launcher=basic]\n"
        "    task: ['mix=none,mixup', 'seed=range(5)', 'allow_targets=[evil]', '--config-path=/evil', '+mix.x=1', "
        "'data.seed=${seed}']\n"
    )
    words = resumed(["allow_targets=[mine]", f"resume={folder}"])
    assert words == [
        "-m",
        "hydra/launcher=basic",
        "mix=none,mixup",
        "seed=range(5)",
        "+mix.x=1",
        "data.seed=${seed}",
        "allow_targets=[mine]",
        f"hydra.sweep.dir='{folder}'",
    ]
    assert resumed(["mix=none"]) == ["mix=none"]
    with pytest.raises(ConfigError, match="resume must be followed by the folder of a run"):
        resumed([f"resume={tmp_path}"])


def test_outside_of_a_sweep_nothing_is_reported(capsys):
    with reported_at_end():
        pass
    assert not capsys.readouterr().out
