"""What of a network trains: not a frozen teacher, nor a copy that follows by averages."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lightning_mixup.callbacks.hidden.names import find, unwrap


class Trained:
    """Knows which parameters train.

    Args:
        network: The network. If it is a LightningModule in a fit, its optimizers tell what trains, too: a copy that is
            averaged, and in no optimizer, does not.

    Examples:
        >>> net = nn.ModuleDict({"student": nn.Linear(2, 2), "teacher": nn.Linear(2, 2).requires_grad_(False)})
        >>> Trained(net).any(net["student"]), Trained(net).any(net["teacher"])
        (True, False)
    """

    def __init__(self, network: nn.Module) -> None:
        optimizers: Any = getattr(getattr(network, "_trainer", None), "optimizers", None) or ()
        known = {id(weight) for each in optimizers for group in each.param_groups for weight in group["params"]}
        # Strategies that shard may give their optimizers other tensors than the module has.
        self._optimized = known if any(id(weight) in known for weight in network.parameters()) else None
        averaged = (part for part in network.modules() if isinstance(part, AveragedModel))
        self._averaged = {id(weight) for part in averaged for weight in part.parameters()}

    def any(self, module: nn.Module) -> bool:
        """Whether something in a module trains."""
        return self.weights(module, ndim=0) > 0

    def weights(self, module: nn.Module, ndim: int = 2) -> int:
        """How many parameters of so many dimensions train in a module."""
        return sum(weight.ndim >= ndim and self._trains(weight) for weight in module.parameters())

    def _trains(self, weight: Tensor) -> bool:
        known = self._optimized is None or id(weight) in self._optimized
        return known and weight.requires_grad and id(weight) not in self._averaged

    def frozen(self, module: nn.Module) -> bool:
        """Whether a module has parameters, none of which trains."""
        return next(module.parameters(), None) is not None and not self.any(module)

    def part_of_training(self, root: nn.Module, name: str) -> bool:
        """Whether a layer that cannot say it by itself belongs to a part that trains.

        Word vectors that stay as they are, spectrograms and activations have outputs that need no gradient in front of
        layers that train, and in a frozen teacher.

        Args:
            root: The network.
            name: Name of the layer.

        Returns:
            True if the layer has no weights to train, and the smallest part around it that has others trains.
        """
        layer = find(root, name)
        if layer is None or self.any(layer) or (self.frozen(layer) and not isinstance(layer, _TABLES)):
            return False
        own = {id(weight) for weight in layer.parameters()}
        for part in _around(root, name):
            if any(id(weight) not in own for weight in part.parameters()):
                return self.any(part)
        return True


_TABLES = (nn.Embedding, nn.EmbeddingBag)


def _around(root: nn.Module, name: str) -> Iterator[nn.Module]:
    """What holds a layer, the nearest first."""
    while "." in name:
        name = name.rpartition(".")[0]
        if (part := find(root, name)) is not None:
            yield part
    yield unwrap(root)
