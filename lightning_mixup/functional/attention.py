"""Attention masks of mixed texts and sequences."""

import numpy as np
import torch
from torch import Tensor

from lightning_mixup.functional.sampling import Floats


def unite(mask: Tensor, partner_mask: Tensor, lam: float | Floats | Tensor = 0.5, *, padding: bool = False) -> Tensor:
    """Attend to the tokens of both samples of a mix.

    A mixed sequence is as long as the longer one of its two samples. With the mask of the original alone, the network
    would never see the rest of a longer partner.

    Args:
        mask: Attention mask of shape ``(B, ...)`` that is larger where there is a token: true, 1, or 0 beside minus
            infinity. Lengths of shape ``(B,)`` are united in the same way.
        partner_mask: That of the partners, from ``partners(mask, shift)``.
        lam: Weight of the original in [0, 1]: a number, or an array or a tensor of shape ``(B,)``. A sample of weight 1
            keeps its mask, and one of weight 0 has that of its partner.
        padding: Whether the mask is larger where there is no token, as ``key_padding_mask`` of
            ``torch.nn.MultiheadAttention`` is.

    Returns:
        The elementwise maximum of both masks, or the minimum with ``padding``; a tensor like ``mask``.

    Examples:
        >>> mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]])
        >>> unite(mask, mask.roll(-1, 0))
        tensor([[1, 1, 1, 0],
                [1, 1, 1, 0]])
        >>> unite(mask, mask.roll(-1, 0), lam=np.array([1.0, 0.0]))
        tensor([[1, 1, 0, 0],
                [1, 1, 0, 0]])
    """
    united = torch.minimum(mask, partner_mask) if padding else torch.maximum(mask, partner_mask)
    if not isinstance(lam, np.ndarray | Tensor):
        return mask.clone() if lam == 1 else partner_mask.clone() if lam == 0 else united
    weight = torch.as_tensor(lam).to(mask.device, non_blocking=True)
    weight = weight.expand(len(mask)).view(-1, *[1] * (mask.ndim - 1))
    return torch.where(weight == 1, mask, torch.where(weight == 0, partner_mask, united))
