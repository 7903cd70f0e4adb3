"""Other things that training steps do with labels: buffers, logs, metrics, gradients within the step, containers."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from targets.corpus import Corpus, Net
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchmetrics import Accuracy, MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassF1Score

from lightning_mixup import MixedTarget

USES = Corpus()
SAMPLED = ("sampled",)


def hand_written(z: Tensor, y: Tensor) -> Tensor:
    """A loss that is not linear in the labels, for steps whose point is another."""
    own = z.log_softmax(1).gather(1, y[:, None])
    return ((1 - own.exp()) ** 2 * -own).mean()


# What a step gives back


@USES.use()
def a_dict_of_results(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    return {"loss": hand_written(z, y), "logits": z.detach(), "labels": y, "right": z.argmax(1) == y}


@USES.use()
def a_shared_step(net: Net, x: Tensor, y: Tensor) -> Any:
    def shared(batch: tuple[Tensor, Tensor], stage: str) -> dict[str, Tensor]:
        z = net(batch[0])
        return {"loss": hand_written(z, batch[1]), "count": torch.tensor(len(batch[1]))}

    out = shared((x, y), "train")
    return out["loss"] * out["count"]


@USES.use()
def losses_summed_in_a_dict(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    parts = {"ce": F.cross_entropy(z, y), "focal": hand_written(z, y), "norm": z.square().mean()}
    return sum(weight * parts[name] for name, weight in {"ce": 1.0, "focal": 0.5, "norm": 0.1}.items())


@USES.use()
def losses_summed_in_a_list(net: Net, x: Tensor, y: Tensor) -> Any:
    losses = [F.cross_entropy(z, y) for z in (net(x), net(x * 0.5), net(-x))]
    return torch.stack(losses).max() + sum(losses) / len(losses)


@USES.use()
def parts_of_the_batch(net: Net, x: Tensor, y: Tensor) -> Any:
    losses = [hand_written(net(a), b) * len(b) for a, b in zip(x.split(4), y.split(4), strict=True)]
    return torch.stack(losses).sum() / len(x)


@USES.use()
def half_of_the_batch(net: Net, x: Tensor, y: Tensor) -> Any:
    a, b = y.chunk(2)
    return hand_written(net(x)[: len(a)], a) - 0.5 * F.cross_entropy(net(x)[len(a) :], b)


# Logs, metrics, reports


@USES.use()
def logs(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    loss = F.cross_entropy(z, y)
    net.log("loss", loss)
    net.log("detached", loss.detach() ** 2)
    net.log("number", loss.item())
    net.log("accuracy", (z.argmax(1) == y).float().mean())
    return loss


@USES.use()
def logs_together(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    ce, focal = F.cross_entropy(z, y), hand_written(z, y)
    values = {"ce": ce, "focal": focal, "perplexity": ce.exp(), "share": (y == 2).float().mean()}
    if net._trainer is None:
        for name, value in values.items():
            net.log(name, value)
    else:
        net.log_dict(values, on_step=True)
    return ce + focal


def _metrics(net: Net) -> None:
    net.accuracy = Accuracy(task="multiclass", num_classes=5)
    net.mean = MeanMetric()
    net.several = MetricCollection({"f1": MulticlassF1Score(5), "matrix": MulticlassConfusionMatrix(5)})


@USES.use(build=_metrics)
def metrics(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    loss = hand_written(z, y)
    net.accuracy(z, y)
    net.accuracy.update(z.argmax(1), y)
    net.several.update(z, y)
    net.mean(loss)
    net.mean.update(loss.detach())
    return loss


@USES.use()
def prints(net: Net, x: Tensor, y: Tensor) -> Any:
    loss = hand_written(net(x), y)
    net.memory["text"] = f"loss {loss:.3f} {loss.item():.2f} of {y} {loss!r}"
    return loss


@USES.use()
def losses_kept(net: Net, x: Tensor, y: Tensor) -> Any:
    loss = hand_written(net(x), y)
    history = net.memory.setdefault("losses", [])
    history.append(loss.item())
    net.memory.setdefault("numbers", []).append(float(loss))
    return loss


@USES.use()
def a_running_mean_in_python(net: Net, x: Tensor, y: Tensor) -> Any:
    loss = hand_written(net(x), y)
    before = net.memory.get("mean", 1.0)
    net.memory["mean"] = 0.9 * before + 0.1 * loss.item()
    return loss / (1 + before)


@USES.use()
def a_running_mean_read_at_once(net: Net, x: Tensor, y: Tensor) -> Any:
    loss = hand_written(net(x), y)
    net.memory["mean"] = 0.9 * net.memory.get("mean", 1.0) + 0.1 * loss.item()
    return loss / net.memory["mean"]


@USES.use()
def the_size_of_the_batch(net: Net, x: Tensor, y: Tensor) -> Any:
    sizes = len(y) + y.size(0) + y.shape[0] + y.numel() + y.dim() + y.ndim
    assert y.dtype == torch.int64
    assert y.device == x.device
    assert not y.is_cuda
    assert not y.is_floating_point()
    assert torch.is_tensor(y)
    assert isinstance(y, Tensor)
    return F.cross_entropy(net(x), y, reduction="sum") / sizes


@USES.use()
def checks_that_agree(net: Net, x: Tensor, y: Tensor) -> Any:
    assert (y >= 0).all()
    assert y.max() < 5
    assert y.min().item() >= 0
    if torch.any(y < 0):
        raise ValueError("labels must not be negative")
    loss = hand_written(net(x), y)
    assert not torch.isnan(loss)
    assert torch.isfinite(loss)
    return loss


# Numbers that are read


@USES.use()
def a_number_as_a_normaliser(net: Net, x: Tensor, y: Tensor) -> Any:
    n = (y == 1).sum().item() + (y > 2).float().mean().item()
    return F.cross_entropy(net(x), y, reduction="sum") / (1 + n)


@USES.use()
def a_ratio_of_losses(net: Net, x: Tensor, y: Tensor) -> Any:
    a, b = F.cross_entropy(net(x), y), hand_written(net(x.flip(1)), y)
    return a + (a.item() / b.item()) * b


@USES.use()
def a_detached_weight(net: Net, x: Tensor, y: Tensor) -> Any:
    a, b = F.cross_entropy(net(x), y), hand_written(net(x.flip(1)), y)
    return a / a.detach() + b * (a.detach() / (b.detach() + 1))


@USES.use(cures=SAMPLED)
def a_branch_on_a_number(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    return hand_written(z, y) if y[:3].float().mean().item() > 1.5 else F.cross_entropy(z, y)


@USES.use(cures=SAMPLED)
def a_whole_number_as_an_index(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    return -z[0].log_softmax(0)[int(y[0])] + z.square().mean()


@USES.use(cures=SAMPLED)
def labels_in_a_python_dict(net: Net, x: Tensor, y: Tensor) -> Any:
    names = {0: 0.5, 1: 1.0, 2: 1.5, 3: 2.0, 4: 3.0}
    weights = torch.tensor([names[int(label)] for label in y], dtype=x.dtype)
    return (F.cross_entropy(net(x), y, reduction="none") * weights).mean()


@USES.use(cures=SAMPLED)
def labels_for_another_library(net: Net, x: Tensor, y: Tensor) -> Any:
    import numpy as np

    net.memory["counts"] = np.bincount(y.numpy(), minlength=5).tolist()
    return hand_written(net(x), y)


@USES.use(cures=SAMPLED)
def a_new_tensor_of_labels(net: Net, x: Tensor, y: Tensor) -> Any:
    return hand_written(net(x), torch.tensor(y))  # as beginners do


# Tensors written in place


@USES.use()
def one_hot_by_setting_items(net: Net, x: Tensor, y: Tensor) -> Any:
    hot = torch.zeros(len(y), 5, dtype=x.dtype)
    hot[torch.arange(len(y)), y] = 0.9
    hot += 0.02
    return (hot - net(x).softmax(1)).square().sum(1).sqrt().mean()


@USES.use()
def labels_changed_in_place(net: Net, x: Tensor, y: Tensor) -> Any:
    labels = y.clone()
    labels[labels == 4] = -100
    labels[0] = 1
    labels += 0
    return F.cross_entropy(net(x), labels)


@USES.use()
def a_tensor_filled_by_a_loop(net: Net, x: Tensor, y: Tensor) -> Any:
    z, losses = net(x).log_softmax(1), torch.zeros(len(y), dtype=x.dtype)
    for i in range(len(y)):
        losses[i] = -z[i, y[i]]
    return losses.square().mean()


@USES.use()
def index_put_and_friends(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    table = torch.ones(5, dtype=x.dtype)
    table.index_add_(0, y, torch.full((len(y),), 0.5, dtype=x.dtype))
    table.index_fill_(0, y[:1], 3.0)
    table.index_put_((y[1:3],), torch.tensor(0.1, dtype=x.dtype), accumulate=True)
    table.clamp_(max=2.5).mul_(2)
    return F.cross_entropy(z, y, weight=table)


@USES.use()
def an_output_given(net: Net, x: Tensor, y: Tensor) -> Any:
    same = torch.empty(len(y), len(y), dtype=torch.bool)
    torch.eq(y[:, None], y[None], out=same)
    return (torch.cdist(net(x), net(x)) * same).mean() + F.cross_entropy(net(x), y)


@USES.use(cures=SAMPLED)
def memory_that_others_see(net: Net, x: Tensor, y: Tensor) -> Any:
    hot = torch.zeros(len(y), 5, dtype=x.dtype)
    row = hot[0]
    hot.scatter_(1, y[:, None], 1.0)
    return -(hot * net(x).log_softmax(1)).sum() + row.sum()


# Buffers


def _prototypes(net: Net) -> None:
    net.register_buffer("prototypes", torch.linspace(-1, 1, 25).view(5, 5).sin())
    net.register_buffer("counts", torch.zeros(5))
    net.register_buffer("queue", torch.zeros(12, 5))
    net.register_buffer("queue_labels", torch.zeros(12, dtype=torch.int64))
    net.register_buffer("pointer", torch.zeros(1, dtype=torch.int64))
    net.register_buffer("running", torch.ones(()))


@USES.use(build=_prototypes)
def prototypes_by_assignment(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    net.prototypes[y] = 0.5 * net.prototypes[y] + 0.5 * z.detach()
    return F.cross_entropy(-torch.cdist(z, net.prototypes), y)


@USES.use(build=_prototypes)
def prototypes_by_index_add(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    with torch.no_grad():
        net.prototypes.index_add_(0, y, z.detach(), alpha=0.1)
        net.counts.index_add_(0, y, torch.ones(len(y), dtype=x.dtype))
    return F.cross_entropy(z @ (net.prototypes / (1 + net.counts[:, None])).T, y)


@USES.use(build=_prototypes)
def prototypes_by_averages(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    hot = F.one_hot(y, 5).to(z)
    mean = (hot.T @ z.detach()) / hot.sum(0).clamp(min=1)[:, None]
    net.prototypes.mul_(0.9).add_(0.1 * mean)
    return (z - net.prototypes[y]).square().mean()


@USES.use(build=_prototypes)
def prototypes_replaced(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    net.prototypes = torch.lerp(net.prototypes, F.one_hot(y, 5).to(z).T @ z.detach(), 0.1)
    return (z - net.prototypes[y]).square().mean()


@USES.use(build=_prototypes, cures=SAMPLED)
def prototypes_under_data(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    net.counts.data += torch.bincount(y, minlength=5)
    return F.cross_entropy(z + torch.log1p(net.counts), y)


@USES.use(build=_prototypes)
def a_queue_of_labels(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    start = int(net.pointer)
    net.queue[start : start + len(y)] = z.detach()
    net.queue_labels[start : start + len(y)] = y
    net.pointer[0] = (start + len(y)) % len(net.queue)
    same = y[:, None] == net.queue_labels[None]
    logits = F.normalize(z) @ F.normalize(net.queue, eps=1e-6).T
    return -(logits.log_softmax(1) * same).sum(1).div(same.sum(1)).mean()


@USES.use(build=_prototypes)
def a_running_loss_in_a_buffer(net: Net, x: Tensor, y: Tensor) -> Any:
    loss = F.cross_entropy(net(x), y)
    net.running.mul_(0.9).add_(0.1 * loss.detach())
    return loss / net.running


@USES.use(build=_prototypes)
def a_confusion_matrix_that_weighs(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    matrix = torch.zeros(5, 5, dtype=x.dtype)
    matrix.index_put_((y, z.argmax(1)), torch.ones(len(y), dtype=x.dtype), accumulate=True)
    weight = 1 - matrix.diag() / matrix.sum(1).clamp(min=1)
    return F.cross_entropy(z, y, weight=1 + weight)


def _table(net: Net) -> None:
    net.table = nn.Embedding(5, 8)
    net.norm = nn.BatchNorm1d(8)


@USES.use(build=_table)
def labels_as_a_condition(net: Net, x: Tensor, y: Tensor) -> Any:
    hidden = net.body(x) + net.table(y)
    return net.head(hidden).square().mean()


@USES.use(build=_table)
def labels_joined_to_the_input(net: Net, x: Tensor, y: Tensor) -> Any:
    hidden = net.body(x)
    joined = torch.cat([hidden[:, :3], F.one_hot(y, 5).to(x)], dim=1)
    return F.cross_entropy(net.head(joined), y) + net.head(hidden).logsumexp(1).mean()


@USES.use(build=_table)
def labels_through_batch_norm(net: Net, x: Tensor, y: Tensor) -> Any:
    return F.cross_entropy(net.head(net.norm(net.body(x) * net.table(y))), y.flip(0))


@USES.use(build=lambda net: setattr(net, "free", nn.Dropout(0.4)))
def dropout_after_a_label(net: Net, x: Tensor, y: Tensor) -> Any:
    return F.cross_entropy(net.free(net(x)) * (1 + F.one_hot(y, 5)), y)


# Gradients within the step


@USES.use()
def a_gradient_penalty_on_features(net: Net, x: Tensor, y: Tensor) -> Any:
    hidden = net.body(x)
    loss = F.cross_entropy(net.head(hidden), y)
    (g,) = torch.autograd.grad(loss, hidden, create_graph=True)
    return loss + g.square().sum()


@USES.use()
def a_gradient_penalty_on_inputs(net: Net, x: Tensor, y: Tensor) -> Any:
    x = x.clone().requires_grad_()
    loss = hand_written(net(x), y)
    g = torch.autograd.grad(loss, x, create_graph=True)[0]
    return loss + 0.5 * (g.flatten(1).norm(dim=1) - 1).square().mean()


@USES.use()
def an_adversarial_step(net: Net, x: Tensor, y: Tensor) -> Any:
    x_adv = x.detach().clone().requires_grad_()
    g = torch.autograd.grad(F.cross_entropy(net(x_adv), y), x_adv)[0]
    return F.cross_entropy(net((x + 0.1 * g.sign()).detach()), y)


@USES.use()
def a_learned_step(net: Net, x: Tensor, y: Tensor) -> Any:
    weights = dict(net.head.named_parameters())
    hidden = net.body(x)
    inner = F.cross_entropy(torch.func.functional_call(net.head, weights, (hidden,)), y)
    grads = torch.autograd.grad(inner, tuple(weights.values()), create_graph=True)
    fast = {name: w - 0.5 * g for (name, w), g in zip(weights.items(), grads, strict=True)}
    return F.cross_entropy(torch.func.functional_call(net.head, fast, (hidden,)), y)


@USES.use()
def weights_of_two_tasks_by_their_gradients(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    losses = [F.cross_entropy(z, y), hand_written(z, y)]
    norms = [torch.autograd.grad(loss, net.head.weight, retain_graph=True)[0].norm() for loss in losses]
    return losses[0] + losses[1] * (norms[0] / (norms[1] + 1e-6))


@USES.use()
def a_hook_on_the_loss_of_each(net: Net, x: Tensor, y: Tensor) -> Any:
    each = F.cross_entropy(net(x), y, reduction="none")
    each.register_hook(lambda g: g * (g.abs() > 0.01) + g.clamp(max=0.1) ** 2)
    return each.mean()


@USES.use()
def a_hook_on_what_labels_made(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x) * (1 + F.one_hot(y, 5))
    z.register_hook(lambda g: g.clamp(-0.05, 0.05))
    return F.cross_entropy(z, y)


@USES.use()
def a_loss_recomputed_in_backward(net: Net, x: Tensor, y: Tensor) -> Any:
    return checkpoint(hand_written, net(x), y, use_reentrant=False)


@USES.use()
def a_network_recomputed_in_backward(net: Net, x: Tensor, y: Tensor) -> Any:
    return hand_written(checkpoint(net, x, use_reentrant=False), y)


@USES.use(cures=SAMPLED)
def a_loss_recomputed_reentrantly(net: Net, x: Tensor, y: Tensor) -> Any:
    return checkpoint(hand_written, net(x), y, use_reentrant=True)


class Scaled(torch.autograd.Function):
    """An operation with a backward pass of its own, on predictions alone."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return z * 2

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * 0.5


