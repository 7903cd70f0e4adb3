"""Handwritten digits that come with scikit-learn: real images, no download."""

import numpy as np
import numpy.typing as npt

from lightning_mixup.lab.data.arrays import ArrayDataModule


class Digits(ArrayDataModule):
    """1,797 grey images of handwritten digits, 8x8 pixels, scaled to ``[0, 1]`` and not normalised further.

    The data are the test part of the UCI optical recognition of handwritten digits set (Alpaydin and Kaynak, 1998).
    With the default shares 1,078 images train, 180 validate and 539 test. Arguments are those of
    ``ClassificationDataModule``.

    Examples:
        >>> data = Digits(batch_size=32, label_noise=0.4)
        >>> data.setup()
        >>> x, y = next(iter(data.train_dataloader()))
        >>> tuple(x.shape), tuple(y.shape), float(x.min()), float(x.max())
        ((32, 1, 8, 8), (32,), 0.0, 1.0)
    """

    num_classes = 10
    input_shape = (1, 8, 8)
    class_names = tuple("0123456789")
    pixel_range = (0.0, 1.0)

    def load(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the images, ``(1797, 1, 8, 8)``, and the digits they show."""
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        return (images / 16).astype(np.float32).reshape(-1, *self.input_shape), labels.astype(np.int64)
