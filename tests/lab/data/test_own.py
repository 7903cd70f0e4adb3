"""Tables of one's own."""

import gzip
import sys

import numpy as np
import pytest
import torch
from application import in_this_process, results

from lightning_mixup.lab.data import ClassTable, ValueTable, own_table
from lightning_mixup.lab.data.files import read_table


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


def write(path, separator=",", rows=120):
    """Two numbers, one of them missing now and then, a text, and targets of both kinds."""
    rng = np.random.default_rng(0)
    lines = [separator.join(["id", "height", "width", "colour", "kind", "price"])]
    for row in range(rows):
        height, width, colour = rng.normal(1e6, 10), rng.normal(), "red green blue".split()[row % 3]
        kind = "iris" if width > 0 else "rose"
        cells = [
            f"no {row}",
            f"{height:.3f}",
            "?" if row % 10 == 0 else f"{width:.5f}",
            colour,
            kind,
            f"{width * 3:.4f}",
        ]
        lines.append(separator.join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(tmp_path, separator):
    table = read_table(write(tmp_path / "x.csv", separator), "kind", ["id"])
    assert table.names == ("height", "width", "colour=blue", "colour=green", "colour=red", "price")
    assert table.features.shape == (120, 6)
    assert np.isnan(table.features[:, 1]).sum() == 12
    assert set(table.target) == {"iris", "rose"}


def test_packed_files_and_parquet_hold_the_same(tmp_path):
    plain = read_table(write(tmp_path / "x.csv"), "kind", ["id"])
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes()))
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {name: plain.features[:, place].tolist() for place, name in enumerate(("height", "width"))}
    columns |= {
        "colour": ["red", "green", "blue"] * 40,
        "kind": list(plain.target),
        "id": [f"no {n}" for n in range(120)],
    }
    columns["price"] = plain.features[:, -1].tolist()
    columns = {name: [None if value != value else value for value in column] for name, column in columns.items()}
    parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
    for name in ("x.csv.gz", "x.parquet"):
        other = read_table(str(tmp_path / name), "kind", ["id"])
        order = [other.names.index(feature) for feature in plain.names]
        np.testing.assert_array_equal(other.features[:, order], plain.features)
        assert other.target == plain.target


