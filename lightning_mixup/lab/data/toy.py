"""Points in the plane whose classes overlap: what a method does can be seen, and is known in seconds."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lightning_mixup.lab.data.arrays import ArrayDataModule
from lightning_mixup.lab.data.noise import NoiseKind
from lightning_mixup.lab.require import require

Shape = Literal["moons", "circles"]


class Points(ArrayDataModule):
    """Two classes of points in the plane, drawn anew for every seed; as they are, not normalised.

    Args:
        shape: ``"moons"``, two half circles that interlock, or ``"circles"``, one inside the other at half its radius.
        noise: standard deviation of the Gaussian noise added to both coordinates, at least 0; the shapes have radius 1.
        count: how many points are drawn, at least 20.
        batch_size: see ``ClassificationDataModule``, as for all that follow.
        num_workers: loader processes.
        train_size: how many of the training points to keep. Few, or there is little to gain: with the default of 200
            most points test.
        label_noise: share of training labels that are replaced.
        noise_kind: ``"symmetric"`` or ``"random"``.
        imbalance: largest over smallest class of the training part.
        val_share: share kept for validation.
        test_share: share kept for testing; ``None`` is 0.3.
        seed: decides the points as well.

    Raises:
        ValueError: an argument is out of its range.

    Examples:
        >>> data = Points("moons", noise=0.3)
        >>> data.setup()
        >>> [len(part) for part in data.arranged.split]
        [200, 500, 4000]
    """

    num_classes = 2
    input_shape = (2,)

    def __init__(
        self,
        shape: Shape = "moons",
        noise: float = 0.3,
        count: int = 5000,
        batch_size: int = 32,
        num_workers: int = 0,
        train_size: int | float | None = 200,
        label_noise: float = 0.0,
        noise_kind: NoiseKind = "symmetric",
        imbalance: float = 1.0,
        val_share: float = 0.1,
        test_share: float | None = 0.8,
        seed: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            num_workers=num_workers,
            train_size=train_size,
            label_noise=label_noise,
            noise_kind=noise_kind,
            imbalance=imbalance,
            val_share=val_share,
            test_share=test_share,
            seed=seed,
        )
        require(shape in get_args(Shape), "shape", shape, " or ".join(get_args(Shape)))
        require(noise >= 0, "noise", noise, "at least 0")
        require(count >= 20, "count", count, "at least 20")
        self.shape = shape
        self.noise = noise
        self.count = count
        self.class_names = ("upper", "lower") if shape == "moons" else ("outer", "inner")

    def load(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return the points, ``(count, 2)``, and their classes."""
        from sklearn.datasets import make_circles, make_moons

        draw = {"n_samples": self.count, "noise": self.noise, "random_state": self.seed}
        points, labels = make_moons(**draw) if self.shape == "moons" else make_circles(factor=0.5, **draw)
        return points.astype(np.float32), labels.astype(np.int64)
