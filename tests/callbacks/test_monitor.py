import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from application import FAST, command, results
from hydra.utils import instantiate
from jsonargparse import ArgumentParser
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, seed_everything
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from support import Spy, make, methods, regions
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, ManifoldMixup, MixMonitor, Mixup, RandomChoice
from lightning_mixup.callbacks.monitor import send
from lightning_mixup.functional import generator, losses
from lightning_mixup.targets import listeners

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)
ACCURACIES = {f"mix/accuracy_{kind}" for kind in ("dominant", "weighted", "clean", "clean_eval")}


class Recorder(Callback):
    """Remembers every draw."""

    def __init__(self, mix: Any) -> None:
        self.mix, self.draws = mix, []

    def on_train_batch_end(self, *args: Any) -> None:
        self.draws.append(self.mix.last)


class Net(LightningModule):
    """A network for inputs of any shape, with any loss."""

    def __init__(self, loss: Any = F.cross_entropy, outputs: int = 4) -> None:
        super().__init__()
        self.net, self.loss = nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs)), loss

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss(self.net(batch[0]).squeeze(1), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def fit(images, trainer):
    """Train for an epoch with a monitor; gives what was logged of it, the module and the draws."""

    def run(mix: Any, module: Any = None, monitor: Any = None, data: Any = None, **kwargs: Any) -> tuple[Any, ...]:
        seed_everything(3, verbose=False)
        module, recorder = Spy() if module is None else module, Recorder(mix)
        loader = DataLoader(data or images, batch_size=4)
        fitted = trainer(monitor or MixMonitor(), *([mix, recorder] if mix else []), **kwargs)
        fitted.fit(module, loader)
        logged = {name: value.item() for name, value in fitted.callback_metrics.items() if name.startswith("mix/")}
        return {name: value for name, value in logged.items() if name != "mix/lam"}, module, recorder.draws

    return run


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


# What is logged


@ALL
@pytest.mark.parametrize("options", [{}, {"prob": 0.5}, {"per_sample": True, "prob": 0.7}], ids=str)
def test_numbers_are_those_of_what_training_step_saw(method, options, fit):
    logged, spy, draws = fit(make(method, seed=4, **options))
    seen = [
        (target, logits.argmax(1)) for (_, target), logits in zip(spy.seen["train"], spy.seen["logits"], strict=True)
    ]
    lam = torch.cat([torch.as_tensor(getattr(target, "lam", 1.0)).expand(len(target)).float() for target, _ in seen])
    right = torch.cat([predicted == target for target, predicted in seen]).float()
    pairs = [(target.original, target.partner) if hasattr(target, "lam") else (target, target) for target, _ in seen]
    original, partner = (torch.cat(half) for half in zip(*pairs, strict=True))
    predicted = torch.cat([predicted for _, predicted in seen])
    earned = lam * (predicted == original) + (1 - lam) * (predicted == partner)
    mixed, clean = lam < 1, lam == 1
    losses, sizes = zip(
        *((loss, draw.batch_size) for loss, draw in zip(spy.seen["loss"], draws, strict=True) if draw.method),
        strict=True,
    )
    expected = {
        "mix/mixed": mixed.float().mean(),
        "mix/lam_mean": lam[mixed].mean(),
        "mix/same_class": (original == partner)[mixed].float().mean(),
        "mix/accuracy_dominant": right[mixed].mean(),
        "mix/accuracy_weighted": earned[mixed].mean(),
        "mix/loss": np.average(losses, weights=sizes),
    }
    assert mixed.any()
    if clean.any():
        expected["mix/accuracy_clean"] = right[clean].mean()
    boxed = [leaf for draw in draws for leaf in regions(draw)]
    if boxed:
        area = np.concatenate([1 - leaf.mixed() for leaf in boxed])
        expected["mix/pasted_area"] = area[area > 0].mean()
    plain = {name: value for name, value in logged.items() if not name.startswith(("mix/method/", "mix/layer/"))}
    assert plain == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-6)


