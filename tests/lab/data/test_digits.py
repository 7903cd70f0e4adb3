import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lightning_mixup.lab.data import Digits


def labels_by_image(loader):
    return {x.numpy().tobytes(): int(y) for xs, ys in loader for x, y in zip(xs, ys, strict=True)}


@pytest.fixture(scope="module")
def truth():
    images, labels = load_digits(return_X_y=True)
    return {(image / 16).astype(np.float32).tobytes(): int(label) for image, label in zip(images, labels, strict=True)}


def test_it_announces_what_its_batches_hold():
    data = Digits(batch_size=16)
    data.setup()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        x, y = next(iter(loader))
        assert x.shape[1:] == data.input_shape
        assert x.dtype == torch.float32
        assert 0 <= x.min() < x.max() <= 1
        assert y.dtype == torch.int64
        assert set(y.tolist()) <= set(range(data.num_classes))
    assert len(next(iter(data.train_dataloader()))[0]) == 16


def test_every_image_is_used_once(truth):
    data = Digits()
    data.setup()
    loaders = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    parts = [labels_by_image(loader) for loader in loaders]
    assert [len(part) for part in parts] == [1078, 180, 539]
    assert parts[0] | parts[1] | parts[2] == truth


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_noise_is_exact_and_only_in_training(truth, share):
    data = Digits(label_noise=share)
    data.setup()
    wrong = [
        sum(truth[image] != label for image, label in labels_by_image(loader).items())
        for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ]
    assert wrong == [round(share * 1078), 0, 0]


def test_the_seed_decides_split_and_noise():
    def given(seed):
        data = Digits(label_noise=0.4, seed=seed)
        data.setup("fit")
        data.setup("test")  # again: nothing is drawn anew
        return labels_by_image(data.train_dataloader())

    assert given(1) == given(1)
    assert given(1) != given(2)


def test_training_order_follows_the_global_seed():
    data = Digits()
    data.setup()
    orders = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        orders.append(torch.cat([y for _, y in data.train_dataloader()]).tolist())
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("batch_size", 0),
        ("num_workers", -1),
        ("label_noise", 1.1),
        ("label_noise", -0.1),
        ("train_size", 0),
        ("train_size", 1.5),
        ("val_share", -0.1),
        ("imbalance", 0.5),
        ("test_share", 0.9),
        ("seed", -1),
    ],
)
def test_impossible_values_are_named(argument, value):
    with pytest.raises(ValueError, match=rf"^{argument} must be .*; got {value}\.$"):
        Digits(**{argument: value})
