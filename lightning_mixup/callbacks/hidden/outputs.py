"""What of the output of a layer belongs to samples, and is mixed: every tensor that has the batch in it."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lightning_mixup.callbacks import containers
from lightning_mixup.callbacks.hidden.order import Mix, Order, order_of
from lightning_mixup.functional import check_mixable
from lightning_mixup.targets import MixedTarget

_STATES = Order(1)  # of RNNs: (layers, B, features)


class Outputs:
    """Mixes the outputs of one layer.

    Args:
        layer: The layer.
        title: How errors begin: callback and layer.
        name: Name of the layer.
        order: Where the samples are in its output; None if nobody said.
    """

    def __init__(self, layer: nn.Module, title: str, name: str, order: Order | None) -> None:
        self.title, self.name, self.given = title, name, order
        self.order = order or order_of(layer)
        self._plain = self.order == Order()
        # What such layers return second has an order of its own: states, or attention weights.
        self.second = _STATES if isinstance(layer, nn.RNNBase) else Order()
        self.two = isinstance(layer, (nn.RNNBase, nn.MultiheadAttention))
        self.holds_recurrent = order is None and any(isinstance(part, nn.RNNBase) for part in layer.modules())

    def mix(self, output: Any, batch_size: int, mix: Mix) -> Any:  # noqa: ANN401
        """Mix every tensor that has the batch in it.

        Args:
            output: A tensor, or tuples, lists, mappings and dataclasses of tensors and other things, nested at will.
            batch_size: Number of samples.
            mix: Mixes a tensor of shape ``(batch_size, ...)``.

        Returns:
            A copy in which these tensors are mixed, and all else is as it was.

        Raises:
            TypeError: If there is no floating point tensor, or one that cannot be mixed.
            ValueError: If the first one does not have the batch where it should.
        """
        if self._plain and type(output) is Tensor and _ordinary(output) and output.shape[0] == batch_size:
            return mix(output)
        self._require(output, self._main(output), batch_size)
        done: dict[int, Tensor] = {}  # one tensor may stand in two places
        if self.two and isinstance(output, tuple):
            first, second = output
            return (
                self._mix(first, batch_size, mix, self.order, done),
                self._mix(second, batch_size, mix, self.second, done),
            )
        return self._mix(output, batch_size, mix, self.order, done)

    def _main(self, output: Any) -> Tensor | None:  # noqa: ANN401
        """What a layer is there for: its first tensor of samples that needs a gradient, or else the first one."""
        found = [x for x in tensors(output) if x.is_floating_point() or x.is_complex()]
        found = [x for x in found if x.ndim] or found
        return next((x for x in found if x.requires_grad), found[0] if found else None)

    def _require(self, output: Any, main: Tensor | None, batch_size: int) -> None:  # noqa: ANN401
        """Raise unless the main tensor is one of samples."""
        for entry in leaves(output):
            self._check(entry, batch_size)
        if main is None or not (main.is_floating_point() or main.is_complex()):
            raise TypeError(f"{self.title} returned no floating point tensor: {_kind(output)}; choose another layer")
        if main.ndim and (reason := check_mixable(main)):
            raise TypeError(f"{self.title} returned a tensor that {reason}, or choose another layer")
        if self._order(main, batch_size, self.order) is None:
            raise ValueError(f"{self.title} returned shape {tuple(main.shape)}, of which {self._misfit(batch_size)}")

    def _check(self, entry: Any, batch_size: int) -> None:  # noqa: ANN401
        """Refuse what is not a tensor and holds samples."""
        if isinstance(entry, PackedSequence):
            raise TypeError(
                f"{self.title} returned a PackedSequence, in which the steps of all samples are mingled; name a layer "
                "in front of pack_padded_sequence, or one behind pad_packed_sequence"
            )
        if isinstance(entry, MixedTarget):
            raise TypeError(
                f"{self.title} returned what it had computed from the labels, which are mixed before its output is; "
                "name a layer inside of it"
            )
        if isinstance(entry, Tensor) or not hasattr(entry, "__dict__") or isinstance(entry, (type, nn.Module)):
            return
        for name, value in vars(entry).items():
            if isinstance(value, Tensor) and value.is_floating_point() and self.order.fits(value, batch_size):
                raise TypeError(
                    f"{self.title} returned a {type(entry).__name__}, whose {name!r} of shape {tuple(value.shape)} "
                    "would not be mixed; return tuples, dictionaries or dataclasses of tensors, or choose another layer"
                )

    def _misfit(self, batch_size: int) -> str:
        say = f"say where the samples are, layers={{{self.name!r}: "
        if self.given is not None:
            return f"no batch of {batch_size} can be where layers[{self.name!r}] says; {say}...}}"
        where = "first" if not self.order.dim else "second"
        return (
            f"the {where} dimension is not the batch of {batch_size}; choose another layer, or {say}'(b w)'}} if a "
            "sample has several rows side by side (windows, heads), '(v b)' if whole batches follow one another "
            "(views, crops), 'b+' if others follow the batch, 't b' if the batch is the second dimension"
        )

    def _order(self, x: Tensor, batch_size: int, order: Order) -> Order | None:
        if order.fits(x, batch_size):
            return order
        # What holds an RNN hands on its states.
        return _STATES if self.holds_recurrent and x.ndim == 3 and _STATES.fits(x, batch_size) else None

    def _mix(self, output: Any, batch_size: int, mix: Mix, order: Order, done: dict[int, Tensor]) -> Any:  # noqa: ANN401
        if isinstance(output, Tensor):
            if not (output.is_floating_point() or output.is_complex()):
                return output
            found = self._order(output, batch_size, order)
            if found is None:
                return output
            if id(output) not in done:
                whole = output.is_complex()
                mixed = found.apply(torch.view_as_real(output) if whole else output, batch_size, mix)
                done[id(output)] = torch.view_as_complex(mixed) if whole else mixed
            return done[id(output)]
        for key, entry in _entries(output):
            mixed = self._mix(entry, batch_size, mix, order, done)
            if mixed is not entry:
                output = containers.replace(output, key, mixed)
        return output


def tensors(output: Any) -> Iterator[Tensor]:  # noqa: ANN401
    """All tensors in tuples, lists, mappings and dataclasses, nested at will.

    Args:
        output: What a layer returned, or was given.

    Yields:
        The tensors in order.

    Examples:
        >>> [x.item() for x in tensors({"a": (torch.tensor(1), None), "b": [torch.tensor(2)]})]
        [1, 2]
    """
    for leaf in leaves(output):
        if isinstance(leaf, (Tensor, PackedSequence)):
            yield leaf if isinstance(leaf, Tensor) else leaf.data


def leaves(output: Any) -> Iterator[Any]:  # noqa: ANN401
    """All that is no container.

    Args:
        output: As for ``tensors``.

    Yields:
        The leaves in order; a packed sequence is one.
    """
    if isinstance(output, (Tensor, PackedSequence)) or not (entries := list(_entries(output))):
        yield output
        return
    for _, entry in entries:
        yield from leaves(entry)


def _ordinary(x: Tensor) -> bool:
    return x.is_floating_point() and x.layout is torch.strided and not x.is_nested and x.ndim > 0


def _entries(output: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
    if isinstance(output, (tuple, list)):
        yield from enumerate(output)
    elif isinstance(output, Mapping):
        yield from output.items()
    elif not isinstance(output, type) and (dataclasses.is_dataclass(output) or hasattr(output, "__attrs_attrs__")):
        names = dataclasses.fields(output) if dataclasses.is_dataclass(output) else output.__attrs_attrs__
        yield from ((field.name, getattr(output, field.name)) for field in names)


def _kind(output: Any) -> str:  # noqa: ANN401
    return f"{output.dtype} of shape {tuple(output.shape)}" if isinstance(output, Tensor) else repr(type(output))