def test_methods_and_layers_are_shares_of_the_mixed_batches(fit):
    mix = RandomChoice([Mixup(0.2), CutMix(), Mixup(2.0), ManifoldMixup(layers=["input", "net.1"])])
    logged, _, draws = fit(mix)
    names = {"Mixup_1": Mixup(0.2), "CutMix": CutMix(), "Mixup_2": Mixup(2.0)}
    assert {name.removeprefix("mix/method/") for name in logged if "method" in name} == {*names, "ManifoldMixup"}
    drawn = [draw for draw in draws for _ in range(draw.batch_size) if np.float32(draw.lam) < 1]
    for name, method in names.items():
        assert logged[f"mix/method/{name}"] == pytest.approx(sum(d.method == method for d in drawn) / len(drawn))
    layers = [layer for draw in drawn if (layer := getattr(draw, "layer", None))]
    assert layers
    for layer in ("input", "net.1"):
        assert logged[f"mix/layer/{layer}"] == pytest.approx(layers.count(layer) / len(layers))


def test_methods_chosen_per_sample_share_the_samples(fit):
    methods = {"smooth": Mixup(1.0, per_sample=True), "cut": CutMix(1.0, per_sample=True)}
    logged, _, draws = fit(RandomChoice(methods, weights={"smooth": 1, "cut": 2}, per_sample=True))
    counts = dict.fromkeys(("Mixup", "CutMix"), 0)
    for draw in draws:
        for part in draw.parts:
            counts[type(part.method).__name__] += int((np.float32(part.lam) < 1).sum())
    assert all(counts.values())
    for name, count in counts.items():
        assert logged[f"mix/method/{name}"] == pytest.approx(count / sum(counts.values()))


def test_what_cannot_vary_is_not_logged(fit):
    logged, *_ = fit(Mixup(1.0, seed=2))
    assert not any(name.startswith(("mix/method", "mix/layer", "mix/pasted")) for name in logged)


def test_every_epoch_begins_anew(images, trainer, tmp_path):
    mix = Mixup(1.0, seed=3)
    recorder = Recorder(mix)
    logger = CSVLogger(tmp_path, name="log", version="")
    trainer(mix, MixMonitor(), recorder, logger=logger, max_epochs=2).fit(Spy(), DataLoader(images, batch_size=11))
    with (tmp_path / "log" / "metrics.csv").open() as file:
        means = [float(row["mix/lam_mean"]) for row in csv.DictReader(file) if row["mix/lam_mean"]]
    lams = [draw.lam for draw in recorder.draws]
    assert means == pytest.approx([np.mean(lams[:2]), np.mean(lams[2:])], abs=1e-6)


