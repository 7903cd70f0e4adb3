"""Runs of studies in worker processes: each by itself, resumable, within the time given."""

import csv
import importlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmarks():
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    """A folder in IDX format: 200 images of noise, ten classes."""
    folder = tmp_path_factory.mktemp("clothes")
    rng = np.random.default_rng(0)
    for part, count in (("train", 160), ("t10k", 40)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, values in (("images", pixels), ("labels", labels)):
            head = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
            (folder / f"{part}-{kind}-idx{values.ndim}-ubyte").write_bytes(head + values.tobytes())
    return folder


def small(clothes):
    """Words that make a run of a recipe on clothes a matter of a second."""
    return (
        *(f"data.folder={clothes}", "data.batch_size=40", "data.val_share=0.2", "trainer.max_epochs=1"),
        *("threads=1", "trainer.precision=32-true", "callbacks.progress=null", "callbacks.checkpoint=null"),
    )


def test_runs_are_carried_out_by_a_worker_and_a_failure_hurts_nobody(benchmarks, clothes, tmp_path, capsys):
    cells = benchmarks("cells")
    line = ["recipe=fashion_mnist", "model.width=2", "evaluate=full", "mix=none,no_such,mixup", "seed=0"]
    runs = list(cells.expand(tmp_path / "study" / "0", line))
    cells.carry_out(runs, (*small(clothes), "evaluate.pgd_steps=0"))
    told = capsys.readouterr().out
    assert "Passed over, for the library has no such mix: no_such" in told
    assert "2/2 recipe=fashion_mnist" in told
    assert [run.results.is_file() for run in runs] == [True, False, True]
    with (runs[2].folder / "confusion.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == ["true, predicted:", *map(str, range(10))]
    assert all(sum(map(int, row[1:])) == 4 for row in table[1:])

    before = runs[0].results.stat().st_mtime_ns
    broken = cells.Cell(tmp_path / "study" / "2", ("recipe=fashion_mnist", "model.width=-1", "seed=0"))
    cells.carry_out([broken, *runs[:1]], small(clothes))
    told = capsys.readouterr().out
    assert "1 of 2 runs were done before" in told
    assert "FAILED (model: width must be at least 1; got -1." in told
    assert runs[0].results.stat().st_mtime_ns == before


def test_runs_that_fail_one_after_the_other_from_the_first_are_not_all_tried(benchmarks, tmp_path, capsys):
    cells = benchmarks("cells")
    runs = list(cells.expand(tmp_path / "study" / "0", ["recipe=fashion_mnist", "mix=none", "seed=range(8)"]))
    cells.carry_out(runs)
    told = capsys.readouterr().out
    assert told.count("FAILED (data: folder must be a folder with the four files") == cells.HOPELESS
    assert "All runs so far failed, so no more were begun. Mend the cause, and run the study again." in told
    assert "5 of 8 runs were not reached" in told


def test_runs_that_failed_before_do_not_keep_a_study_from_its_last_run(benchmarks, clothes, tmp_path):
    cells = benchmarks("cells")
    line = ["recipe=fashion_mnist", "model.width=-1,2", "mix=none", "seed=range(4)"]
    runs = list(cells.expand(tmp_path / "study" / "0", line))
    cells.carry_out([runs[-2]], small(clothes))
    cells.carry_out([runs[-2], *runs[:4], runs[-1]], small(clothes))
    assert [run.results.is_file() for run in runs] == [False] * 6 + [True] * 2


@pytest.mark.slow
def test_the_large_network_runs_too(clothes, tmp_path):
    words = ["recipe=fashion_mnist_preact18", "mix=none", *small(clothes), "hydra.run.dir=run", "data.train_size=40"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_mixup", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "test/accuracy" in json.loads((tmp_path / "run" / "results.json").read_text())


def test_nothing_begins_after_the_deadline(benchmarks, tmp_path, capsys):
    cells = benchmarks("cells")
    cells.carry_out(list(cells.expand(tmp_path, ["mix=none", "seed=0,1"])), deadline=0)
    assert "2 of 2 runs were not reached" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_study_is_refused(benchmarks, tmp_path):
    cells = benchmarks("cells")
    [run] = cells.expand(tmp_path, ["mix=none", "seed=0"])
    (run.folder / ".hydra").mkdir(parents=True)
    (run.folder / ".hydra" / "overrides.yaml").write_text("- mix=mixup\n- seed=0\n")
    run.results.write_text("{}")
    with pytest.raises(SystemExit, match=r"holds another run, without mix=none: take another --folder"):
        cells.carry_out([run])


def test_a_name_chooses_what_goes_on_from_it(benchmarks):
    studies = benchmarks("studies")
    assert studies.chosen_studies(["moons"]) == ["moons"]
    assert {"fashion_mnist", "fashion_mnist_few"} <= set(studies.chosen_studies(["fashion_mnist"]))
    assert studies.chosen_studies(["fashion"]) == [name for name in studies.STUDIES if name.startswith("fashion_")]
    assert studies.chosen_studies(["fas"]) == []


def test_the_first_seed_of_all_settings_comes_first(benchmarks, tmp_path):
    study = benchmarks("studies").STUDIES["fashion_mnist"]
    now, later = study.cells(tmp_path, 3)
    assert [run.seed for run in now] == sorted(run.seed for run in now)
    assert {run.value("mix.alpha") for run in later} == {"", "8", "32"}


def test_look_alikes_are_counted_over_seeds(benchmarks, tmp_path):
    fashion, cells = benchmarks("fashion"), benchmarks("cells")
    runs = list(cells.expand(tmp_path, ["mix=mixup", "mix.alpha=1", "seed=0,1"]))
    for run, wrong in zip(runs, (10, 30), strict=True):
        run.folder.mkdir(parents=True)
        counts = 100 * np.eye(10, dtype=int)
        counts[6, 0], counts[6, 6] = wrong, 100 - wrong  # shirts taken for T-shirts
        with (run.folder / "confusion.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["", *range(10)], *([name, *row] for name, row in enumerate(counts))])
    table = fashion.look_alikes(runs)
    assert "| Mixup, alpha 1 | 2 | 20.0 ± 14.1 | 0.0 ± 0.0 |" in table


def test_the_figure_is_drawn_from_what_there_is(benchmarks, tmp_path):
    with (tmp_path / "fashion_mnist.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["measure", "row", "mean", "margin", "verdict"])
        table.writerow(["test/accuracy", "mix=none", 0.93, 0.01, "baseline"])
        table.writerow(["test/accuracy", "mix=mixup mix.alpha=1", 0.94, "", "better"])
    benchmarks("fashion").draw(tmp_path, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
