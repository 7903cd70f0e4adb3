"""The arguments that all methods share: documented, typed and checked once."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple, TypedDict

from lightning_mixup.callbacks.containers import Key
from lightning_mixup.functional import Pairing
from lightning_mixup.functional.pairing import PAIRINGS

KINDS = ("auto", "labels", "soft", "values", "mask", "sampled")


class Options(TypedDict, total=False):
    """The arguments that all methods share.

    Attributes:
        per_sample: Draw a weight, or a region, for every sample instead of one for the batch. Default False.
        pairing: Who is mixed with whom: ``"shift"`` (the default), ``"permutation"`` or ``"flip"``; ``"same_class"`` or
            ``"different_class"``; ``"nearest"``, or ``Nearest(bandwidth=...)``, for regression; ``"memory"`` for the
            batch before; or a ``Pairing`` of your own. It looks at the first target.
        targets: What ``training_step`` receives for each target, one word for all or a sequence of words. ``"labels"``:
            a ``MixedTarget`` of both labels, for which every loss is computed twice. ``"values"``: their weighted mean,
            for regression. ``"mask"``: a map over the pixels, which CutMix cuts with the image. ``"soft"``:
            probabilities of shape ``(B, num_classes, ...)``, in every training step. ``"sampled"``: each sample's own
            target with probability ``lam``, else its partner's, as a plain tensor. ``"auto"``, the default, looks at
            shapes and, once, at values: whole numbers are labels, other floating point numbers values, and what covers
            the spatial dimensions of the input is a mask.
        num_classes: Number of classes for ``"soft"``; None, the default, takes the attribute of that name of the
            module, of its ``hparams`` or of the data module.
        ignore_value: A value of floating point targets that means "nothing here", beside NaN, such as a depth of 0.
            Where either target has it, so has the mixed one. Default None.
        input_key: Where the batch holds its inputs: an index (default 0), a key or the name of an attribute, with dots
            if nested and ``*`` for any part between dots; ``"."`` if the batch is itself the input; or a sequence of
            these. All inputs share one draw. None mixes hidden layers only.
        target_key: Where the batch holds its targets, likewise (default 1); None mixes the inputs alone. All other
            entries pass untouched. What describes a target, such as its length or weight, is a target, too.
        loss: Name of a submodule that computes a loss and is called once for each label, as by ``interpolate_loss``.
            Default None: loss modules without parameters are called so by themselves.
        sync_ranks: Let all processes draw alike. By default (False) each draws its own.
        seed: Seed of the draws in [0, 2**64); None, the default, follows ``seed_everything``, else one is drawn and
            logged.
        inplace: Mix in the memory of the batch (default False). Then other callbacks see the mixed inputs, and a data
            set that hands out its own memory is overwritten.
    """

    per_sample: bool
    pairing: str | Pairing
    targets: str | Sequence[str]
    num_classes: int | None
    ignore_value: float | None
    input_key: int | str | Sequence[int | str] | None
    target_key: int | str | Sequence[int | str] | None
    loss: str | None
    sync_ranks: bool
    seed: int | None
    inplace: bool


class Option(NamedTuple):
    """How an argument is checked.

    Attributes:
        default: Its default.
        accepts: Tells whether a value can be used.
        words: What is accepted, for messages.
        shared: Whether the parts of a composite have to agree on it.
    """

    default: Any
    accepts: Callable[[Any], bool]
    words: str
    shared: bool = True


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_key(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def _are_keys(value: object) -> bool:
    if value is None or _is_key(value):
        return True
    several = isinstance(value, Sequence) and all(_is_key(key) for key in value)
    return several and len(set(value)) == len(value)  # type: ignore[call-overload,arg-type]


def _are_kinds(value: object) -> bool:
    return value in KINDS if isinstance(value, str) else isinstance(value, Sequence) and set(value) <= set(KINDS)


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _is_whole(value: object, low: int, high: float) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value < high)


_KEYS = "an index, a name, None, or a sequence of different ones"

OPTIONS: dict[str, Option] = {
    "per_sample": Option(False, _is_bool, "True or False", shared=False),
    "pairing": Option(
        "shift",
        lambda value: isinstance(value, Pairing) or (isinstance(value, str) and value in PAIRINGS),
        f"one of {', '.join(PAIRINGS)}, or a Pairing",
        shared=False,
    ),
    "targets": Option("auto", _are_kinds, f"one of {', '.join(KINDS)}, or one of them for each target"),
    "num_classes": Option(None, lambda value: _is_whole(value, 1, math.inf), "None or an integer of at least 1"),
    "ignore_value": Option(None, lambda value: value is None or is_number(value), "None or a number"),
    "input_key": Option(0, _are_keys, _KEYS),
    "target_key": Option(1, _are_keys, _KEYS),
    "loss": Option(
        None,
        lambda value: value is None or (isinstance(value, str) and value != ""),
        "None or the name of a submodule, such as 'criterion'",
    ),
    "sync_ranks": Option(False, _is_bool, "True or False"),
    "seed": Option(None, lambda value: _is_whole(value, 0, 2**64), "None or an integer in [0, 2**64)"),
    "inplace": Option(False, _is_bool, "True or False", shared=False),
}
"""All that is to be said about an argument in one place, beside its documentation in `Options`."""


def as_keys(keys: int | str | Sequence[int | str] | None) -> tuple[Key, ...]:
    """Keys as a tuple. ``()`` as a key means, as ``"."`` does, the batch itself."""
    if keys is None:
        return ()
    if isinstance(keys, (int, str)):
        return (keys,)
    return tuple(keys) or (".",)


def signature(cls: type) -> inspect.Signature:
    """The signature of a method with the shared options spelled out, for tools that look at it."""
    own = inspect.signature(cls.__init__)  # type: ignore[misc]
    parameters = [parameter for name, parameter in own.parameters.items() if name != "self"]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return own.replace(parameters=parameters)
    named = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    taken = {parameter.name for parameter in named}
    kind = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(name, kind, default=option.default, annotation=Options.__annotations__[name])
        for name, option in OPTIONS.items()
        if name not in taken
    ]
    return own.replace(parameters=[*named, *shared])


def unknown(options: Mapping[str, object]) -> list[str]:
    """Names among the options that are none."""
    return [name for name in options if name not in OPTIONS]
