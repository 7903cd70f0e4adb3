import sys

import datasets
import pytest
from pictures import content, ready, table

from lightning_mixup.lab.data import ImageDataModule


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_column": "image"}, r"image_column must be a column of the data set \(img, fine_label\); got 'image'"),
        ({"label_column": "label"}, r"label_column must be a column of the data set \(img, fine_label\); got 'label'"),
        ({"train_split": "training"}, "train_split must be one or more, joined by .*, of train, test; got 'training'"),
        ({"num_classes": 10}, "num_classes must be 4, as many as label_column='fine_label' of .* has, or null; got 10"),
        ({"held_out_classes": [7]}, "held_out_classes must be different ones of the classes 0 to 3"),
    ],
)
def test_what_does_not_fit_the_data_is_named_before_training(cifar, changes, message):
    with pytest.raises(ValueError, match=message):
        ready(cifar(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1"),
        ({"channels": 2}, "channels must be 1"),
        ({"crop": "centre"}, "crop must be pad, resized or null; got 'centre'"),
        ({"padding": -1}, "padding must be at least 0"),
        ({"padding_mode": "zero"}, "padding_mode must be constant or reflect"),
        ({"scale": [0.5, 0.1]}, "scale must be two shares"),
        ({"resize": 7}, "resize must be at least image_size=8"),
        ({"mean": [0.5]}, r"mean must be a number, or one for each of channels=3; got \[0.5\]"),
        ({"std": 0}, "std must be above 0"),
        ({"num_classes": 1}, "num_classes must be at least 2"),
    ],
)
def test_impossible_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ImageDataModule("no/such-set", **{"image_size": 8, **changes})


def test_a_column_of_anything_else_is_refused(tmp_path):
    rows = datasets.Dataset.from_dict({"img": ["a", "b"] * 20, "label": [0, 1] * 20})
    datasets.DatasetDict(train=rows, test=rows).save_to_disk(tmp_path)
    with pytest.raises(ValueError, match="image_column must be a column of images, not of Value; got 'img'"):
        ImageDataModule(str(tmp_path), 8, image_column="img").setup()


def test_labels_may_be_missing_numbers_or_texts(tmp_path):
    for name, values in {"numbers": [3, 7] * 20, "texts": ["yes", "no"] * 20, "hidden": [-1, 0] * 20}.items():
        rows = table(0, 40).remove_columns("fine_label").add_column("label", values)
        datasets.DatasetDict(train=rows, test=rows).save_to_disk(tmp_path / name)
    build = {"image_size": 8, "image_column": "img"}
    assert ImageDataModule(str(tmp_path / "numbers"), **build).class_names == ("3", "7")
    texts = ready(ImageDataModule(str(tmp_path / "texts"), **build))
    assert texts.class_names == ("no", "yes")
    assert content(texts.test_dataloader())[1].tolist() == [1, 0] * 20
    with pytest.raises(ValueError, match=r"has samples without a label in train and test of .*hidden"):
        ImageDataModule(str(tmp_path / "hidden"), **build).setup()


@pytest.mark.parametrize("missing", ["no/such-set", "imagefolder"])
def test_what_cannot_be_loaded_is_named_with_a_cure(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    data = ImageDataModule(missing, 8, data_dir=str(tmp_path / "nothing"), cache_dir=str(tmp_path))
    with pytest.raises(OSError, match=f"name='{missing}' with data_dir='.*nothing' cannot be loaded: .*fake=true"):
        data.prepare_data()


def test_a_missing_package_is_named_with_its_cure(cifar, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r'needs datasets: pip install "lightning-mixup\[vision\]"'):
        cifar().prepare_data()
