"""Uses of labels on which earlier versions were wrong: each in a real step, held against the formula in float64.

The formula is ``lam * L(a) + (1 - lam) * L(b)``, of the value and of its gradient. With a weight for each sample it is
that of the terms of the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule
from targets.corpus import PARTNERS, Fixed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader
from torchmetrics import ExplainedVariance, MeanAbsoluteError, MeanSquaredError

from lightning_mixup import Mixup, interpolate_loss
from lightning_mixup.targets import MixedTargetError

NAN = float("nan")
IDS = torch.tensor([0, 2, 1, 2, 0, 1])
MASKS = torch.randint(0, 3, (6, 1, 4, 4), generator=torch.Generator().manual_seed(0))
VOID = torch.where(torch.rand(6, 4, 4, generator=torch.Generator().manual_seed(2)) < 0.3, 255, MASKS[:, 0])
BINARY = torch.tensor([1.0, 0, 0, 1, 1, 0]).double()
MISSING = torch.tensor([[1, NAN], [0, 1], [NAN, 0], [1, 1], [0, NAN], [0, 0]]).double()
HOLES = torch.tensor([0, -1, 1, 2, -1, 1])
VALUES = torch.tensor([[0.5, 2.5], [1.25, -1.0], [3.5, 0.75], [-0.5, 1.5], [2.25, 0.25], [1.0, -2.5]]).double()
WEIGHT = torch.tensor([5.0, 1.0, 9.0]).double()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A loss of predictions and labels.

    Args:
        name: Number of the entry, and what it shows.
        loss: What the step computes.
        labels: Of a batch of six.
        shape: Of the predictions.
        options: Arguments of the callback.
        plain: The loss on plain labels, where ``loss`` is what a cure made of it.
        terms: With a weight for each sample: the terms whose sum is the loss.
    """

    name: str
    loss: Callable[[Tensor, Any], Any]
    labels: Tensor = field(default_factory=lambda: IDS)
    shape: tuple[int, ...] = (6, 3)
    options: dict[str, Any] = field(default_factory=dict)
    plain: Callable[[Tensor, Any], Tensor] | None = None
    terms: Callable[[Tensor, Any], Tensor] | None = None


class Step(LightningModule):
    """Its predictions are its parameters: nothing stands between the loss and the gradient."""

    def __init__(self, loss: Callable[[Tensor, Any], Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(1)).double())
        self.loss = loss

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        torch.manual_seed(5)  # for losses with chance in them
        return self.loss(self.z, batch[1])

    def on_after_backward(self) -> None:
        assert self.z.grad is not None
        self.gradient = self.z.grad.clone()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


class Result(NamedTuple):
    loss: Tensor
    gradient: Tensor
    lam: Tensor


