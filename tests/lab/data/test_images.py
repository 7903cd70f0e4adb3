import pickle
import sys

import datasets
import numpy as np
import pytest
import torch
from kornia.augmentation import RandomErasing
from lightning.pytorch import Callback
from PIL import Image
from support import Spy

from lightning_mixup import Mixup
from lightning_mixup.lab.data import ImageDataModule
from lightning_mixup.lab.data.images import centre_frame, normalise

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)
FEATURES = datasets.Features(
    {"img": datasets.Image(), "fine_label": datasets.ClassLabel(names=["ant", "bee", "cat", "dog"])}
)


def picture(index, size=(8, 8)):
    """No two are alike, and red tells the class."""
    pixels = np.random.default_rng(index).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    pixels[..., 0] = 60 * (index % 4)
    return Image.fromarray(pixels)


def table(start, count, size=lambda index: (8, 8)):
    indices = range(start, start + count)
    return datasets.Dataset.from_dict(
        {"img": [picture(index, size(index)) for index in indices], "fine_label": [index % 4 for index in indices]},
        features=FEATURES,
    )


@pytest.fixture(scope="module", autouse=True)
def quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The form of CIFAR on the hub: Parquet files named by split, columns img and fine_label."""
    path = tmp_path_factory.mktemp("cifar")
    table(0, 80).to_parquet(path / "train-00000-of-00001.parquet")
    table(80, 20).to_parquet(path / "test-00000-of-00001.parquet")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
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


def ready(data):
    data.setup()
    return data


def content(loader):
    return [torch.cat(column) for column in zip(*loader, strict=True)]


def pixels(x):
    """Undo the normalisation that is announced."""
    return (x * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]) * 255


def original(index):
    return torch.from_numpy(np.array(picture(index))).permute(2, 0, 1)


def test_it_announces_what_it_finds(cifar):
    data = cifar()
    assert (data.num_classes, data.class_names) == (4, ("ant", "bee", "cat", "dog"))
    assert (data.input_shape, data.mean, data.std, data.pixel_range) == ((3, 8, 8), MEAN, STD, (0.0, 1.0))


def test_it_holds_bytes_and_the_test_split_in_order(cifar):
    data = ready(cifar())
    x, y = content(data.test_dataloader())
    torch.testing.assert_close(pixels(x), torch.stack([original(80 + index) for index in range(20)]).float())
    assert y.tolist() == [index % 4 for index in range(20)]
    assert next(iter(data.train_dataloader()))[0].dtype == torch.uint8
    assert [len(part) for part in data.arranged.split] == [72, 8, 20]


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_seeded_part_of_the_train_split_validates(cifar, in_memory):
    first, again, other = (ready(cifar(seed=seed, in_memory=in_memory)) for seed in (0, 0, 1))
    assert set(first.arranged.split.val) < set(range(80))
    assert torch.equal(content(first.val_dataloader())[0], content(again.val_dataloader())[0])
    assert set(first.arranged.split.val) != set(other.arranged.split.val)
    torch.testing.assert_close(
        pixels(content(first.val_dataloader())[0]).round(),
        torch.stack([original(index) for index in first.arranged.split.val]).float(),
    )


@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize("flip", [True, False])
def test_training_images_are_cropped_and_flipped_and_then_normalised(cifar, mode, flip):
    data = ready(cifar(padding=2, padding_mode=mode, flip=flip, batch_size=72))
    torch.manual_seed(0)
    raw, labels = next(iter(data.train_dataloader()))
    x, same = data.on_after_batch_transfer([raw, labels], 0)
    assert same is labels
    padded = torch.nn.functional.pad(raw.float(), (2, 2, 2, 2), mode=mode)
    moved = mirrored = 0
    for image, wide in zip(pixels(x), padded, strict=True):
        crops = [(top, left, wide[:, top : top + 8, left : left + 8]) for top in range(5) for left in range(5)]
        straight = [(top, left) for top, left, crop in crops if torch.allclose(crop, image, atol=1e-2)]
        turned = [(top, left) for top, left, crop in crops if torch.allclose(crop.flip(-1), image, atol=1e-2)]
        assert straight or turned
        moved += (2, 2) not in straight + turned
        mirrored += not straight
    assert moved > 40  # 24 of 25 places
    assert 20 < mirrored < 52 if flip else mirrored == 0


def test_without_augmentation_training_images_are_as_they_are(cifar):
    data = ready(cifar(crop=None, flip=False))
    raw, labels = next(iter(data.train_dataloader()))
    torch.testing.assert_close(pixels(data.on_after_batch_transfer([raw, labels], 0)[0]), raw.float())


def test_further_augmentations_see_pixels_from_0_to_1(cifar):
    seen = []

    class Watch(torch.nn.Module):
        def forward(self, x):
            seen.append((x.min().item(), x.max().item()))
            return x

    data = ready(cifar(augment=[Watch(), RandomErasing(p=1.0)], crop=None, batch_size=72))
    x, _ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert 0 <= seen[0][0] < 0.1
    assert 0.9 < seen[0][1] <= 1
    erased = (pixels(x).abs() < 1e-2).all(dim=1)
    assert erased.flatten(1).any(1).all()


def test_batches_that_judge_are_never_augmented(cifar):
    data = ready(cifar(augment=[RandomErasing(p=1.0)], label_noise=0.5))
    for loader in (data.val_dataloader(), data.test_dataloader(), data.memory_dataloader()):
        batch = next(iter(loader))
        assert batch[0].dtype == torch.float32
        assert data.on_after_batch_transfer(batch, 0) is batch
    x, given, true = content(data.memory_dataloader())
    red = (pixels(x)[:, 0, 0, 0] / 60).round().long()
    assert torch.equal(red, true)
    assert (given != true).sum() == 36


def test_mixing_comes_after_augmentation_and_normalisation(cifar, trainer):
    """The callback is handed the batch that the hook has made: bytes are never mixed."""
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            seen.append(batch[0].clone())

    class Colours(Spy):
        def __init__(self):
            super().__init__(4)
            self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))

    module, mix = Colours(), Mixup(alpha=1.0, seed=0)
    trainer(Watch(), mix, limit_train_batches=1, num_sanity_val_steps=0).fit(module, datamodule=cifar())
    (clean,), (mixed, target) = seen, module.seen["train"][0]
    assert clean.dtype == torch.float32
    assert pixels(clean).max() > 200
    # All pairs of a batch, of which the callback has chosen one for each sample.
    pairs = mix.last.lam * clean[:, None] + (1 - mix.last.lam) * clean[None]
    close = (pairs - mixed[:, None]).abs().amax((2, 3, 4)) < 1e-4
    assert close.any(1).all()
    assert target.lam == pytest.approx(mix.last.lam)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-true", torch.bfloat16), ("64-true", torch.float64)])
def test_it_follows_the_precision_of_the_trainer(cifar, trainer, precision, dtype):
    class Colours(Spy):
        def __init__(self):
            super().__init__(4)
            self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))

    module = Colours()
    trainer(precision=precision, limit_train_batches=1).fit(module, datamodule=cifar(crop="pad"))
    x, y = module.seen["train"][0]
    assert (x.dtype, y.dtype) == (dtype, torch.int64)
    assert module.seen["val"][0][0].dtype == dtype


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_of_all_sizes_are_decoded_in_loaders(imagenet, workers):
    data = ready(imagenet(num_workers=workers, val_share=0.2))
    raw, y = content(data.train_dataloader())
    assert (raw.dtype, raw.shape) == (torch.uint8, (32, 3, 8, 8))
    # A crop of any place keeps the red of the class; interpolation does as well.
    assert torch.equal((raw[:, 0].float().mean((1, 2)) / 60).round().long(), y)
    x, y = content(data.test_dataloader())
    assert (x.dtype, x.shape) == (torch.float32, (12, 3, 8, 8))
    assert y.tolist() == [index % 4 for index in range(12)]


def test_random_rectangles_differ_and_cover_the_whole_picture(imagenet):
    data = ready(imagenet(scale=(0.5, 1.0)))
    frame = data._frame(training=True)
    image = Image.fromarray(np.broadcast_to(np.arange(100, dtype=np.uint8)[None, :, None], (80, 100, 3)).copy())
    torch.manual_seed(0)
    frames = torch.stack([frame(image) for _ in range(200)]).float()[:, 0]
    assert len(frames.unique(dim=0)) > 150
    # 8 pixels of a stretch of the ramp: its ends are near the ends of the rectangle.
    assert frames.min() < 8
    assert frames.max() > 92
    width = (frames[:, 0, -1] - frames[:, 0, 0]) * 8 / 7
    assert (width > 40).all()  # half of the area, three quarters as wide as high: 55 pixels
    pickle.loads(pickle.dumps(frame))  # for workers that are spawned


def test_rectangles_in_memory_are_cut_on_the_device(cifar):
    data = ready(cifar(crop="resized", scale=(0.2, 0.5), batch_size=72))
    raw, y = next(iter(data.train_dataloader()))
    assert raw.shape[1:] == (3, 8, 8)
    x, _ = data.on_after_batch_transfer([raw, y], 0)
    assert x.shape == raw.shape
    torch.testing.assert_close((pixels(x)[:, 0].mean((1, 2)) / 60).round().long(), y)
    assert not torch.allclose(pixels(x), raw.float(), atol=20)


def test_grey_images_are_one_channel(cifar):
    data = ready(cifar(channels=1, mean=0.5, std=0.25))
    x, _ = content(data.test_dataloader())
    assert x.shape[1:] == data.input_shape == (1, 8, 8)
    assert (data.mean, data.std) == ((0.5,), (0.25,))
    grey = np.array(picture(80).convert("L"), dtype=np.float32) / 255
    np.testing.assert_allclose(x[0, 0].numpy(), (grey - 0.5) / 0.25, rtol=1e-5)


def test_a_folder_of_images_is_a_data_set(tmp_path):
    for index in range(24):
        home = tmp_path / "pictures" / ("plants" if index % 4 < 2 else "animals")
        home.mkdir(parents=True, exist_ok=True)
        picture(index).save(home / f"{index}.png")
    arguments = {"image_size": 8, "data_dir": str(tmp_path / "pictures"), "cache_dir": str(tmp_path / "cache")}
    data = ImageDataModule("imagefolder", test_split=None, test_share=0.25, val_share=0.25, **arguments)
    assert (data.num_classes, data.class_names) == (2, ("animals", "plants"))
    data.setup()
    assert [len(part) for part in data.arranged.split] == [12, 6, 6]
    x, y = content(data.test_dataloader())
    assert torch.equal(((x * 0.25 + 0.5)[:, 0, 0, 0] * 255 / 60).round() < 2, y == 1)
    with pytest.raises(ValueError, match=r"test_split must be one or more, joined by \+, of train; got 'test'"):
        ImageDataModule("imagefolder", **arguments).setup()


def test_held_out_classes_follow_the_names(cifar):
    data = cifar(held_out_classes=[1], num_classes=4)
    assert (data.num_classes, data.class_names) == (3, ("ant", "cat", "dog"))
    x, _ = content(ready(data).ood_dataloader())
    assert set((pixels(x)[:, 0, 0, 0] / 60).round().tolist()) == {1.0}
    assert cifar(held_out_classes=[1]).num_classes == 3  # found out


def test_several_splits_can_train(cifar):
    assert len(ready(cifar(train_split="train+test", test_split=None, val_share=0)).arranged.true) == 100


def test_fake_images_have_the_form_of_the_real_ones(trainer):
    for in_memory in (True, False):
        data = ImageDataModule("no/such-set", 8, 100, val_share=0.05, fake=True, num_workers=3, in_memory=in_memory)
        data.prepare_data()
        data.setup("fit")
        x, y = next(iter(data.train_dataloader()))
        assert (x.dtype, tuple(x.shape[1:])) == (torch.uint8, (3, 8, 8))
        x, y = content(data.test_dataloader())
        assert sorted(set(y.tolist())) == list(range(100))
        assert len(x.unique(dim=0)) == len(x) == 200
        again = ImageDataModule("no/such-set", 8, 100, val_share=0.05, fake=True, in_memory=in_memory)
        assert torch.equal(content(ready(again).test_dataloader())[0], x)
    assert ImageDataModule("no/such-set", 8, fake=True).num_classes == 10


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


def test_pictures_keep_their_proportions_and_lose_their_edges():
    """A wide picture of three bands: the centre is left."""
    bands = np.zeros((10, 30, 3), dtype=np.uint8)
    bands[:, 10:20] = 200
    frame = centre_frame(Image.fromarray(bands), "RGB", size=10, resize=10)
    assert (frame == 200).all()
    half = centre_frame(Image.fromarray(bands), "RGB", size=2, resize=5)
    assert (half == 200).all()


def test_normalising_starts_from_bytes():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 3).expand(2, 1, 3)
    torch.testing.assert_close(
        normalise(x, mean=(0.0, 0.2), std=(1.0, 0.4)), torch.tensor([[[0.0, 0.2, 1.0]], [[-0.5, 0.0, 2.0]]])
    )
