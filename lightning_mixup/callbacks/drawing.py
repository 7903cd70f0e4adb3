"""What a method is without a Trainer: its arguments, and the draws it makes."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from torch import Tensor

from lightning_mixup.callbacks.around import Streams, restrict
from lightning_mixup.callbacks.containers import Key
from lightning_mixup.callbacks.draw import Draw
from lightning_mixup.callbacks.options import OPTIONS, Options, as_keys, signature, unknown
from lightning_mixup.callbacks.scheduled import Scheduled
from lightning_mixup.functional import Pairing
from lightning_mixup.functional.boxes import cut_dims
from lightning_mixup.functional.pairing import PAIRINGS, Shift
from lightning_mixup.schedules import Moment, Schedule
from lightning_mixup.targets import infer_kind

AHEAD = 16
"""For how many steps draws are made at once. More would save little more."""

_LOOKED_AT = {
    "labels": "class indices, integers (B,)",
    "values": "values, such as floats (B,); say targets='values' if these are values",
}


class Method(Scheduled, ABC):
    """The arguments, schedules and draws of a method. A subclass implements `decide`.

    Args:
        prob: Probability in [0, 1] that a batch (with ``per_sample``, a sample) is mixed, or a schedule.
        **options: See `Options`.

    Raises:
        TypeError: If an option has a name that does not exist.
        ValueError: If an argument is not accepted.
    """

    hidden: bool = False
    """Whether the method mixes hidden states."""

    dims: int | Sequence[int] | None = None
    """The dimensions of an input in which a method cuts regions; None if they are those after the channels."""

    by_shapes: bool = False
    """Whether `decide` looks at the shapes of the inputs alone, and its draws are small. A subclass says so anew."""

    per_sample: bool
    num_classes: int | None
    ignore_value: float | None
    loss: str | None
    sync_ranks: bool
    seed: int | None
    inplace: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**kwargs)
        cls.__signature__ = signature(cls)  # type: ignore[attr-defined]
        if not {"decide", "draw"}.isdisjoint(vars(cls)):
            cls.by_shapes = vars(cls).get("by_shapes", False)

    def __init__(self, prob: float | Schedule = 1.0, **options: Unpack[Options]) -> None:
        super().__init__()
        if wrong := unknown(options):
            raise TypeError(f"{type(self).__name__}: unknown argument {wrong[0]!r}; there are {', '.join(OPTIONS)}")
        for name, option in OPTIONS.items():
            value = options.get(name, option.default)
            self._require(name, value, option.accepts(value), option.words)
            setattr(self, name, value)
        targets = options.get("targets", "auto")
        self.input_key = as_keys(options.get("input_key", 0))
        self.target_key = as_keys(options.get("target_key", 1))
        self.targets = (targets,) * len(self.target_key) if isinstance(targets, str) else tuple(targets)
        self._require(
            "targets",
            targets,
            len(self.targets) == len(self.target_key),
            f"one word, or {len(self.target_key)} of them",
        )
        self.pairing: str | Pairing = options.get("pairing", "shift")
        self._pairing = self._check_pairing(self.pairing)
        self._lasts = False  # whether a fit is going on
        self._looks: list[Any] | None = None
        self._kinds: tuple[str, ...] | None = None
        self.prob = self.scheduled("prob", prob, high=1)

    @property
    def remembers(self) -> bool:
        """Whether partners come from the batch before."""
        return self._pairing.remembers

    @property
    def foresight(self) -> int:
        """How many steps with batches of the same structure can be drawn for at once."""
        return AHEAD if self.by_shapes and type(self._pairing) is Shift and not self.changes else 1

    def draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        when: float | Moment = 0.0,
        targets: Sequence[Tensor] = (),
        memory: Mapping[Key, Tensor] | None = None,
    ) -> Draw:
        """Decide all that chance decides about a batch.

        Args:
            rng: Source of randomness, of this batch alone.
            inputs: The inputs, for their shapes.
            when: Share of training that is done, in [0, 1]; or the moment on all clocks.
            targets: The targets, for pairings that look at them.
            memory: Inputs and targets of the batch before, by their keys, for a pairing that remembers.

        Returns:
            How to mix; without a ``method`` if the batch is to be left as it is.
        """
        sizes = dict.fromkeys([x.shape[0] for x in (*inputs, *targets)])
        if len(sizes) < 2:
            draw = self._draw(rng, inputs, when, targets, memory)
        else:
            draw = Streams(
                {
                    size: self._draw(
                        rng,
                        [x for x in inputs if len(x) == size],
                        when,
                        [y for y in targets if len(y) == size],
                        memory,
                    )
                    for size in sizes
                }
            )
        if "sampled" in self.targets:
            draw.coin = int(rng.integers(2**62))
        return draw

    def _draw(
        self,
        rng: np.random.Generator,
        inputs: Sequence[Tensor],
        when: float | Moment,
        targets: Sequence[Tensor],
        memory: Mapping[Key, Tensor] | None,
    ) -> Draw:
        values = self._values or self.values(when)
        first = inputs[0] if inputs else targets[0]
        count, prob = first.shape[0], values["prob"]
        remembered = memory if memory and self._pairing.remembers else None
        rows = None
        draw: Draw | None = None
        if count > 1 or remembered:
            if not self.per_sample:
                if prob == 1 or rng.random() < prob:
                    draw = self.decide(rng, None, inputs, values)
            elif prob == 1 or (rows := rng.random(count) < prob).any():
                draw = self.decide(rng, count, inputs, values)
        if draw is not None and draw.weights == 1:
            draw = None
        if draw is None:
            draw = Draw()
            draw.batch_size, draw.values = count, values
            return draw
        draw.method, draw.batch_size, draw.values = self, count, values
        if remembered is None:
            if targets and (looks_at := self._pairing.looks_at) is not None:
                self._check_looked_at(looks_at, inputs, targets)
            shift = self._pairing(rng, count, targets[0] if targets else None)
            draw.shift = shift.to(first.device, non_blocking=True) if isinstance(shift, Tensor) else shift
        else:
            draw.memory = remembered
        return draw if rows is None or rows.all() else restrict(draw, rows)

    def kinds(self, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[str, ...]:
        """What each target is, as told or as it looks; of sampled ones, too.

        Args:
            inputs: The inputs, of which the first tells the spatial dimensions.
            targets: The targets.

        Returns:
            A kind for each target. While a fit lasts they stay what they were on its first batch, so that no device is
            waited for.
        """
        looks = [(target.ndim, target.dtype) for target in targets]
        if self._looks != looks or self._kinds is None:
            shape = inputs[0].shape if inputs else ()
            told = next((leaf.dims for leaf in self.leaves() if leaf.dims is not None), None)
            cut = () if told is None else cut_dims(len(shape), told)
            last = 1 in cut  # what is cut in the place of the channels has them behind
            spatial = [shape[dim] for dim in (cut if last else range(2, len(shape)))]
            words = self.targets if len(targets) == len(self.targets) else ("auto",) * len(targets)
            self._kinds = tuple(
                infer_kind(target, spatial, channels_last=last) if word in ("auto", "sampled") else word
                for word, target in zip(words, targets, strict=True)
            )
            # Outside a fit there is no first batch.
            self._looks = looks if self._lasts else None
        return self._kinds

    @abstractmethod
    def decide(
        self, rng: np.random.Generator, count: int | None, inputs: Sequence[Tensor], values: Mapping[str, float]
    ) -> Draw | None:
        """Decide what is special about the method.

        Args:
            rng: Source of randomness.
            count: Number of samples that are decided about one by one; None decides for the batch.
            inputs: The inputs, for their shapes.
            values: Values of the arguments that may be schedules.

        Returns:
            A draw that has a weight and knows how to mix; None leaves the batch as it is.
        """

    def leaves(self) -> Iterator[Method]:
        """The methods that mix: this one, or those that it is made of."""
        yield self

    def tallies(self) -> tuple[str, ...]:
        """All names that the draws may count, so that all processes count the same. See `Draw.tally`."""
        return ()

    def _check_looked_at(self, looks_at: str, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Refuse a target that the pairing cannot look at."""
        target, kind = targets[0], self.kinds(inputs, targets)[0]
        indices = kind in ("labels", "soft") and not target.is_floating_point() and target[0].numel() == 1
        if not (kind == "values" if looks_at == "values" else indices):
            raise self._error(
                f"pairing={self.pairing!r} needs a target of {_LOOKED_AT[looks_at]}; "
                f"batch entry {self.target_key[0]!r} is {target.dtype} of shape {tuple(target.shape)}"
            )

    def _check_pairing(self, pairing: str | Pairing) -> Pairing:
        found = pairing if isinstance(pairing, Pairing) else PAIRINGS[pairing]
        if found.looks_at is not None:
            kinds = self.targets
            self._require("target_key", None, bool(kinds), f"where pairing={pairing!r} finds the {found.looks_at}")
            fitting = ("auto", "sampled", *(("values",) if found.looks_at == "values" else ("labels", "soft")))
            self._require("targets", kinds[0], kinds[0] in fitting, f"of {found.looks_at} for pairing={pairing!r}")
        return found

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        shown = {
            name: value
            for name, value in self._arguments().items()
            if not _is_default(value, parameters[name].default, name)
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._arguments() == other._arguments()

    def __hash__(self) -> int:
        return hash(type(self))


def _is_default(value: Any, default: Any, name: str) -> bool:  # noqa: ANN401
    """Whether an argument has its default, which for keys and kinds may stand for a sequence of it."""
    if name == "targets":
        return set(value) <= {default}
    if name in ("input_key", "target_key"):
        return bool(value == as_keys(default))
    return (bool(value == default) and type(value) is not bool) or value is default
