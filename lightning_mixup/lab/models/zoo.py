"""Networks of other libraries."""

import difflib
import importlib
from collections.abc import Sequence
from typing import Any

from torch import nn

from lightning_mixup.lab.models.arguments import sizes
from lightning_mixup.lab.require import require


def timm_model(
    name: str,
    num_classes: int,
    input_shape: Sequence[int],
    pretrained: bool = False,
    img_size: int | None = None,
    drop_rate: float | None = None,
    drop_path_rate: float | None = None,
) -> nn.Module:
    """Build a network of timm by its name there, such as ``resnet50`` or ``deit_small_patch16_224``.

    Manifold Mixup finds its stages by itself: ``layer1`` and ``layer2`` of a ResNet, the first blocks of a ViT.

    Args:
        name: one of ``timm.list_models()``.
        num_classes: number of logits.
        input_shape: ``(channels, height, width)`` of one image; timm adapts the first layer to the channels.
        pretrained: whether to download weights and start from them.
        img_size: height and width of the images, for a transformer that is to see others than its name says; ``None``
            for networks that take any.
        drop_rate: probability in ``[0, 1)`` of zeros before the last layer; ``None`` for what the network has.
        drop_path_rate: probability in ``[0, 1)`` that the last block is left out for a sample, in training; earlier
            blocks are left out less often. ``None`` for what the network has.

    Returns:
        The network: ``(B, *input_shape)`` to ``(B, num_classes)``.

    Raises:
        ModuleNotFoundError: timm cannot be imported.
        ValueError: an argument is out of its range, or timm knows no such network.
    """
    channels, *_ = sizes(input_shape, "channels", "height", "width")
    for argument, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
        require(rate is None or 0 <= rate < 1, argument, rate, "null or in [0, 1)")
    require(":" not in name, "name", name, "a model of timm itself, for one from a hub can be anybody's")
    timm = import_timm("timm")
    similar = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0)
    require(timm.is_model(name), "name", name, f"a model of timm, such as {', '.join(similar)}")
    network: nn.Module = timm.create_model(
        name,
        pretrained=pretrained,
        num_classes=num_classes,
        in_chans=channels,
        img_size=img_size,
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )
    return network


def import_timm(module: str) -> Any:  # noqa: ANN401
    """Import ``timm``, or a module of it.

    Args:
        module: its full name.

    Raises:
        ModuleNotFoundError: it cannot be imported; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # the latter where torchvision, which timm imports, does not fit torch
        raise ModuleNotFoundError(
            f"This needs timm, and a torchvision that fits torch: pip install 'lightning-mixup[vision]' ({error})"
        ) from error
