"""A run ends with how it compares with the same run without mixing."""

import pytest
from application import in_this_process, results


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


def test_the_same_run_without_mixing_is_the_baseline(app, tmp_path, capsys):
    (plain,) = app("mix=none")
    assert "baseline" not in capsys.readouterr().out
    app("mix=none", "seed=1")  # another seed: no baseline of the next
    capsys.readouterr()
    (mixed,) = app("mix=mixup")
    told = " ".join(capsys.readouterr().out.split())
    ours, theirs = (100 * results(run)["test/accuracy"] for run in (mixed, plain))
    assert f"Against the baseline in {plain}: accuracy {ours:.1f} against {theirs:.1f} %" in told
    app("mix=mixup", "optimizer.lr=0.01")
    assert "baseline" not in capsys.readouterr().out