def test_classes_are_split_standardised_and_named(tmp_path):
    data = own_table(write(tmp_path / "x.csv"), "kind", ["id", "price"], label_noise=0.2)
    assert isinstance(data, ClassTable)
    assert (data.num_classes, data.class_names, data.input_shape) == (2, ("iris", "rose"), (5,))
    data.setup()
    x = torch.cat([batch[0] for batch in data.memory_dataloader()])
    assert x.dtype == torch.float32
    assert x.isfinite().all()
    torch.testing.assert_close(x.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(x[:, 0].std(correction=0), torch.tensor(1.0), atol=1e-4, rtol=0)  # of numbers near 1e6
    assert (data.arranged.given != data.arranged.true).sum() == round(0.2 * len(data.arranged.split.train))


def test_values_are_standardised_and_keep_their_units(tmp_path):
    data = own_table(write(tmp_path / "x.csv"), "price", ["id"])
    assert isinstance(data, ValueTable)
    assert not hasattr(data, "num_classes")
    data.setup()
    y = torch.cat([batch[1] for batch in data.train_dataloader()])
    assert y.dtype == torch.float32
    assert float(y.mean()) == pytest.approx(0, abs=1e-5)
    assert data.target_std == pytest.approx(3, rel=0.3)


@pytest.mark.parametrize(
    ("targets", "kind", "names"),
    [
        (["no", "yes"], ClassTable, ("no", "yes")),
        (["none", "some"], ClassTable, ("none", "some")),
        (["0", "1", "10", "2"], ClassTable, ("0", "1", "2", "10")),
        (["1.0", "2.0"], ClassTable, ("1", "2")),
        (["0.5", "1.5"], ValueTable, None),
        ([str(number) for number in range(40)], ValueTable, None),
    ],
)
def test_the_values_of_the_target_say_what_it_is(tmp_path, targets, kind, names):
    lines = [f"{row},{target}" for row, target in enumerate(targets * 8)]
    (tmp_path / "x.csv").write_text("\n".join(["a,y", *lines]))
    data = own_table(str(tmp_path / "x.csv"), "y")
    assert type(data) is kind
    assert getattr(data, "class_names", None) == names
    if kind is ClassTable and names == ("1", "2"):
        assert type(own_table(str(tmp_path / "x.csv"), "y", task="values")) is ValueTable


def test_classes_can_be_held_out(tmp_path):
    (tmp_path / "x.csv").write_text("\n".join(["a,y", *(f"{row},{'abc'[row % 3]}" for row in range(90))]))
    data = own_table(str(tmp_path / "x.csv"), "y", held_out_classes=[1])
    assert data.class_names == ("a", "c")
    data.setup()
    assert sum(len(x) for x, _ in data.ood_dataloader()) == 30


GOOD = "a,b,y\n" + "".join(f"{row},{row % 7},{'pq'[row % 2]}\n" for row in range(60))


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (GOOD, {"path": "nowhere.csv"}, r"path must be a file: CSV with .*; got 'nowhere.csv'"),
        (GOOD, {"target": "z"}, r"target must be a column of .*x.csv \(a, b, y\); got 'z'"),
        (GOOD, {"target": ""}, r"target must be a column of .*\(a, b, y\); got ''"),
        (GOOD, {"drop": ["y"]}, r"drop must be names of columns but the target \(a, b, y\); got 'y'"),
        (GOOD, {"drop": ["a", "b"]}, "others are the features"),
        (GOOD, {"task": "rank"}, "task must be auto or classes or values; got 'rank'"),
        (GOOD, {"task": "values"}, "target must be a column of numbers, where task is values; got 'p'"),
        (GOOD.replace("3,3,q", "3,q"), {}, r"has 3 columns, and 2 entries in row 5: \['3', 'q'\]"),
        (GOOD.replace("a,b", "a,a"), {}, "a table whose columns have different names"),
        (GOOD.replace("q", "p"), {}, r"target must be a column of two classes or more; got \['p'\]"),
        ("a,b,y\n", {}, "path must be a table with rows"),
        ("", {}, "cannot be read as one"),
        ("a,b,y\n" + "?,1,p\n,2,q\n" * 20, {}, "drop must be given for a column without any value; got 'a'"),
        ("a,y\n" + "".join(f"x{row},p\n" for row in range(40)), {}, r"'a' has 40 different texts .*: drop=\[a\]"),
        (
            GOOD,
            {"task": "values", "target": "b", "label_noise": 0.2},
            "label_noise must be left alone",
        ),
    ],
)
def test_what_is_no_table_is_refused_with_its_cure(tmp_path, text, changes, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        own_table(**{"path": str(path), "target": "y", **changes})


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet"])
def test_bytes_of_something_else_are_refused(tmp_path, name):
    if name == "x.parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(bytes(range(256)) * 4)
    with pytest.raises(ValueError, match=r"path must be a table: .* cannot be read as one"):
        own_table(str(tmp_path / name), "y")


def test_parquet_needs_a_package_and_says_so(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"needs pyarrow"):
        own_table(str(tmp_path / "x.parquet"), "y")


def test_the_command_trains_on_a_table(app, tmp_path):
    write(tmp_path / "my table=1.csv")
    table = ("data=csv", "data.path='my table=1.csv'", "data.drop=[id,price]", "data.target=kind", "model=mlp")
    (run,) = app(*table, "model.width=8")
    assert 0 <= results(run)["test/accuracy"] <= 1
    (run,) = app(
        "data=csv",
        "data.path='my table=1.csv'",
        "data.drop=[id,kind]",
        "data.target=price",
        "model=mlp",
        "module=regressor",
    )
    assert results(run)["test/rmse"] > 0
