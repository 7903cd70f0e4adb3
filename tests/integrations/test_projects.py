"""Other people's projects, no ``training_step`` changed: loss and gradients are those of the formula.

The formula knows nothing of this library: a batch is mixed by hand and given to ordinary Trainers, with the samples'
own labels and with their partners', and ``lam`` weighs the two losses. Values are mixed like inputs, in one run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from integrations.projects import PROJECTS, Project, entry
from targets.corpus import PARTNERS, Fixed
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_mixup import CutMix, ManifoldMixup, MixCallback, Mixup

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # theirs
    pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name),
]


class Outcome(NamedTuple):
    """What a step came to."""

    loss: Tensor
    gradients: dict[str, Tensor]


def step(project: Project, change: Callable[[Any], None] = lambda _: None, mix: MixCallback | None = None) -> Outcome:
    """One training step of a project, from the same weights and random state each time.

    Args:
        project: Whose.
        change: What is done to the batch before.
        mix: The callback of this library, if any.
    """
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    module, batch = project.build()
    change(batch)
    before = copy.deepcopy(batch)
    lightning, found = import_module(project.trainer), []

    class Recorder(lightning.Callback):  # type: ignore[name-defined, misc]
        def on_train_batch_start(self, *_: Any) -> None:
            torch.manual_seed(1)

        def on_after_backward(self, trainer: Any, module: Any) -> None:
            grads = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
            found[:] = [None, grads]

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            found[0] = (outputs["loss"] if isinstance(outputs, dict) else outputs).detach()

    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=1,
        limit_val_batches=0,
        callbacks=[*([mix] if mix else []), Recorder()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader([0], collate_fn=lambda _: batch))
    assert_untouched(project, batch, before)
    loss, gradients = found
    return Outcome(loss, gradients)


def assert_untouched(project: Project, batch: Any, before: Any) -> None:
    for path in (*project.inputs, *project.targets):
        assert torch.equal(entry(batch, path).nan_to_num(), entry(before, path).nan_to_num()), path


def options(project: Project, **more: Any) -> dict[str, Any]:
    keys = {"input_key": project.inputs or None, "target_key": project.targets or None}
    return {"alpha": 4.0, "seed": 1, "pairing": Fixed(), **keys, **more}


def blend(x: Tensor, lam: float) -> Tensor:
    return lam * x + (1 - lam) * x[PARTNERS]


def changed(project: Project, inputs: Callable[[Tensor], Tensor], targets: Callable[[Tensor], Tensor]) -> Any:
    """What replaces the tensors of a batch by others."""

    def change(batch: Any) -> None:
        for paths, function in ((project.inputs, inputs), (project.targets, targets)):
            for path in paths:
                entry(batch, path).copy_(function(entry(batch, path)).clone())

    return change


def weighed(project: Project, lam: float, inputs: Callable[[Tensor], Tensor]) -> Outcome:
    """Value and gradients that the definition asks for, where the targets are of one sample or of the other.

    Args:
        project: Whose.
        lam: Weight of the samples' own targets.
        inputs: Mixes a tensor of the batch.
    """
    if project.values:
        return step(project, changed(project, inputs, lambda y: blend(y, lam)))
    first = step(project, changed(project, inputs, lambda y: y))
    second = step(project, changed(project, inputs, lambda y: y[PARTNERS]))
    gradients = {name: lam * grad + (1 - lam) * second.gradients[name] for name, grad in first.gradients.items()}
    return Outcome(lam * first.loss + (1 - lam) * second.loss, gradients)


def with_hook(project: Project, lam: float) -> Project:
    """The project with a hook, written by hand, that mixes the output of its layer."""

    def build() -> tuple[Any, Any]:
        module, batch = project.build()
        module.get_submodule(project.layer).register_forward_hook(lambda _, __, output: blend(output, lam))
        return module, batch

    return project._replace(build=build)


def check(project: Project, got: Outcome, want: Outcome) -> None:
    assert got.gradients.keys() == want.gradients.keys()
    torch.testing.assert_close(got.loss, want.loss, rtol=project.close, atol=1e-7)
    scale = max(float(grad.abs().max()) for grad in want.gradients.values())
    assert scale > 0
    for name, grad in got.gradients.items():
        torch.testing.assert_close(grad, want.gradients[name], rtol=1e-4, atol=project.close * scale, msg=name)


def installed(project: Project) -> None:
    for package in project.packages:
        pytest.importorskip(package, reason="a scheduled job installs it", exc_type=ImportError)


def test_mixup_trains_as_the_formula_says(project: Project):
    installed(project)
    if not project.inputs:
        pytest.skip("graphs are not averaged")
    mix = Mixup(**options(project))
    got = step(project, mix=mix)
    lam = float(mix.last.lam)
    assert 0.05 < lam < 0.95
    check(project, got, weighed(project, lam, lambda x: blend(x, lam)))


def test_cutmix_trains_as_the_formula_says(project: Project):
    installed(project)
    if not project.boxes:
        pytest.skip("nothing to cut boxes from")
    mix = CutMix(**options(project, dims=project.boxes))
    got = step(project, mix=mix)
    box = tuple(slice(low, high) for low, high in zip(mix.last.box.low, mix.last.box.high, strict=True))

    def paste(x: Tensor) -> Tensor:
        place = [slice(None)] * x.ndim
        for dim, part in zip(project.boxes, box, strict=True):
            place[dim] = part
        pasted = x.clone()
        pasted[tuple(place)] = x[PARTNERS][tuple(place)]
        return pasted

    if project.maps:
        want = step(project, changed(project, paste, paste))
    else:
        want = weighed(project, float(mix.last.lam), paste)
    check(project, got, want)


def test_manifold_mixup_trains_as_the_formula_says(project: Project):
    installed(project)
    if project.layer is None:
        pytest.skip("no hidden layer with samples in front that trains")
    mix = ManifoldMixup(**options(project, layers=[project.layer]))
    got = step(project, mix=mix)
    lam = float(mix.last.lam)
    check(project, got, weighed(with_hook(project, lam), lam, lambda x: x))
