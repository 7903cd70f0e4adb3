"""What holds for every data set that needs no download."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from support import Spy

from lightning_mixup.lab.data import (
    ArrayDataModule,
    BreastCancer,
    ClassificationDataModule,
    Diabetes,
    Digits,
    Mnist1d,
    Mnist5k,
    Phishing,
    Points,
    Wine,
)
from lightning_mixup.lab.evaluation.full import FullEvaluation

SETS = [BreastCancer, Digits, Mnist1d, Mnist5k, Phishing, Points, Wine]
PARTS = ("train_dataloader", "val_dataloader", "test_dataloader")


class Squares(ArrayDataModule):
    """Five classes of 40 images of one colour each; instant."""

    num_classes = 5
    input_shape = (1, 4, 4)
    class_names = tuple("abcde")
    pixel_range = (0.0, 1.0)

    def load(self):
        labels = np.repeat(np.arange(5), 40)
        images = np.arange(200, dtype=np.float32)[:, None, None, None] / 200
        return np.broadcast_to(images, (200, 1, 4, 4)).copy(), labels


def ready(data):
    data.setup()
    return data


def content(loader):
    return [torch.cat(column) for column in zip(*loader, strict=True)]


@pytest.mark.parametrize("kind", SETS)
def test_batches_are_what_is_announced(kind):
    data = ready(kind(batch_size=16))
    for part in PARTS:
        x, y = next(iter(getattr(data, part)()))
        assert x.shape[1:] == data.input_shape
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        if data.pixel_range:
            assert data.pixel_range[0] <= x.min() < x.max() <= data.pixel_range[1]
    assert sorted(set(content(data.test_dataloader())[1].tolist())) == list(range(data.num_classes))
    assert len(data.class_names) == data.num_classes


@pytest.mark.parametrize("kind", [*SETS, Diabetes])
def test_the_seed_decides_and_other_streams_stay(kind):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first, again, other = (content(ready(kind(seed=seed)).val_dataloader()) for seed in (3, 3, 4))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


@pytest.mark.parametrize("kind", [Mnist5k, Mnist1d])
def test_a_fixed_test_part_is_the_same_whatever_the_seed(kind):
    first, other = (content(ready(kind(seed=seed, val_share=0.3)).test_dataloader()) for seed in (0, 1))
    assert torch.equal(first[0], other[0])
    assert torch.equal(first[1], other[1])


def test_a_fixed_test_part_gives_way_to_a_share():
    assert [len(part) for part in ready(Mnist1d(test_share=0.5)).arranged.split] == [2000, 500, 2500]


def test_the_test_part_of_mnist5k_has_all_digits_alike():
    assert torch.bincount(content(ready(Mnist5k()).test_dataloader())[1]).tolist() == [200] * 10


def test_mnist1d_is_what_its_package_makes():
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    x, y = content(ready(Mnist1d()).test_dataloader())
    np.testing.assert_allclose(x[:, 0].numpy(), made["x_test"], rtol=1e-6)
    np.testing.assert_array_equal(y.numpy(), made["y_test"])


@pytest.mark.parametrize("kind", [BreastCancer, Wine, Phishing])
@pytest.mark.parametrize("train_size", [None, 20])
def test_tables_are_standardised_by_their_training_part_alone(kind, train_size):
    data = ready(kind(seed=1, train_size=train_size))
    everything = ready(kind(seed=1))
    x = content(everything.memory_dataloader())[0]
    torch.testing.assert_close(x.mean(0), torch.zeros(x.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(x.shape[1]), atol=1e-4, rtol=0)
    assert torch.equal(content(data.test_dataloader())[0], content(everything.test_dataloader())[0])


def test_regression_is_standardised_by_its_training_part_and_can_be_undone():
    from sklearn.datasets import load_diabetes

    data = ready(Diabetes(seed=2))
    assert (data.num_outputs, hasattr(data, "num_classes")) == (1, False)
    x, y = content(data.train_dataloader())
    assert (y.dtype, y.ndim, x.shape[1:]) == (torch.float32, 1, data.input_shape)
    for column in (*x.T, y):
        assert abs(column.mean()) < 1e-4
        assert abs(column.std(correction=0) - 1) < 1e-4
    own = torch.cat([content(getattr(data, part)())[1] for part in PARTS]) * data.target_std + data.target_mean
    np.testing.assert_allclose(np.sort(own), np.sort(load_diabetes(return_X_y=True)[1]), rtol=1e-5)
    small = ready(Diabetes(seed=2, train_size=30))
    assert len(content(small.train_dataloader())[1]) == 30
    assert torch.equal(content(small.test_dataloader())[0], content(data.test_dataloader())[0])


@pytest.mark.parametrize("shape", ["moons", "circles"])
def test_points_have_the_noise_they_are_given(shape):
    x, y = content(ready(Points(shape, noise=0.0, count=200, train_size=None)).test_dataloader())
    if shape == "circles":
        torch.testing.assert_close(x.norm(dim=1), torch.where(y == 0, 1.0, 0.5))
    noisy = [ready(Points(shape, noise=noise, train_size=None)) for noise in (0.0, 0.3)]
    spread = [content(data.test_dataloader())[0].var(0).sum() for data in noisy]
    assert abs(spread[1] - spread[0] - 2 * 0.3**2) < 0.05


def test_memory_tells_given_from_true_labels_in_the_order_of_the_part():
    data = ready(Squares(label_noise=0.5, batch_size=4))
    x, given, true = content(data.memory_dataloader())
    assert torch.equal((x[:, 0, 0, 0] * 200).round().long() // 40, true)
    assert (given != true).float().mean() == 0.5
    np.testing.assert_array_equal((x[:, 0, 0, 0] * 200).round().long().numpy(), data.arranged.split.train)
    trained = {float(image.mean()): int(label) for image, label in zip(*content(data.train_dataloader()), strict=True)}
    assert trained == {float(image.mean()): int(label) for image, label in zip(x, given, strict=True)}


def test_held_out_classes_change_what_is_announced_and_are_offered():
    data = ready(Squares(held_out_classes=[1, 3]))
    assert (data.num_classes, data.class_names) == (3, ("a", "c", "e"))
    assert Squares.num_classes == 5
    x, y = content(data.ood_dataloader())
    assert set(((x[:, 0, 0, 0] * 200).round().long() // 40).tolist()) == {1, 3}
    assert set(y.tolist()) == {-1}
    assert sorted(set(content(data.test_dataloader())[1].tolist())) == [0, 1, 2]
    assert ready(Squares()).ood_dataloader() == ()


def test_imbalance_is_in_training_alone():
    data = ready(Squares(imbalance=8))
    assert torch.bincount(content(data.train_dataloader())[1]).tolist() == [24, 14, 8, 5, 3]
    assert torch.bincount(content(data.test_dataloader())[1]).tolist() == [12] * 5


def test_without_validation_samples_the_test_samples_validate():
    data = ready(Squares(val_share=0))
    assert data.val_is_test
    assert len(data.arranged.split.train) == 140
    assert torch.equal(content(data.val_dataloader())[0], content(data.test_dataloader())[0])
    assert not Squares().val_is_test


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"held_out_classes": [5]}, r"held_out_classes must be different ones of the classes 0 to 4.*got \[5\]"),
        ({"held_out_classes": [0, 0]}, r"held_out_classes must be different .*got \[0, 0\]"),
        ({"held_out_classes": [0, 1, 2, 3]}, r"leaving at least two; got"),
        ({"noise_kind": "pink"}, "noise_kind must be symmetric or random; got 'pink'"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Squares(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": "spirals"}, "shape must be moons or circles; got 'spirals'"),
        ({"noise": -1}, "noise must be at least 0"),
        ({"count": 3}, "count must be at least 20"),
    ],
)
def test_impossible_points_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Points(**arguments)


def test_a_loader_before_setup_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"Squares is not loaded yet; call its setup\(\)"):
        Squares().train_dataloader()


def test_loader_processes_give_the_same_batches():
    alone, together = (content(ready(Squares(num_workers=workers)).test_dataloader()) for workers in (0, 2))
    assert torch.equal(alone[0], together[0])


@pytest.mark.parametrize("kind", [Points, BreastCancer, Mnist1d])
def test_it_trains_and_is_judged(trainer, kind):
    data = kind(label_noise=0.2)
    module = Spy(data.num_classes)
    module.net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(int(np.prod(data.input_shape)), data.num_classes)
    )
    trainer().fit(module, datamodule=data)
    scores = FullEvaluation(pgd_steps=0)(module, data).scores
    assert {"test/accuracy", "train/memorised"} <= set(scores)
    assert isinstance(data, ClassificationDataModule)


def test_importing_data_sets_imports_none_of_their_packages():
    heavy = ["datasets", "kornia", "mlxtend", "mnist1d", "river", "sklearn"]
    code = "import sys; from lightning_mixup.lab.data import ImageDataModule, TextDataModule as Text\n"
    code += "ImageDataModule('no/such-set', 32), Text('no/such-set')\n"
    code += f"print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