class OwnCrossEntropy(torch.autograd.Function):
    """A loss with a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
        p = z.softmax(1)
        ctx.save_for_backward(p, y)
        return -p.gather(1, y[:, None]).log().mean()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        p, y = ctx.saved_tensors
        return g * (p - F.one_hot(y, 5)) / len(y), None


@USES.use()
def a_function_of_ones_own_on_predictions(net: Net, x: Tensor, y: Tensor) -> Any:
    return hand_written(Scaled.apply(net(x)), y)


@USES.use(cures=SAMPLED)
def a_function_of_ones_own_on_labels(net: Net, x: Tensor, y: Tensor) -> Any:
    return OwnCrossEntropy.apply(net(x), y)


@USES.use(cures=SAMPLED)
def a_loss_mapped_over_samples(net: Net, x: Tensor, y: Tensor) -> Any:
    return torch.func.vmap(lambda z, label: -(z.log_softmax(0) * (torch.arange(5) == label)).sum())(net(x), y).mean()


@USES.use()
def gradients_detached_and_enabled(net: Net, x: Tensor, y: Tensor) -> Any:
    with torch.no_grad():
        weight = F.cross_entropy(net(x), y, reduction="none")
        with torch.enable_grad():
            loss = F.cross_entropy(net(x), y, reduction="none")
    with torch.set_grad_enabled(True):
        return (weight / weight.sum() * loss).sum()


# Precision


@USES.use(dtype=torch.float32, close=2e-3)
def autocast_in_the_step(net: Net, x: Tensor, y: Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return F.cross_entropy(net(x), y) + hand_written(net(x), y)


@USES.use(dtype=torch.float32, close=2e-3)
def the_loss_in_full_precision(net: Net, x: Tensor, y: Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = net(x)
    with torch.autocast("cpu", enabled=False):
        return hand_written(z.float(), y)


# Labels passed on


@USES.use()
def casts_and_moves(net: Net, x: Tensor, y: Tensor) -> Any:
    labels = y.to("cpu", non_blocking=True).to(torch.int32).cpu().contiguous().type(torch.LongTensor).type_as(y)
    labels = labels.view(-1).reshape(2, -1).flatten().unsqueeze(0).squeeze(0).detach().clone().long()
    assert labels.shape == y.shape
    return hand_written(net(x), labels)


@USES.use()
def copies(net: Net, x: Tensor, y: Tensor) -> Any:
    a, b = copy.copy(y), copy.deepcopy(y)
    return hand_written(net(x), a) + F.cross_entropy(net(x), b)


@USES.use()
def a_dataclass(net: Net, x: Tensor, y: Tensor) -> Any:
    @dataclass
    class Batch:
        inputs: Tensor
        labels: Tensor

    batch = Batch(x, y)
    return hand_written(net(batch.inputs), batch.labels)


@USES.use()
def keyword_arguments(net: Net, x: Tensor, y: Tensor) -> Any:
    options = {"input": net(x), "target": y, "reduction": "none"}
    return partial(F.cross_entropy, label_smoothing=0.1)(**options).pow(2).mean()


@USES.use()
def a_shuffle_of_ones_own(net: Net, x: Tensor, y: Tensor) -> Any:
    order = torch.randperm(len(x))
    z = net(0.6 * x + 0.4 * x[order])
    return 0.6 * hand_written(z, y) + 0.4 * hand_written(z, y[order])


@USES.use()
def two_views(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(torch.cat([x, x.flip(1)]))
    labels = torch.cat([y, y], dim=0)
    return hand_written(z, labels) + F.cross_entropy(torch.stack(z.chunk(2)).mean(0), y.repeat(2).view(2, -1)[1])


@USES.use()
def pseudo_labels(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    with torch.no_grad():
        confident, pseudo = z.softmax(1).max(1)
        labels = torch.where(confident > 0.35, pseudo, y)
    return hand_written(z, labels) + F.cross_entropy(z, y)


@USES.use()
def samples_by_their_labels(net: Net, x: Tensor, y: Tensor) -> Any:
    order = y.argsort(stable=True)
    z = net(x)[order]
    return (z[1:] - z[:-1]).square().sum(1).mul((y[order][1:] == y[order][:-1]).double() + 0.5).mean()


@USES.use()
def rows_of_one_class(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    rare = y >= 2
    return F.cross_entropy(z[rare], y[rare]) + z[~rare].square().sum() + z.masked_select(rare[:, None]).mean()


@USES.use()
def the_network_on_samples_of_one_class(net: Net, x: Tensor, y: Tensor) -> Any:
    rare = torch.nonzero(y >= 2).squeeze(1)
    return F.cross_entropy(net(x.index_select(0, rare)), y.index_select(0, rare))


class FocalMetric(Metric):
    """A loss as chemprop and pytorch-forecasting write them: a metric, whose ``forward`` gives a gradient."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, z: Tensor, y: Tensor) -> None:
        self.total += hand_written(z, y) * len(y)
        self.count += len(y)

    def compute(self) -> Tensor:
        return self.total / self.count