def run(trainer: Any, case: Case, seed: int) -> Result:
    """One step of a Trainer."""
    module = Step(case.loss, case.shape)
    mix = Mixup(**{"alpha": 2.0, "pairing": Fixed(), "seed": seed, **case.options})
    kept: list[Any] = []

    class Keep(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            assert mix.last is not None
            kept.extend((outputs["loss"].detach(), torch.as_tensor(mix.last.lam, dtype=torch.float64)))

    x = torch.zeros(6, 2, dtype=torch.float64)
    trainer(mix, Keep()).fit(module, DataLoader(list(zip(x, case.labels, strict=True)), batch_size=6))
    return Result(kept[0], module.gradient, kept[1])


def formula(case: Case, lam: Tensor) -> tuple[Tensor, Tensor]:
    """What the step has to give, of two plain losses."""
    z = Step(case.loss, case.shape).z
    loss, halves = case.plain or case.loss, (case.labels, case.labels[PARTNERS])
    if case.terms is not None:
        own, partner = (case.terms(z, y) for y in halves)
        value = (lam * own + (1 - lam) * partner).sum()
    else:
        results = []
        for half in halves:
            torch.manual_seed(5)
            results.append(loss(z, half))
        value = lam * results[0] + (1 - lam) * results[1]
    value.backward()
    assert z.grad is not None
    return value.detach(), z.grad


def module(loss: Callable[[Tensor, Any], Tensor]) -> nn.Module:
    """A loss as a class of its own, with the attribute that wrappers like to change."""

    class Criterion(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reduction = "mean"

        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            return loss(z, y)

    return Criterion()


# The losses


def arc(z: Tensor, y: Tensor) -> Tensor:
    hot = torch.zeros_like(z).scatter_(1, y.view(-1, 1), 1.0)
    return F.cross_entropy(30 * (z.tanh() - 0.3 * hot), y)


def ldam(z: Tensor, y: Tensor) -> Tensor:
    index = torch.zeros_like(z, dtype=torch.uint8)
    index.scatter_(1, y.data.view(-1, 1), 1)
    margins = torch.matmul(torch.tensor([[0.1, 0.5, 0.3]]).double(), index.double().transpose(0, 1)).view(-1, 1)
    return F.cross_entropy(5 * torch.where(index.bool(), z - margins, z), y)


def dice(z: Tensor, y: Tensor) -> Tensor:
    hot = torch.zeros_like(z).scatter_(1, y, 1.0)
    p = z.softmax(1)
    return 1 - 2 * (p * hot).sum() / (p + hot).sum()


def dice_ce(z: Tensor, y: Tensor) -> Tensor:
    return dice(z, y) + F.cross_entropy(z, y[:, 0])


def selected(z: Tensor, y: Tensor) -> Tensor:
    keep = ~torch.isnan(y)
    return F.binary_cross_entropy_with_logits(z[keep], y[keep])


def clamped(z: Tensor, y: Tensor) -> Tensor:
    keep = y >= 0
    return (F.cross_entropy(z, y.clamp(min=0), reduction="none") * keep).sum() / keep.sum()


def void(z: Tensor, y: Tensor) -> Tensor:
    keep = y != 255
    return F.cross_entropy(z.permute(0, 2, 3, 1)[keep], y[keep])


def weighted(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, weight=y * 5 + (1 - y) * 1)


def focal_by_where(z: Tensor, y: Tensor) -> Tensor:
    p = z.sigmoid()
    pt = torch.where(y == 1, p, 1 - p)
    return -((1 - pt) ** 2 * pt.log()).mean()


def contrastive(z: Tensor, y: Tensor) -> Tensor:
    same = (y[:, None] == y[None]) & ~torch.eye(len(y), dtype=torch.bool)
    log_prob = (z @ z.T).masked_fill(torch.eye(len(y), dtype=torch.bool), -1e9).log_softmax(1)
    return -(log_prob * same).sum(1).div(same.sum(1).clamp(min=1)).mean() + F.cross_entropy(z, y)


def summed(z: Tensor, y: Tensor) -> Tensor:
    return -(F.one_hot(y, 3) * z.log_softmax(1)).sum()


def lovasz(z: Tensor, y: Tensor) -> Tensor:
    losses = []
    hot = F.one_hot(y, 3).to(z.dtype)
    for errors, truth in zip((hot - z.softmax(1)).abs().T, hot.T, strict=True):
        errors, order = errors.sort(descending=True)
        truth = truth[order]
        union = truth.sum() + (1 - truth).cumsum(0)
        jaccard = 1 - (truth.sum() - truth.cumsum(0)) / union
        losses.append(torch.dot(errors, torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])))
    return torch.stack(losses).mean()


def small_masks(z: Tensor, y: Tensor) -> Tensor:
    small = F.interpolate(y.double(), scale_factor=0.5, mode="nearest").long()[:, 0]
    edge = F.max_pool2d(y.double(), 2)[:, 0] > 1
    return (F.cross_entropy(F.avg_pool2d(z, 2), small, reduction="none") * (1 + edge)).mean()


