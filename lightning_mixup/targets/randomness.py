"""The same random numbers twice: for the loss of one label and of the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

# Functions of torch.nn.functional that are written in Python and draw nothing. Any other one may.
_CALM = frozenset(
    "binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cosine_similarity cross_entropy "
    "ctc_loss elu embedding gaussian_nll_loss gelu hinge_embedding_loss huber_loss interpolate kl_div l1_loss "
    "layer_norm leaky_relu log_softmax logsigmoid margin_ranking_loss max_pool2d mse_loss multi_margin_loss "
    "multilabel_margin_loss multilabel_soft_margin_loss nll_loss normalize one_hot pad pairwise_distance "
    "poisson_nll_loss relu sigmoid silu smooth_l1_loss soft_margin_loss softmax softmin softplus tanh "
    "triplet_margin_loss triplet_margin_with_distance_loss avg_pool2d adaptive_avg_pool2d batch_norm".split()
)


def draws(func: Callable[..., Any], name: str) -> bool:
    """Whether a function of torch may draw random numbers.

    Args:
        func: The function or method.
        name: Its name.

    Returns:
        False only if it surely draws none.
    """
    module = getattr(func, "__module__", None) or ""
    if hasattr(func, "__code__"):
        return module not in ("torch._tensor", "torch.functional") and name not in _CALM
    packet = getattr(torch.ops.aten, name, None) if name.isidentifier() and not name.startswith("__") else None
    if packet is None:
        return module.startswith("torch._C._nn") and "attention" in name
    overloads = [getattr(packet, overload) for overload in packet.overloads()]
    return any(torch.Tag.nondeterministic_seeded in overload.tags for overload in overloads)


def snapshot(others: Iterable[torch.Generator] = (), *, python: bool = False) -> Callable[[], None]:
    """Remember the state of all random generators of this process.

    Args:
        others: Generators beside those of torch itself.
        python: Whether those of Python and NumPy count, too.

    Returns:
        A function that brings the state back.
    """
    generators = [torch.default_generator, *others]
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        generators.append(torch.cuda.default_generators[torch.cuda.current_device()])
    states = [(generator, generator.get_state()) for generator in generators]
    more = (random.getstate(), np.random.get_state()) if python else None  # noqa: NPY002

    def restore() -> None:
        for generator, state in states:
            generator.set_state(state)
        if more is not None:
            random.setstate(more[0])
            np.random.set_state(more[1])  # noqa: NPY002

    return restore
