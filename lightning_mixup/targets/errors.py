"""What cannot be computed of mixed labels, and what helps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MODULE = "put it into an nn.Module without parameters, an attribute of your module: it is then called once a label"
WRAP = "wrap it: interpolate_loss(my_loss)(pred, y), from lightning_mixup"
NAME = "name the submodule that computes the loss: loss='criterion'"
PLAIN = "for a number to report, take value(y), from lightning_mixup.targets: the labels that weigh more"
SCALAR = "take one weight a batch: per_sample=False"
SOFT = "take probabilities for class labels: targets='soft'"
VALUES = "take the weighted mean of the targets: targets='values'"
LEAVE_OUT = "leave a target out that only a metric needs: target_key=... names the others, target_key=None none"
SAMPLED = "train each sample on one of its labels, chosen with probability lam: targets='sampled', which fits any loss"


class MixedTargetError(RuntimeError):
    """Mixed labels met something that cannot be computed for both of them."""


class Diverged(MixedTargetError):  # noqa: N818
    """The two labels need different Python, or one object would have to be two."""


def cures(*, classes: bool, floats: bool, per_sample: bool, unused: bool = False) -> tuple[str, ...]:
    """What helps against a refusal, the best first.

    Args:
        classes: Whether the step has mixed class indices.
        floats: Whether it has mixed labels in floating point.
        per_sample: Whether each sample has a weight of its own.
        unused: Whether the trouble is that no loss used the labels.

    Returns:
        Sentences without a full stop.
    """
    found = [LEAVE_OUT] if unused else []
    found += [SCALAR] if per_sample else []
    found += [WRAP, MODULE, NAME]
    found += [SOFT] if classes else []
    found += [VALUES] if floats else []
    return (*found, *([] if unused else [PLAIN]), SAMPLED)


def listed(found: Iterable[str]) -> str:
    """Cures as they stand in a message.

    Args:
        found: Sentences without a full stop.

    Returns:
        One a line.
    """
    return "What helps, the first that fits:\n" + "\n".join(f"  - {cure}" for cure in found)


def same(one: Any, other: Any, what: str) -> Any:  # noqa: ANN401
    """What must be the same for both labels.

    Args:
        one: Of the original labels.
        other: Of the partners'.
        what: What it is.

    Returns:
        That value.

    Raises:
        Diverged: If they differ.
    """
    if one != other and not (one != one and other != other):
        raise Diverged(f"{what} is {one!r:.60} for one label of the mix and {other!r:.60} for the other")
    return one
