"""Random arguments and random batches in a real Trainer, held against an oracle of its own in float64.

Whatever a callback is given, a step has to be right or refused by name. The oracle knows no kernel of the library: of a
draw it takes the weights and the partners, and holds what the step received against the clean batch.
``PYTHONPATH=tests python tests/callbacks/fuzz.py 5000`` tries so many for every method, and prints what is silently
wrong and what crashes.
"""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from support import make, methods
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_mixup import CutMix, FMix, ManifoldMixup, MixCallback, Mixup, RegMixup, ResizeMix

KEPT = ("right", "refused", "fails by itself")  # what may happen


class WrongError(Exception):
    """The step was silently wrong."""


class Loss(NamedTuple):
    """A loss, and its terms: one for each sample, whose sum it is."""

    name: str
    terms: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        return self.terms(z, y).sum()


def _rows(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    y = y.squeeze(1) if y.ndim == z.ndim and y.shape[1] == 1 else y
    return _rows(F.cross_entropy(z, y.long(), reduction="none", ignore_index=-100)) / len(z)


def _focal(z: Tensor, y: Tensor) -> Tensor:
    loss = F.cross_entropy(z, y.long().flatten() if y.ndim < 3 else y.long(), reduction="none")
    return _rows((1 - torch.exp(-loss)) ** 2 * loss) / len(z)


def _brier(z: Tensor, y: Tensor) -> Tensor:
    hot = F.one_hot(y.long().flatten(), 4).to(z.dtype)
    return (z.softmax(1) - hot).square().sum(1)


def _squares(z: Tensor, y: Tensor) -> Tensor:
    return _rows((z.flatten(1)[:, : y[0].numel()] - y.flatten(1).to(z.dtype)).square()) / len(z)


def _binary(z: Tensor, y: Tensor) -> Tensor:
    return _rows(
        F.binary_cross_entropy_with_logits(z.flatten(1)[:, : y[0].numel()], y.flatten(1).to(z.dtype), reduction="none")
    )


CLASSES = [Loss("cross entropy", _cross_entropy), Loss("focal", _focal), Loss("brier", _brier)]
PIXELS = [Loss("cross entropy", _cross_entropy), Loss("focal", _focal)]
SOFT = Loss("soft cross entropy", lambda z, y: F.cross_entropy(z, y.to(z.dtype), reduction="none") / len(z))
NUMBERS = [Loss("squares", _squares)]
BINARY = [Loss("binary", _binary), Loss("squares", _squares)]


@dataclass
class Case:
    """One callback and one batch.

    Args:
        method: The class of the callback.
        options: Its arguments.
        x: The clean inputs.
        y: The clean targets.
        loss: What the step computes.
        wrap: Makes a batch of both.
        unwrap: Takes it apart.
        told: For reports.
    """

    method: type[MixCallback]
    options: dict[str, Any]
    x: Tensor
    y: Tensor
    loss: Loss
    wrap: Callable[[Tensor, Tensor], Any]
    unwrap: Callable[[Any], tuple[Tensor, Tensor]]
    told: dict[str, Any] = field(default_factory=dict)


def pick(rng: np.random.Generator, options: list[Any], usual: float = 0.0) -> Any:
    """One of several; with probability ``usual`` the first."""
    return options[0] if rng.random() < usual else options[rng.integers(len(options))]


def sample(rng: np.random.Generator, method: type[MixCallback]) -> Case:
    """Draw a case."""
    size = int(pick(rng, [8, 6, 5, 3, 2, 1]))
    shape = pick(
        rng, [(3, 8, 8), (2, 6, 4), (5,), (3, 12), (12, 3), (1, 5, 5), (2, 4, 4, 4), (12,), (3, 3, 3), (2, 1, 7)]
    )
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    x = torch.rand(size, *shape, generator=generator) * 2 - 1
    dtype = pick(rng, [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int64], 0.6)
    x = (x * 100).to(dtype) if not dtype.is_floating_point else x.to(dtype)
    layout = pick(rng, ["plain", "channels last", "transposed", "sliced", "expanded", "windows", "nan"], 0.5)
    if layout == "channels last" and x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    elif layout == "transposed" and x.ndim > 2:
        x = x.transpose(1, -1).contiguous().transpose(1, -1)
    elif layout == "sliced":
        x = torch.cat([x, x, x])[1::2][:size]
    elif layout == "expanded":
        x = x[:, :1].expand_as(x)
    elif layout == "windows" and x.ndim == 2:
        x = torch.rand(size + shape[0], generator=generator).to(dtype).unfold(0, shape[0], 1)[:size]
    elif layout == "nan" and dtype.is_floating_point:
        x.view(-1)[0] = float("nan")
    y, losses = _target(rng, generator, size, shape)
    kinds = ["auto", "labels", "soft", "values", "mask", "sampled"]
    options: dict[str, Any] = {
        "prob": pick(rng, [1.0, 0.5, 0.0], 0.7),
        "per_sample": bool(rng.random() < 0.4),
        "pairing": pick(rng, ["shift", "permutation", "flip", "same_class", "different_class", "nearest"], 0.5),
        "targets": pick(rng, kinds, 0.6),
        "inplace": bool(rng.random() < 0.3),
        "num_classes": pick(rng, [4, None], 0.5),
        "seed": int(rng.integers(2**40)),
    }
    if rng.random() < 0.4 and "alpha" in method.__init__.__annotations__:
        options["alpha"] = pick(rng, [0.2, 8.0, 0.0])
    if issubclass(method, ManifoldMixup):
        options["layers"] = ["body"]
    name, wrap, unwrap = pick(rng, CONTAINERS, 0.5)
    if name in ("dict", "dataclass"):
        options |= {"input_key": "image", "target_key": "label"}
    elif name == "nested":
        options |= {"input_key": "views.image", "target_key": "label"}
    elif name == "swapped":
        options |= {"input_key": 1, "target_key": 0}
    loss = pick(rng, losses)
    if options["targets"] == "soft":
        y, loss = torch.randint(0, 4, (size,), generator=generator), SOFT
    told = {"layout": layout, "batch": name}
    return Case(method, options, x, y, loss, wrap, unwrap, told)


def _target(
    rng: np.random.Generator, generator: torch.Generator, size: int, shape: tuple[int, ...]
) -> tuple[Tensor, list[Loss]]:
    ids = torch.randint(0, 4, (size,), generator=generator)
    values = torch.randn(size, 2, generator=generator)
    kind = pick(
        rng,
        ["ids", "int32", "column", "float ids", "binary", "signs", "values", "many", "labels", "mask", "missing"],
        0.3,
    )
    match kind:
        case "ids":
            return ids, CLASSES
        case "int32":
            return ids.int(), CLASSES
        case "column":
            return ids[:, None], CLASSES
        case "float ids":
            return ids.float(), CLASSES
        case "binary":
            return (ids % 2).float(), BINARY
        case "signs":
            return (ids % 2).float() * 2 - 1, NUMBERS
        case "values":
            return values[:, 0], NUMBERS
        case "many":
            return values, NUMBERS
        case "labels":
            return (values > 0).double(), BINARY
        case "mask" if len(shape) > 1:
            return torch.randint(0, 4, (size, *shape[1:]), generator=generator), PIXELS
        case _:
            return torch.where(ids == 0, -100, ids), CLASSES[:1]


@dataclass
class Sample:
    """A batch with names."""

    image: Tensor
    label: Tensor
    note: str = "kept"


class Views(NamedTuple):
    image: Tensor
    other: None = None


CONTAINERS: list[tuple[str, Callable[[Tensor, Tensor], Any], Callable[[Any], tuple[Tensor, Tensor]]]] = [
    ("tuple", lambda x, y: (x, y), lambda batch: (batch[0], batch[1])),
    ("list", lambda x, y: [x, y, ["a path"], None], lambda batch: (batch[0], batch[1])),
    ("dict", lambda x, y: {"image": x, "label": y, "id": 7}, lambda batch: (batch["image"], batch["label"])),
    ("dataclass", Sample, lambda batch: (batch.image, batch.label)),
    ("nested", lambda x, y: {"views": Views(x), "label": y}, lambda batch: (batch["views"].image, batch["label"])),
    ("swapped", lambda x, y: (y, x), lambda batch: (batch[1], batch[0])),
]


class Net(LightningModule):
    """Flattens its input, or looks at every pixel, and remembers what its step got."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        features = case.x[0].numel() if case.y.ndim < 3 else case.x.shape[1]
        self.case = case
        self.body = nn.Linear(features, 6).double()
        self.head = nn.Linear(6, 4).double()
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 0.3
        self.seen: tuple[Tensor, Any] | None = None
        self.loss: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.predict(self.body(self.flat(x)))

    def flat(self, x: Tensor) -> Tensor:
        """Features, behind all other dimensions."""
        x = (x.double() / (1 if x.is_floating_point() else 100)).nan_to_num()
        return x.flatten(1) if self.case.y.ndim < 3 else x.movedim(1, -1)

    def predict(self, h: Tensor) -> Tensor:
        """Logits of a batch, or of its pixels."""
        z: Tensor = self.head(h.tanh())
        return z if self.case.y.ndim < 3 else z.movedim(-1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = self.case.unwrap(batch)
        self.seen = (x.detach().clone(), y)
        loss = self.case.loss(self(x), y)
        self.loss = loss.detach()
        return loss

    def on_after_backward(self) -> None:
        self.gradients = [weight.grad.clone() for weight in self.parameters() if weight.grad is not None]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


def fit(module: Net, batch: Any, *callbacks: Any) -> None:
    Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        max_epochs=1,
    ).fit(module, DataLoader([0], collate_fn=lambda _: batch))


def check(case: Case) -> str:
    """Run a case. Gives what happened: one of ``KEPT``, or what is bad about it."""
    plain = Net(case)
    if case.loss is SOFT:
        plain.case = dataclasses.replace(case, y=F.one_hot(case.y, 4))
    try:
        fit(plain, case.wrap(case.x.clone(), plain.case.y.clone()))
    except Exception:  # whatever it is, it is not ours
        return "fails by itself"
    x, y = _copied(case.x), case.y.clone()
    batch = case.wrap(x, y)
    module = Net(case)
    before = copy.deepcopy(module.state_dict())
    try:
        mix = make(case.method, **case.options)
        fit(module, batch, mix)
    except Exception as error:
        told = "\n".join([str(error), *getattr(error, "__notes__", ())])
        named = any(f"{method.__name__}: " in told for method in methods())
        return "refused" if named or "What helps" in told else f"crash: {type(error).__name__}: {told:.300}"
    try:
        verify(case, module, mix.last)
        if not case.options["inplace"]:
            _same("the batch", x, case.x)
        _same("the labels", y, case.y)
        for name, value in module.state_dict().items():
            _same(name, value, before[name])
        _require("training_step" not in module.__dict__, "the module was left wrapped")
    except WrongError as error:
        return f"silently wrong: {error}"
    return "right"


def _copied(x: Tensor) -> Tensor:
    """A copy with the same layout, overlaps included."""
    if x.numel() == 0 or x.is_contiguous():
        return x.clone()
    storage = x.untyped_storage().clone()
    return torch.empty(0, dtype=x.dtype).set_(storage, x.storage_offset(), x.shape, x.stride())


def _same(what: str, got: Tensor, want: Tensor, close: float = 0.0) -> None:
    if got.shape != want.shape or not torch.allclose(
        got.double(), want.double(), rtol=close, atol=close, equal_nan=True
    ):
        raise WrongError(f"{what}: {tuple(got.shape)} differs by {_gap(got, want)}")


def _require(fine: bool, what: str) -> None:
    if not fine:
        raise WrongError(what)


def _gap(got: Tensor, want: Tensor) -> float:
    return float((got.double() - want.double()).abs().max()) if got.shape == want.shape else float("nan")


def verify(case: Case, module: Net, draw: Any) -> None:
    """Hold a step against the clean batch.

    Raises:
        WrongError: It does not follow from the batch, the weights and the partners.
    """
    assert module.seen is not None
    assert module.loss is not None
    x, y = module.seen
    clean, labels = case.x.double(), case.y
    size = len(clean)
    if draw is None or draw.method is None:
        lam, partner = torch.ones(size, dtype=torch.float64), torch.arange(size)
    else:
        given = torch.as_tensor(draw.lam, dtype=torch.float64).expand(draw.batch_size)
        lam = given[-size:]
        shift = torch.as_tensor(draw.shift)
        partner = (torch.arange(size) + shift) % size
        if draw.batch_size == 2 * size:  # behind a clean copy
            _same("the clean copy", x[:size], case.x)
            if not bool((given[:size] == 1).all()):
                raise WrongError("the clean copy has partners")
    twice = len(x) == 2 * size
    if len(x) not in (size, 2 * size):
        raise WrongError(f"{len(x)} samples of {size}")
    eps = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(case.x.dtype, 1e-6) * float(
        clean.nan_to_num().abs().max() + 1
    )
    hidden = issubclass(case.method, ManifoldMixup)
    other = clean[partner]
    rows = lam < 1
    if hidden:
        _same("the input", x, case.x)
    elif rows.any() or twice:
        _explains(x[-size:].double(), clean, other, lam, eps)
    else:
        _same("the input", x, case.x)
    want = _loss(case, module, x, y, lam, partner, labels, twice, hidden)
    lost = want if torch.is_tensor(want) else torch.tensor(want)
    bound = 1e-5 * (1 + float(lost.abs()))
    if not (abs(float(module.loss) - float(lost)) <= bound or (lost.isnan() and module.loss.isnan())):
        raise WrongError(f"loss {float(module.loss):.6f}, want {float(lost):.6f}")
    module.zero_grad()
    if want.requires_grad:
        want.backward()
        for got, weight in zip(module.gradients, module.parameters(), strict=True):
            _same("a gradient", got, weight.grad, 1e-4)


def _explains(x: Tensor, own: Tensor, other: Tensor, lam: Tensor, eps: float) -> None:
    """Whether every sample is a weighted mean with its partner, or shows it in a part of the right size."""
    for row, (sample_, mine, theirs, weight) in enumerate(zip(x, own, other, lam.tolist(), strict=True)):
        if weight == 1:
            _same(f"sample {row}, of weight 1", sample_, mine, 1e-6)
            continue
        mean = weight * mine + (1 - weight) * theirs
        if torch.allclose(sample_, mean, rtol=eps, atol=eps, equal_nan=True):
            continue
        same = _equal(sample_, mine, 0)
        kept = same.all(0) if same.ndim > 1 else same
        shown = _equal(sample_, theirs, 0)
        pasted = shown.all(0) if shown.ndim > 1 else shown
        both = _equal(mine, theirs, 0)
        both = both.all(0) if both.ndim > 1 else both
        if bool((kept | pasted).all()):
            share = float((kept & ~both).double().mean()), float((kept | both).double().mean())
            if not share[0] - 1e-6 <= weight <= share[1] + 1e-6:
                raise WrongError(f"sample {row} shows {share} of itself at weight {weight}")
            continue
        # The partner, made smaller: a rectangle of the right size whose values are within those of the partner.
        if abs(float(kept.double().mean()) - weight) > 0.02 + 2 * float(both.double().mean()):
            raise WrongError(f"sample {row} keeps {float(kept.double().mean())} at weight {weight}, and is no mean")
        inside = sample_[..., ~kept] if sample_.ndim > 1 else sample_[~kept]
        if inside.min() < theirs.min() - eps or inside.max() > theirs.max() + eps:
            raise WrongError(f"sample {row} shows values that its partner does not have")


def _equal(one: Tensor, other: Tensor, eps: float) -> Tensor:
    return ((one - other).abs() <= eps) | (one.isnan() & other.isnan())


def _loss(
    case: Case,
    module: Net,
    x: Tensor,
    y: Any,
    lam: Tensor,
    partner: Tensor,
    labels: Tensor,
    twice: bool,
    hidden: bool,
) -> Tensor:
    """What the loss has to be, of what the step received as inputs."""
    if hidden:
        h = module.body(module.flat(x))
        weight = lam.view(-1, *[1] * (h.ndim - 1))
        h = weight * h + (1 - weight) * h[partner]
        z = module.predict(h)
    else:
        z = module(x)
    a, b = labels, labels[partner]
    if twice:
        a, b, lam = torch.cat([labels, a]), torch.cat([labels, b]), torch.cat([torch.ones_like(lam), lam])
    received = y.detach() if type(y) is Tensor else None
    kind = case.options["targets"]
    if bool((lam == 1).all()) and case.loss is not SOFT:
        return case.loss(z, a)
    if kind == "sampled":
        if received is None:
            raise WrongError("sampled targets are no plain tensor")
        rows = zip(received, a, b, strict=True)
        chosen = all(torch.equal(got, one) or torch.equal(got, two) for got, one, two in rows)
        cut = _covers(case) and _cut(case, x, partner, received, a, b)
        _require(chosen or cut, "a sampled target is neither its own nor its partner's")
        return case.loss(z, received)
    floating = a.is_floating_point()
    whole = floating and bool((a == a.round()).all())
    if kind == "values" or (kind in ("auto", "mask") and floating and not whole):
        if kind == "mask" and received is not None:  # told to be a map, it is cut at its own resolution
            _require(_cut(case, x, partner, received, a, b), "a value of the map is in neither sample")
            return case.loss(z, received)
        weight = lam.view(-1, *[1] * (a.ndim - 1))
        got = y.detach().as_subclass(Tensor)
        _same("values", got, weight * a.double() + (1 - weight) * b.double(), 2e-2 if a.element_size() == 2 else 1e-5)
        return case.loss(z, got)  # which may cut off what is behind the point
    if case.loss is SOFT:
        if received is None:
            raise WrongError("soft labels are no plain tensor")
        hot = [F.one_hot(half.long(), 4).double().movedim(-1, 1) for half in (a, b)]
        weight = lam.view(-1, *[1] * (hot[0].ndim - 1))
        _same("soft labels", received, weight * hot[0] + (1 - weight) * hot[1], 1e-5)
        return case.loss(z, received)
    if received is not None and (not floating or kind == "mask") and received.shape == a.shape:  # cut with the image
        _require(_cut(case, x, partner, received, a, b), "a pixel of the mask is in neither image")
        return case.loss(z, received)
    return (lam * case.loss.terms(z, a) + (1 - lam) * case.loss.terms(z, b)).sum()


def _covers(case: Case) -> bool:
    """Whether the target is a map of the input."""
    return case.x.ndim > 2 and case.x.shape[2:] in (case.y.shape[1:], case.y.shape[2:])


def _cut(case: Case, x: Tensor, partner: Tensor, got: Tensor, one: Tensor, two: Tensor) -> bool:
    """Whether a map shows one of two maps in every place: the one whose sample the input shows there.

    Args:
        case: The case.
        x: The mixed inputs.
        partner: Who is mixed with whom.
        got: The map that the step received.
        one: That of the samples.
        two: That of their partners.
    """
    if issubclass(case.method, (Mixup, RegMixup, ManifoldMixup)):
        return False  # they paste nothing
    resized = issubclass(case.method, ResizeMix)
    inside = torch.isin(got, two) if resized else got == two
    if not bool(((got == one) | inside).all()):
        return False
    if resized or not issubclass(case.method, (CutMix, FMix)) or not _covers(case):
        return True
    own, other = (~_equal(x.double(), shown.double(), 0) for shown in (case.x, case.x[partner]))
    channel = 1 if got.ndim == x.ndim else None
    foreign, kept = (mask.any(1, keepdim=channel is not None) for mask in (own, other))
    return bool((~foreign | (got == two)).all() and (~kept | (got == one)).all())


def tried(method: type[MixCallback], seeds: range) -> list[tuple[int, str, Case]]:
    """Run cases of a method: seed, what happened, case."""
    results = []
    for seed in seeds:
        case = sample(np.random.default_rng([seed, 7]), method)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.append((seed, check(case), case))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int)
    parser.add_argument("--only", default="", help="name of a method")
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    bad = 0
    for method in methods():
        if arguments.only not in ("", method.__name__):
            continue
        began = time.perf_counter()
        results = tried(method, range(arguments.first, arguments.first + arguments.cases))
        counts = collections.Counter(what if what in KEPT else what.partition(":")[0] for _, what, _ in results)
        print(f"{method.__name__}: {dict(counts)} in {time.perf_counter() - began:.0f} s", flush=True)
        kinds: collections.Counter[str] = collections.Counter()
        for seed, what, case in results:
            if what in KEPT:
                continue
            bad += 1
            kinds[what[:60]] += 1
            if kinds[what[:60]] <= 2:
                told = {**case.options, **case.told, "x": (tuple(case.x.shape), case.x.dtype), "loss": case.loss.name}
                print(f"  {seed}: {what}\n     {told}, y={tuple(case.y.shape)} {case.y.dtype}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