def test_ignored_labels_are_not_judged(fit):
    def loss(pred: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(pred, target, ignore_index=-1)

    labels = torch.tensor([0, -1, 1, -1])
    logged, *_ = fit(Mixup(1.0, seed=1), Net(loss), data=TensorDataset(torch.zeros(4, 3), labels))
    assert 0 <= logged["mix/accuracy_dominant"] <= 1
    everything, *_ = fit(
        Mixup(1.0, seed=1, pairing="flip"),
        Net(loss),
        data=TensorDataset(torch.eye(4), torch.tensor([-1, -1, -1, 2])),
    )
    assert everything["mix/accuracy_dominant"] in (0, 1)


@pytest.mark.parametrize(
    ("loss", "outputs", "y"),
    [
        (F.mse_loss, 1, random(12) * 10),
        (F.binary_cross_entropy_with_logits, 4, (random(12, 4) > 0.5).float()),
    ],
    ids=["regression", "many labels"],
)
def test_without_classes_there_are_no_accuracies(loss, outputs, y, fit):
    monitor = MixMonitor()
    logged, *_ = fit(Mixup(1.0, prob=0.6, seed=2), Net(loss, outputs), monitor, TensorDataset(random(12, 3), y))
    assert set(logged) == {"mix/mixed", "mix/lam_mean", "mix/loss"}


def test_soft_targets_have_no_accuracies_but_the_clean_one(fit):
    logged, *_ = fit(CutMix(seed=2, targets="soft", num_classes=10), monitor=MixMonitor(clean_batches=1))
    assert ACCURACIES & set(logged) == {"mix/accuracy_clean_eval"}


def test_a_mask_is_judged_by_its_pixels(fit):
    class Segment(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x, y = batch
            return F.cross_entropy(self.net(x).view(-1, 4, 2, 2), y)

    data = TensorDataset(random(8, 1, 2, 2), (random(8, 2, 2) * 4).long())
    logged, *_ = fit(Mixup(1.0, seed=2), Segment(outputs=16), data=data)
    assert {"mix/accuracy_dominant", "mix/accuracy_weighted"} <= set(logged)
    assert "mix/same_class" not in logged


# How the batch is trained on


def test_accumulation_does_not_shrink_the_loss(fit):
    (whole, spy, _), (parts, *_) = (fit(Mixup(1.0, seed=2), accumulate_grad_batches=n) for n in (1, 3))
    assert parts["mix/loss"] == pytest.approx(whole["mix/loss"], rel=0.05)
    assert len(spy.seen["loss"]) == 6


def test_several_steps_on_one_batch_count_once(fit):
    class Closures(Spy):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.LBFGS(self.parameters(), max_iter=3)

    logged, spy, draws = fit(Mixup(1.0, seed=2), Closures())
    assert len(spy.seen["train"]) > len(draws)
    assert logged["mix/mixed"] == 1
    firsts = []
    for logits, (_, y) in zip(spy.seen["logits"], spy.seen["train"], strict=True):
        if not firsts or firsts[-1][0] is not y:
            firsts.append((y, (logits.argmax(1) == y).float().sum()))
    assert len(firsts) == len(draws)
    assert logged["mix/accuracy_dominant"] == pytest.approx(sum(right for _, right in firsts).item() / 22)


def test_manual_optimization(fit):
    class Manual(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            self.manual_backward(loss)
            self.optimizers().step()
            return {"loss": loss}

    logged, spy, _ = fit(Mixup(1.0, seed=2), Manual())
    sizes = torch.tensor([4.0, 4, 4, 4, 4, 2])
    assert logged["mix/loss"] == pytest.approx((torch.stack(spy.seen["loss"]) @ sizes / 22).item())
    assert "mix/accuracy_dominant" in logged


def test_a_loss_of_ones_own_is_heard_too(fit):
    class Own(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.criterion = Gather()

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.criterion(self(batch[0]), target=batch[1])

    class Gather(nn.Module):
        def forward(self, pred: Tensor, target: Tensor) -> Tensor:
            return -pred.log_softmax(1).gather(1, target.unsqueeze(1)).mean()

    logged, *_ = fit(Mixup(1.0, prob=1.0, seed=2, loss="criterion"), Own())
    assert {"mix/accuracy_dominant", "mix/accuracy_weighted"} <= set(logged)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of torch's own tracing
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace:UserWarning")
def test_a_compiled_step_trains_without_accuracies(images, trainer):
    fitted = trainer(Mixup(1.0, seed=2), MixMonitor())
    torch.compiler.reset()
    fitted.fit(torch.compile(Net(outputs=10), backend="eager"), DataLoader(images, batch_size=11))
    assert "mix/lam_mean" in fitted.callback_metrics
    assert not ACCURACIES & set(fitted.callback_metrics)


# Nothing else changes


class Normalised(Spy):
    def __init__(self) -> None:
        super().__init__()
        self.net.insert(1, nn.BatchNorm2d(4))
        self.net[1].eval()  # frozen
        self.net.insert(0, nn.BatchNorm2d(1))


@ALL
def test_training_is_the_same_with_it(method, images, trainer):
    def train(*callbacks: Callback) -> tuple[Any, ...]:
        seed_everything(5, verbose=False)
        module = Normalised()
        loader = DataLoader(images, batch_size=8, shuffle=True)
        trainer(make(method, prob=0.6), *callbacks, max_epochs=2).fit(module, loader)
        return module, torch.rand(3), np.random.random(3)  # noqa: NPY002

    (plain, *plain_random), (watched, *watched_random) = train(), train(MixMonitor(clean_batches=2))
    assert all(torch.equal(plain.state_dict()[name], value) for name, value in watched.state_dict().items())
    assert all(torch.equal(one, other) for one, other in zip(plain.seen["loss"], watched.seen["loss"], strict=True))
    assert torch.equal(plain_random[0], watched_random[0])
    assert (plain_random[1] == watched_random[1]).all()
    assert [part.training for part in plain.modules()] == [part.training for part in watched.modules()]


class NoLookAtNumbers(TorchDispatchMode):
    """Refuses what makes the host wait for a device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


ON_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@ALL
@pytest.mark.parametrize(
    ("accelerator", "guard"), [("cpu", NoLookAtNumbers), pytest.param("cuda", no_waiting, marks=ON_GPU)]
)
def test_no_batch_waits_for_the_device(method, accelerator, guard, loader, trainer, monkeypatch):
    if accelerator == "cpu":  # where a look at weights costs no waiting; on a device `within` takes none
        monkeypatch.setattr(losses, "within", lambda weight: False)
    for hook in ("on_train_batch_start", "on_train_batch_end", "_hear"):
        plain = getattr(MixMonitor, hook)

        def guarded(self: Any, *args: Any, plain: Any = plain) -> None:
            with guard():
                plain(self, *args)

        monkeypatch.setattr(MixMonitor, hook, guarded)
    callbacks = make(method, prob=0.7, per_sample=True), MixMonitor(clean_batches=1)
    fitted = trainer(*callbacks, max_epochs=2, accelerator=accelerator, devices=1)
    fitted.fit(Spy(), loader)
    assert "mix/accuracy_dominant" in fitted.callback_metrics


def test_nobody_listens_after_the_fit_or_an_error(loader, trainer):
    class Careless(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            assert listeners
            return self(batch[0]).square().mean()

    trainer(Mixup(1.0), MixMonitor()).fit(Spy(), loader)
    assert not listeners
    with pytest.raises(RuntimeError, match="none of its losses used"):
        trainer(Mixup(1.0), MixMonitor()).fit(Careless(), loader)
    assert not listeners


# Clean batches


def test_clean_batches_judge_the_network_as_it_stands(images, trainer):
    class Judge(Callback):
        rights: list[float] = []  # noqa: RUF012

        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx < 2:
                pl_module.eval()
                self.rights.append((pl_module(batch[0]).argmax(1) == batch[1]).sum().item())
                pl_module.train()

    fitted = trainer(Mixup(1.0, seed=2), MixMonitor(clean_batches=2), Judge())
    fitted.fit(Spy(), DataLoader(images, batch_size=8))
    assert fitted.callback_metrics["mix/accuracy_clean_eval"].item() == pytest.approx(sum(Judge.rights) / 16)
    assert len(Judge.rights) == 2


def test_clean_batches_need_something_to_call(images, trainer):
    with pytest.raises(MisconfigurationException, match=r"clean_batches=3 needs a forward .* Net has none"):
        trainer(Mixup(), MixMonitor(clean_batches=3)).fit(Net(outputs=10), DataLoader(images, batch_size=8))
    trainer(Mixup(), MixMonitor()).fit(Net(outputs=10), DataLoader(images, batch_size=8))


def test_clean_batches_are_not_negative():
    with pytest.raises(ValueError, match="MixMonitor: clean_batches must be at least 0, got -1"):
        MixMonitor(clean_batches=-1)


# Trainers


def test_without_a_mixing_callback_it_says_so_once(fit, caplog):
    with caplog.at_level("INFO"):
        logged, *_ = fit(None, max_epochs=3)
    assert caplog.text.count("MixMonitor: nothing to log") == 1
    assert logged == {}


def test_barebones_log_nothing(loader):
    from lightning.pytorch import Trainer

    Trainer(barebones=True, max_epochs=1, callbacks=[Mixup(1.0), MixMonitor()], accelerator="cpu").fit(Spy(), loader)
    assert not listeners


def test_configurations_build_it():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MixMonitor, "monitor")
    build = getattr(parser, "instantiate", None) or parser.instantiate_classes
    assert instantiate({"_target_": "lightning_mixup.MixMonitor", "clean_batches": 3}).clean_batches == 3
    assert build(parser.parse_object({"monitor": {"clean_batches": 3}})).monitor.clean_batches == 3


@pytest.mark.ddp
def test_processes_add_up_their_sums(tmp_path):
    options = ["callbacks=[default,insight]", "trainer=ddp_cpu", "data.batch_size=8", "mix.prob=0.6", "mix.alpha=1"]
    done = command(*FAST, *options, "callbacks.monitor.clean_batches=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("outputs/*/*")
    found, mix = results(folder), Mixup(1.0, prob=0.6)
    places = [(rank, step) for rank in (0, 1) for step in range(4)]
    draws = [mix.draw(generator(0, rank, step), [torch.zeros(8, 1)], step / 4) for rank, step in places]
    lams = [draw.lam for draw in draws if draw.method]
    assert found["mix/mixed"] == pytest.approx(len(lams) / 8)
    assert found["mix/lam_mean"] == pytest.approx(np.mean(lams))
    assert set(found) >= ACCURACIES
    assert "recommended to use" not in done.stderr


# Loggers


def test_tensorboard_gets_a_histogram(fit, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path, name="", version="")
    _, _, draws = fit(Mixup(1.0, per_sample=True, seed=3), logger=logger)
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path), {"histograms": 0}).Reload()
    (event,) = events.Histograms("mix/lam_histogram")
    expected, _ = np.histogram(np.concatenate([draw.lam for draw in draws]), np.linspace(0, 1, 11))
    counts = dict(zip(event.histogram_value.bucket_limit, event.histogram_value.bucket, strict=True))
    assert [counts.get(limit, 0) for limit in np.linspace(0, 1, 11)[1:].tolist()] == expected.tolist()
    assert not any("lam_share" in name for name in events.Tags()["scalars"])


def test_other_loggers_get_shares(fit, tmp_path):
    logger = CSVLogger(tmp_path, name="log", version="")
    _, _, draws = fit(Mixup(1.0, seed=3), logger=logger)
    logger.finalize("success")
    with (tmp_path / "log" / "metrics.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["mix/lam_share/0.0-0.1"])
    lam = np.concatenate([np.broadcast_to(draw.lam, draw.batch_size) for draw in draws])
    expected, edges = np.histogram(lam, np.linspace(0, 1, 11))
    shares = [float(row[f"mix/lam_share/{low:.1f}-{low + 0.1:.1f}"]) for low in edges[:-1]]
    assert shares == pytest.approx(expected / len(lam))
    assert row["epoch"] == "0"


def test_wandb_gets_a_histogram(monkeypatch):
    told = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Histogram=lambda np_histogram: np_histogram))
    logger = object.__new__(WandbLogger)
    monkeypatch.setattr(WandbLogger, "log_metrics", lambda self, metrics, step: told.append((metrics, step)))
    send(logger, [0.0] * 9 + [4.0], step=7, epoch=1)
    ((metrics, step),) = told
    counts, edges = metrics["mix/lam_histogram"]
    assert counts.tolist() == [0] * 9 + [4]
    assert len(edges) == 11
    assert step == 7