def derived(z: Tensor, y: Tensor) -> Tensor:
    halved, positive = y >> 1, torch.where(y > 0, 1.0, 0.0).double()
    transition = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]]).double().gather(0, y[:3].view(1, 3))
    extra = F.cross_entropy(z[:, :2], halved) + (z[:, 0] * positive.masked_fill(y == 2, 3.0)).mean()
    return F.cross_entropy(z, y) + extra + (transition * z[:1]).sum()


def centre(z: Tensor, y: Tensor) -> Tensor:
    centres = torch.arange(9).view(3, 3).double() / 9
    return F.cross_entropy(z, y) + 0.1 * (z - centres[y]).square().sum(1).mean()


def each_focal(z: Tensor, y: Tensor) -> Tensor:
    loss = F.cross_entropy(z, y, reduction="none")
    return ((1 - torch.exp(-loss)) ** 2 * loss).mean()


def mean_focal(z: Tensor, y: Tensor) -> Tensor:
    loss = F.cross_entropy(z, y)
    return (1 - torch.exp(-loss)) ** 2 * loss


def hard(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none").topk(3).values.mean()


def as_condition(z: Tensor, y: Tensor) -> Tensor:
    hot = F.one_hot(y, 3).bool()
    return z.masked_fill(hot, 0.0).logsumexp(1).mean() - z[hot].mean()


def embedded(z: Tensor, y: Tensor) -> Tensor:
    table = torch.linspace(-1, 1, 9).view(3, 3).double()
    return (z - F.embedding(y, table)).square().mean()


def flooded(z: Tensor, y: Tensor) -> Tensor:
    return (F.cross_entropy(z, y) - 1.2).abs() + 1.2


def smoothed(z: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        target = torch.full_like(z, 0.05).scatter_(1, y[:, None], 0.9)
    return -(target * z.log_softmax(1)).sum(1).mean()


def smoothed_in_inference(z: Tensor, y: Tensor) -> Tensor:
    with torch.inference_mode():
        target = torch.full((6, 3), 0.05, dtype=torch.float64).scatter_(1, y[:, None], 0.9)
    return -(target.clone() * z.log_softmax(1)).sum(1).mean()


def counted(z: Tensor, y: Tensor) -> Tensor:
    count = (y == 1).sum().item()
    return F.cross_entropy(z, y, reduction="sum") / (1 + count)


def ratio(z: Tensor, y: Tensor) -> Tensor:
    one, other = F.cross_entropy(z, y), F.multi_margin_loss(z, y)
    return one + other * (one.item() / other.item())


def dropped(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(F.dropout(z, 0.5), y)


def hooked(z: Tensor, y: Tensor) -> Tensor:
    scaled = z * F.one_hot(y, 3).double()
    scaled.register_hook(lambda gradient: gradient * 2)
    return (z.logsumexp(1) - scaled.sum(1)).mean()


def penalised(z: Tensor, y: Tensor) -> Tensor:
    loss = each_focal(z, y)
    (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
    return loss + gradient.square().sum()


def checkpointed(z: Tensor, y: Tensor) -> Tensor:
    return checkpoint(each_focal, z, y, use_reentrant=False)


def remembered(z: Tensor, y: Tensor) -> Tensor:
    proto = torch.zeros(3, 3, dtype=torch.float64)
    proto[y] = z.detach().tanh()
    queue = torch.zeros(8, dtype=torch.long)
    queue[1:7] = y
    return F.cross_entropy(z @ proto.T, y) + (z[:, 0] * queue[1:7]).mean()


def class_weights_of_the_batch(z: Tensor, y: Tensor) -> Tensor:
    counts = torch.bincount(y, minlength=3)
    return F.cross_entropy(z, y, weight=1.0 / (1 + counts.double()))


def squares(z: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(z, y)


def bce(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y)


def soft_margin(z: Tensor, y: Tensor) -> Tensor:
    return F.soft_margin_loss(z, y)


def hinge_embedding(z: Tensor, y: Tensor) -> Tensor:
    return F.hinge_embedding_loss(z, y)


def margin_ranking(z: Tensor, y: Tensor) -> Tensor:
    return F.margin_ranking_loss(z, z.flip(0), y, margin=0.3)


def weighted_terms(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, weight=WEIGHT, reduction="none") / WEIGHT[y].sum()


def mean_terms(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none") / len(y)


def pixel_terms(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none").flatten(1).mean(1) / len(y)


def flat_pixels(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.permute(0, 2, 3, 1).reshape(-1, 3), y.reshape(-1))


def numpy_counts(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, weight=torch.from_numpy(1.0 / (1 + np.bincount(y.numpy(), minlength=3))))


SAMPLES = {"per_sample": True}
PIXELS = (6, 3, 4, 4)
CASES = [
    Case(name="1 additive margins", loss=arc),
    Case(name="1 margins of classes, selected by a byte mask", loss=ldam),
    Case(
        name="2 a criterion with an idle attribute, per sample",
        loss=module(F.cross_entropy),
        terms=mean_terms,
        options=SAMPLES,
    ),
    Case(name="3 Dice beside cross-entropy", loss=dice_ce, labels=MASKS, shape=PIXELS),
    Case(name="3 Dice alone", loss=dice, labels=MASKS, shape=PIXELS),
    Case(name="4 missing labels selected", loss=selected, labels=MISSING, shape=(6, 2)),
    Case(name="4 missing labels clamped", loss=clamped, labels=HOLES),
    Case(name="4 void pixels selected", loss=void, labels=VOID, shape=PIXELS),
    Case(name="5 weights of the target", loss=weighted, labels=BINARY, shape=(6,)),
    Case(name="5 a probability chosen by the target", loss=focal_by_where, labels=BINARY, shape=(6,)),
    Case(name="6 classes kept as floats", loss=lambda z, y: F.cross_entropy(z, y.long()), labels=IDS.double()),
    Case(name="7 binary labels", loss=bce, labels=BINARY, shape=(6,)),
    Case(name="7 binary labels in a column", loss=bce, labels=BINARY[:, None], shape=(6, 1)),
    Case(name="7 soft margin of signs", loss=soft_margin, labels=BINARY * 2 - 1, shape=(6,)),
    Case(name="7 hinge embedding of signs", loss=hinge_embedding, labels=BINARY * 2 - 1, shape=(6,)),
    Case(name="7 margin ranking of signs", loss=margin_ranking, labels=BINARY * 2 - 1, shape=(6,)),
    Case(
        name="8 class weights, per sample",
        loss=lambda z, y: F.cross_entropy(z, y, weight=WEIGHT),
        terms=weighted_terms,
        options=SAMPLES,
    ),
    Case(
        name="8 a summed loss, per sample",
        loss=summed,
        terms=lambda z, y: F.cross_entropy(z, y, reduction="none"),
        options=SAMPLES,
    ),
    Case(
        name="8 class weights interpolated",
        loss=interpolate_loss(nn.CrossEntropyLoss(weight=WEIGHT)),
        plain=lambda z, y: F.cross_entropy(z, y, weight=WEIGHT),
    ),
    Case(name="8 a batch loss interpolated", loss=interpolate_loss(contrastive), plain=contrastive),
    Case(name="9 resized and pooled masks", loss=small_masks, labels=MASKS, shape=PIXELS),
    Case(name="9 shifted, chosen, gathered and filled", loss=derived),
    Case(name="9 contrastive beside cross-entropy", loss=contrastive),
    Case(name="9 centres beside cross-entropy", loss=centre),
    Case(name="10 Lovasz softmax", loss=lovasz),
    Case(name="16 one-hot labels as a condition", loss=as_condition),
    Case(name="17 pixels flattened", loss=flat_pixels, labels=MASKS[:, 0], shape=PIXELS),
    Case(
        name="17 pixels flattened, per sample",
        loss=flat_pixels,
        labels=MASKS[:, 0],
        shape=PIXELS,
        terms=pixel_terms,
        options=SAMPLES,
    ),
    Case(name="18 labels that only condition", loss=embedded),
    Case(name="19 focal of each sample", loss=each_focal),
    Case(name="19 hard examples", loss=hard),
    Case(
        name="25 log-probabilities by index, per sample",
        loss=lambda z, y: -z.log_softmax(1)[torch.arange(6), y].mean(),
        terms=mean_terms,
        options=SAMPLES,
    ),
    Case(name="25 columns by label", loss=lambda z, y: z.softmax(1)[:, y].square().sum() + F.cross_entropy(z, y)),
    Case(
        name="26 as many classes as samples, weighted, per sample",
        loss=lambda z, y: F.cross_entropy(z, y, weight=torch.arange(1.0, 7).double()),
        shape=(6, 6),
        terms=lambda z, y: (
            F.cross_entropy(z, y, weight=torch.arange(1.0, 7).double(), reduction="none") / (y + 1).sum()
        ),
        options=SAMPLES,
    ),
    Case(
        name="26 a positional reduction",
        loss=lambda z, y: F.cross_entropy(z, y, None, None, -100, None, "sum"),
        plain=lambda z, y: F.cross_entropy(z, y, reduction="sum"),
    ),
    Case(
        name="29 batch norm within the loss",
        loss=lambda z, y: F.cross_entropy(F.batch_norm(z, None, None, None, None, True), y),
    ),
    Case(name="30 focal of the mean", loss=mean_focal),
    Case(name="30 flooding", loss=flooded),
    Case(name="33 smoothing without gradients", loss=smoothed),
    Case(name="33 smoothing in inference mode", loss=smoothed_in_inference),
    Case(name="35 prototypes and a queue of the step", loss=remembered),
    Case(name="36 a count as a normaliser", loss=counted),
    Case(name="36 a ratio of losses as a weight", loss=ratio),
    Case(name="37 a gradient penalty", loss=penalised),
    Case(name="38 a hook on what labels made", loss=hooked),
    Case(name="39 dropout within the loss", loss=dropped),
    Case(name="24 a loss that is recomputed", loss=checkpointed),
    Case(name="21 weights of the batch", loss=class_weights_of_the_batch),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_is_the_formula(case: Case, seed: int, trainer: Any):
    got = run(trainer, case, seed)
    loss, gradient = formula(case, got.lam)
    assert got.lam.ndim == ("per_sample" in case.options)
    close = 1e-6 if got.lam.ndim else 1e-9  # weights of samples come in single precision
    torch.testing.assert_close((got.loss, got.gradient), (loss, gradient), rtol=close, atol=close)


# 2: a criterion by its name


def test_a_loss_named_by_its_attribute_is_exact_per_sample(trainer):
    case = Case(name="", loss=module(F.cross_entropy), terms=mean_terms, options={"per_sample": True, "loss": "loss"})
    got = run(trainer, case, 0)
    loss, gradient = formula(case, got.lam)
    torch.testing.assert_close(got.loss, loss)
    torch.testing.assert_close(got.gradient, gradient)


class Learned(nn.Module):
    """Centres that it learns, and a count of its calls; it decides in Python, so that it has to be named."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.arange(9).view(3, 3).double() / 9)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        rare = 2.0 if (y == 0).sum().item() > 2 else 1.0
        return rare * (z - self.centres[y]).square().mean()


@pytest.mark.parametrize("own_forward", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_parameters_of_a_named_loss_learn_from_both_labels(own_forward, seed, trainer):
    learned = Learned()
    net = Step(nn.Sequential() if own_forward else learned, (6, 3))
    if own_forward:
        net.loss.add_module("inner", learned)
        net.loss.forward = lambda z, y: learned(z, y)
    mix, kept = Mixup(2.0, pairing=Fixed(), seed=seed, loss="loss"), []

    class Keep(Callback):
        def on_after_backward(self, trainer: Any, module: Any) -> None:
            assert mix.last is not None
            kept.extend((mix.last.lam, learned.centres.grad.clone()))

    labels, x = torch.tensor([0, 0, 0, 2, 1, 1]), torch.zeros(6, 2, dtype=torch.float64)
    trainer(mix, Keep()).fit(net, DataLoader(list(zip(x, labels, strict=True)), batch_size=6))
    lam, got = kept
    plain = Learned()
    loss = lam * plain(net.z.detach(), labels) + (1 - lam) * plain(net.z.detach(), labels[PARTNERS])
    loss.backward()
    torch.testing.assert_close(got, plain.centres.grad)
    assert learned.calls == 1 + own_forward  # a copy counts for itself


# 9, 34: what Python decides is refused, with a cure that is exact


@pytest.mark.parametrize(
    ("loss", "number"),
    [
        pytest.param(numpy_counts, "9", id="numpy"),
        pytest.param(
            lambda z, y: F.cross_entropy(z[:, : 1 + int(y.max())], y) if y[0] == 0 else z.sum(), "34", id="if"
        ),
    ],
)
def test_what_python_decides_is_refused_and_cured(loss, number, trainer):
    with pytest.raises(MixedTargetError, match="interpolate_loss"):
        run(trainer, Case(name=str(number), loss=loss), 0)
    case = Case(name=str(number), loss=interpolate_loss(loss), plain=loss)
    got = run(trainer, case, 0)
    torch.testing.assert_close((got.loss, got.gradient), formula(case, got.lam))


def test_labels_written_through_a_view_are_right_or_refused(trainer):
    def by_rows(z: Tensor, y: Tensor) -> Tensor:
        hot = torch.zeros_like(z)
        for row, label in zip(hot, y, strict=True):
            row[label] = 1
        return -(hot * z.log_softmax(1)).sum(1).mean()

    def flat(z: Tensor, y: Tensor) -> Tensor:
        hot = torch.zeros(6, 3, dtype=torch.float64)
        hot.view(-1)[torch.arange(6) * 3 + y] = 1
        return -(hot * z.log_softmax(1)).sum(1).mean()

    for loss in (by_rows, flat):
        with pytest.raises(MixedTargetError, match="interpolate_loss"):
            run(trainer, Case(name="34", loss=loss), 0)
        case = Case(name="34", loss=interpolate_loss(loss), plain=loss)
        got = run(trainer, case, 0)
        torch.testing.assert_close((got.loss, got.gradient), formula(case, got.lam))


# 11, 20: values


def test_an_ignored_value_is_not_averaged_away(trainer):
    depths = torch.where(VALUES < 0, 0.0, VALUES)

    def masked(z: Tensor, y: Tensor) -> Tensor:
        keep = y != 0
        return (z - y)[keep].square().mean()

    case = Case(name="11", loss=masked, labels=depths, shape=(6, 2), options={"ignore_value": 0.0, "targets": "values"})
    got = run(trainer, case, 0)
    other = depths[PARTNERS]
    mixed = torch.where((depths == 0) | (other == 0), 0.0, got.lam * depths + (1 - got.lam) * other)
    torch.testing.assert_close(got.loss, masked(Step(masked, (6, 2)).z.detach(), mixed))


@pytest.mark.parametrize("metric", [MeanAbsoluteError, MeanSquaredError, ExplainedVariance])
def test_regression_metrics_take_mixed_values(metric, trainer):
    measured = metric().double() if metric is not ExplainedVariance else metric()

    def loss(z: Tensor, y: Tensor) -> Tensor:
        measured.update(z, y)
        return F.mse_loss(z, y)

    case = Case(name="20", loss=loss, labels=VALUES, shape=(6, 2))
    got = run(trainer, case, 0)
    mixed = got.lam * VALUES + (1 - got.lam) * VALUES[PARTNERS]
    want = metric()
    want.update(Step(loss, (6, 2)).z.detach(), mixed)
    torch.testing.assert_close(measured.compute(), want.compute(), check_dtype=False)
    torch.testing.assert_close(got.loss, F.mse_loss(Step(loss, (6, 2)).z.detach(), mixed))


# 14: results of criteria


def test_results_keep_their_shape(trainer):
    class Output(NamedTuple):
        logits: Tensor
        extra: Tensor

    def loss(z: Tensor, y: Tensor) -> dict[str, Any]:
        output = Output(z, z * 2)
        value, details = interpolate_loss(lambda out, y: (each_focal(out.logits, y), {"size": len(y)}))(output, y)
        assert details == {"size": 6}
        return {"loss": value, "output": output}

    case = Case(name="14", loss=loss, plain=each_focal)
    got = run(trainer, case, 0)
    torch.testing.assert_close((got.loss, got.gradient), formula(case, got.lam))


# 21: a criterion that a module makes anew


def test_a_named_criterion_may_be_made_anew(trainer):
    class Deferred(Step):
        def on_train_epoch_start(self) -> None:
            self.loss = module(lambda z, y: F.cross_entropy(z, y, weight=WEIGHT if self.current_epoch else None))

    net = Deferred(module(F.cross_entropy), (6, 3))
    mix, seen = Mixup(2.0, pairing=Fixed(), seed=0, loss="loss"), []

    class Keep(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            assert mix.last is not None
            seen.append((outputs["loss"].detach(), mix.last.lam))

    x = torch.zeros(6, 2, dtype=torch.float64)
    trainer(mix, Keep(), max_epochs=2).fit(net, DataLoader(list(zip(x, IDS, strict=True)), batch_size=6))
    for (loss, lam), weight in zip(seen, (None, WEIGHT), strict=True):
        own, partner = (F.cross_entropy(net.z, y, weight=weight) for y in (IDS, IDS[PARTNERS]))
        torch.testing.assert_close(loss, (lam * own + (1 - lam) * partner).detach())


# 23, 27: targets of unusual shape


def test_complex_targets_keep_their_imaginary_part(trainer):
    labels = torch.complex(VALUES[:, 0], VALUES[:, 1])

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return (torch.view_as_complex(z) - y).abs().square().mean()

    got = run(trainer, Case(name="23", loss=loss, labels=labels, shape=(6, 2)), 0)
    mixed = got.lam * labels + (1 - got.lam) * labels[PARTNERS]
    torch.testing.assert_close(got.loss, loss(Step(loss, (6, 2)).z.detach(), mixed))


def test_probabilities_of_pixels_stand_where_losses_expect_them(trainer):
    masks = MASKS[:, 0, :3, :3]  # as many classes as rows and columns: a wrong order would be accepted
    options = {"targets": "soft", "num_classes": 3}
    case = Case(name="27", loss=F.cross_entropy, labels=masks, shape=(6, 3, 3, 3), options=options)
    got = run(trainer, case, 0)
    torch.testing.assert_close((got.loss, got.gradient), formula(case, got.lam))


# 31: precision


def test_autocast_keeps_the_promotion_of_the_loss(trainer):
    def loss(z: Tensor, y: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy((z.float() * 9) @ torch.eye(3), y).double()

    case = Case(name="31", loss=loss)
    got = run(trainer, case, 0)
    torch.testing.assert_close(got.loss, formula(case, got.lam)[0], rtol=1e-6, atol=1e-6)


# 40: what is logged


def test_a_detached_loss_is_logged_mixed(trainer):
    class Logging(Step):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = each_focal(self.z, batch[1])
            self.log("detached", loss.detach())
            return loss

    net, mix = Logging(each_focal, (6, 3)), Mixup(2.0, pairing=Fixed(), seed=0)
    x = torch.zeros(6, 2, dtype=torch.float64)
    fit = trainer(mix)
    fit.fit(net, DataLoader(list(zip(x, IDS, strict=True)), batch_size=6))
    own, partner = (each_focal(net.z.detach(), y) for y in (IDS, IDS[PARTNERS]))
    lam = fit.callback_metrics["mix/lam"]
    torch.testing.assert_close(fit.callback_metrics["detached"], lam * own + (1 - lam) * partner, check_dtype=False)
