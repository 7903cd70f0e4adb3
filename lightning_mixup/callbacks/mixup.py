"""Mixup: convex combinations of samples."""

from collections.abc import Sequence

from torch import Tensor

from lightning_mixup.callbacks.base import MixCallback
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.functional import Pairing, mixup
from lightning_mixup.schedules import Schedule


class Mixup(MixCallback):
    """Train on convex combinations of samples and of their labels (Zhang et al., ICLR 2018).

    Works on any floating point input ``(B, ...)``. Published strengths: 0.1 to 0.4 on ImageNet, 1 on CIFAR, 8 to 32
    where many labels are wrong.

    Args:
        alpha: Strength, at least 0: weights are drawn from Beta(alpha, alpha). 0 mixes nothing.
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed. This and ``alpha`` may be a
            :class:`~lightning_mixup.schedules.Schedule`.
        per_sample: Draw a weight for every sample instead of one for the batch.
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
        >>> Mixup(alpha=0.4, prob=0.5)
        Mixup(alpha=0.4, prob=0.5)
    """

    def __init__(
        self,
        alpha: float | Schedule = 0.2,
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

    def mix(self, inputs: Sequence[Tensor], draw: Draw) -> Sequence[Tensor]:
        """See :meth:`MixCallback.mix`."""
        return [
            mixup(x, draw.weight(x), draw.shift, inplace=self.inplace, memory=draw.memory.get(key))
            for key, x in zip(self.input_key, inputs, strict=True)
        ]
