"""The harness of the corpus: a case is one way to use labels, run in real Lightning steps and held against a formula.

The formula is ``lam * L(a) + (1 - lam) * L(b)``: two ordinary runs of the same step on plain labels, in float64,
without anything of this library. ``check_exact`` compares value, gradients, logged numbers and buffers with it.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import Mixup, Pairing, interpolate_loss

BATCH = 6
# Not a permutation: so that both halves of a batch do not hold every class as often.
PARTNERS = torch.tensor([3, 4, 3, 0, 5, 1])


class Fixed(Pairing):
    """The same partners in every batch."""

    def __call__(self, rng: np.random.Generator, batch_size: int, target: Tensor | None = None) -> Tensor:
        return PARTNERS - torch.arange(batch_size)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One use of labels.

    Args:
        name: What it is called in test reports.
        step: Takes the module, the inputs and the target (a tuple, if there are several); gives the result of the step.
        data: Name of the data in :data:`DATA`.
        build: Adds to the module what the step needs.
        loss: The loss of the predictions alone, where the step is no more than that; cures wrap it.
        cures: Names of the cures of a case that is refused; none if it has to be exact.
        options: Arguments of the mixing callback.
        dtype: In which precision the module runs.
        close: How close gradients have to be, where a network in low precision rounds a sum of two otherwise.
    """

    name: str
    step: Callable[[Net, Tensor, Any], Any]
    data: str = "classes"
    build: Callable[[Net], None] | None = None
    loss: Callable[[Tensor, Any], Tensor] | None = None
    cures: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64
    close: float | None = None


def randint(high: int, *shape: int) -> Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(sum(shape) + high))


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def _classes() -> Tensor:
    # In both batches: all classes, partners of one's own class and of another.
    return torch.tensor([0, 3, 1, 4, 2, 2, 1, 4, 0, 0, 3, 2])


def _void() -> Tensor:
    masks = randint(3, 12, 4, 4)
    masks[rand(12, 4, 4) < 0.2] = 255
    return masks


def _missing() -> Tensor:
    labels = _classes()
    labels[[1, 6]] = -1
    return labels


# Targets by name. The inputs follow from their shape: images for masks, series for sequences, else vectors.
DATA: dict[str, Callable[[], tuple[Tensor, ...]]] = {
    "classes": lambda: (_classes(),),
    "column": lambda: (_classes()[:, None],),
    "float classes": lambda: (_classes().double(),),
    "missing": lambda: (_missing(),),
    "one-hot": lambda: (nn.functional.one_hot(_classes(), 5).double(),),
    "binary": lambda: ((_classes() % 2).double(),),
    "binary column": lambda: ((_classes() % 2).double()[:, None],),
    "signs": lambda: ((_classes() % 2).double() * 2 - 1,),
    "many labels": lambda: ((rand(12, 5) < 0.4).double(),),
    "missing many": lambda: (torch.where(rand(12, 5) < 0.2, torch.nan, (rand(12, 5) < 0.4).double()),),
    "values": lambda: (rand(12) * 3 - 1,),
    "many values": lambda: (rand(12, 5) * 3 - 1,),
    "masks": lambda: (randint(3, 12, 4, 4),),
    "mask channel": lambda: (randint(3, 12, 1, 4, 4),),
    "void": lambda: (_void(),),
    "blobs": lambda: ((rand(12, 1, 4, 4) < 0.4).double(),),
    "tokens": lambda: (randint(5, 12, 4),),
    "ctc": lambda: (randint(4, 12, 3) + 1, randint(3, 12) + 1),
    "two targets": lambda: (_classes(), _classes().flip(0)),
    "weights": lambda: (_classes(), rand(12)),
    "survival": lambda: (rand(12) * 5, (_classes() % 2).double()),
}
IMAGES, SERIES = {"masks", "mask channel", "void", "blobs"}, {"tokens", "ctc"}


