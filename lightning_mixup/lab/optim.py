"""Optimizers and learning rates that published protocols need beside those of torch."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lightning_mixup.lab.models.zoo import import_timm
from lightning_mixup.lab.require import require


def adamw(
    parameters: Iterable[nn.Parameter],
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """AdamW as vision transformers are trained with it: biases and the weights of normalisation do not decay.

    Args:
        parameters: of the module.
        lr: learning rate.
        weight_decay: decoupled, of all parameters of two dimensions or more.
        betas: decay rates of the averages of gradients and of their squares.
        eps: added to the root of the latter.

    Returns:
        The optimizer.

    Examples:
        >>> optimizer = adamw(nn.Linear(3, 2).parameters(), lr=0.1)
        >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
        [(1, 0.05), (1, 0.0)]
    """
    first, second = betas
    return torch.optim.AdamW(_groups(parameters, weight_decay), lr=lr, betas=(first, second), eps=eps)


def lamb(parameters: Iterable[nn.Parameter], lr: float = 5e-3, weight_decay: float = 0.02) -> Optimizer:
    """LAMB for large batches (You et al. 2020), from timm; biases and the weights of normalisation do not decay.

    Args:
        parameters: of the module.
        lr: learning rate.
        weight_decay: decoupled, of all parameters of two dimensions or more.

    Returns:
        The optimizer.

    Raises:
        ModuleNotFoundError: timm cannot be imported.
    """
    optimizer: Optimizer = import_timm("timm.optim").Lamb(_groups(parameters, weight_decay), lr=lr, weight_decay=0.0)
    return optimizer


def multistep(
    optimizer: Optimizer,
    total_steps: int,
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
    warmup: float = 0.0,
    start: float = 0.0,
) -> LambdaLR:
    """Multiply the learning rate by ``gamma`` whenever a further share of training is done.

    Args:
        optimizer: whose learning rate it is.
        total_steps: optimizer steps of the whole run.
        milestones: shares of training in (0, 1), increasing: 0.5 of 200 epochs is after 100.
        gamma: in (0, 1].
        warmup: share of training, before the first milestone, in which the learning rate rises linearly to that of the
            optimizer.
        start: learning rate at the first step of such a rise, as a share of the optimizer's, in [0, 1].

    Returns:
        A scheduler to be stepped after every optimizer step.

    Raises:
        ValueError: an argument is out of range.

    Examples:
        >>> optimizer = torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=1.0)
        >>> scheduler = multistep(optimizer, total_steps=8, warmup=0.25, start=0.5)
        >>> [round(scheduler.lr_lambdas[0](step), 3) for step in range(8)]
        [0.5, 0.75, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    shares = tuple(milestones)
    increasing = all(0 < share < 1 for share in shares) and list(shares) == sorted(set(shares))
    require(increasing, "milestones", shares, "increasing shares of training in (0, 1), such as 0.5")
    require(0 < gamma <= 1, "gamma", gamma, "in (0, 1]")
    require(0 <= warmup < min(shares, default=1), "warmup", warmup, "a share of training before the first milestone")
    require(0 <= start <= 1, "start", start, "a share of the learning rate in [0, 1]")
    drops = [max(1, round(share * total_steps)) for share in shares]
    rise = round(warmup * total_steps)

    def share_at(step: int) -> float:
        return _rise(step, rise, start) if step < rise else gamma ** bisect_right(drops, step)

    return LambdaLR(optimizer, share_at)


def warmup_cosine(
    optimizer: Optimizer, total_steps: int, warmup: float = 0.05, start: float = 0.001, end: float = 0.0
) -> LambdaLR:
    """Rise linearly to the optimizer's learning rate, then fall along half a cosine.

    Args:
        optimizer: whose learning rate it is.
        total_steps: optimizer steps of the whole run.
        warmup: share of training in which it rises, in [0, 1).
        start: learning rate at the first step, as a share of the optimizer's, in [0, 1].
        end: learning rate after the last step, likewise.

    Returns:
        A scheduler to be stepped after every optimizer step.

    Raises:
        ValueError: an argument is out of range.

    Examples:
        >>> optimizer = torch.optim.SGD(nn.Linear(3, 2).parameters(), lr=1.0)
        >>> scheduler = warmup_cosine(optimizer, total_steps=8, warmup=0.25, start=0.5, end=0.1)
        >>> [round(scheduler.lr_lambdas[0](step), 3) for step in range(9)]
        [0.5, 0.75, 1.0, 0.94, 0.775, 0.55, 0.325, 0.16, 0.1]
    """
    require(0 <= warmup < 1, "warmup", warmup, "a share of training in [0, 1), such as 0.05")
    require(0 <= start <= 1, "start", start, "a share of the learning rate in [0, 1]")
    require(0 <= end <= 1, "end", end, "a share of the learning rate in [0, 1]")
    rise = round(warmup * total_steps)

    def share_at(step: int) -> float:
        if step < rise:
            return _rise(step, rise, start)
        progress = min(1.0, (step - rise) / max(1, total_steps - rise))
        return end + (1 - end) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, share_at)


def _rise(step: int, steps: int, start: float) -> float:
    return start + (1 - start) * step / steps


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    trained = [weight for weight in parameters if weight.requires_grad]
    decaying = [weight for weight in trained if weight.ndim > 1]
    others = [weight for weight in trained if weight.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
