"""Data sets of images: in memory or decoded by loader processes, augmented on the device."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from lightning_mixup.lab.data.base import Data, Rows
from lightning_mixup.lab.data.extras import extra
from lightning_mixup.lab.data.frames import Decoded, Frame, RandomFrame, centre_frame, normalise
from lightning_mixup.lab.data.hub import HubDataModule, require_column
from lightning_mixup.lab.data.noise import NoiseKind
from lightning_mixup.lab.data.splits import Indices
from lightning_mixup.lab.require import require

Crop = Literal["pad", "resized"]


class ImageDataModule(HubDataModule):
    """Images of the Hugging Face hub by name, or from a folder.

    The test split is the test set; a seeded part of the train split validates. Training batches leave the loader as
    uint8 and become float on the device, in ``on_after_batch_transfer``: cropped and flipped by kornia, then
    normalised, all before any mixing, which happens in ``training_step``. Batches to be judged, in the order of the
    data, leave the loader normalised, so that they can be used without a Trainer.

    Args:
        name: name on the hub, folder, or format; see ``load_table``.
        image_size: height and width of a sample in pixels, at least 1.
        num_classes: number of classes, those held out included; ``None`` loads the data to find out.
        image_column: column of the images.
        label_column: column of the classes.
        subset: configuration, of data sets that have several.
        data_dir: folder of the files, where ``name`` is a format.
        train_split: split that is trained on; several as ``"train+validation"``.
        test_split: split that is tested on; ``None`` where there is none: ``test_share`` of the train split tests.
        channels: 3 for colour, 1 for grey; images are converted.
        mean: subtracted from the pixels in ``[0, 1]``: a number, or one a channel.
        std: divides them, likewise; above 0.
        in_memory: hold all images in memory as uint8 (CIFAR: 184 MB). If not, loader processes read and decode them.
        crop: ``"pad"`` pads each training image and crops it to its size at a random place; ``"resized"`` crops a
            random rectangle of it and resizes that (Szegedy et al. 2015, section 6); ``None`` does neither.
        padding: pixels added at each side for ``"pad"``, at least 0.
        padding_mode: ``"constant"`` adds black pixels, ``"reflect"`` mirrors the image.
        scale: least and greatest share of the area of an image, for ``"resized"``.
        flip: whether half of the training images are mirrored.
        augment: further augmentations of training images, modules from ``(B, C, H, W)`` in ``[0, 1]`` to the same, such
            as ``kornia.augmentation.RandomErasing``; before normalisation.
        resize: shorter side, in pixels, to which images to be judged are resized before their centre is cropped;
            ``None`` is ``image_size``. Training images too, where ``crop`` is not ``"resized"``.
        cache_dir: where downloads are kept; ``None`` follows ``HF_HOME``.
        fake: put random images and labels in place of the data, to try a recipe without a download.
        batch_size: see ``ClassificationDataModule``, as for all that follow.
        num_workers: loader processes; 0 is fine in memory, several are needed to decode.
        train_size: training samples kept.
        label_noise: share of training labels that are replaced.
        noise_kind: ``"symmetric"`` or ``"random"``.
        imbalance: largest over smallest class of the training part.
        held_out_classes: classes that are in no part.
        val_share: share of the train split that validates; 0 trains on all of it and validates on the test split.
        test_share: share of all samples that test, in place of the test split; ``None`` is that split.
        seed: decides all that is drawn, but for the augmentation, which follows torch's global stream.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> data = ImageDataModule("uoft-cs/cifar10", image_size=32, num_classes=10, image_column="img", fake=True)
        >>> data.setup("fit")
        >>> x, y = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        >>> tuple(x.shape), x.dtype, data.num_classes, data.input_shape
        ((128, 3, 32, 32), torch.float32, 10, (3, 32, 32))
    """

    pixel_range = (0.0, 1.0)
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __init__(
        self,
        name: str,
        image_size: int,
        num_classes: int | None = None,
        image_column: str = "image",
        label_column: str = "label",
        subset: str | None = None,
        data_dir: str | None = None,
        train_split: str = "train",
        test_split: str | None = "test",
        channels: int = 3,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.25,
        in_memory: bool = True,
        crop: Crop | None = "pad",
        padding: int = 4,
        padding_mode: Literal["constant", "reflect"] = "constant",
        scale: Sequence[float] = (0.08, 1.0),
        flip: bool = True,
        augment: Sequence[nn.Module] | None = None,
        resize: int | None = None,
        cache_dir: str | None = None,
        fake: bool = False,
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
            name=name,
            label_column=label_column,
            subset=subset,
            data_dir=data_dir,
            train_split=train_split,
            test_split=test_split,
            num_classes=num_classes,
            cache_dir=cache_dir,
            fake=fake,
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
        require(image_size >= 1, "image_size", image_size, "at least 1")
        require(channels in (1, 3), "channels", channels, "1 (grey) or 3 (colour)")
        require(crop in (None, *get_args(Crop)), "crop", crop, "pad, resized or null")
        require(padding >= 0, "padding", padding, "at least 0")
        modes = ("constant", "reflect")
        require(padding_mode in modes, "padding_mode", padding_mode, " or ".join(modes))
        scale = tuple(scale)
        require(len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1, "scale", scale, "two shares in (0, 1], in order")
        require(resize is None or resize >= image_size, "resize", resize, f"at least image_size={image_size}, or null")
        self.mean, self.std = (_per_channel(*item, channels) for item in (("mean", mean), ("std", std)))
        require(all(value > 0 for value in self.std), "std", std, "above 0")
        self.image_size = image_size
        self.image_column = image_column
        self.channels = channels
        self.input_shape = (channels, image_size, image_size)
        self.in_memory = in_memory
        self.crop = crop
        self.padding = padding
        self.padding_mode = padding_mode
        self.scale = scale
        self.flip = flip
        self.augment = tuple(augment or ())
        self.resize = resize or image_size
        self._pixels: torch.Tensor | None = None
        self._augmentation: nn.Module | None = None

    def setup(self, stage: str | None = None) -> None:
        """Load and split, and decode what is held in memory, once."""
        super().setup(stage)
        if self._augmentation is not None:
            return
        if not self.fake:
            require_column(self.table.rows, "image_column", self.image_column)
            kind = type(self.table.rows.features[self.image_column]).__name__
            require(kind == "Image", "image_column", self.image_column, f"a column of images, not of {kind}")
        if self.in_memory:
            shape = (len(self.table.rows), *self.input_shape)
            self._pixels = torch.empty(shape, dtype=torch.uint8)
            frame = self._frame(training=False)
            for index, row in enumerate(self.table.rows):
                self._pixels[index] = frame(row[self.image_column])
        self._augmentation = self._build_augmentation()

    def samples(self, indices: Indices, *labels: torch.Tensor, training: bool = False) -> Data:
        """Some samples with their labels: uint8 to be augmented, or float and normalised."""
        where = torch.from_numpy(indices)
        finish = None if training else partial(normalise, mean=self.mean, std=self.std)
        if self._pixels is not None:
            return Rows(self._pixels, where, *labels, finish=finish)
        return Decoded(self.table.rows, self.image_column, self._frame(training), finish, where, *labels)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Augment and normalise a training batch, on the device that it is on. Others have been normalised before."""
        x, *labels = batch
        if x.dtype != torch.uint8:
            return batch
        assert self._augmentation is not None
        with torch.no_grad():
            x = normalise(self._augmentation(x.float() / 255) * 255, self.mean, self.std)
        # A Trainer converts the inputs to the precision of the run before they come here, but bytes it leaves alone.
        return [self.trainer.precision_plugin.convert_input(x) if self.trainer else x, *labels]

    def pretend_row(self, rng: np.random.Generator) -> dict[str, Any]:
        """Make a random image."""
        from PIL import Image

        size = (self.image_size, self.image_size, 3)
        return {self.image_column: Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))}

    @property
    def _judged_at_once(self) -> int:
        return super()._judged_at_once if self.in_memory else self.batch_size

    def _frame(self, training: bool) -> Frame:
        mode = "RGB" if self.channels == 3 else "L"
        if training and self.crop == "resized":
            return RandomFrame(mode, self.image_size, self.scale)
        return partial(centre_frame, mode=mode, size=self.image_size, resize=self.resize)

    def _build_augmentation(self) -> nn.Module:
        steps: list[nn.Module] = []
        side = (self.image_size, self.image_size)
        if self.crop == "pad":
            kornia = extra("kornia.augmentation", "vision")
            steps.append(kornia.RandomCrop(side, padding=self.padding, padding_mode=self.padding_mode))
        elif self.crop == "resized" and self.in_memory:
            kornia = extra("kornia.augmentation", "vision")
            steps.append(kornia.RandomResizedCrop(side, scale=self.scale))
        if self.flip:
            steps.append(extra("kornia.augmentation", "vision").RandomHorizontalFlip(p=0.5))
        return nn.Sequential(*steps, *self.augment)


def _per_channel(name: str, value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * channels
    require(len(values) == channels, name, value, f"a number, or one for each of channels={channels}")
    return values
