"""Pure mixing: tensors and an explicit numpy generator in, tensors and numbers out.

``lam`` is everywhere the weight of the ORIGINAL sample: 1 leaves a sample as it is. Sample ``i`` is mixed with sample
``(i + shift) % B``. One cyclic shift for the whole batch is the default: a shuffled loader makes that as random as a
permutation, no sample of a batch of two or more meets itself, and the partner batch is two slices of the batch, so
nothing is gathered or copied to find it. Every other way to pair is a shift for each sample, from a ``Pairing``.
"""

from lightning_mixup.functional.mixing import cutmix as cutmix
from lightning_mixup.functional.mixing import mixup as mixup
from lightning_mixup.functional.mixing import partners as partners
from lightning_mixup.functional.pairing import Nearest as Nearest
from lightning_mixup.functional.pairing import Pairing as Pairing
from lightning_mixup.functional.sampling import Box as Box
from lightning_mixup.functional.sampling import generator as generator
from lightning_mixup.functional.sampling import sample_box as sample_box
from lightning_mixup.functional.sampling import sample_lam as sample_lam
from lightning_mixup.functional.sampling import sample_shift as sample_shift

__all__ = [
    "Box",
    "Nearest",
    "Pairing",
    "cutmix",
    "generator",
    "mixup",
    "partners",
    "sample_box",
    "sample_lam",
    "sample_shift",
]
