"""Where to mix if nobody says."""

from collections.abc import Iterator

from torch import nn

from lightning_mixup.callbacks.hidden.names import INPUT, layer_names, unwrap
from lightning_mixup.callbacks.hidden.training import Trained

_Part = tuple[str, nn.Module]


def default_layers(network: nn.Module) -> tuple[str, ...]:
    """Where to mix if nobody says: the input, or the embedding in its place, and the first two stages.

    A stage is a direct part of the network with at least two layers of weights that train; a network without such parts
    has its layers for stages. The last part is the output and never eligible. What does not train is passed over: a
    frozen teacher, a copy that is averaged.

    Args:
        network: A network, or a module that holds one beside losses and metrics.

    Returns:
        Names as in ``network.named_modules()``, and ``"input"``.

    Examples:
        >>> blocks = [nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)) for _ in range(3)]
        >>> default_layers(nn.Sequential(nn.Linear(2, 4), *blocks, nn.Linear(4, 2)))
        ('input', '1', '2')
    """
    return choose(network, Trained(network))[0]


def choose(network: nn.Module, trained: Trained) -> tuple[tuple[str, ...], dict[str, nn.Module]]:
    """The default layers, and the parts of the network that they were chosen from.

    Args:
        network: As for ``default_layers``.
        trained: What of it trains.

    Returns:
        The names that ``default_layers`` returns, and all parts beside them that train, by their names.
    """
    parts = list(_parts(network, "", trained))
    stages = [part for part in parts if trained.weights(part[1]) > 1]
    while len(stages) == 1 and len(deeper := list(_parts(stages[0][1], stages[0][0], trained))) > 1:
        parts, stages = deeper, [part for part in deeper if trained.weights(part[1]) > 1]
    names = [name for name, _ in (stages or parts) if name != parts[-1][0]]
    return (_embedding(network, trained) or INPUT, *names[:2]), dict(parts)


def _embedding(network: nn.Module, trained: Trained) -> str | None:
    for name, part in layer_names(network).items():
        if isinstance(part, nn.Embedding) and (trained.any(part) or trained.part_of_training(network, name)):
            return name
    return None


def _parts(module: nn.Module, prefix: str, trained: Trained) -> Iterator[_Part]:
    """Direct parts with weights that train; those of a mere list of modules, which is never called, in its place."""
    for name, child in unwrap(module).named_children():
        path, part = f"{prefix}.{name}" if prefix else name, unwrap(child)
        if isinstance(part, (nn.ModuleList, nn.ModuleDict)):
            yield from _parts(part, path, trained)
        elif trained.weights(part) > 0:
            yield path, part