def _focal_metric(net: Net) -> None:
    net.criterion = FocalMetric()
    net.both = MetricCollection({"focal": FocalMetric(), "accuracy": Accuracy(task="multiclass", num_classes=5)})


@USES.use(build=_focal_metric)
def a_metric_as_the_loss(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    loss = net.criterion(z, y)
    assert not isinstance(net.criterion.total, MixedTarget)
    return loss + F.cross_entropy(z, y)


@USES.use(build=_focal_metric)
def a_collection_of_metrics_with_the_loss_among_them(net: Net, x: Tensor, y: Tensor) -> Any:
    found = net.both(net(x), y)
    return found["focal"] * 2


class Remembering(nn.Module):
    """A loss module that keeps what it computed last."""

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        self.last = hand_written(z, y)
        return self.last


def _remembering(net: Net) -> None:
    net.criterion = Remembering()


@USES.use(build=_remembering)
def a_loss_module_that_keeps_its_last_loss(net: Net, x: Tensor, y: Tensor) -> Any:
    return net.criterion(net(x), y)


@USES.use()
def a_metric_as_a_weight(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    accuracy = (z.argmax(1) == y).sum() / len(y)
    return F.cross_entropy(z, y) * (2 - accuracy)


@USES.use()
def top_k_as_a_mask(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    found = z.topk(2, dim=1).indices.eq(y[:, None]).any(1)
    return torch.where(
        found, 0.1 * F.cross_entropy(z, y, reduction="none"), F.cross_entropy(z, y, reduction="none")
    ).sum()


@USES.use()
def einsum_and_matmul(net: Net, x: Tensor, y: Tensor) -> Any:
    z, hot = net(x), F.one_hot(y, 5).double()
    joint = torch.einsum("bi,bj->ij", hot, z.softmax(1)) / len(y)
    return -(joint * (joint / (joint.sum(0, keepdim=True) * joint.sum(1, keepdim=True) + 1e-9) + 1e-9).log()).sum()


@USES.use("two targets")
def a_tuple_of_targets(net: Net, x: Tensor, y: tuple[Tensor, Tensor]) -> Any:
    z = net(x)
    both = torch.stack(y, dim=1)
    return sum(hand_written(z.roll(i, 1), both[:, i]) for i in range(2)) + F.cross_entropy(z, torch.maximum(*y))


@USES.use("masks")
def edges_of_a_mask(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=x.dtype).view(1, 1, 3, 3)
    edges = F.conv2d(y[:, None].double(), kernel, padding=1).abs() > 0.1
    return (F.cross_entropy(z, y, reduction="none") * (1 + 4 * edges.squeeze(1))).mean()


@USES.use("masks")
def patches_of_a_mask(net: Net, x: Tensor, y: Tensor) -> Any:
    patches = y.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3)
    mode = patches.mode(-1).values
    shares = F.adaptive_avg_pool2d(F.one_hot(y, 3).permute(0, 3, 1, 2).double(), 2)
    z = F.avg_pool2d(net(x), 2)
    return F.cross_entropy(z, mode) + F.kl_div(z.log_softmax(1), shares.clamp(min=1e-6), reduction="batchmean")


@USES.use("blobs")
def a_mask_that_weighs_an_image(net: Net, x: Tensor, y: Tensor) -> Any:
    z = net(x)
    foreground = (z * y).sum((2, 3)) / y.sum((2, 3)).clamp(min=1)
    background = (z * (1 - y)).sum((2, 3)) / (1 - y).sum((2, 3)).clamp(min=1)
    return F.relu(1 - (foreground - background)).pow(2).mean()


# Steps that optimise by themselves


def _manual(net: Net) -> None:
    net.automatic_optimization = False


@USES.use(build=_manual)
def manual_optimisation(net: Net, x: Tensor, y: Tensor) -> Any:
    optimizer = net.optimizers()
    optimizer.zero_grad()
    loss = hand_written(net(x), y)
    net.manual_backward(loss)
    optimizer.step()
    return loss


@USES.use(build=_manual)
def several_backward_passes(net: Net, x: Tensor, y: Tensor) -> Any:
    optimizer = net.optimizers()
    optimizer.zero_grad()
    hidden = net.body(x)
    net.manual_backward(hand_written(net.head(hidden), y), retain_graph=True)
    net.manual_backward(F.cross_entropy(net.head(hidden), y) ** 2)
    optimizer.step()


@USES.use(build=_manual)
def a_clipped_norm(net: Net, x: Tensor, y: Tensor) -> Any:
    optimizer = net.optimizers()
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x), y)
    net.manual_backward(loss)
    net.log("norm", torch.nn.utils.clip_grad_norm_(net.parameters(), 1e9).mul(0))
    optimizer.step()
    return {"loss": loss, "size": len(y)}
