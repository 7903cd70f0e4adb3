"""Losses as people write them by hand, in the styles of the field. None knows of mixed labels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from targets.corpus import Corpus
from torch import Tensor, nn

LOSSES = Corpus()
BRANCHES = ("interpolate_loss", "module", "sampled")  # cures of a loss that does not look the same for both labels
COUNTS = torch.tensor([50.0, 30.0, 20.0, 10.0, 5.0], dtype=torch.float64)


# Classification


@LOSSES.loss()
def nll_by_gather(z: Tensor, y: Tensor) -> Tensor:
    return -z.log_softmax(1).gather(1, y.unsqueeze(1)).mean()


@LOSSES.loss()
def nll_by_index(z: Tensor, y: Tensor) -> Tensor:
    log_prob = z.log_softmax(-1)
    return -log_prob[torch.arange(len(y)), y].mean()


@LOSSES.loss()
def nll_by_one_hot(z: Tensor, y: Tensor) -> Tensor:
    return -(F.one_hot(y, z.shape[1]) * z.log_softmax(1)).sum(1).mean()


@LOSSES.loss()
def smoothing_under_no_grad(z: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        true = torch.zeros_like(z)
        true.fill_(0.1 / (z.size(1) - 1))
        true.scatter_(1, y.data.unsqueeze(1), 0.9)
    return torch.mean(torch.sum(-true * z.log_softmax(1), dim=1))


@LOSSES.loss()
def smoothing_by_full_like(z: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        target = torch.full_like(z, 0.025)
        target.scatter_(1, y[:, None], 0.9)
    return F.kl_div(z.log_softmax(1), target, reduction="batchmean")


@LOSSES.loss()
def smoothing_under_inference_mode(z: Tensor, y: Tensor) -> Tensor:
    with torch.inference_mode():
        hot = F.one_hot(y, 5).to(z.dtype) * 0.9 + 0.02
    return -(hot.clone() * z.log_softmax(1)).sum(1).mean()


@LOSSES.loss()
def smoothing_as_two_losses(z: Tensor, y: Tensor) -> Tensor:
    log_prob = F.log_softmax(z, dim=-1)
    nll = -log_prob.gather(dim=-1, index=y.unsqueeze(1)).squeeze(1)
    return (0.9 * nll + 0.1 * -log_prob.mean(dim=-1)).mean()


@LOSSES.loss()
def poly1(z: Tensor, y: Tensor) -> Tensor:
    pt = (F.one_hot(y, num_classes=5).to(z) * z.softmax(-1)).sum(-1)
    return (F.cross_entropy(z, y, reduction="none") + 2.0 * (1 - pt)).mean()


@LOSSES.loss()
def focal_of_the_mean(z: Tensor, y: Tensor) -> Tensor:
    ce = F.cross_entropy(z, y)
    return (1 - torch.exp(-ce)) ** 2 * ce


@LOSSES.loss()
def focal_of_each(z: Tensor, y: Tensor) -> Tensor:
    ce = F.cross_entropy(z, y, reduction="none")
    pt = torch.exp(-ce)
    return ((1 - pt) ** 2 * ce).mean()


@LOSSES.loss()
def focal_with_alpha(z: Tensor, y: Tensor) -> Tensor:
    alpha = torch.tensor([0.1, 0.2, 0.3, 0.2, 0.2], dtype=z.dtype)
    log_pt = z.log_softmax(1).gather(1, y.view(-1, 1)).view(-1)
    at = alpha.gather(0, y.view(-1))
    return (-at * (1 - log_pt.exp()) ** 2 * log_pt).mean()


@LOSSES.loss()
def focal_by_one_hot_and_clamp(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1).clamp(1e-6, 1 - 1e-6)
    hot = torch.zeros(z.shape, dtype=z.dtype).scatter_(1, y.unsqueeze(1), 1.0) + 1e-6
    weight = torch.pow(-p + 1.0, 2.0)
    return torch.sum(hot * -weight * torch.log(p), dim=1).mean()


@LOSSES.loss("binary")
def focal_binary(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z[:, 0])
    ce = F.binary_cross_entropy_with_logits(z[:, 0], y, reduction="none")
    pt = p * y + (1 - p) * (1 - y)
    return ((0.25 * y + 0.75 * (1 - y)) * ce * (1 - pt) ** 2).mean()


@LOSSES.loss("binary")
def focal_binary_by_where(z: Tensor, y: Tensor) -> Tensor:
    p = z[:, 0].sigmoid()
    pt = torch.where(y == 1, p, 1 - p)
    return -((1 - pt) ** 2 * pt.clamp(min=1e-8).log()).mean()


@LOSSES.loss("many labels")
def asymmetric(z: Tensor, y: Tensor) -> Tensor:
    positive = torch.sigmoid(z)
    negative = (1 - positive + 0.05).clamp(max=1)
    loss = y * torch.log(positive.clamp(min=1e-8)) + (1 - y) * torch.log(negative.clamp(min=1e-8))
    with torch.no_grad():
        pt = positive * y + negative * (1 - y)
        weight = torch.pow(1 - pt, 1 * y + 4 * (1 - y))
    return -(loss * weight).sum()


@LOSSES.loss("many labels")
def bce_with_weights_of_the_target(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, weight=y * 5 + (1 - y) * 1)


@LOSSES.loss("many labels")
def bce_with_positive_weights(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.arange(1.0, 6.0, dtype=z.dtype))


@LOSSES.loss("many labels")
def zlpr(z: Tensor, y: Tensor) -> Tensor:
    signed = (1 - 2 * y) * z
    negative = torch.cat([signed - y * 1e12, torch.zeros_like(z[..., :1])], dim=-1)
    positive = torch.cat([signed - (1 - y) * 1e12, torch.zeros_like(z[..., :1])], dim=-1)
    return (torch.logsumexp(negative, -1) + torch.logsumexp(positive, -1)).mean()


@LOSSES.loss("many labels")
def two_way(z: Tensor, y: Tensor) -> Tensor:
    positive = z.masked_fill(y <= 0, -1e9)
    negative = z.masked_fill(y > 0, -1e9)
    return F.softplus(torch.logsumexp(negative, 1) + torch.logsumexp(-positive.masked_fill(y <= 0, 1e9) * -1, 1)).mean()


@LOSSES.loss("many labels")
def resample_balanced(z: Tensor, y: Tensor) -> Tensor:
    frequency = 1 / torch.tensor([5.0, 4, 3, 2, 1], dtype=z.dtype)
    rate = frequency * y
    weight = torch.sigmoid(10 * (frequency / rate.sum(1, keepdim=True).clamp(min=1e-6) - 0.2)) + 0.1
    return (F.binary_cross_entropy_with_logits(z, y, reduction="none") * weight).mean()


@LOSSES.loss()
def taylor_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    series = 1 + z + z**2 / 2
    p = series / series.sum(1, keepdim=True)
    return F.nll_loss(p.log(), y)


@LOSSES.loss()
def bi_tempered(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1)
    t = 0.8
    hot = F.one_hot(y, 5).to(p)

    def log_t(u: Tensor) -> Tensor:
        return (u.pow(1 - t) - 1) / (1 - t)

    terms = hot * log_t(hot + 1e-8) - hot * log_t(p) - hot.pow(2 - t) / (2 - t) + p.pow(2 - t) / (2 - t)
    return terms.sum(-1).mean()


@LOSSES.loss()
def multiclass_hinge(z: Tensor, y: Tensor) -> Tensor:
    right = z[torch.arange(z.size(0)), y].unsqueeze(1)
    margin = (z - right + 1).clamp(min=0)
    margin[torch.arange(z.size(0)), y] = 0
    return margin.sum() / z.size(0)


@LOSSES.loss()
def margin_to_the_strongest_other(z: Tensor, y: Tensor) -> Tensor:
    hot = F.one_hot(y, 5).bool()
    right, other = z[hot], z.masked_fill(hot, -math.inf).max(1).values
    return F.relu(1 + other - right).mean()


@LOSSES.loss()
def squared_hinge_against_all(z: Tensor, y: Tensor) -> Tensor:
    signs = -torch.ones_like(z)
    signs[range(len(z)), y] = 1
    return (1 - signs * z).clamp_min(0).square().mean()


@LOSSES.loss()
def brier(z: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(z.softmax(1), F.one_hot(y, 5).to(z))


@LOSSES.loss()
def cosine_to_one_hot(z: Tensor, y: Tensor) -> Tensor:
    return 0.1 * F.cross_entropy(F.normalize(z), y) + F.cosine_embedding_loss(
        z, F.one_hot(y, num_classes=z.size(-1)).to(z), torch.ones(len(y), dtype=z.dtype)
    )


@LOSSES.loss("float classes")
def classes_kept_as_floats(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y.long())


@LOSSES.loss("column")
def classes_in_a_column(z: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(z.log_softmax(1), y.squeeze(1)) + (z.argmax(1, keepdim=True) == y).double().mean()


@LOSSES.loss("one-hot")
def one_hot_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return (-(y * z.log_softmax(1)).sum(1)).pow(1.5).mean()


@LOSSES.loss("one-hot")
def one_hot_back_to_indices(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y.argmax(1)) + F.cross_entropy(z, y)


# Margins


@LOSSES.loss()
def arcface(z: Tensor, y: Tensor) -> Tensor:
    cosine = F.normalize(z).tanh()
    sine = torch.sqrt(1.0 - cosine.pow(2))
    phi = cosine * math.cos(0.3) - sine * math.sin(0.3)
    hot = torch.zeros(cosine.size(), dtype=z.dtype)
    hot.scatter_(1, y.view(-1, 1).long(), 1)
    return F.cross_entropy(10 * (hot * phi + (1.0 - hot) * cosine), y)


@LOSSES.loss()
def arcface_in_place(z: Tensor, y: Tensor) -> Tensor:
    cosine = z.tanh()
    index = torch.where(y != -1)[0]
    margin = torch.zeros(len(index), cosine.size(1), dtype=z.dtype)
    margin.scatter_(1, y[index, None], 0.3)
    theta = cosine.acos()
    theta = theta + margin
    return F.cross_entropy(theta.cos().mul(8.0), y)


@LOSSES.loss()
def cosface(z: Tensor, y: Tensor) -> Tensor:
    cosine = z.tanh()
    margin = torch.zeros_like(cosine).scatter_(1, y.view(-1, 1), 0.35)
    return F.cross_entropy(8 * (cosine - margin), y)


@LOSSES.loss()
def ldam(z: Tensor, y: Tensor) -> Tensor:
    margins = 1.0 / COUNTS.sqrt().sqrt()
    margins = margins * (0.5 / margins.max())
    index = torch.zeros_like(z, dtype=torch.uint8)
    index.scatter_(1, y.data.view(-1, 1), 1)
    batch = torch.matmul(margins[None, :], index.to(z).transpose(0, 1)).view((-1, 1))
    return F.cross_entropy(3 * torch.where(index.bool(), z - batch, z), y, weight=1 / COUNTS)


@LOSSES.loss()
def seesaw(z: Tensor, y: Tensor) -> Tensor:
    hot = F.one_hot(y, 5)
    weights = z.new_ones(hot.size())
    ratio = COUNTS[None, :].clamp(min=1) / COUNTS[:, None].clamp(min=1)
    weights = weights * ((ratio < 1).double() * ratio.pow(0.8) + (ratio >= 1).double())[y]
    scores = F.softmax(z.detach(), dim=1)
    own = scores[torch.arange(len(scores)), y.long()]
    relative = scores / own[:, None].clamp(min=1e-2)
    weights = weights * torch.where(relative > 1, relative.pow(2), torch.ones_like(relative))
    return F.cross_entropy(z + weights.log() * (1 - hot), y)


@LOSSES.loss()
def circle(z: Tensor, y: Tensor) -> Tensor:
    mask = y.unsqueeze(1) == torch.arange(5)
    similarity = z.tanh()
    positive, negative = similarity[mask], similarity[~mask].view(len(z), -1)
    ap, an = torch.clamp_min(-positive.detach() + 1.25, 0.0), torch.clamp_min(negative.detach() + 0.25, 0.0)
    return F.softplus(
        torch.logsumexp(an * (negative - 0.25) * 4, dim=1) - ap * (positive - 0.75) * 4
    ).mean() + F.cross_entropy(z, y)


@LOSSES.loss()
def sphereface(z: Tensor, y: Tensor) -> Tensor:
    cosine = z.tanh()
    with torch.no_grad():
        theta = cosine.gather(1, y.unsqueeze(1)).clamp(-1 + 1e-6, 1 - 1e-6).acos()
        k = (2 * theta / math.pi).floor()
        phi = (-1) ** k * torch.cos(2 * theta) - 2 * k
        delta = torch.zeros_like(cosine).scatter(1, y.unsqueeze(1), phi - theta.cos())
    return F.cross_entropy(4 * (cosine + delta), y)


# Imbalance


@LOSSES.loss()
def class_balanced(z: Tensor, y: Tensor) -> Tensor:
    effective = 1.0 - torch.pow(torch.tensor(0.99, dtype=z.dtype), COUNTS)
    weights = 0.01 / effective
    weights = (weights / weights.sum() * 5).unsqueeze(0).repeat(y.shape[0], 1) * F.one_hot(y, 5)
    weights = weights.sum(1).unsqueeze(1).repeat(1, 5)
    return F.binary_cross_entropy_with_logits(z, F.one_hot(y, 5).to(z), weight=weights)


@LOSSES.loss()
def balanced_softmax(z: Tensor, y: Tensor) -> Tensor:
    prior = COUNTS.unsqueeze(0).expand(z.shape[0], -1)
    return F.cross_entropy(z + prior.log(), y)


@LOSSES.loss()
def weights_of_the_batch(z: Tensor, y: Tensor) -> Tensor:
    counts = torch.bincount(y, minlength=5)
    return F.cross_entropy(z, y, weight=len(y) / (counts.to(z) + 1))


@LOSSES.loss()
def weighted_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return nn.CrossEntropyLoss(weight=1 / COUNTS, label_smoothing=0.1)(z, y)


@LOSSES.loss()
def weights_by_lookup(z: Tensor, y: Tensor) -> Tensor:
    weight = (1 / COUNTS)[y]
    return (F.cross_entropy(z, y, reduction="none") * weight).sum() / weight.sum()


@LOSSES.loss()
def normalised_by_a_count(z: Tensor, y: Tensor) -> Tensor:
    n = (y == 2).sum().item()
    return F.cross_entropy(z, y, reduction="sum") / (1 + n)


@LOSSES.loss()
def equalised(z: Tensor, y: Tensor) -> Tensor:
    hot = z.new_zeros(len(z), 5)
    hot[torch.arange(len(z)), y] = 1
    rare = (COUNTS < 15).double()
    weight = 1 - rare.view(1, 5).expand(len(z), 5) * (1 - hot)
    return torch.sum(F.binary_cross_entropy_with_logits(z, hot, reduction="none") * weight) / len(z)


@LOSSES.loss()
def influence_balanced(z: Tensor, y: Tensor) -> Tensor:
    gap = (z.softmax(1) - F.one_hot(y, 5)).abs().sum(1)
    influence = 1000.0 / (gap.reshape(-1) * 2 + 1e-3)
    return (F.cross_entropy(z, y, reduction="none", weight=1 / COUNTS) * influence.detach()).mean()


@LOSSES.loss()
def gradient_harmonised(z: Tensor, y: Tensor) -> Tensor:
    hot = F.one_hot(y, 5).to(z)
    g = (z.sigmoid().detach() - hot).abs()
    weights, bins = torch.zeros_like(z), 0
    for i in range(4):
        inside = (g >= i / 4) & (g < (i + 1) / 4 + 1e-6)
        total = max(inside.sum().item() + 1, 1)
        weights = weights + inside * (z.numel() / total)
        bins += 1
    return F.binary_cross_entropy_with_logits(z, hot, weights / bins, reduction="sum") / z.numel()


@LOSSES.loss(cures=BRANCHES)
def weights_by_branches_on_counts(z: Tensor, y: Tensor) -> Tensor:
    weight = torch.ones(5, dtype=z.dtype)
    for label in range(5):
        n = (y == label).sum().item()
        if n > 1:
            weight[label] = 1 / n
    return F.cross_entropy(z, y, weight=weight)


@LOSSES.loss()
def hard_examples(z: Tensor, y: Tensor) -> Tensor:
    ce = F.cross_entropy(z, y, reduction="none")
    return ce.topk(4).values.mean()


@LOSSES.loss()
def hard_examples_above_a_threshold(z: Tensor, y: Tensor) -> Tensor:
    ce = F.cross_entropy(z, y, reduction="none")
    hard = ce > ce.detach().mean()
    return ce[hard].mean()


@LOSSES.loss(cures=BRANCHES)
def hard_negatives_by_count(z: Tensor, y: Tensor) -> Tensor:
    rare = y >= 3
    k = int(3 * rare.sum())
    ce = F.cross_entropy(z, y, reduction="none")
    return ce[rare].sum() + ce[~rare].sort(descending=True).values[: max(k, 1)].mean()


# Noisy labels


@LOSSES.loss()
def generalised_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    p = F.softmax(z, dim=1)
    own = torch.gather(p, 1, torch.unsqueeze(y, 1))
    return ((1 - own**0.7) / 0.7).mean()


@LOSSES.loss()
def symmetric_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    p = F.softmax(z, dim=1).clamp(min=1e-7, max=1.0)
    hot = torch.clamp(F.one_hot(y, 5).to(z), min=1e-4, max=1.0)
    return 0.5 * F.cross_entropy(z, y) + (-torch.sum(p * torch.log(hot), dim=1)).mean()


@LOSSES.loss()
def bootstrapping(z: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        target = 0.8 * F.one_hot(y, 5) + 0.2 * z.softmax(1)
    return -(target * z.log_softmax(1)).sum(1).mean()


@LOSSES.loss()
def active_passive(z: Tensor, y: Tensor) -> Tensor:
    log_prob = z.log_softmax(1)
    hot = F.one_hot(y, 5).to(z)
    normalised = -(hot * log_prob).sum(1) / -log_prob.sum(1)
    mae = 1.0 - torch.sum(hot * z.softmax(1), dim=1)
    return normalised.mean() + mae.mean()


@LOSSES.loss()
def early_learning(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1).clamp(1e-4, 1 - 1e-4)
    memory = 0.7 * F.one_hot(y, 5) + 0.3 * p.detach() / p.detach().sum(1, keepdim=True)
    return F.cross_entropy(z, y) + 3 * (1 - (memory * p).sum(1)).log().mean()


@LOSSES.loss()
def jensen_shannon(z: Tensor, y: Tensor) -> Tensor:
    p, hot = z.softmax(1), F.one_hot(y, 5).to(z)
    middle = (0.5 * hot + 0.5 * p).clamp(1e-7, 1.0).log()
    return 0.5 * F.kl_div(middle, hot, reduction="batchmean") + 0.5 * F.kl_div(middle, p, reduction="batchmean")


@LOSSES.loss()
def forward_correction(z: Tensor, y: Tensor) -> Tensor:
    transition = torch.full((5, 5), 0.05, dtype=z.dtype).fill_diagonal_(0.8)
    return F.nll_loss((z.softmax(1) @ transition).log(), y)


@LOSSES.loss()
def peer(z: Tensor, y: Tensor) -> Tensor:
    shuffled = y[torch.randperm(len(y))]
    return F.cross_entropy(z, y) - 0.3 * F.cross_entropy(z[torch.randperm(len(z))], shuffled)


@LOSSES.loss()
def co_teaching(z: Tensor, y: Tensor) -> Tensor:
    loss = F.cross_entropy(z, y, reduction="none")
    kept = torch.argsort(loss.data)[: int(0.7 * len(loss))]
    return torch.sum(F.cross_entropy(z.flip(1)[kept], y[kept], reduction="none")) / len(kept)


@LOSSES.loss()
def negative_learning(z: Tensor, y: Tensor) -> Tensor:
    other = (y + torch.randint(1, 5, y.shape)) % 5
    return F.nll_loss((1 - z.softmax(1)).clamp(min=1e-6).log(), other)


# Segmentation


def _hot(z: Tensor, y: Tensor) -> Tensor:
    return F.one_hot(y, z.shape[1]).permute(0, 3, 1, 2).to(z)


@LOSSES.loss("masks")
def dice(z: Tensor, y: Tensor) -> Tensor:
    p, t = z.softmax(1), _hot(z, y)
    overlap = (p * t).sum((0, 2, 3))
    return 1 - (2 * overlap / ((p + t).sum((0, 2, 3)) + 1e-6)).mean()


@LOSSES.loss("mask channel")
def dice_and_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    hot = torch.zeros_like(z).scatter_(1, y, 1.0)
    p = z.softmax(1)
    return 1 - 2 * (p * hot).sum() / (p + hot).sum() + F.cross_entropy(z, y[:, 0])


@LOSSES.loss("masks")
def jaccard(z: Tensor, y: Tensor) -> Tensor:
    p, t = z.softmax(1).flatten(2), _hot(z, y).flatten(2)
    both = (p * t).sum(-1)
    return (1 - (both + 1) / (p.sum(-1) + t.sum(-1) - both + 1)).mean()


@LOSSES.loss("masks")
def focal_tversky(z: Tensor, y: Tensor) -> Tensor:
    p, t = z.softmax(1), _hot(z, y)
    tp, fp, fn = (p * t).sum((2, 3)), (p * (1 - t)).sum((2, 3)), ((1 - p) * t).sum((2, 3))
    return (1 - (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)).pow(0.75).mean()


@LOSSES.loss("masks")
def generalised_dice(z: Tensor, y: Tensor) -> Tensor:
    p, t = z.softmax(1), _hot(z, y)
    weight = 1 / (t.sum((2, 3)) ** 2 + 1)
    infinite = torch.isinf(weight)
    weight[infinite] = 0.0
    return 1 - 2 * (weight * (p * t).sum((2, 3))).sum() / (weight * (p + t).sum((2, 3))).sum()


@LOSSES.loss("masks")
def lovasz_softmax(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1).permute(0, 2, 3, 1).reshape(-1, 3)
    labels, losses = y.view(-1), []
    for c in range(3):
        foreground = (labels == c).double()
        errors, order = torch.sort((foreground - p[:, c]).abs(), 0, descending=True)
        sorted_truth = foreground[order]
        total = sorted_truth.sum()
        both, either = total - sorted_truth.cumsum(0), total + (1 - sorted_truth).cumsum(0)
        steps = 1.0 - both / either
        steps[1:] = steps[1:] - steps[:-1]
        losses.append(torch.dot(errors, steps))
    return torch.stack(losses).mean()


@LOSSES.loss("blobs")
def binary_dice(z: Tensor, y: Tensor) -> Tensor:
    p = z[:, :1].sigmoid().view(len(z), -1)
    t = y.view(len(y), -1)
    return (1 - (2 * (p * t).sum(1) + 1) / (p.pow(2).sum(1) + t.pow(2).sum(1) + 1)).mean()


@LOSSES.loss("blobs")
def boundary(z: Tensor, y: Tensor) -> Tensor:
    p = z[:, :1].sigmoid()
    edge = F.max_pool2d(1 - y, 3, 1, 1) - (1 - y)
    edge_p = F.max_pool2d(1 - p, 3, 1, 1) - (1 - p)
    precision = (edge_p * F.max_pool2d(edge, 3, 1, 1)).sum((1, 2, 3)) / (edge_p.sum((1, 2, 3)) + 1e-7)
    recall = (F.max_pool2d(edge_p, 3, 1, 1) * edge).sum((1, 2, 3)) / (edge.sum((1, 2, 3)) + 1e-7)
    return (1 - 2 * precision * recall / (precision + recall + 1e-7)).mean()


@LOSSES.loss("blobs")
def structure(z: Tensor, y: Tensor) -> Tensor:
    weight = 1 + 5 * torch.abs(F.avg_pool2d(y, kernel_size=3, stride=1, padding=1) - y)
    bce = F.binary_cross_entropy_with_logits(z[:, :1], y, reduction="none")
    bce = (weight * bce).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
    p = torch.sigmoid(z[:, :1])
    both, either = ((p * y) * weight).sum(dim=(2, 3)), ((p + y) * weight).sum(dim=(2, 3))
    return (bce + 1 - (both + 1) / (either - both + 1)).mean()


@LOSSES.loss("void")
def cross_entropy_without_void(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, ignore_index=255)


@LOSSES.loss("void")
def void_selected_by_hand(z: Tensor, y: Tensor) -> Tensor:
    scores = z.permute(0, 2, 3, 1).reshape(-1, 3)
    labels = y.view(-1)
    valid = labels != 255
    return F.cross_entropy(scores[valid], labels[valid])


@LOSSES.loss("void")
def hard_pixels(z: Tensor, y: Tensor) -> Tensor:
    valid = y.ne(255)
    target = y * valid.long()
    own = z.softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
    kept = valid & (own < 0.6)
    target = target.masked_fill(~kept, 255)
    return F.cross_entropy(z, target, ignore_index=255)


@LOSSES.loss("void", cures=BRANCHES)
def hard_pixels_by_count(z: Tensor, y: Tensor) -> Tensor:
    valid = y.view(-1).ne(255)
    count = valid.sum()
    losses = F.cross_entropy(z, y, ignore_index=255, reduction="none").view(-1)[valid]
    if losses.numel() > 40:
        return losses.topk(int(count * 0.5)).values.mean()
    return losses.mean()


@LOSSES.loss("masks")
def deep_supervision(z: Tensor, y: Tensor) -> Tensor:
    half = F.interpolate(y[:, None].double(), scale_factor=0.5, mode="nearest").long().squeeze(1)
    return F.cross_entropy(z, y) + 0.5 * F.cross_entropy(F.avg_pool2d(z, 2), half)


# Metric learning beside cross entropy


@LOSSES.loss()
def supervised_contrastive(z: Tensor, y: Tensor) -> Tensor:
    features = F.normalize(z, dim=1)
    mask = torch.eq(y.view(-1, 1), y.view(-1, 1).T).to(z)
    logits = features @ features.T / 0.5
    logits = logits - logits.max(1, keepdim=True).values.detach()
    others = torch.scatter(torch.ones_like(mask), 1, torch.arange(len(z)).view(-1, 1), 0)
    mask = mask * others
    log_prob = logits - torch.log((torch.exp(logits) * others).sum(1, keepdim=True))
    pairs = mask.sum(1)
    pairs = torch.where(pairs < 1e-6, 1, pairs)
    return -((mask * log_prob).sum(1) / pairs).mean() + F.cross_entropy(z, y)


@LOSSES.loss()
def contrastive_pairs(z: Tensor, y: Tensor) -> Tensor:
    distance = torch.cdist(z, z)
    same = (y[:, None] == y[None, :]).to(z)
    return (same * distance**2 + (1 - same) * F.relu(1.0 - distance) ** 2).sum() / z.shape[0] ** 2


@LOSSES.loss()
def batch_hard_triplets(z: Tensor, y: Tensor) -> Tensor:
    distance = (z[:, None] - z[None]).pow(2).sum(-1).add(1e-12).sqrt()
    same = y.expand(len(y), len(y)).eq(y.expand(len(y), len(y)).t())
    positive = (distance * same).max(1)[0]
    negative = distance.masked_fill(same, math.inf).min(1)[0]
    return F.margin_ranking_loss(negative, positive, torch.ones_like(negative), margin=0.3) + F.cross_entropy(z, y)


@LOSSES.loss(cures=BRANCHES)
def triplets_in_a_loop(z: Tensor, y: Tensor) -> Tensor:
    distance = torch.cdist(z, z)
    same = y.expand(len(y), len(y)).eq(y.expand(len(y), len(y)).t())
    positive = [distance[i][same[i]].max().unsqueeze(0) for i in range(len(y))]
    negative = [distance[i][same[i] == 0].min().unsqueeze(0) for i in range(len(y)) if (y[i] < 2)]
    return torch.cat(positive).mean() - torch.cat(negative).mean()


@LOSSES.loss()
def triplets_without_branches(z: Tensor, y: Tensor) -> Tensor:
    distance = torch.cdist(z, z)
    same = y.expand(len(y), len(y)).eq(y.expand(len(y), len(y)).t())
    positive = [distance[i][same[i]].max().unsqueeze(0) for i in range(len(y))]
    negative = [distance[i][same[i] == 0].min().unsqueeze(0) for i in range(len(y))]
    return F.relu(torch.cat(positive) - torch.cat(negative) + 0.3).mean()


@LOSSES.loss()
def n_pairs(z: Tensor, y: Tensor) -> Tensor:
    target = (y.view(-1, 1) == y.view(1, -1)).to(z)
    target = target / target.sum(1, keepdim=True)
    return F.cross_entropy(z @ z.flip(0).T, target) + 0.02 * z.square().sum(1).mean()


@LOSSES.loss()
def multi_similarity(z: Tensor, y: Tensor) -> Tensor:
    s = F.normalize(z) @ F.normalize(z).T
    same = (y[:, None] == y).to(z)
    eye = torch.eye(len(y), dtype=z.dtype)
    positive = torch.log1p((torch.exp(-2 * (s - 0.5)) * (same - eye)).sum(1)) / 2
    negative = torch.log1p((torch.exp(10 * (s - 0.5)) * (1 - same)).sum(1)) / 10
    return (positive + negative).mean()


@LOSSES.loss()
def proxy_anchor(z: Tensor, y: Tensor) -> Tensor:
    proxies = F.normalize(torch.linspace(-1, 1, 25, dtype=z.dtype).view(5, 5).cos())
    cosine = F.linear(F.normalize(z), proxies)
    positive_hot = F.one_hot(y, 5)
    negative_hot = 1 - positive_hot
    with_positive = torch.nonzero(positive_hot.sum(dim=0) != 0).squeeze(dim=1)
    positive = torch.where(positive_hot == 1, torch.exp(-8 * (cosine - 0.1)), torch.zeros_like(cosine)).sum(0)
    negative = torch.where(negative_hot == 1, torch.exp(8 * (cosine + 0.1)), torch.zeros_like(cosine)).sum(0)
    return torch.log(1 + positive).sum() / len(with_positive.new_ones(5)) + torch.log(1 + negative).sum() / 5


@LOSSES.loss()
def centres_of_the_batch(z: Tensor, y: Tensor) -> Tensor:
    hot = F.one_hot(y, 5).to(z)
    centres = (hot.T @ z) / hot.sum(0).clamp(min=1)[:, None]
    return (z - centres[y]).square().sum(1).mean() + F.cross_entropy(z, y)


@LOSSES.loss()
def centres_by_index_add(z: Tensor, y: Tensor) -> Tensor:
    sums = torch.zeros(5, 5, dtype=z.dtype).index_add_(0, y, z)
    counts = torch.zeros(5, dtype=z.dtype).scatter_add_(0, y, torch.ones(len(y), dtype=z.dtype))
    return F.cross_entropy(-torch.cdist(z, sums / counts.clamp(min=1).unsqueeze(1)), y)


@LOSSES.loss()
def fisher_within_classes(z: Tensor, y: Tensor) -> Tensor:
    mean = torch.zeros(5, 5, dtype=z.dtype).scatter_reduce(0, y[:, None].expand(-1, 5), z, "mean", include_self=False)
    return (z - mean.index_select(0, y)).square().mean() / (z.var() + 1e-3)


@LOSSES.loss(cures=BRANCHES)
def a_loop_over_the_classes_there_are(z: Tensor, y: Tensor) -> Tensor:
    loss = z.new_zeros(())
    for label in torch.unique(y):
        own = z[y == label]
        loss = loss + (own - own.mean(0)).square().sum()
    return loss


# Ranking and ordinal classes


@LOSSES.loss()
def pairwise_ranking(z: Tensor, y: Tensor) -> Tensor:
    score = z[:, 0]
    greater = (y[:, None] > y[None, :]).to(z)
    return (greater * F.softplus(score[None, :] - score[:, None])).sum() / greater.sum().clamp(min=1)


@LOSSES.loss()
def list_net(z: Tensor, y: Tensor) -> Tensor:
    return -(F.softmax(y.double(), dim=0) * F.log_softmax(z[:, 0], dim=0)).sum()


@LOSSES.loss()
def list_mle(z: Tensor, y: Tensor) -> Tensor:
    order = y.sort(descending=True, stable=True).indices
    score = z[:, 0][order]
    return (score.flip(0).logcumsumexp(0).flip(0) - score).mean()


@LOSSES.loss()
def approximate_ndcg(z: Tensor, y: Tensor) -> Tensor:
    score = z[:, 0]
    rank = 1 + torch.sigmoid(score[None, :] - score[:, None]).sum(1)
    gain = torch.pow(2.0, y.to(z)) - 1
    ideal = gain.sort(descending=True).values / torch.log2(torch.arange(2.0, 2 + len(y), dtype=z.dtype))
    return 1 - (gain / torch.log2(1 + rank)).sum() / ideal.sum()


@LOSSES.loss("binary")
def pairwise_auc(z: Tensor, y: Tensor) -> Tensor:
    score = z[:, 0]
    positive, negative = score[y == 1], score[y == 0]
    return F.softplus(negative[None, :] - positive[:, None]).mean()


@LOSSES.loss()
def coral(z: Tensor, y: Tensor) -> Tensor:
    levels = (y[:, None] > torch.arange(4)).to(z)
    logit = z[:, :1] + torch.arange(4, 0, -1, dtype=z.dtype)
    return -(F.logsigmoid(logit) * levels + (F.logsigmoid(logit) - logit) * (1 - levels)).sum(1).mean()


@LOSSES.loss()
def quadratic_kappa(z: Tensor, y: Tensor) -> Tensor:
    p, hot = z.softmax(1), torch.eye(5, dtype=z.dtype)[y]
    cost = (torch.arange(5)[:, None] - torch.arange(5)).double() ** 2
    expected = torch.outer(hot.sum(0), p.sum(0)) / len(y)
    return torch.log((cost[y] * p).sum() / (cost * expected).sum() + 1e-10)


@LOSSES.loss()
def earth_movers_distance(z: Tensor, y: Tensor) -> Tensor:
    gap = torch.cumsum(z.softmax(1), 1) - torch.cumsum(F.one_hot(y, 5), 1)
    return gap.square().mean(1).sqrt().mean()


@LOSSES.loss("signs")
def hinge_of_signs(z: Tensor, y: Tensor) -> Tensor:
    return F.relu(1 - y * z[:, 0]).pow(2).mean() + F.soft_margin_loss(z[:, 1], y)


@LOSSES.loss("signs")
def embedding_losses_of_signs(z: Tensor, y: Tensor) -> Tensor:
    return F.hinge_embedding_loss(z[:, 0].abs(), y) + F.cosine_embedding_loss(z[:, 1:3], z[:, 3:], y)


# Values


@LOSSES.loss("values")
def quantiles(z: Tensor, y: Tensor) -> Tensor:
    q = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=z.dtype)
    error = y[:, None] - z
    return torch.maximum(q * error, (q - 1) * error).sum(1).mean()


@LOSSES.loss("values")
def crps_of_an_ensemble(z: Tensor, y: Tensor) -> Tensor:
    return (z - y[:, None]).abs().mean(1).sub((z[:, :, None] - z[:, None]).abs().mean((1, 2)) / 2).mean()


@LOSSES.loss("values")
def gaussian_nll_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return (0.5 * z[:, 1] + (y - z[:, 0]).square() / (2 * z[:, 1].exp())).mean()


@LOSSES.loss("values")
def mixture_density(z: Tensor, y: Tensor) -> Tensor:
    component = torch.distributions.Normal(z[:, :2], 1.0)
    return -torch.logsumexp(z[:, 2:4].log_softmax(1) + component.log_prob(y.unsqueeze(1)), 1).mean()


@LOSSES.loss("many values")
def charbonnier(z: Tensor, y: Tensor) -> Tensor:
    return torch.sqrt((z - y) ** 2 + 1e-6).mean()


@LOSSES.loss("many values")
def huber_by_where(z: Tensor, y: Tensor) -> Tensor:
    error = (z - y).abs()
    return torch.where(error < 1, 0.5 * error**2, error - 0.5).mean()


@LOSSES.loss("many values")
def concordance(z: Tensor, y: Tensor) -> Tensor:
    a, b = z - z.mean(0), y - y.mean(0)
    ccc = 2 * (a * b).mean(0) / (a.square().mean(0) + b.square().mean(0) + (z.mean(0) - y.mean(0)) ** 2)
    return 1 - ccc.mean()


# Sequences, structures, several targets


@LOSSES.loss("tokens")
def token_accuracy_and_loss(z: Tensor, y: Tensor) -> Tensor:
    scores = z.transpose(1, 2).reshape(-1, z.shape[1])
    return F.cross_entropy(scores, y.reshape(-1), ignore_index=0)


@LOSSES.loss("tokens")
def mask_of_padding(z: Tensor, y: Tensor) -> Tensor:
    mask = (y != 0).to(z)
    ce = F.cross_entropy(z, y, reduction="none")
    return ((ce * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()


@LOSSES.loss("tokens")
def next_token(z: Tensor, y: Tensor) -> Tensor:
    scores, labels = z[..., :-1].contiguous(), y[..., 1:].contiguous()
    return F.cross_entropy(scores, labels).exp().log1p()


@LOSSES.loss("tokens")
def linear_chain_crf(z: Tensor, y: Tensor) -> Tensor:
    emission, transition = z.transpose(1, 2), torch.linspace(-1, 1, 25, dtype=z.dtype).view(5, 5)
    score = emission[:, 0].gather(1, y[:, :1]).squeeze(1)
    forward = emission[:, 0]
    for t in range(1, y.shape[1]):
        score = score + transition[y[:, t - 1], y[:, t]] + emission[:, t].gather(1, y[:, t : t + 1]).squeeze(1)
        forward = torch.logsumexp(forward[:, :, None] + transition[None] + emission[:, t, None, :], 1)
    return (torch.logsumexp(forward, 1) - score).mean()


@LOSSES.loss("ctc", options={"targets": "labels"})
def ctc(z: Tensor, y: tuple[Tensor, Tensor]) -> Tensor:
    labels, lengths = y
    log_prob = z.permute(2, 0, 1).log_softmax(2)
    return F.ctc_loss(log_prob, labels, torch.full((len(labels),), 4), lengths, zero_infinity=True)


@LOSSES.loss("two targets")
def two_heads(z: Tensor, y: tuple[Tensor, Tensor]) -> Tensor:
    coarse, fine = y
    return F.cross_entropy(z, coarse) * (1 + F.cross_entropy(z.flip(1), fine).detach())


@LOSSES.loss("two targets")
def hierarchy(z: Tensor, y: tuple[Tensor, Tensor]) -> Tensor:
    first, second = y
    clash = (first != second).to(z)
    return (F.cross_entropy(z, first, reduction="none") * (1 + clash)).mean()


@LOSSES.loss("weights", options={"targets": "labels"})
def weights_that_follow_their_labels(z: Tensor, y: tuple[Tensor, Tensor]) -> Tensor:
    labels, weights = y
    return (F.cross_entropy(z, labels, reduction="none") * weights).sum() / weights.sum()


@LOSSES.loss("survival", options={"targets": "labels"})
def cox(z: Tensor, y: tuple[Tensor, Tensor]) -> Tensor:
    time, event = y
    risk = z[:, 0][time.argsort(descending=True)]
    event = event[time.argsort(descending=True)]
    return -((risk - risk.logcumsumexp(0)) * event).sum() / event.sum()


@LOSSES.loss("missing")
def missing_labels_clamped(z: Tensor, y: Tensor) -> Tensor:
    known = y >= 0
    ce = F.cross_entropy(z, y.clamp(min=0), reduction="none")
    return (ce * known).sum() / known.sum()


@LOSSES.loss("missing")
def missing_labels_selected(z: Tensor, y: Tensor) -> Tensor:
    known = y >= 0
    return F.cross_entropy(z[known], y[known])


@LOSSES.loss("missing many")
def missing_tasks(z: Tensor, y: Tensor) -> Tensor:
    known = ~torch.isnan(y)
    return F.binary_cross_entropy_with_logits(z[known], y[known])


@LOSSES.loss("missing many")
def missing_tasks_multiplied_away(z: Tensor, y: Tensor) -> Tensor:
    known = torch.logical_not(y.isnan())
    loss = F.binary_cross_entropy_with_logits(z, torch.nan_to_num(y), reduction="none")
    return (loss * known).sum() / known.sum()


# Others


@LOSSES.loss()
def distillation(z: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        teacher = (z.roll(1, 1) / 2).softmax(1)
    soft = F.kl_div((z / 2).log_softmax(1), teacher, reduction="batchmean") * 4
    return 0.3 * F.cross_entropy(z, y) + 0.7 * soft


@LOSSES.loss()
def decoupled_distillation(z: Tensor, y: Tensor) -> Tensor:
    mask = torch.zeros_like(z).scatter_(1, y.reshape(-1).unsqueeze(1), 1).bool()
    student, teacher = z.softmax(1), z.detach().roll(1, 1).softmax(1)
    both = [torch.stack([(p * mask).sum(1), (p * ~mask).sum(1)], 1) for p in (student, teacher)]
    target = F.kl_div(both[0].log(), both[1], reduction="batchmean")
    rest = [F.log_softmax(z - 1000.0 * mask, 1), F.softmax(z.detach().roll(1, 1) - 1000.0 * mask, 1)]
    return target + F.kl_div(*rest, reduction="batchmean") + F.cross_entropy(z, y)


@LOSSES.loss()
def evidential(z: Tensor, y: Tensor) -> Tensor:
    alpha = F.softplus(z) + 1
    hot = F.one_hot(y, 5).to(z)
    total = alpha.sum(1, keepdim=True)
    fit = (hot * (total.digamma() - alpha.digamma())).sum(1)
    alpha = hot + (1 - hot) * alpha
    prior = torch.distributions.Dirichlet(torch.ones_like(alpha), validate_args=False)
    return (fit + 0.1 * torch.distributions.kl_divergence(torch.distributions.Dirichlet(alpha), prior)).mean()


@LOSSES.loss()
def flooding(z: Tensor, y: Tensor) -> Tensor:
    return (F.cross_entropy(z, y) - 1.6).abs() + 1.6


@LOSSES.loss()
def a_power_of_the_loss(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y) ** 1.5 + F.cross_entropy(z, y, reduction="sum").log()


@LOSSES.loss()
def dropout_in_the_loss(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(F.dropout(z, 0.3), y) + 0.1 * (F.dropout(F.one_hot(y, 5).to(z), 0.5) * z).mean()


@LOSSES.loss()
def noise_on_the_labels(z: Tensor, y: Tensor) -> Tensor:
    flipped = torch.where(torch.rand(len(y)) < 0.3, torch.randint_like(y, 0, 5), y)
    return F.cross_entropy(z, flipped)


@LOSSES.loss()
def categorical_distribution(z: Tensor, y: Tensor) -> Tensor:
    return -torch.distributions.Categorical(logits=z).log_prob(y).mean()


@LOSSES.loss()
def confidence_penalty(z: Tensor, y: Tensor) -> Tensor:
    entropy = torch.distributions.Categorical(logits=z).entropy().mean()
    right = (z.argmax(1) == y).to(z)
    return F.cross_entropy(z, y) - 0.1 * entropy + 0.1 * ((right - z.softmax(1).amax(1)) ** 2).mean()


@LOSSES.loss()
def logit_clipping_and_norm(z: Tensor, y: Tensor) -> Tensor:
    z = z / (z.norm(dim=1, keepdim=True) + 1e-7) / 0.5
    z[torch.arange(len(y)), y] -= 0.2
    return F.cross_entropy(z, y)


@LOSSES.loss(cures=BRANCHES)
def a_branch_on_a_label(z: Tensor, y: Tensor) -> Tensor:
    if y[0] == 0:
        return F.cross_entropy(z, y)
    return F.cross_entropy(z, y) + z.square().mean()


@LOSSES.loss(cures=BRANCHES)
def labels_as_a_list(z: Tensor, y: Tensor) -> Tensor:
    return torch.stack([-z[i].log_softmax(0)[label] for i, label in enumerate(y.tolist())]).mean()


@LOSSES.loss(cures=BRANCHES)
def labels_as_numpy(z: Tensor, y: Tensor) -> Tensor:
    import numpy as np

    hot = torch.from_numpy(np.eye(5)[y.cpu().numpy()])
    return -(hot * z.log_softmax(1)).sum(1).mean()


@LOSSES.loss(cures=BRANCHES)
def rows_written_through_a_view(z: Tensor, y: Tensor) -> Tensor:
    hot = torch.zeros_like(z)
    for row, label in zip(hot, y, strict=True):
        row[label] = 1
    return -(hot * z.log_softmax(1)).sum(1).mean()


@LOSSES.loss(cures=BRANCHES)
def a_flat_view_written(z: Tensor, y: Tensor) -> Tensor:
    hot = torch.zeros_like(z)
    hot.view(-1)[torch.arange(len(y)) * 5 + y] = 1
    return -(hot * z.log_softmax(1)).sum(1).mean()


@LOSSES.loss()
def rows_selected_one_by_one(z: Tensor, y: Tensor) -> Tensor:
    return torch.stack([-z[i].log_softmax(0)[y[i]] for i in range(len(y))]).mean()


# Loss modules


@LOSSES.module()
class BranchingLoss(nn.Module):
    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        loss = z.new_zeros(())
        for label in y.unique().tolist():
            if label > 1:
                loss = loss + F.cross_entropy(z[y == label], y[y == label])
        return loss


@LOSSES.module("mask channel")
class DiceCE(nn.Module):
    """As medical libraries write it: two losses in one, options, one-hot by a helper."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction, self.ce = reduction, nn.CrossEntropyLoss()

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        hot = torch.zeros_like(z).scatter_(1, y.long(), 1.0)
        p = z.softmax(1)
        if hot.shape != p.shape:
            raise ValueError("shapes differ")
        overlap = torch.sum(hot * p, dim=(2, 3))
        f = 1.0 - (2.0 * overlap + 1e-5) / (hot.sum((2, 3)) + p.sum((2, 3)) + 1e-5)
        return torch.mean(f) + self.ce(z, y.squeeze(1).long())


