"""Precisions, and what else a Trainer can be told to do, beside every method."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, seed_everything
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateFinder,
    ModelSummary,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.plugins.precision import MixedPrecision
from support import Spy, make, methods
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import ManifoldMixup, MixCallback, MixedTarget

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
# Of the batches that images makes: 4, 4, 4, 4, 4 and 2 samples, in each of two epochs.
BATCHES = 6


class Recorder(Callback):
    """Remembers the draws of another callback, as texts: of arrays, equality is one by one."""

    def __init__(self, mix: MixCallback) -> None:
        self.mix = mix
        self.draws: list[str] = []

    def on_train_batch_end(self, *args: Any) -> None:
        self.draws.append(str(self.mix.last))


class Module(Spy):
    """Has what the finders of Lightning look for."""

    def __init__(self, images: TensorDataset, batch_size: int = 4) -> None:
        super().__init__()
        self.images, self.batch_size, self.lr = images, batch_size, 0.1
        self.net[4].p = 0.0

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.images, self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.images, 11)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.lr)


@pytest.fixture
def fit(images, trainer):
    """Train with a method; gives the module and the draws."""

    def run(
        method: type[MixCallback], before: Any = (), after: Any = (), module: Module | None = None, **kwargs: Any
    ) -> tuple[Module, list[str]]:
        seed_everything(3, verbose=False)
        module = module or Module(images)
        mix = make(method, seed=5)
        recorder = Recorder(mix)
        trainer(*before, mix, recorder, *after, **{"max_epochs": 2, **kwargs}).fit(module)
        return module, recorder.draws

    return run


@ALL
@pytest.mark.parametrize(
    "options",
    [
        {"accumulate_grad_batches": 4},
        {"gradient_clip_val": 0.01},
        {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
        {"inference_mode": False},
        {"num_sanity_val_steps": 0},
        {"profiler": "simple"},
        {"reload_dataloaders_every_n_epochs": 1},
        {"val_check_interval": 2},
        {"detect_anomaly": True},
        {
            "barebones": True,
            "limit_val_batches": 0,
            **dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar"]),
        },
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_change_no_draw(method, options, fit):
    if "barebones" in options:
        options = {**options, "enable_model_summary": None, "log_every_n_steps": None}
    module, draws = fit(method, **options)
    assert draws == fit(method)[1]
    assert len(draws) == len(set(draws)) == 2 * BATCHES
    # A box that is rounded to nothing leaves its batch as it is.
    mixed = [not draw.startswith("Draw(") for draw in draws]
    assert [isinstance(y, MixedTarget) for _, y in module.seen["train"]] == mixed
    assert sum(mixed) >= len(mixed) - 1
    assert all(type(y) is Tensor for _, y in module.seen["val"])


@ALL
@pytest.mark.parametrize(
    ("options", "count"),
    [({"fast_dev_run": True}, 1), ({"limit_train_batches": 2}, 4), ({"overfit_batches": 2}, 4), ({"max_steps": 3}, 3)],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
@pytest.mark.filterwarnings("ignore:You requested to overfit:UserWarning")
def test_fewer_batches_are_drawn_for_as_the_first_of_all(method, options, count, fit):
    _, draws = fit(method, **options)
    assert len(draws) == count
    assert draws == fit(method)[1][:count]


@ALL
def test_clipped_gradients_are_those_of_the_mixed_loss(method, fit, images):
    class Norms(Callback):
        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            module.norms.append(nn.utils.get_total_norm([p.grad for p in module.parameters()]).item())

        def on_before_zero_grad(self, trainer: Any, module: Any, optimizer: Any) -> None:
            grads = [p.grad for p in module.parameters() if p.grad is not None]
            module.clipped.append(nn.utils.get_total_norm(grads).item() if grads else 0.0)

    module = Module(images)
    module.norms, module.clipped = [], []
    fit(method, after=[Norms()], module=module, gradient_clip_val=0.05)
    assert min(module.norms) > 0.05
    assert max(module.clipped) <= 0.0501


@ALL
@pytest.mark.parametrize(
    "other",
    [
        lambda: EarlyStopping("val/loss", patience=5),
        lambda: ModelSummary(max_depth=-1),
        lambda: EMAWeightAveraging(decay=0.5),
        lambda: StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=1),
        lambda: LearningRateFinder(num_training_steps=5),
    ],
    ids=["EarlyStopping", "ModelSummary", "EMA", "SWA", "LearningRateFinder"],
)
def test_callbacks_before_and_after_change_no_draw(method, other, fit):
    plain = fit(method)[1]
    for place in ("before", "after"):
        module, draws = fit(method, **{place: [other()]})
        assert draws == plain
        assert "training_step" not in module.__dict__


@ALL
@pytest.mark.parametrize("place", ["before", "after"])
def test_the_learning_rate_is_searched_as_without_us(method, place, fit, trainer, images):
    finder = LearningRateFinder(num_training_steps=5)
    fit(method, **{place: [finder]})
    seed_everything(3, verbose=False)
    alone = LearningRateFinder(num_training_steps=5)
    trainer(alone, max_epochs=2).fit(Module(images))
    assert finder.optimal_lr.results == alone.optimal_lr.results


@ALL
@pytest.mark.parametrize("place", ["before", "after"])
def test_draws_for_the_batch_size_that_was_found(method, place, fit, images):
    module, draws = fit(method, **{place: [BatchSizeFinder(init_val=4, max_trials=2, steps_per_trial=1)]})
    assert module.batch_size == 8
    assert draws == fit(method, module=Module(images, batch_size=8))[1]


class Averaged(Callback):
    """Compares the outputs of the averaged model, in mid-step, with those of a module that was never trained."""

    def __init__(self, averaging: WeightAveraging, images: TensorDataset) -> None:
        self.averaging, self.images, self.steps = averaging, images, 0

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        copy = self.averaging._average_model.module
        fresh = Module(self.images)
        fresh.load_state_dict(copy.state_dict())
        x = self.images.tensors[0]
        assert torch.equal(copy(x), fresh(x))
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in copy.modules())
        assert "training_step" not in copy.__dict__
        self.steps += 1


@ALL
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("averaging", [WeightAveraging, EMAWeightAveraging])
def test_the_averaged_model_knows_nothing_of_mixing(method, averaging, place, fit, images):
    average = averaging()
    check = Averaged(average, images)
    module, _ = fit(method, **{"after": [check], place: [average, check]})
    assert check.steps >= 2 * BATCHES
    for own, averaged in zip(module.parameters(), average._average_model.module.parameters(), strict=True):
        assert torch.equal(own, averaged)  # which is what training ends with


@ALL
def test_batch_norm_after_swa_sees_an_epoch_of_batches(method, fit, images):
    module = Module(images)
    module.net[1].append(nn.BatchNorm2d(4))
    _, draws = fit(method, after=[StochasticWeightAveraging(0.01, swa_epoch_start=1)], module=module)
    assert len(draws) == 3 * BATCHES  # the additional epoch is for the statistics
    assert module.net[1][-1].num_batches_tracked == BATCHES
    assert draws[: 2 * BATCHES] == fit(method)[1]


@ALL
def test_loader_processes_change_no_draw(method, fit, images):
    class Loaded(Module):
        def train_dataloader(self) -> DataLoader:
            return DataLoader(self.images, 4, num_workers=2, persistent_workers=True)

    module, draws = fit(method, module=Loaded(images))
    plain, expected = fit(method)
    assert draws == expected
    for (x, _), (plain_x, _) in zip(module.seen["train"], plain.seen["train"], strict=True):
        assert torch.equal(x, plain_x)


@ALL
def test_one_callback_for_several_fits_draws_alike_in_each(method, trainer, images):
    mix = make(method, seed=5)
    draws = []
    for _ in range(3):
        recorder = Recorder(mix)
        trainer(mix, recorder).fit(Module(images))
        draws.append(recorder.draws)
    assert draws[0] == draws[1] == draws[2]


class Coloured(LightningModule):
    """Images in channels_last, as convolutions on GPUs want them; remembers what it was given, and its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 10))
        self.net.to(memory_format=torch.channels_last)
        self.inputs: list[Tensor] = []
        self.hidden: list[Tensor] = []
        self.net[1].register_forward_pre_hook(lambda layer, args: self.hidden.append(args[0].detach()))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        self.inputs.append(x)
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


