"""The study of text: a table is made of files, and trained on through the recipe."""

import csv
import importlib
import json
import subprocess
import sys

import pytest


@pytest.fixture
def fortunes():
    return importlib.import_module("benchmarks.fortunes")


@pytest.fixture
def files(tmp_path):
    """Two topics of 20 texts that words tell apart, one of 2, and what else stands in such a folder."""
    folder = tmp_path / "files"
    folder.mkdir()
    for topic, words in (("law", "judge court"), ("food", "soup bread")):
        (folder / topic).write_text("\n%\n".join(f"{words}\n\t{topic}{n}." for n in range(20)) + "\n%\n")
    (folder / "rare").write_text("one\n%\ntwo\n")
    (folder / "law.dat").write_bytes(b"\x00\x01")
    (folder / "law.u8").symlink_to(folder / "law")
    return folder


def test_texts_are_cut_at_percent_signs_and_stand_in_one_line(fortunes, files):
    (files / "food").write_text("a  100 %\ncure\n%\njudge court\n\tlaw0.\n%%\na 100 % cure\n%\n")
    found = fortunes.read(files)
    assert found["food"] == ["a 100 % cure"]  # once; and what is law as well, is neither
    assert found["law"][0] == "judge court law1."
    assert set(found) == {"food", "law", "rare"}


def test_a_table_of_topics_trains_through_the_recipe(fortunes, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fortunes", "files", "table", "--least", "20"])
    fortunes.main()
    assert "40 texts of 2 topics: food, law" in capsys.readouterr().out
    with (tmp_path / "table" / "train.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 40
    few = ["model.width=8", "model.filters=4", "data.batch_size=8", "trainer.max_epochs=3", "callbacks.progress=null"]
    words = ["recipe=fortunes", "data.name=table", "data.num_classes=2", "hydra.run.dir=run", "optimizer.lr=0.05", *few]
    subprocess.run([sys.executable, "-m", "lightning_mixup", *words], check=True, timeout=120)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["test/accuracy"] > 0.9


CURE = "Give the folder that holds the files of fortune (dpkg -L fortunes says where it is), and a folder to write to"


@pytest.mark.parametrize(
    ("files", "folder", "said"),
    [
        ("topics", "table", "no topic of 300 texts in topics; the package is called fortunes"),
        ("nowhere", "table", f"nowhere: No such file or directory. {CURE}"),
        ("topics/file", "table", f"topics/file: Not a directory. {CURE}"),
        ("topics --least 0", "topics/file", f"topics/file: File exists. {CURE}"),
    ],
)
def test_folders_that_will_not_do_are_refused(fortunes, tmp_path, monkeypatch, capsys, files, folder, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "file").write_text("a saying\n%\n")
    monkeypatch.setattr(sys, "argv", ["fortunes", *files.split(), folder])
    with pytest.raises(SystemExit):
        fortunes.main()
    assert said in " ".join(capsys.readouterr().err.split())
