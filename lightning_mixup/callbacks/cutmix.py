"""CutMix: regions of other images, labels by area."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.functional import Pairing, cutmix, sample_box
from lightning_mixup.schedules import Schedule


class CutMix(MixCallback):
    """Paste a region of one image into another and weigh the labels by area (Yun et al., ICCV 2019).

    Works on inputs ``(B, C, *spatial)``. A series ``(B, C, L)`` gets an interval, an image a box, and a clip or volume
    ``(B, C, T, H, W)`` a box of height and width through all of its frames or slices. ``lam`` is the share of pixels
    that are really the original's, after rounding and clipping at the border. Published: alpha 1, and prob 0.5 on
    CIFAR, 1 on ImageNet.

    Args:
        alpha: Strength, at least 0: intended areas are drawn from Beta(alpha, alpha). 0 mixes nothing.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. This and ``alpha`` may be a
            :class:`~lightning_mixup.schedules.Schedule`.
        per_sample: Draw a box for every sample instead of one for the batch.
        pairing: Who is mixed with whom: ``"shift"``, ``"permutation"`` or ``"flip"``; ``"same_class"`` or
            ``"different_class"``; ``"nearest"``, or ``Nearest(bandwidth=...)``, for regression; ``"memory"`` for the
            batch before; or a :class:`~lightning_mixup.Pairing` of one's own. It looks at the first target.
        targets: What ``training_step`` receives for each target, one word for all or a sequence of words. ``"labels"``:
            a :class:`~lightning_mixup.MixedTarget` of both labels. ``"values"``: their weighted mean, for regression.
            ``"mask"``: a map over the pixels, which CutMix cuts with the image. ``"soft"``: probabilities of shape
            ``(B, num_classes)``. ``"auto"`` chooses by dtype and shape: floating ``(B,)`` or ``(B, 1)`` are values,
            what covers the spatial dimensions of the input is a mask, all else labels.
        num_classes: Number of classes for ``"soft"``; None takes the attribute of that name of the module, of its
            ``hparams`` or of the data module.
        input_key: Where the batch holds its inputs: an index, a key or the name of an attribute, with dots if nested,
            or a sequence of these. All inputs share one draw.
        target_key: Where the batch holds its targets, likewise; None mixes the inputs alone. All other entries pass
            untouched.
        loss: Name of a submodule that computes a loss of one's own, called as ``loss(pred, target)``; it is evaluated
            on both labels, as by :func:`~lightning_mixup.interpolate_loss`.
        sync_ranks: Let all processes draw alike. By default each draws its own.
        seed: Seed of the draws in [0, 2**64); None follows ``seed_everything``, else one is drawn and logged.
        inplace: Mix in the memory of the batch. Then other callbacks see the mixed inputs, and a data set that hands
            out its own memory is overwritten.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> CutMix(alpha=1.0, prob=0.5)
        CutMix(prob=0.5)
    """

    def __init__(
        self,
        alpha: float | Schedule = 1.0,
        prob: float | Schedule = 1.0,
        *,
        per_sample: bool = False,
        pairing: str | Pairing = "shift",
        targets: str | Sequence[str] = "auto",
        num_classes: int | None = None,
        input_key: int | str | Sequence[int | str] = 0,
        target_key: int | str | Sequence[int | str] | None = 1,
        loss: str | None = None,
        sync_ranks: bool = False,
        seed: int | None = None,
        inplace: bool = False,
    ) -> None:
        super().__init__(
            alpha,
            prob,
            per_sample=per_sample,
            pairing=pairing,
            targets=targets,
            num_classes=num_classes,
            input_key=input_key,
            target_key=target_key,
            loss=loss,
            sync_ranks=sync_ranks,
            seed=seed,
            inplace=inplace,
        )

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse inputs without spatial dimensions, or with different ones."""
        sizes = {_boxed(x) for x in inputs}
        if len(sizes) > 1 or () in sizes:
            shapes = {key: tuple(x.shape) for key, x in zip(self.input_key, inputs, strict=True)}
            raise self._error(
                f"inputs must be (B, C, *spatial), all of one spatial size, got {shapes}; "
                "features without spatial dimensions can be mixed by Mixup"
            )

    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        progress: float,
        targets: Sequence[Tensor] = (),
        memory: Mapping[int | str, Tensor] | None = None,
    ) -> Draw:
        """Draw the box as well, whose real area is the weight."""
        draw = super().draw(rng, inputs, progress, targets, memory)
        if draw.method is None:
            return draw
        box = sample_box(rng, draw.lam, _boxed(inputs[0]))
        return replace(draw, lam=box.lam, box=box)

    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """See :meth:`MixCallback.mix`."""
        assert draw.box is not None
        return [
            cutmix(x, draw.box, draw.shift, inplace=self.inplace, memory=draw.memory.get(key))
            for key, x in zip(self.input_key, inputs, strict=True)
        ]

    def mix_mask(self, mask: Tensor, draw: Draw, memory: Tensor | None = None) -> Tensor:
        """Cut the mask with the image: every pixel keeps a label of its own."""
        assert draw.box is not None
        source = None if memory is None else memory.unsqueeze(1)
        return cutmix(mask.unsqueeze(1), draw.box, draw.shift, memory=source).squeeze(1)


def _boxed(x: Tensor) -> tuple[int, ...]:
    """Extent of the dimensions in which the box lies."""
    return tuple(x.shape[2:][-2:])
