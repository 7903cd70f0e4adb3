import pickle

import numpy as np
import pytest
import torch
from kornia.augmentation import RandomErasing
from lightning.pytorch import Callback
from pictures import MEAN, STD, content, original, picture, pixels, ready
from PIL import Image
from support import Spy

from lightning_mixup import Mixup
from lightning_mixup.lab.data import ImageDataModule


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
