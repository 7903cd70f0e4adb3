"""Images in the IDX format of MNIST: a strict reader, and a data module for any folder of it."""

import gzip
import math
import re
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lightning_mixup.lab.data.augment import random_crop, random_flip
from lightning_mixup.lab.data.base import ClassificationDataModule, Rows
from lightning_mixup.lab.data.frames import normalise
from lightning_mixup.lab.data.noise import NoiseKind
from lightning_mixup.lab.data.splits import Indices
from lightning_mixup.lab.require import require

Bytes = npt.NDArray[np.uint8]
_PARTS = {"train": "train", "test": "(?:t10k|test)"}
_UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> Bytes:
    """Read an array of unsigned bytes from a file in IDX format.

    The file starts with two zero bytes, the type of the values, and the number of dimensions; then the size of each
    dimension, four bytes, most significant first; then the values, the last dimension fastest, and nothing else.

    Args:
        path: the file; one whose name ends in ``.gz`` is unpacked.
        dimensions: how many are expected: 3 for images, 1 for labels.

    Returns:
        The values, uint8.

    Raises:
        ValueError: the file is something else, is cut short, or goes on where it should end.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9]))
        >>> read_idx(path, dimensions=1)
        array([7, 0, 9], dtype=uint8)
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0":
                raise _refused(path, f"starts with {head.hex(' ') or 'nothing'}; IDX starts with 00 00")
            if head[2] != _UNSIGNED_BYTE:
                raise _refused(path, f"holds values of type 0x{head[2]:02x}; only 0x08, unsigned bytes, can be read")
            if head[3] != dimensions:
                raise _refused(path, f"has {head[3]} dimensions; {dimensions} expected")
            sizes = file.read(4 * dimensions)
            shape = [int.from_bytes(sizes[at : at + 4], "big") for at in range(0, 4 * dimensions, 4)]
            expected = math.prod(shape)
            # One byte more than announced is enough to see that there is more.
            values = file.read(expected + 1) if len(sizes) == 4 * dimensions else b""
    except (EOFError, OSError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            raise
        raise _refused(path, f"cannot be unpacked ({error})") from error
    if len(values) != expected or len(sizes) != 4 * dimensions:
        amount = "more" if len(values) > expected else f"{len(values):,}"
        raise _refused(path, f"announces {' x '.join(map(str, shape))} values and holds {amount}")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


class IdxDataModule(ClassificationDataModule):
    """Grey images of a folder in IDX format: MNIST, Fashion-MNIST, KMNIST, EMNIST.

    The folder holds four files, packed (``.gz``) or not: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
    ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``. The first two train and validate, the others test.
    Training batches leave the loader as uint8; they are cropped, flipped and normalised on the device, before any
    mixing. Batches to be judged leave the loader normalised. Nothing is decoded, and no loader process is needed.

    Args:
        folder: where the files are.
        prefix: what their names start with, such as ``"emnist-balanced-"``.
        mean: subtracted from the pixels in ``[0, 1]``; ``None`` takes the mean of the published training images.
        std: divides them, above 0; ``None`` takes their standard deviation.
        padding: pixels added at each side of a training image before it is cropped at a random place; 0 for none.
        flip: whether half of the training images are mirrored: right for clothes, wrong for digits and letters.
        class_names: names of all classes, in the order of their labels; ``None`` takes the labels themselves.
        batch_size: see ``lightning_mixup.lab.data.ClassificationDataModule``, as for all that follow.
        num_workers: loader processes; 0 is fastest.
        train_size: training samples kept.
        label_noise: share of training labels that are replaced.
        noise_kind: ``"symmetric"`` or ``"random"``.
        imbalance: largest over smallest class of the training part.
        held_out_classes: classes that are in no part.
        val_share: share of the training files that validates; 0 trains on all and validates on the test files.
        test_share: share of all samples that test, in place of the test files; ``None`` is those files.
        seed: decides all that is drawn, but for the augmentation, which follows torch's global stream.

    Raises:
        ValueError: an argument is out of its range, or a file is missing or not what its name says.
    """

    pixel_range = (0.0, 1.0)

    def __init__(
        self,
        folder: str,
        prefix: str = "",
        mean: float | None = None,
        std: float | None = None,
        padding: int = 0,
        flip: bool = False,
        class_names: Sequence[str] | None = None,
        batch_size: int = 128,
        num_workers: int = 0,
        train_size: int | float | None = None,
        label_noise: float = 0.0,
        noise_kind: NoiseKind = "symmetric",
        imbalance: float = 1.0,
        held_out_classes: Sequence[int] | None = None,
        val_share: float = 0.1,
        test_share: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            num_workers=num_workers,
            train_size=train_size,
            label_noise=label_noise,
            noise_kind=noise_kind,
            imbalance=imbalance,
            held_out_classes=held_out_classes,
            val_share=val_share,
            test_share=test_share,
            seed=seed,
        )
        found = bool(folder) and Path(folder).expanduser().is_dir()
        require(found, "folder", folder, "a folder with the four files of an IDX data set (data.folder=PATH)")
        require(padding >= 0, "padding", padding, "at least 0")
        require(std is None or std > 0, "std", std, "above 0, or null for that of the training images")
        self.folder = Path(folder).expanduser()
        self.prefix = prefix
        self.padding = padding
        self.flip = flip
        self._mean, self._std = mean, std
        self._names = None if class_names is None else tuple(class_names)

    @cached_property
    def num_classes(self) -> int:  # type: ignore[override]
        """Number of classes, without those held out."""
        return len(self._kept_classes(len(self._classes)))

    @cached_property
    def class_names(self) -> Sequence[str]:  # type: ignore[override]
        """Names of the classes, without those held out."""
        names = self._names or tuple(str(label) for label in self._classes)
        require(len(names) == len(self._classes), "class_names", list(names), f"{len(self._classes)} names, or null")
        return tuple(names[label] for label in self._kept_classes(len(names)))

    @cached_property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """One channel, and the size of the images."""
        return (1, *self._pixels.shape[1:])

    @cached_property
    def mean(self) -> float:  # type: ignore[override]
        """What is subtracted from the pixels in ``[0, 1]``."""
        return self._moments[0] if self._mean is None else self._mean

    @cached_property
    def std(self) -> float:  # type: ignore[override]
        """What the pixels are divided by."""
        return self._moments[1] if self._std is None else self._std

    def labels(self) -> tuple[npt.NDArray[np.int64], Indices | None]:
        """Return the class indices of all samples, those of the training files first, and where the others are."""
        train, test = self._given
        numbers = np.searchsorted(self._classes, np.concatenate([train, test]))
        return numbers.astype(np.int64), np.arange(len(train), len(self._pixels))

    def samples(self, indices: Indices, *labels: torch.Tensor, training: bool = False) -> Rows:
        """Some samples with their labels: uint8 to be augmented, or float and normalised."""
        finish = None if training else partial(normalise, mean=[self.mean], std=[self.std])
        return Rows(self._inputs, torch.from_numpy(indices), *labels, finish=finish)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Augment and normalise a training batch, on the device that it is on. Others have been normalised before."""
        x, *labels = batch
        if x.dtype != torch.uint8:
            return batch
        x = random_crop(x, self.padding)
        x = normalise(random_flip(x) if self.flip else x, [self.mean], [self.std])
        # A Trainer converts the inputs to the precision of the run before they come here, but bytes it leaves alone.
        return [self.trainer.precision_plugin.convert_input(x) if self.trainer else x, *labels]

    @property
    def _judged_at_once(self) -> int:
        return max(self.batch_size, 1000)

    @cached_property
    def _given(self) -> tuple[Bytes, Bytes]:
        """The labels as they are in the files, of training and of test."""
        train, test = (read_idx(self._path(part, "labels"), 1) for part in _PARTS)
        return train, test

    @cached_property
    def _classes(self) -> Bytes:
        """All labels there are, in order: those of EMNIST's letters start at 1."""
        found: Bytes = np.unique(np.concatenate(self._given))
        return found

    @cached_property
    def _pixels(self) -> Bytes:
        """All images, those of the training file first."""
        parts = []
        for part, labels in zip(_PARTS, self._given, strict=True):
            path = self._path(part, "images")
            parts.append(read_idx(path, 3))
            if len(parts[-1]) != len(labels):
                raise _refused(path, f"holds {len(parts[-1]):,} images, and there are {len(labels):,} labels")
        if parts[0].shape[1:] != parts[1].shape[1:]:
            raise ValueError(f"{self.folder}: training images and test images differ in size.")
        pixels: Bytes = np.concatenate(parts)
        return pixels

    @cached_property
    def _inputs(self) -> torch.Tensor:
        return torch.from_numpy(self._pixels)[:, None]

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """Mean and standard deviation of the pixels of the training file, in [0, 1]."""
        pixels = self._pixels[: len(self._given[0])]
        squares = np.square(np.arange(256, dtype=np.uint16))[pixels]
        mean, square = (float(values.sum(dtype=np.uint64)) / pixels.size for values in (pixels, squares))
        return mean / 255, math.sqrt(square - mean**2) / 255

    def _path(self, part: str, kind: str) -> Path:
        digit = {"images": 3, "labels": 1}[kind]
        pattern = rf"{re.escape(self.prefix)}{_PARTS[part]}-{kind}[-.]idx{digit}-ubyte(\.gz)?"
        found = sorted(path for path in self.folder.iterdir() if re.fullmatch(pattern, path.name))
        if not found:
            usual = f"{self.prefix}{'train' if part == 'train' else 't10k'}-{kind}-idx{digit}-ubyte"
            names = ", ".join(sorted(path.name for path in self.folder.iterdir())[:8]) or "nothing"
            raise ValueError(f"folder must hold {usual}, or the same with .gz; {self.folder} holds {names}.")
        return found[0]  # of a file and its packed twin, the file


def _refused(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is no IDX file of the expected kind: it {why}.")