class Half(MixedPrecision):
    """16-mixed on the CPU, for which Lightning would take bfloat16."""

    def __init__(self) -> None:
        super().__init__("16-mixed", "cpu")


@ALL
@pytest.mark.parametrize("per_sample", [False, True], ids=["per_batch", "per_sample"])
@pytest.mark.parametrize(
    ("precision", "input_dtype", "hidden_dtype"),
    [
        ("32-true", torch.float32, torch.float32),
        ("64-true", torch.float64, torch.float64),
        ("bf16-true", torch.bfloat16, torch.bfloat16),
        ("16-true", torch.float16, torch.float16),
        ("bf16-mixed", torch.float32, torch.bfloat16),
        ("16-mixed", torch.float32, torch.float16),
    ],
)
def test_dtype_and_memory_format_stay(method, per_sample, precision, input_dtype, hidden_dtype, trainer):
    data = TensorDataset(torch.randn(8, 3, 8, 8).to(memory_format=torch.channels_last), torch.arange(8))

    def collate(samples: list[Any]) -> list[Tensor]:
        x, y = (torch.stack(part) for part in zip(*samples, strict=True))
        return [x.to(memory_format=torch.channels_last), y]

    options = {"layers": ["net.0"]} if method is ManifoldMixup else {}
    how = {"plugins": Half()} if precision == "16-mixed" else {"precision": precision}
    module = Coloured()
    mix = make(method, seed=0, per_sample=per_sample, **options)
    fitted = trainer(mix, **how)
    fitted.fit(module, DataLoader(data, 4, collate_fn=collate))
    assert mix.last.method is not None
    assert len(module.inputs) == 2
    for tensors, dtype in ((module.inputs, input_dtype), (module.hidden, hidden_dtype)):
        assert {tensor.dtype for tensor in tensors} == {dtype}
        assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in tensors)
    assert all(weight.isfinite().all() for weight in module.parameters())


@ALL
@pytest.mark.parametrize("per_sample", [False, True], ids=["per_batch", "per_sample"])
def test_draws_can_be_compared(method, per_sample, trainer, images):
    def last(seed: int) -> Any:
        mix = make(method, seed=seed, per_sample=per_sample)
        trainer(mix).fit(Module(images))
        return mix.last

    assert last(1) == last(1)
    assert last(1) != last(2)
