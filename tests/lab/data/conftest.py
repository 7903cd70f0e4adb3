import datasets
import pytest
from pictures import MEAN, STD, table

from lightning_mixup.lab.data import ImageDataModule


@pytest.fixture(scope="module")
def quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, quiet):
    """The form of CIFAR on the hub: Parquet files named by split, columns img and fine_label."""
    path = tmp_path_factory.mktemp("cifar")
    table(0, 80).to_parquet(path / "train-00000-of-00001.parquet")
    table(80, 20).to_parquet(path / "test-00000-of-00001.parquet")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory, quiet):
    """Pictures of different sizes, as ImageNet has."""
    path = tmp_path_factory.mktemp("imagenet")
    sizes = {0: (20, 12), 1: (12, 20), 2: (16, 16), 3: (9, 9)}
    parts = {"train": table(0, 40, lambda i: sizes[i % 4]), "validation": table(40, 12, lambda i: sizes[i % 4])}
    datasets.DatasetDict(parts).save_to_disk(path)
    return path


@pytest.fixture
def cifar(folder, tmp_path):
    def build(**changes):
        arguments = {"image_size": 8, "image_column": "img", "label_column": "fine_label", "mean": MEAN, "std": STD}
        return ImageDataModule(str(folder), **{**arguments, "cache_dir": str(tmp_path), "batch_size": 16, **changes})

    return build


@pytest.fixture
def imagenet(large):
    def build(**changes):
        arguments = {"image_size": 8, "image_column": "img", "label_column": "fine_label", "in_memory": False}
        arguments |= {"crop": "resized", "test_split": "validation", "resize": 9, "batch_size": 4}
        return ImageDataModule(str(large), **{**arguments, **changes})

    return build
