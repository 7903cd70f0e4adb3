"""Hidden layers: which there are, which run of them trains, and what of their output belongs to a sample."""

from lightning_mixup.callbacks.hidden.defaults import default_layers as default_layers
from lightning_mixup.callbacks.hidden.layers import HiddenLayers as HiddenLayers
from lightning_mixup.callbacks.hidden.layers import split as split

__all__ = ["HiddenLayers", "default_layers", "split"]
