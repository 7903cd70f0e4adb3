"""Recipes with published targets: each takes a step on random data of the right shape, in the setting of its paper."""

import copy
import functools
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from application import composing
from hydra import compose
from lightning.pytorch import Callback
from omegaconf import OmegaConf
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from lightning_mixup import CutMix, ManifoldMixup, Mixup, RandomChoice
from lightning_mixup.callbacks.manifold_mixup import default_layers
from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.parts import assemble
from lightning_mixup.lab.models import SmallResNet

MARK = "# published figure, not yet measured here:\n"
TEXTS = {path.stem: path.read_text() for path in sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))}
PUBLISHED = [name for name, text in TEXTS.items() if MARK in text]


class Protocol(NamedTuple):
    """What papers say, in their own units."""

    model: dict
    epochs: int
    batch: int
    rates: dict  # learning rate from an epoch on
    decay: float
    nesterov: bool | None = None  # None: no SGD
    loss: str = "cross_entropy"
    smoothing: float = 0.0


STAGES = ("input", "network.stage1", "network.stage2")
# Zhang et al. 2018, section 3.2; code of facebookresearch/mixup-cifar10 and hongyi-zhang/mixup.
MIXUP = Protocol({"depth": 18}, 200, 128, {0: 0.1, 100: 0.01, 150: 0.001}, 1e-4, nesterov=False)
# Zhang et al. 2018, section 3.1: "increased linearly from 0.1 to 0.4 during the first 5 epochs, and it is then divided
# by 10 after 30, 60 and 80 epochs when training for 90 epochs; or after 60, 120 and 180 epochs".
LONG = {0: 0.1, 2.5: 0.25, 5: 0.4, 60: 0.04, 120: 0.004, 180: 0.0004}
SHORT = {0: 0.1, 2.5: 0.25, 5: 0.4, 30: 0.04, 60: 0.004, 80: 0.0004}
# Verma et al. 2019, section 5.1; code of vikasverma1077/manifold_mixup.
MANIFOLD = Protocol({"depth": 18}, 1200, 100, {0: 0.1, 400: 0.01, 800: 0.001}, 1e-4, nesterov=True, loss="softmax_bce")
# Yun et al. 2019, section 4.1; code of clovaai/CutMix-PyTorch and its issue 10.
CUTMIX = Protocol({"depth": 110}, 300, 64, {0: 0.1, 150: 0.01, 225: 0.001}, 1e-4, nesterov=True)
IMAGENET = Protocol({"name": "resnet50"}, 300, 256, {0: 0.1, 75: 0.01, 150: 0.001, 225: 0.0001}, 1e-4, nesterov=True)
# configs/classification/cifar100/mixups/basic/r18_mixups_CE_none.py of Westlake-AI/openmixup.
OPENMIXUP = Protocol({"depth": 18}, 200, 100, {0: 0.1, 50: 0.0853553, 100: 0.05, 150: 0.0146447}, 1e-4, nesterov=False)
# train_mixup.py and scripts/train_trec_cnn.sh of xashru/mixup-text.
SENTENCES = Protocol({"filters": 100, "width": 300, "lengths": [3, 4, 5]}, 50, 50, {0: 1e-3, 49: 1e-3}, 0.0)
# main.py of facebookresearch/deit, at 1024 samples a batch.
SMALL = {"name": "deit_small_patch16_224", "drop_path_rate": 0.1}
DEIT = Protocol(SMALL, 300, 1024, {0: 1e-6, 5: 1e-3, 300: 1e-5}, 0.05, smoothing=0.1)
# Wightman et al. 2021, table 2.
RSB = Protocol({"name": "resnet50", "drop_path_rate": 0.05}, 300, 2048, {5: 5e-3}, 0.02, loss="binary_cross_entropy")
PROTOCOLS = {
    r"cifar100?_(baseline|mixup)|cifar10_noisy.*": MIXUP,
    r"cifar100?_manifold_.*": MANIFOLD,
    r"cifar100_resnet110_.*": CUTMIX,
    r"cifar100_pyramidnet200_.*": CUTMIX._replace(
        model={"depth": 200, "alpha": 240}, rates={0: 0.25, 150: 0.025, 225: 0.0025}
    ),
    r"openmixup_.*": OPENMIXUP,
    r"imagenet_resnet50_(baseline|cutmix)": IMAGENET,
    r"imagenet_resnet50_90_.*": IMAGENET._replace(epochs=90, batch=1024, rates=SHORT, nesterov=False),
    r"imagenet_resnet50_200_.*": IMAGENET._replace(epochs=200, batch=1024, rates=LONG, nesterov=False),
    r"imagenet_deit_small": DEIT,
    r"imagenet_resnet50_rsb_a2": RSB,
    r"sentence_trec_.*": SENTENCES,
}
# Methods with their strength and the share of the batches that they mix. What is not listed is a baseline.
MIXES = {
    "cifar10_mixup": [(Mixup, 1, 1)],
    "cifar100_mixup": [(Mixup, 1, 1)],
    "cifar10_noisy20_mixup": [(Mixup, 8, 1)],
    "cifar10_noisy50_mixup": [(Mixup, 32, 1)],
    "cifar10_noisy80_mixup": [(Mixup, 32, 1)],
    "cifar10_manifold_input_mixup": [(Mixup, 1, 1)],
    "cifar10_manifold_mixup": [(ManifoldMixup, 2, 1)],
    "cifar100_manifold_mixup": [(ManifoldMixup, 2, 1)],
    "cifar100_resnet110_cutmix": [(CutMix, 1, 1)],
    "cifar100_pyramidnet200_cutmix": [(CutMix, 1, 0.5)],
    "openmixup_cifar100_mixup": [(Mixup, 1, 1)],
    "openmixup_cifar100_cutmix": [(CutMix, 0.2, 1)],
    "openmixup_cifar100_manifold_mixup": [(ManifoldMixup, 2, 1)],
    "imagenet_resnet50_cutmix": [(CutMix, 1, 1)],
    "imagenet_resnet50_90_mixup": [(Mixup, 0.2, 1)],
    "imagenet_resnet50_200_mixup": [(Mixup, 0.2, 1)],
    "imagenet_deit_small": [(Mixup, 0.8, 0.5), (CutMix, 1, 0.5)],  # a switch
    "imagenet_resnet50_rsb_a2": [(Mixup, 0.1, 0.5), (CutMix, 1, 0.5)],
    "sentence_trec_word_mixup": [(ManifoldMixup, 1, 1)],
    "sentence_trec_sentence_mixup": [(ManifoldMixup, 1, 1)],
}
LAYERS = {"sentence_trec_word_mixup": ("network.embedding",), "sentence_trec_sentence_mixup": ("network.encode",)}


