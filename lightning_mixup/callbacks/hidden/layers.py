"""The layers of a network that are mixed, from the start of a fit to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from lightning_mixup.callbacks.hidden.branches import Branches
from lightning_mixup.callbacks.hidden.defaults import choose
from lightning_mixup.callbacks.hidden.hook import LayerHook, Weight
from lightning_mixup.callbacks.hidden.names import INPUT, find, layer_names, match, near, path
from lightning_mixup.callbacks.hidden.order import Order
from lightning_mixup.callbacks.hidden.outputs import Outputs
from lightning_mixup.callbacks.hidden.training import Trained

Names = Sequence[str] | Mapping[str, str]


class HiddenLayers:
    """Stands on the hidden layers of a network for a fit, and mixes one of them, or several together, in a step.

    Each step is ``arm``, the step itself, ``verify``, and ``disarm`` after the backward pass, in which activation
    checkpointing may run layers again.

    Args:
        layers: Names of eligible submodules, ``"input"`` for the input of the network. In a name ``*`` stands for any
            part between dots and ``**`` for any part, among what trains. ``"a + b"`` are layers of several branches,
            mixed together. A mapping gives each name the order of its leading dimensions, ``"b"`` being the batch; see
            ``Order.parse``. None takes ``default_layers``.
        name: Name of the callback, for errors.
        run: Which run of a layer that trains is mixed, counted from 0; ``"all"`` for each of them. None if a layer must
            not train twice in a step.

    Raises:
        ValueError: If an order does not say where the batch is.

    Examples:
        >>> import numpy as np
        >>> net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
        >>> net[0].weight.data.fill_(1.0)
        tensor([[1.]])
        >>> hidden = HiddenLayers(["0"])
        >>> hidden.attach(net)
        ('0',)
        >>> hidden.arm("0", batch_size=2, lam=0.75, shift=1, device=torch.device("cpu"))
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> net(x).flatten().tolist()
        [1.25, 1.75]
        >>> hidden.verify(), hidden.disarm(), hidden.detach()
        (None, None, None)
    """

    def __init__(self, layers: Names | None, name: str = "ManifoldMixup", run: int | str | None = None) -> None:
        self.layers, self.name, self.run = layers, name, run
        orders = layers if isinstance(layers, Mapping) else {}
        try:
            self.orders = {pattern: Order.parse(order) for pattern, order in orders.items()}
        except ValueError as error:
            raise ValueError(f"{name}: layers: {error}") from None
        self._hooks: dict[str, LayerHook] = {}
        self._armed: list[str] = []
        self._branches: Branches | None = None
        self._root: nn.Module = _NO_NETWORK
        self._paths: dict[str, list[str]] = {}
        self._order_of: dict[str, Order] = {}
        self._compiled = False

    def attach(self, module: nn.Module, inputs: bool = True) -> tuple[str, ...]:
        """Hook every eligible layer once, so that a compiled network knows of all of them from the start.

        Args:
            module: The network, or a LightningModule that holds it.
            inputs: Whether there is an input to mix, as there is none in a batch of graphs.

        Returns:
            The eligible names, ``"input"`` among them.

        Raises:
            MisconfigurationException: If there is no layer of a name, or no layer at all.
        """
        self.detach()
        self._root, trained, known = module, Trained(module), layer_names(module)
        parts: Mapping[str, nn.Module] = {}
        if self.layers is None:
            eligible, parts = choose(module, trained)
        else:
            eligible, self._order_of = self._match(self.layers, known, trained)
        if not inputs:
            eligible = self._without_input(eligible)
        for name in dict.fromkeys(part for names in eligible for part in split(names) if part != INPUT):
            layer = find(module, name)
            assert layer is not None
            title = f"{self.name}: layer {name!r}"
            outputs = Outputs(layer, title, name, self._order_of.get(name))
            self._hooks[name] = LayerHook(layer, title, outputs, self.run, trained.part_of_training(module, name))
            self._paths[name] = path(module, name)
        if self.layers is None:
            self._branches = Branches({name: hook.layer for name, hook in self._hooks.items()}, parts, self.name)
        self._compiled = _compiled(module)
        return eligible

    def arm(self, layer: str, batch_size: int, lam: Weight, shift: int | Tensor, device: torch.device) -> None:
        """Mix a layer in the next step.

        Args:
            layer: One of the eligible names. The input is not mixed here.
            batch_size: Number of samples B.
            lam: Weight of the original: a number, or an array or a tensor of shape ``(B,)``.
            shift: Distance to the partner: a number, or a tensor of one for all or of shape ``(B,)``.
            device: Where the network is.

        Raises:
            MisconfigurationException: If there is no longer a layer of this name.
        """
        self.disarm()
        for name in split(layer):
            if name != INPUT:
                self._find_again(name)
                self._hooks[name].arm(batch_size, lam, shift, device, self._compiled)
                self._armed.append(name)
        if self._branches is not None:
            self._branches.begin()

    def verify(self) -> None:
        """Make sure that what was armed was mixed, in the run that trains.

        Raises:
            MisconfigurationException: If not, for then only the labels were mixed.
        """
        for name in self._armed:
            if (problem := self._hooks[name].problem()) is None:
                continue
            if not self._stands(name):
                problem = (
                    f"{self.name}: layer {name!r} was replaced by another module during training_step, so that the "
                    "labels were mixed and nothing else; replace it between steps, in on_train_batch_start"
                )
            raise MisconfigurationException(problem)

    def disarm(self) -> None:
        """Leave all layers as they are."""
        for name in self._armed:
            self._hooks[name].disarm()
        self._armed = []
        if self._branches is not None:
            self._branches.end()

    def detach(self) -> None:
        """Take all hooks away."""
        for hook in self._hooks.values():
            hook.handle.remove()
        if self._branches is not None:
            self._branches.remove()
        self._root, self._hooks, self._paths, self._armed, self._branches = _NO_NETWORK, {}, {}, [], None

    def __getstate__(self) -> dict[str, Any]:
        """A copy stands on no network."""
        return {"layers": self.layers, "name": self.name, "run": self.run}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _match(
        self, layers: Names, known: Mapping[str, nn.Module], trained: Trained
    ) -> tuple[tuple[str, ...], dict[str, Order]]:
        eligible: dict[str, None] = {}
        orders: dict[str, Order] = {}
        for entry in layers:
            together = split(entry)
            found = [self._one(pattern, known, trained) for pattern in together]
            names = [name for each in found for name in each]
            orders.update((name, self.orders[entry]) for name in names if entry in self.orders)
            eligible.update(dict.fromkeys(names if len(together) == 1 else [" + ".join(names)]))
        return tuple(eligible), orders

    def _without_input(self, eligible: tuple[str, ...]) -> tuple[str, ...]:
        if self.layers is None:
            eligible = tuple(name for name in eligible if name != INPUT)
        if not eligible or any(INPUT in split(name) for name in eligible):
            raise MisconfigurationException(
                f"{self.name}: layers may not name the input, for input_key=None says that there is none to mix, and "
                f"must name a hidden layer with a row for each sample, such as layers=['pool']; eligible: {eligible}"
            )
        return eligible

    def _one(self, pattern: str, known: Mapping[str, nn.Module], trained: Trained) -> list[str]:
        found = match(pattern, self._root, known)
        if not found:
            raise MisconfigurationException(
                f"{self.name}: no layer is called {pattern!r}; similar: {near(pattern, (INPUT, *known))}; layers that "
                "the module makes later can be named if it makes them in its constructor or in configure_model"
            )
        if "*" not in pattern:
            return found
        # A pattern means what trains, and no teacher beside it.
        live = [name for name in found if name == INPUT or self._lives(name, known[name], trained)]
        if not live:
            raise MisconfigurationException(
                f"{self.name}: all layers called {pattern!r} are frozen, and mixed is what trains: {found}"
            )
        return live

    def _lives(self, name: str, layer: nn.Module, trained: Trained) -> bool:
        return trained.any(layer) or trained.part_of_training(self._root, name)

    def _stands(self, name: str) -> bool:
        """Whether the layer of a name is still the one that we stand on."""
        module: nn.Module | None = self._root
        for part in self._paths[name]:
            module = module._modules.get(part) if module is not None else None
        return module is self._hooks[name].layer

    def _find_again(self, name: str) -> None:
        if self._stands(name):
            return
        layer = find(self._root, name)
        if layer is None:
            raise MisconfigurationException(
                f"{self.name}: layer {name!r} was there when the fit began and is no longer; similar: "
                f"{near(name, layer_names(self._root))}; leave it out of layers"
            )
        hook = self._hooks[name]
        hook.handle.remove()
        hook.put_on(layer)
        hook.outputs = Outputs(layer, hook.title, name, self._order_of.get(name))
        self._paths[name] = path(self._root, name)


_NO_NETWORK = nn.Module()


def split(layer: str) -> list[str]:
    """The layers that are mixed together under an eligible name.

    Args:
        layer: Names with ``" + "`` between them.

    Returns:
        Each name.

    Examples:
        >>> split("image.layer1 + text"), split("input")
        (['image.layer1', 'text'], ['input'])
    """
    return [part.strip() for part in layer.split(" + ")]


def _compiled(module: nn.Module) -> bool:
    """Whether something of a network is compiled before the fit begins."""
    return any(
        getattr(part, "_compiled_call_impl", None) is not None
        or "_orig_mod" in part._modules
        or part.__dict__.get("_compiler_ctx") is not None  # every LightningModule has it
        for part in module.modules()
    )