class Net(LightningModule):
    """A small network whose step is a case. Python state that lasts over steps belongs into ``memory``."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.case = case
        self.memory: dict[str, Any] = {}
        self.logged: dict[str, Any] = {}
        if case.data in IMAGES:
            layers: list[nn.Module] = [nn.Conv2d(2, 8, 1), nn.Tanh(), nn.Conv2d(8, 3, 1)]
        elif case.data in SERIES:
            layers = [nn.Conv1d(6, 8, 1), nn.Tanh(), nn.Conv1d(8, 5, 1)]
        else:
            layers = [nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5)]
        self.body, self.head = nn.Sequential(*layers[:2]), layers[2]
        self.plain: list[Any] = []  # what a reference run is to be given
        if case.build is not None:
            case.build(self)
        self.to(case.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        torch.manual_seed(11)
        x, *targets = batch
        self.plain.append(targets)
        return self.case.step(self, x, targets[0] if len(targets) == 1 else tuple(targets))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Reference(Net):
    """The same module outside a Trainer, on plain labels."""

    def log(self, name: str, value: Any, **_: Any) -> None:  # type: ignore[override]
        self.logged[name] = torch.as_tensor(value.compute() if hasattr(value, "compute") else value).detach()

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        loss.backward(*args, **kwargs)

    def optimizers(self, *_: Any) -> Any:  # type: ignore[override]
        return torch.optim.SGD(self.parameters(), 0.0)


@dataclass
class Step:
    """What happened in a step, for the formula and for comparison with it."""

    batch: list[Tensor]
    state: dict[str, Tensor]
    memory: dict[str, Any]
    loss: Tensor | None = None
    gradients: dict[str, Tensor] = field(default_factory=dict)
    logged: dict[str, Tensor] = field(default_factory=dict)
    lam: float = 1.0
    after: dict[str, Tensor] = field(default_factory=dict)
    received: list[Any] = field(default_factory=list)


class Recorder(Callback):
    """Remembers every step. Stands behind the mixing callback."""

    def __init__(self, mix: Mixup) -> None:
        self.mix, self.steps = mix, []

    def on_train_batch_start(self, trainer: Trainer, module: Net, batch: list[Tensor], batch_idx: int) -> None:  # type: ignore[override]
        self.close(module)
        state = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self.steps.append(Step([t.clone() for t in batch], state, freeze(module.memory)))

    def on_after_backward(self, trainer: Trainer, module: Net) -> None:  # type: ignore[override]
        self.steps[-1].gradients = gradients(module)

    def on_train_batch_end(self, trainer: Trainer, module: Net, outputs: Any, *_: Any) -> None:  # type: ignore[override]
        step = self.steps[-1]
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        step.loss = None if loss is None else loss.detach()
        step.logged = {k: v.detach().clone() for k, v in trainer.callback_metrics.items() if not k.startswith("mix/")}
        step.lam = float(np.mean(self.mix.last.lam)) if self.mix.last is not None else 1.0
        step.received = module.plain[-1]

    def on_train_end(self, trainer: Trainer, module: Net) -> None:  # type: ignore[override]
        self.close(module)

    def close(self, module: Net) -> None:
        """Note what a step left behind."""
        if self.steps:
            self.steps[-1].after = {name: value.detach().clone() for name, value in module.named_buffers()}


def freeze(tree: Any) -> Any:
    """A copy of what a module remembers; of tensors without their graphs."""
    if isinstance(tree, dict):
        return {key: freeze(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(freeze(value) for value in tree)
    if isinstance(tree, Tensor):
        assert type(tree) in (Tensor, nn.Parameter), f"{type(tree).__name__} is kept beyond its step"
        return tree.detach().clone()
    return float(tree) if isinstance(tree, float) else copy.deepcopy(tree)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for name, value in module.named_parameters()
    }


def fit(case: Case, seed: int = 0) -> list[Step]:
    """Two steps on two batches, by Lightning."""
    torch.manual_seed(0)
    module = Net(case)
    shape = (2, 4, 4) if case.data in IMAGES else (6, 4) if case.data in SERIES else (6,)
    x = rand(12, *shape)
    targets = DATA[case.data]()
    loader = DataLoader(TensorDataset((x * 2 - 1).to(case.dtype), *targets), batch_size=BATCH)
    keys = {"target_key": tuple(range(1, 1 + len(targets)))} if len(targets) > 1 else {}
    mix = Mixup(**{"alpha": 4.0, "pairing": Fixed(), "seed": seed, **keys, **case.options})
    recorder = Recorder(mix)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*|.*GPU available but not used.*")
        Trainer(
            accelerator="cpu",
            barebones=False,
            callbacks=[mix, recorder],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            log_every_n_steps=1,
            logger=False,
            max_epochs=1,
        ).fit(module, loader)
    freeze(module.memory)
    return recorder.steps


def plain_run(case: Case, step: Step, x: Tensor, targets: list[Tensor]) -> Step:
    """The step of a module of its own on plain labels."""
    module = Reference(case)
    module.load_state_dict(step.state)
    module.memory = copy.deepcopy(step.memory)
    module.train()
    output = module.training_step([x, *targets], 0)
    loss = output["loss"] if isinstance(output, dict) else output
    if module.automatic_optimization:
        loss.backward()
    after = {name: value.detach().clone() for name, value in module.named_buffers()}
    return Step([], {}, {}, None if loss is None else loss.detach(), gradients(module), module.logged, 1.0, after)


def formula(case: Case, step: Step) -> Step:
    """What the step has to give: both plain runs, weighted."""
    x, *own = step.batch
    lam = step.lam
    mixed = lam * x + (1 - lam) * x[PARTNERS]
    if case.options.get("targets") == "sampled":
        for received, label in zip(step.received, own, strict=True):
            rows = zip(received, label, label[PARTNERS], strict=True)
            assert type(received) is Tensor
            assert all(torch.equal(row, a) or torch.equal(row, b) for row, a, b in rows)
        return plain_run(case, step, mixed, step.received)
    if case.data in ("values", "many values"):
        return plain_run(case, step, mixed, [lam * own[0] + (1 - lam) * own[0][PARTNERS]])
    a, b = plain_run(case, step, mixed, own), plain_run(case, step, mixed, [label[PARTNERS] for label in own])

    def blend(one: Tensor, other: Tensor) -> Tensor:
        if one.is_floating_point():
            return lam * one + (1 - lam) * other
        return one if lam >= 0.5 else other

    return Step(
        [],
        {},
        {},
        None if a.loss is None or b.loss is None else blend(a.loss, b.loss),
        {name: blend(value, b.gradients[name]) for name, value in a.gradients.items()},
        {name: blend(value, b.logged[name]) for name, value in a.logged.items()},
        lam,
        a.after if lam >= 0.5 else b.after,
    )


def check_exact(case: Case, seed: int = 0) -> None:
    """Raise unless both steps gave what the formula gives."""
    steps = fit(case, seed)
    assert len(steps) == 2
    close = {"rtol": 1e-9, "atol": 1e-10} if case.dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-6}
    for step in steps:
        assert 0 < step.lam < 1
        want = formula(case, step)
        if want.loss is not None:
            torch.testing.assert_close(step.loss, want.loss, **close, check_dtype=False)
        compare("gradient", step.gradients, want.gradients, {"rtol": 0.1, "atol": case.close} if case.close else close)
        logged = {name: value.to(want.logged[name]) for name, value in step.logged.items()}
        compare("logged", logged, want.logged, {"rtol": 1e-6, "atol": 1e-6})
        compare("buffer", step.after, want.after, close)
        assert any(value.any() for value in want.gradients.values()), "nothing was learned"


def compare(what: str, got: dict[str, Tensor], want: dict[str, Tensor], close: dict[str, float]) -> None:
    assert got.keys() == want.keys(), f"{what}: {sorted(got)} and {sorted(want)}"
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, **close, msg=lambda text, name=name: f"{what} {name!r}: {text}")


class LossModule(nn.Module):
    """A loss without parameters, as a module: the first cure."""

    def __init__(self, loss: Callable[[Tensor, Any], Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, z: Tensor, y: Any) -> Tensor:
        return self.loss(z, y)


def cured(case: Case, cure: str) -> Case:
    """The case as a user writes it who was told a cure."""
    loss = case.loss
    if cure == "sampled":
        return replace(case, options={**case.options, "targets": "sampled"})
    assert loss is not None
    if cure == "interpolate_loss":
        whole = interpolate_loss(loss)
        return replace(case, step=lambda module, x, y: whole(module(x), y))
    assert cure == "module"

    def build(module: Net) -> None:
        if case.build is not None:
            case.build(module)
        module.criterion = LossModule(loss)

    return replace(case, build=build, step=lambda module, x, y: module.criterion(module(x), y))


class Corpus:
    """A list of cases that decorators fill."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def loss(self, data: str = "classes", *, cures: tuple[str, ...] = (), **options: Any) -> Callable[..., Any]:
        """Add a loss of predictions and labels."""

        def add(loss: Callable[[Tensor, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
            name = loss.__name__.strip("_").replace("_", " ")

            def step(module: Net, x: Tensor, y: Any) -> Tensor:
                return loss(module(x), y)

            self.cases.append(Case(name=name, step=step, data=data, loss=loss, cures=cures, **options))
            return loss

        return add

    def use(self, data: str = "classes", *, cures: tuple[str, ...] = (), **options: Any) -> Callable[..., Any]:
        """Add a whole step."""

        def add(step: Callable[[Net, Tensor, Any], Any]) -> Callable[[Net, Tensor, Any], Any]:
            name = step.__name__.strip("_").replace("_", " ")
            self.cases.append(Case(name=name, step=step, data=data, cures=cures, **options))
            return step

        return add

    def module(self, data: str = "classes", *, cures: tuple[str, ...] = (), **options: Any) -> Callable[..., Any]:
        """Add a loss module, which the module holds as ``criterion``."""

        def add(criterion: type[nn.Module]) -> type[nn.Module]:
            def build(module: Net) -> None:
                module.criterion = criterion()

            def step(module: Net, x: Tensor, y: Any) -> Tensor:
                return module.criterion(module(x), y)

            self.cases.append(Case(name=criterion.__name__, step=step, data=data, build=build, cures=cures, **options))
            return criterion

        return add
