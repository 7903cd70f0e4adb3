"""Pure mixing: tensors and an explicit numpy generator in, tensors and numbers out.

``lam`` is everywhere the weight of the ORIGINAL sample: 1 leaves a sample as it is. Sample ``i`` is mixed with sample
``(i + shift) % B``. One cyclic shift for the whole batch is the default. Every ordered pair of different samples is
then equally likely, no sample of a batch of two or more meets itself, and the partner batch is two slices of the batch,
so nothing is gathered or copied to find it. Every other way to pair is a shift for each sample, from a ``Pairing``.
"""

from lightning_mixup.functional.attention import unite as unite
from lightning_mixup.functional.blending import Weights as Weights
from lightning_mixup.functional.boxes import Box as Box
from lightning_mixup.functional.boxes import cut_dims as cut_dims
from lightning_mixup.functional.boxes import map_dims as map_dims
from lightning_mixup.functional.boxes import sample_box as sample_box
from lightning_mixup.functional.checks import check_mixable as check_mixable
from lightning_mixup.functional.checks import overlaps as overlaps
from lightning_mixup.functional.checks import shared_memory as shared_memory
from lightning_mixup.functional.checks import shares_memory as shares_memory
from lightning_mixup.functional.fmix import Mask as Mask
from lightning_mixup.functional.fmix import fmix as fmix
from lightning_mixup.functional.fmix import sample_fmix as sample_fmix
from lightning_mixup.functional.mixing import choose as choose
from lightning_mixup.functional.mixing import cutmix as cutmix
from lightning_mixup.functional.mixing import mixup as mixup
from lightning_mixup.functional.pairing import Nearest as Nearest
from lightning_mixup.functional.pairing import Pairing as Pairing
from lightning_mixup.functional.pairs import partners as partners
from lightning_mixup.functional.resizemix import resizemix as resizemix
from lightning_mixup.functional.resizemix import sample_resize as sample_resize
from lightning_mixup.functional.sampling import Stream as Stream
from lightning_mixup.functional.sampling import generator as generator
from lightning_mixup.functional.sampling import sample_lam as sample_lam
from lightning_mixup.functional.sampling import sample_shift as sample_shift

__all__ = [
    "Box",
    "Mask",
    "Nearest",
    "Pairing",
    "Stream",
    "Weights",
    "check_mixable",
    "choose",
    "cut_dims",
    "cutmix",
    "fmix",
    "generator",
    "map_dims",
    "mixup",
    "overlaps",
    "partners",
    "resizemix",
    "sample_box",
    "sample_fmix",
    "sample_lam",
    "sample_resize",
    "sample_shift",
    "shared_memory",
    "shares_memory",
    "unite",
]
