"""Learning rates at the boundaries of their schedules, and what decays."""

import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lightning_mixup.lab.optim import adamw, lamb, multistep, warmup_cosine


def rates(schedule, steps):
    """The learning rate of every step, from a run of the optimizer and the scheduler."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, found = schedule(optimizer, steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_steps_fall_between_two_epochs():
    found = rates(multistep, 20 * 3)  # 20 epochs of 3 steps
    assert found == pytest.approx([0.1] * 30 + [0.01] * 15 + [0.001] * 15)


@given(st.integers(1, 500), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True))
def test_a_share_of_training_has_the_rate_that_the_milestones_before_it_give(steps, milestones):
    found = rates(partial(multistep, milestones=sorted(milestones), gamma=0.5), steps)
    for step, rate in enumerate(found):
        if step > 0 and all(abs(step - share * steps) > 0.5 for share in milestones):
            assert rate == pytest.approx(0.1 * 0.5 ** sum(share * steps < step for share in milestones))
    assert found[0] == 0.1  # however short the run


def test_seven_digits_hit_a_third_of_the_longest_run():
    found = rates(partial(multistep, milestones=[0.3333333, 0.6666667]), 1200 * 500 // 10)
    assert found[19_999:20_001] == pytest.approx([0.1, 0.01])
    assert found[39_999:40_001] == pytest.approx([0.01, 0.001])


def test_warming_up_comes_before_the_steps():
    found = rates(partial(multistep, milestones=[0.5], warmup=0.1, start=0.25), 40)
    assert found == pytest.approx([0.025, 0.04375, 0.0625, 0.08125] + [0.1] * 16 + [0.01] * 20)


def test_warming_up_meets_the_cosine():
    found = rates(partial(warmup_cosine, warmup=0.1, start=0.5, end=0.2), 100)
    assert found[0] == pytest.approx(0.05)
    assert max(found) == found[10] == pytest.approx(0.1)
    assert found[55] == pytest.approx(0.06)  # half-way down
    assert found[-1] == pytest.approx(0.02, rel=0.01)
    assert found[:11] == sorted(found[:11])
    assert found[10:] == sorted(found[10:], reverse=True)


@given(st.integers(1, 300), st.floats(0, 0.99), st.floats(0, 1), st.floats(0, 1))
def test_a_rate_stays_between_its_ends(steps, warmup, start, end):
    found = rates(partial(warmup_cosine, warmup=warmup, start=start, end=end), steps)
    assert all(0.1 * min(start, end) - 1e-9 <= rate <= 0.1 + 1e-9 for rate in found)


def test_without_warming_up_it_is_the_cosine_of_torch():
    cosine = rates(lambda optimizer, steps: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), 50)
    assert rates(partial(warmup_cosine, warmup=0), 50) == pytest.approx(cosine)


@pytest.mark.parametrize(
    ("schedule", "arguments"),
    [
        (multistep, {"milestones": [100, 150]}),
        (multistep, {"milestones": [0.75, 0.5]}),
        (multistep, {"milestones": [0.0]}),
        (multistep, {"gamma": 0}),
        (multistep, {"gamma": 10}),
        (multistep, {"warmup": 0.5}),
        (multistep, {"start": 2}),
        (warmup_cosine, {"warmup": 5}),
        (warmup_cosine, {"start": 1e-6 - 1}),
        (warmup_cosine, {"end": 2}),
    ],
)
def test_impossible_values_are_named(schedule, arguments):
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))} must be .*; got "):
        rates(partial(schedule, **arguments), 10)


def test_only_matrices_and_kernels_decay():
    net = network()
    net[0].bias.requires_grad_(False)
    decaying, others = adamw(net.parameters(), lr=0.1, weight_decay=0.3, betas=[0.8, 0.9]).param_groups
    assert [id(weight) for weight in decaying["params"]] == [id(net[0].weight), id(net[3].weight)]
    assert [id(weight) for weight in others["params"]] == [id(net[1].weight), id(net[1].bias), id(net[3].bias)]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert decaying["lr"] == others["lr"] == 0.1
    assert decaying["betas"] == (0.8, 0.9)


def test_a_module_without_biases_has_one_group():
    assert len(adamw(nn.Linear(2, 2, bias=False).parameters()).param_groups) == 1


def test_lamb_is_that_of_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, "timm.optim", SimpleNamespace(Lamb=torch.optim.SGD))
    decaying, others = lamb(network().parameters(), lr=0.01).param_groups
    assert (decaying["lr"], decaying["weight_decay"], others["weight_decay"]) == (0.01, 0.02, 0.0)
