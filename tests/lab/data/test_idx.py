"""Images in IDX format: what is read, what is refused, what becomes of it."""

import gzip
import struct

import numpy as np
import pytest
import torch

from lightning_mixup.lab.data import IdxDataModule
from lightning_mixup.lab.data.augment import random_crop, random_flip
from lightning_mixup.lab.data.idx import read_idx


def packed(values):
    """The bytes of a file in IDX format, written without the reader's help."""
    head = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


def write(path, values, zipped=False):
    content = packed(values)
    path.write_bytes(gzip.compress(content) if zipped else content)


def images(count, start=0):
    """Image i is grey of brightness start + i, but for a white pixel at the top left."""
    pixels = np.repeat(np.arange(start, start + count, dtype=np.uint8), 64).reshape(count, 8, 8)
    pixels[:, 0, 0] = 255
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Forty images to train on, ten to test on; labels 1 to 5, as those of letters do not start at 0."""
    write(tmp_path / "train-images-idx3-ubyte.gz", images(40), zipped=True)
    write(tmp_path / "train-labels-idx1-ubyte", np.arange(40, dtype=np.uint8) % 5 + 1)
    write(tmp_path / "t10k-images.idx3-ubyte", images(10, start=100))
    write(tmp_path / "t10k-labels-idx1-ubyte.gz", np.arange(10, dtype=np.uint8) % 5 + 1, zipped=True)
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "packed"])
def test_a_file_is_read_as_it_was_written(tmp_path, zipped):
    values = np.random.default_rng(0).integers(0, 256, (3, 2, 4), dtype=np.uint8)
    path = tmp_path / ("images-idx3-ubyte.gz" if zipped else "images-idx3-ubyte")
    write(path, values, zipped)
    assert np.array_equal(read_idx(path, 3), values)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "starts with nothing"),
        (b"P5 8 8", "starts with 50 35 20 38; IDX starts with 00 00"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "values of type 0x0d; only 0x08"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "has 3 dimensions; 1 expected"),
        (bytes([0, 0, 8, 1, 0, 0]), "announces 0 values"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 3]), "announces 4 values and holds 3"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2, 3]), "announces 2 values and holds more"),
    ],
)
def test_what_is_no_such_file_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "labels-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as refusal:
        read_idx(path, 1)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("damage", [lambda packed: packed[:-12], lambda packed: b"no" + packed[2:]])
def test_a_broken_archive_is_refused(tmp_path, damage):
    path = tmp_path / "labels-idx1-ubyte.gz"
    path.write_bytes(damage(gzip.compress(packed(np.arange(200, dtype=np.uint8)))))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        read_idx(path, 1)


def test_the_parts_are_those_of_the_files(folder):
    data = IdxDataModule(str(folder), val_share=0.25, mean=0.0, std=1.0)
    assert (data.num_classes, data.input_shape, tuple(data.class_names)) == (5, (1, 8, 8), tuple("12345"))
    data.setup()
    assert [len(part) for part in data.arranged.split] == [30, 10, 10]
    x, y = next(iter(data.test_dataloader()))
    assert y.tolist() == [0, 1, 2, 3, 4] * 2
    assert torch.equal((255 * x[:, 0, 1, 1]).round(), torch.arange(100.0, 110))
    trained = {float(brightness) for x, _ in data.train_dataloader() for brightness in x[:, 0, 1, 1]}
    validated = {round(255 * float(brightness)) for x, _ in data.val_dataloader() for brightness in x[:, 0, 1, 1]}
    assert len(trained) == 30
    assert trained | validated == set(range(40))


def test_labels_are_wrong_in_training_alone(folder):
    data = IdxDataModule(str(folder), label_noise=0.5, train_size=20, val_share=0.25)
    data.setup()
    wrong = data.arranged.given != data.arranged.true
    assert wrong[data.arranged.split.train].sum() == 10 == wrong.sum()


def test_pixels_are_normalised_by_the_training_images(folder):
    data = IdxDataModule(str(folder), val_share=0)
    pixels = images(40) / 255
    assert (data.mean, data.std) == (pytest.approx(pixels.mean()), pytest.approx(pixels.std()))
    data.setup()
    judged = torch.cat([x for x, *_ in data.memory_dataloader()])
    assert float(judged.mean()) == pytest.approx(0, abs=1e-6)
    assert float(judged.std(correction=0)) == pytest.approx(1)
    x, y = next(iter(data.train_dataloader()))
    assert x.dtype == torch.uint8
    ready, _ = data.on_after_batch_transfer([x, y], 0)
    assert torch.allclose(ready, (x / 255 - data.mean) / data.std)
    again = data.on_after_batch_transfer([ready, y], 0)
    assert again[0] is ready


def test_training_images_are_shifted_and_mirrored(folder):
    data = IdxDataModule(str(folder), padding=2, flip=True, mean=0.0, std=1.0, val_share=0)
    data.setup()
    torch.manual_seed(0)
    marks = set()
    for _ in range(20):
        for batch in data.train_dataloader():
            x, _ = data.on_after_batch_transfer(batch, 0)
            marks |= {tuple(place) for place in (x[:, 0] == 1).nonzero()[:, 1:].tolist()}
    # The white pixel starts at the top left, or mirrored at the top right, and is moved by up to two, or out of view.
    assert marks == {(row, column) for row in range(3) for column in (0, 1, 2, 5, 6, 7)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").unlink(), "must hold t10k-labels-idx1-ubyte"),
        (lambda folder: write(folder / "train-labels-idx1-ubyte", np.zeros(39, np.uint8)), "40 images, and there are"),
        (
            lambda folder: write(folder / "t10k-images.idx3-ubyte", np.zeros((10, 9, 9), np.uint8)),
            "differ in size",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(folder, change, words):
    change(folder)
    with pytest.raises(ValueError, match=words):
        IdxDataModule(str(folder), val_share=0.25).setup()


@pytest.mark.parametrize("wrong", [{"folder": ""}, {"folder": "/nowhere"}, {"padding": -1}, {"std": 0.0}])
def test_arguments_out_of_range_are_refused(folder, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        IdxDataModule(**{"folder": str(folder), **wrong})


def test_the_number_of_names_is_that_of_the_classes(folder):
    with pytest.raises(ValueError, match="class_names must be 5 names"):
        IdxDataModule(str(folder), class_names=["a", "b"]).class_names  # noqa: B018


def test_classes_can_be_held_out(folder):
    data = IdxDataModule(str(folder), held_out_classes=[0, 1], class_names=tuple("abcde"), val_share=0.25)
    assert (data.num_classes, tuple(data.class_names)) == (3, tuple("cde"))
    data.setup()
    assert sum(len(y) for _, y in data.ood_dataloader()) == 20


def test_a_crop_is_a_window_of_the_padded_image():
    torch.manual_seed(0)
    x = torch.arange(1, 65, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(50, 2, 8, 8)
    padded = torch.nn.functional.pad(x[0, 0], (1, 1, 1, 1))
    windows = {tuple(padded[r : r + 8, c : c + 8].flatten().tolist()) for r in range(3) for c in range(3)}
    cropped = random_crop(x, padding=1)
    assert cropped.dtype == torch.uint8
    assert {tuple(image.flatten().tolist()) for image in cropped[:, 0]} == windows
    assert torch.equal(cropped[:, 0], cropped[:, 1])
    assert random_crop(x, padding=0) is x


def test_half_of_the_images_are_mirrored():
    torch.manual_seed(0)
    x = torch.arange(6.0).reshape(1, 1, 2, 3).expand(400, 1, 2, 3)
    mirrored = (random_flip(x) == x.flip(-1)).flatten(1).all(1)
    assert 150 < int(mirrored.sum()) < 250
    assert torch.equal(random_flip(x)[:, 0].sum((1, 2)), torch.full((400,), 15.0))