class AfterOneStep(Callback):
    """Ends a fit whose length is that of the paper, so that the schedules are those of the whole run."""

    def on_train_batch_end(self, trainer, *args):
        trainer.should_stop = True


@pytest.fixture(autouse=True)
def timm(monkeypatch):
    """A stand-in, for timm needs torchvision, which may be missing; tests/lab/models/test_zoo.py has the real one."""
    timm = SimpleNamespace(
        __path__=[],
        list_models=list,
        is_model=lambda name: name in ("resnet50", "deit_small_patch16_224"),
        create_model=lambda name, num_classes, in_chans, **_: SmallResNet(num_classes, (in_chans, 224, 224), width=4),
    )
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.optim", SimpleNamespace(Lamb=torch.optim.AdamW))


@functools.lru_cache
def composed(name):
    with composing():
        return compose("train", [f"recipe={name}"])


def protocol(name):
    [found] = [protocol for pattern, protocol in PROTOCOLS.items() if re.fullmatch(pattern, name)]
    return found


def mixing(mix):
    """What is mixed how strongly and how often."""
    if mix is None:
        return []
    methods, weights = (mix.parts, mix.weights.values()) if isinstance(mix, RandomChoice) else ([mix], [1])
    shares = [weight / sum(weights) for weight in weights]
    return [(type(one), one.alpha, one.prob * share) for one, share in zip(methods, shares, strict=True)]