@LOSSES.module()
class ArcMarginProduct(nn.Module):
    """A loss module with weights of its own, which learn."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 25).view(5, 5).sin())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        cosine = F.linear(F.normalize(z), F.normalize(self.weight)).clamp(-0.99, 0.99)
        phi = torch.where(cosine > math.cos(math.pi - 0.3), (cosine.acos() + 0.3).cos(), cosine - 0.1)
        hot = torch.zeros(cosine.size(), dtype=z.dtype)
        hot.scatter_(1, y.view(-1, 1).long(), 1)
        return F.cross_entropy(8 * (hot * phi + (1.0 - hot) * cosine), y)


@LOSSES.module()
class CenterLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.linspace(-1, 1, 25).view(5, 5).cos())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        distance = torch.cdist(z, self.centers).pow(2)
        mask = y.unsqueeze(1).expand(len(y), 5).eq(torch.arange(5).expand(len(y), 5))
        return (distance * mask.to(z)).clamp(1e-12, 1e12).sum() / len(y) + F.cross_entropy(z, y)


@LOSSES.module()
class WeightedFocal(nn.Module):
    """Class weights in a buffer."""

    alpha: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.linspace(0.5, 1.5, 5))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        ce = F.cross_entropy(z, y, reduction="none", weight=self.alpha)
        pt = torch.exp(-F.cross_entropy(z, y, reduction="none"))
        return torch.mean((1 - pt) ** 2 * ce)


@LOSSES.module()
class DeferredReweighting(nn.Module):
    """Weights that set in after a while, by a counter in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        weight = COUNTS.sum() / COUNTS / 5 if self.calls > 0 else None
        return F.cross_entropy(z, y, weight=weight)


@LOSSES.module()
class PrototypeMemory(nn.Module):
    """Prototypes that move with every batch and are read in the same step."""

    prototypes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.linspace(-1, 1, 25).view(5, 5).cos())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            self.prototypes[y] = 0.9 * self.prototypes[y] + 0.1 * z
        return F.cross_entropy(-torch.cdist(z, self.prototypes), y)
