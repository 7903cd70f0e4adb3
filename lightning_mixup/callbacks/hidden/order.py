"""Where the samples of a batch are in the output of a layer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Mix = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Order:
    """Where the samples are in a tensor.

    Attributes:
        dim: Dimension along which they lie.
        place: ``"alone"``: one row a sample. ``"first"``: several rows a sample, neighbours of each other. ``"last"``:
            several batches, one behind another. ``"front"``: the batch, and behind it others, which are not mixed.
    """

    dim: int = 0
    place: str = "alone"

    @classmethod
    def parse(cls, text: str) -> Order:
        """Read an order as users write it.

        Args:
            text: The leading dimensions, of which ``b`` is the batch: ``"t b"`` for time in front of it. What is one
                dimension stands in brackets, the slower first: ``"(b w)"`` for windows of each sample one after
                another, ``"(v b)"`` for one view of the whole batch after another. ``"b+"`` for the batch with others
                behind it.

        Returns:
            The order.

        Raises:
            ValueError: If it does not say where the batch is.

        Examples:
            >>> Order.parse("t b"), Order.parse("(b w)")
            (Order(dim=1, place='alone'), Order(dim=0, place='first'))
        """
        tokens = re.findall(r"\([^()]*\)|[^\s()]+", text) if isinstance(text, str) else []
        groups = [token.strip("()").split() for token in tokens]
        found = [dim for dim, group in enumerate(groups) if {"b", "b+"} & set(group)]
        if len(found) == 1:
            group = groups[found[0]]
            for place, held in (("alone", ["b"]), ("front", ["b+"])):
                if group == held:
                    return cls(found[0], place)
            for place, at in (("first", 0), ("last", -1)):
                if len(group) > 1 and group[at] == "b" and group.count("b") == 1 and "b+" not in group:
                    return cls(found[0], place)
        raise ValueError(
            "the order of the dimensions must name the batch once, as b: 'b', 't b' (time first), '(b w)' (windows of "
            "a sample side by side), '(v b)' (whole batches one behind another) or 'b+' (others behind the batch), "
            f"got {text!r}"
        )

    def fits(self, x: Tensor, batch_size: int) -> bool:
        """Whether a tensor can have so many samples there."""
        if x.ndim <= self.dim:
            return False
        size = x.shape[self.dim]
        if self.place == "alone":
            return size == batch_size
        return size >= batch_size and (self.place == "front" or size % batch_size == 0)

    def apply(self, x: Tensor, batch_size: int, mix: Mix) -> Tensor:
        """Mix the samples of a tensor.

        Args:
            x: A tensor that fits.
            batch_size: Number of samples.
            mix: Mixes a tensor of shape ``(batch_size, ...)``.

        Returns:
            A tensor like ``x``.
        """
        if self.place == "front":
            own, others = x.tensor_split([batch_size], self.dim)
            return torch.cat([mix(own.movedim(self.dim, 0)).movedim(0, self.dim), others], self.dim)
        if self.place == "alone":
            return mix(x.movedim(self.dim, 0)).movedim(0, self.dim) if self.dim else mix(x)
        sizes = (batch_size, -1) if self.place == "first" else (-1, batch_size)
        dim = self.dim + (self.place == "last")
        split = torch.unflatten(x, self.dim, sizes)
        return mix(split.movedim(dim, 0)).movedim(0, dim).flatten(self.dim, self.dim + 1)


def order_of(layer: nn.Module) -> Order:
    """The order of the output of torch's own layers; of all others, the batch in front.

    Args:
        layer: Any module.

    Returns:
        The order of its first output.

    Examples:
        >>> order_of(nn.LSTM(2, 2)), order_of(nn.LSTM(2, 2, batch_first=True))
        (Order(dim=1, place='alone'), Order(dim=0, place='alone'))
    """
    if isinstance(layer, (nn.TransformerEncoder, nn.TransformerDecoder)):
        layer = layer.layers[0]
    if isinstance(layer, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
        layer = layer.self_attn
    known = isinstance(layer, (nn.RNNBase, nn.MultiheadAttention, nn.Transformer))
    return Order(0 if not known or layer.batch_first else 1)