def rate(schedules, fit, step):
    """The learning rate of a step, without taking all that come before it."""
    if not schedules:
        return fit.optimizers[0].param_groups[0]["lr"]
    [schedule] = schedules
    [base, *_] = schedule.base_lrs
    if isinstance(schedule, LambdaLR):
        return base * schedule.lr_lambdas[0](step)
    assert isinstance(schedule, CosineAnnealingLR)
    assert (schedule.T_max, schedule.eta_min) == (fit.max_epochs * fit.num_training_batches, 0)
    return base * (1 + math.cos(math.pi * step / schedule.T_max)) / 2


def test_there_are_published_recipes():
    assert {"cifar10_mixup", "openmixup_cifar100_cutmix", "imagenet_resnet50_cutmix"} <= set(PUBLISHED)
    assert set(MIXES) <= set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_figure_says_where_it_was_found(name):
    figures = TEXTS[name].partition(MARK)[2].partition("defaults:")[0]
    assert re.search(r"\d+(\.\d+)? ", figures)
    assert re.search(r"\b(read|second hand|from memory)\b", figures)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_is_the_protocol_of_its_paper(name):
    cfg, paper = composed(name), protocol(name)
    assert {key: cfg.model[key] for key in paper.model} == paper.model
    assert (cfg.trainer.max_epochs, cfg.data.batch_size) == (paper.epochs, paper.batch)
    assert cfg.optimizer.weight_decay == paper.decay
    assert (cfg.optimizer.get("momentum"), cfg.optimizer.get("nesterov")) == (
        (None, None) if paper.nesterov is None else (0.9, paper.nesterov)
    )
    assert (cfg.module.loss, cfg.module.label_smoothing) == (paper.loss, paper.smoothing)
    assert cfg.trainer.accelerator == "gpu"
    rate = re.search(r"noisy(\d+)", name)
    assert cfg.data.label_noise == (int(rate[1]) / 100 if rate else 0)
    assert cfg.data.noise_kind == ("random" if rate else "symmetric")
    # Papers on images train on all training samples; sentences have validation samples, which choose the epoch.
    assert cfg.data.val_share == (0.1 if name.startswith("sentence") else 0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_takes_a_step(name, trainer):
    cfg = copy.deepcopy(composed(name))
    cfg.data = OmegaConf.merge(cfg.data, {"fake": True, "batch_size": 2, "num_workers": 0})
    parts, mix = assemble(cfg), build(cfg, "mix")
    before = [weight.detach().clone() for weight in parts.network.parameters()]
    fit = trainer(*filter(None, [mix, AfterOneStep()]), max_epochs=cfg.trainer.max_epochs, limit_val_batches=0)
    fit.fit(parts.module, parts.data)
    assert fit.global_step == 1
    assert any(not torch.equal(was, now) for was, now in zip(before, parts.network.parameters(), strict=True))

    assert mixing(mix) == MIXES.get(name, [])
    if isinstance(mix, ManifoldMixup):
        assert mix.eligible == LAYERS.get(name, STAGES)
        assert name in LAYERS or default_layers(parts.module) == STAGES

    schedules = [config.scheduler for config in fit.lr_scheduler_configs]
    rates = list(protocol(name).rates.items())
    for (epoch, value), (_, previous) in zip(rates, rates[:1] + rates, strict=False):
        step = round(epoch * fit.num_training_batches)
        assert rate(schedules, fit, step) == pytest.approx(value, rel=1e-3)
        if value < previous and "milestones" in cfg.lr_scheduler:  # a drop, between two steps
            assert rate(schedules, fit, step - 1) == pytest.approx(previous, rel=1e-3)
