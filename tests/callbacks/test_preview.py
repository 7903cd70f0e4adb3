from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningDataModule, LightningModule, seed_everything
from lightning.pytorch.loggers import CometLogger, CSVLogger, MLFlowLogger, TensorBoardLogger
from support import Spy, make, methods
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import CutMix, ManifoldMixup, MixedTarget, Mixup, RegMixup
from lightning_mixup.callbacks import preview
from lightning_mixup.callbacks.pictures import captions, denormalise, grid, render
from lightning_mixup.callbacks.preview import MixPreview, send

ALL = pytest.mark.parametrize("method", methods(), ids=lambda method: method.__name__)


@pytest.fixture
def figures(monkeypatch):
    """Every figure that a preview draws."""
    drawn = []

    def keep(*args: Any, **kwargs: Any) -> Any:
        drawn.append(grid(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(preview, "grid", keep)
    return drawn


class Net(LightningModule):
    """A network for inputs of any shape, which remembers its batches."""

    def __init__(self, loss: Any = F.cross_entropy, outputs: int = 4) -> None:
        super().__init__()
        self.net, self.loss, self.seen = nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs)), loss, []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch)
        return self.loss(self.net(batch[0]).squeeze(1), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def texts(figure: Any) -> list[str]:
    return [axis.get_xlabel() for axis in figure.axes]


def data(x: torch.Tensor, y: torch.Tensor | None = None) -> DataLoader:
    y = torch.arange(len(x)) % 4 if y is None else y
    return DataLoader(TensorDataset(x, y), batch_size=6)


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


# In training


@ALL
@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
def test_the_first_mixed_batch_is_written_as_a_picture(method, order, spy, loader, trainer, tmp_path, figures):
    mix = make(method, seed=3)
    trainer(*[mix, MixPreview(samples=5)][::order], max_epochs=2).fit(spy, loader)
    (path,) = tmp_path.rglob("*.png")
    assert path.relative_to(tmp_path).as_posix() == "mix_preview/epoch_000_batch_0000.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    assert len(figure.axes) == 5
    assert "epoch 0, batch 0" in figure.get_suptitle()


@ALL
@pytest.mark.parametrize("per_sample", [False, True], ids=["per_batch", "per_sample"])
def test_it_shows_what_training_step_saw(method, per_sample, spy, loader, trainer, figures):
    trainer(make(method, seed=3, per_sample=per_sample), MixPreview(samples=6)).fit(spy, loader)
    first = 8 if method is RegMixup else 0  # behind the clean copy of the batch
    x, y = spy.seen["train"][0]
    x, original, partner = (entry[first:] for entry in (x, y.original, y.partner))
    weights = torch.as_tensor(y.lam).expand(len(y))[first:]
    low, high = x[:6].min(), x[:6].max()
    for axis, image, own, other, lam in zip(figures[0].axes, x, original, partner, weights, strict=False):
        shown = axis.images[0].get_array()
        np.testing.assert_allclose(shown, ((image[0] - low) / (high - low)).numpy(), atol=1e-5)
        expected = {}
        for label, weight in ((own.item(), lam.item()), (other.item(), 1 - lam.item())):
            expected[label] = expected.get(label, 0) + weight
        assert axis.get_xlabel().split("\n") == [f"{k}: {v:.0%}" for k, v in expected.items() if v >= 0.005]
    assert ("lam per sample" in figures[0].get_suptitle()) == per_sample


def test_every_nth_epoch_shows_its_first_mixed_batches(loader, trainer, tmp_path):
    trainer(Mixup(alpha=1.0, seed=3), MixPreview(batches=2, every_n_epochs=2), max_epochs=4).fit(Spy(), loader)
    assert sorted(path.stem for path in tmp_path.rglob("*.png")) == [
        f"epoch_{epoch:03d}_batch_{batch:04d}" for epoch in (0, 2) for batch in (0, 1)
    ]


def test_a_batch_that_is_left_alone_is_not_shown(images, trainer, tmp_path):
    class Recorder(Callback):
        mixed: list[int] = []  # noqa: RUF012

        def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
            if mix.last.method is not None:
                self.mixed.append(trainer.fit_loop.batch_idx)

    mix, recorder = Mixup(alpha=1.0, prob=0.3, seed=1), Recorder()
    trainer(mix, recorder, MixPreview()).fit(Spy(), DataLoader(images, batch_size=2))
    assert recorder.mixed[0] > 0
    assert [path.stem for path in tmp_path.rglob("*.png")] == [f"epoch_000_batch_{recorder.mixed[0]:04d}"]


@ALL
def test_nothing_else_changes(method, images, trainer):
    def train(*callbacks: Callback) -> tuple[Spy, torch.Tensor, np.ndarray]:
        seed_everything(5, verbose=False)
        module = Spy()
        trainer(make(method), *callbacks, max_epochs=2).fit(module, DataLoader(images, batch_size=8, shuffle=True))
        return module, torch.rand(3), np.random.random(3)  # noqa: NPY002

    before = [tensor.clone() for tensor in images.tensors]
    (plain, *plain_random), (shown, *shown_random) = train(), train(MixPreview(batches=9, every_n_epochs=1))
    assert all(torch.equal(plain.state_dict()[name], value) for name, value in shown.state_dict().items())
    assert all(torch.equal(first, second) for first, second in zip(plain.seen["loss"], shown.seen["loss"], strict=True))
    assert torch.equal(plain_random[0], shown_random[0])
    assert (plain_random[1] == shown_random[1]).all()
    assert all(torch.equal(tensor, old) for tensor, old in zip(images.tensors, before, strict=True))


def test_an_error_of_a_loss_that_ignores_the_mix_is_not_hidden(loader, trainer):
    class Careless(Spy):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self(batch[0]).square().mean()

    with pytest.raises(RuntimeError, match="none of its losses used"):
        trainer(Mixup(alpha=1.0), MixPreview()).fit(Careless(), loader)


def test_without_a_mixing_callback_there_is_nothing_to_show(spy, loader, trainer, tmp_path, caplog):
    with caplog.at_level("INFO"):
        trainer(MixPreview()).fit(spy, loader)
    assert "no mixing callback" in caplog.text
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
def test_manual_optimization(order, loader, trainer, tmp_path):
    class Manual(Spy):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            self.manual_backward(super().training_step(batch, batch_idx))
            self.optimizers().step()

    trainer(*[Mixup(alpha=1.0, seed=3), MixPreview()][::order]).fit(Manual(), loader)
    assert len(list(tmp_path.rglob("*.png"))) == 1


def test_several_steps_on_one_batch_show_it_once(images, trainer, tmp_path):
    class Closures(Spy):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.LBFGS(self.parameters(), max_iter=3)

    trainer(Mixup(alpha=1.0, seed=3), MixPreview(batches=2)).fit(Closures(), DataLoader(images, batch_size=8))
    assert sorted(path.stem[-4:] for path in tmp_path.rglob("*.png")) == ["0000", "0001"]


@pytest.mark.parametrize("argument", ["batches", "every_n_epochs", "samples"])
def test_numbers_are_at_least_one(argument):
    with pytest.raises(ValueError, match=f"MixPreview: {argument} must be at least 1, got 0"):
        MixPreview(**{argument: 0})


def test_configurations_build_it():
    options = {"class_names": ["a", "b"], "mean": [0.5, 0.5], "std": 2.0, "every_n_epochs": 5}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MixPreview, "preview")
    build = getattr(parser, "instantiate", None) or parser.instantiate_classes
    by_hydra = instantiate({"_target_": "lightning_mixup.callbacks.preview.MixPreview", **options})
    by_cli = build(parser.parse_object({"preview": options})).preview
    for callback in (by_hydra, by_cli):
        assert (callback.class_names, callback.mean, callback.std) == (("a", "b"), (0.5, 0.5), 2.0)
        assert callback.every_n_epochs == 5


# Kinds of data


def test_manifold_mixup_names_the_layer_and_shows_its_input(loader, trainer, figures):
    for layers, name in ((["net.1"], "ManifoldMixup of layer net.1 (shown is its clean input)"), (["input"], "input,")):
        trainer(ManifoldMixup(layers=layers, seed=3), MixPreview()).fit(Spy(), loader)
        assert name in figures[-1].get_suptitle()


def test_series_are_curves(trainer, figures):
    net = Net()
    trainer(Mixup(alpha=1.0, seed=3), MixPreview(samples=3)).fit(net, data(random(12, 2, 30)))
    assert len(figures[0].axes) == 3
    for axis, sample in zip(figures[0].axes, net.seen[0][0], strict=False):
        for line, channel in zip(axis.lines, sample, strict=True):
            np.testing.assert_allclose(line.get_ydata(), channel.numpy())
        assert axis.get_xlabel()
    assert len({axis.get_ylim() for axis in figures[0].axes}) == 1


def test_tabular_data_is_a_table(trainer, figures):
    net = Net()
    trainer(Mixup(alpha=1.0, seed=3), MixPreview(samples=4)).fit(net, data(random(12, 11)))
    (axis,) = figures[0].axes
    cells = {place: cell.get_text().get_text() for place, cell in axis.tables[0].get_celld().items()}
    x, y = net.seen[0]
    assert [cells[0, column] for column in range(10)] == [*(f"x[{feature}]" for feature in range(8)), "…", "target"]
    for line in range(4):
        assert cells[line + 1, 0] == f"{x[line, 0].item():.3g}"
        assert cells[line + 1, 9] == f"{y.original[line]}: {y.lam:.0%}, {y.partner[line]}: {1 - y.lam:.0%}"
    assert (5, 0) not in cells


def test_soft_targets_are_probabilities(trainer, figures):
    net = Net()
    mix = CutMix(targets="soft", num_classes=4, per_sample=True, seed=3)
    trainer(mix, MixPreview()).fit(net, data(random(12, 1, 8, 8)))
    y = net.seen[0][1]
    assert type(y) is torch.Tensor
    for text, row in zip(texts(figures[0]), y, strict=False):
        ranked = sorted(((weight.item(), label) for label, weight in enumerate(row)), key=lambda it: -it[0])
        assert text.split("\n") == [f"{label}: {weight:.0%}" for weight, label in ranked if weight >= 0.005]


def test_values_are_written_with_the_weight(trainer, figures):
    net = Net(F.mse_loss, outputs=1)
    mix = Mixup(alpha=1.0, seed=3)
    trainer(mix, MixPreview(samples=3)).fit(net, data(random(6, 3, 4, 4), random(6) * 10))
    y = net.seen[0][1]
    assert texts(figures[0]) == [f"{value:.3g}\nlam {mix.last.lam:.2f}" for value in y[:3].tolist()]


def test_masks_and_inputs_without_targets_have_their_weight(trainer, figures):
    def loss(pred: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(pred, mask.flatten(1).float())

    x, mask = random(6, 3, 4, 4), (random(6, 4, 4) > 0.5).long()
    for mix, net in (
        (CutMix(seed=3), Net(loss, outputs=16)),
        (Mixup(alpha=1.0, seed=3, target_key=None), Net(loss, outputs=16)),
    ):
        trainer(mix, MixPreview(samples=2)).fit(net, data(x, mask))
        assert texts(figures[-1]) == [f"lam {mix.last.lam:.2f}"] * 2


def test_the_data_module_tells_statistics_and_names(trainer, figures):
    class Colours(LightningDataModule):
        mean = (0.2, 0.4, 0.6)
        std = torch.tensor([0.1, 0.2, 0.3])
        class_names = ("ant", "bee", "cow", "dog")
        clean = random(6, 3, 4, 4)

        def train_dataloader(self) -> DataLoader:
            return data((self.clean - torch.tensor(self.mean).view(3, 1, 1)) / self.std.view(3, 1, 1))

    mix = Mixup(alpha=1.0, seed=3)
    trainer(mix, MixPreview(samples=4)).fit(Net(), Colours())
    mixed = mix.last.lam * Colours.clean + (1 - mix.last.lam) * Colours.clean.roll(-mix.last.shift, 0)
    for axis, image in zip(figures[0].axes, mixed, strict=False):
        np.testing.assert_allclose(axis.images[0].get_array(), image.permute(1, 2, 0).numpy(), atol=1e-5)
    assert texts(figures[0])[0].startswith("ant: ")
    trainer(mix, MixPreview(mean=0.0, std=1.0, class_names=["A", "B", "C", "D"])).fit(Net(), Colours())
    assert texts(figures[1])[0].startswith("A: ")
    assert not np.allclose(figures[1].axes[0].images[0].get_array(), mixed[0].permute(1, 2, 0).numpy(), atol=0.05)


# Captions


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (MixedTarget(torch.tensor([[0], [2]]), torch.tensor([[3], [2]]), 0.25), ["0: 25%\n3: 75%", "2: 100%"]),
        (
            MixedTarget(torch.tensor([0, 2]), torch.tensor([3, 1]), torch.tensor([0.5, 0.999])),
            ["0: 50%\n3: 50%", "2: 100%"],
        ),
        (
            MixedTarget(torch.tensor([[1.0, 0, 1]]), torch.tensor([[0.0, 0, 1]]), 0.75),
            ["2: 100%\n0: 75%"],
        ),
        (MixedTarget(torch.zeros(2, 3, 3).long(), torch.ones(2, 3, 3).long(), 0.75), ["lam 0.75"] * 2),
        (MixedTarget(torch.tensor([[-1.0, 3]]), torch.tensor([[1.0, 3]]), 0.75), ["-0.5, 3\nlam 0.75"]),
        (torch.tensor([[1.0], [2.0]]), ["1\nlam 0.75", "2\nlam 0.75"]),
        (torch.tensor([4, 5]), ["4", "5"]),
        (torch.zeros(1, 4, 4), ["lam 0.75"]),
    ],
)
def test_captions(target, expected):
    assert captions(target, [0.75] * len(target)) == expected


def test_captions_use_names_and_shorten_long_ones():
    target = MixedTarget(torch.tensor([0, 1]), torch.tensor([1, 5]), 0.75)
    names = ["cat", "very long name of a class"]
    assert captions(target, [0.75] * 2, names) == ["cat: 75%\nvery long name…: 25%", "very long name…: 75%\n5: 25%"]


# Pictures


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((3, 1, 6, 5), (6, 5)), ((3, 3, 6, 5), (6, 5, 3)), ((3, 2, 6, 5), (6, 5)), ((3, 20, 9), (20, 9))],
)
def test_pictures_of_many_shapes(shape, shown):
    figure = grid(random(*shape), ["a", "b", "c"], columns=2)
    assert [axis.images[0].get_array().shape for axis in figure.axes] == [shown] * 3
    assert texts(figure) == ["a", "b", "c"]


def test_a_clip_shows_its_middle():
    x = random(1, 3, 5, 4, 4)
    np.testing.assert_allclose(grid(x, ["a"]).axes[0].images[0].get_array(), x[0, :, 2].permute(1, 2, 0).numpy())


def test_pictures_share_one_scale():
    x = torch.stack([torch.zeros(1, 2, 2), torch.full((1, 2, 2), 5.0), torch.full((1, 2, 2), 10.0)])
    figure = grid(x, ["a", "b", "c"])
    assert [axis.images[0].get_array()[0, 0] for axis in figure.axes] == [0, 0.5, 1]
    assert {axis.images[0].get_clim() for axis in figure.axes} == {(0, 1)}
    assert [axis.images[0].get_array()[0, 0] for axis in grid(x / 20, ["a", "b", "c"]).axes] == [0, 0.25, 0.5]


def test_statistics_of_one_number_and_of_channels():
    x = random(2, 3, 4, 4)
    torch.testing.assert_close(denormalise((x - 0.5) / 0.25, 0.5, 0.25), x)
    mean, std = np.array([0.1, 0.2, 0.3]), [0.5, 0.6, 0.7]
    normal = (x - torch.tensor(mean).view(3, 1, 1).float()) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(denormalise(normal, mean, std), x)
    assert torch.equal(denormalise(x), x)


@pytest.mark.parametrize("shape", [(9, 1, 8, 8), (9, 2, 20), (9, 3)], ids=["pictures", "curves", "table"])
@pytest.mark.parametrize("label", ["7", "common mushroom"])
def test_labels_are_legible(shape, label):
    figure = grid(random(*shape), [f"{label}: 60%\n{label}: 40%"] * 9, title="Mixup, lam 0.60, epoch 0, batch 0")
    pixels = render(figure)
    renderer = figure.canvas.get_renderer()
    labels = [axis.xaxis.label for axis in figure.axes if axis.get_xlabel()]
    labels += [cell.get_text() for axis in figure.axes for table in axis.tables for cell in table.get_celld().values()]
    boxes = [label.get_window_extent(renderer) for label in labels]
    assert len(boxes) >= 9
    for index, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= pixels.shape[1]
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    assert not any(axis.get_xticks().size or axis.get_yticks().size for axis in figure.axes if axis.axison)


# Loggers


def test_tensorboard_gets_the_picture(spy, loader, trainer, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path, name="", version="")
    trainer(Mixup(alpha=1.0, seed=3), MixPreview(every_n_epochs=2), logger=logger, max_epochs=3).fit(spy, loader)
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["images"] == ["mix/preview"]
    shown = events.Images("mix/preview")
    assert [event.step for event in shown] == [0, 6]
    assert shown[0].encoded_image_string.startswith(b"\x89PNG")


def test_a_logger_without_pictures_is_left_alone(spy, loader, trainer, tmp_path):
    logger = CSVLogger(tmp_path, name="log", version="")
    trainer(Mixup(alpha=1.0, seed=3), MixPreview(), logger=logger).fit(spy, loader)
    assert len(list((tmp_path / "log" / "mix_preview").glob("*.png"))) == 1


class Told:
    """Remembers what it is told to log."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def log_image(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append((args, kwargs))


@pytest.mark.parametrize("kind", [MLFlowLogger, CometLogger])
def test_mlflow_and_comet_are_called_as_their_clients_want(kind, monkeypatch):
    logger, experiment, pixels = object.__new__(kind), Told(), np.zeros((2, 2, 3), np.uint8)
    monkeypatch.setattr(kind, "experiment", experiment)
    monkeypatch.setattr(kind, "run_id", "run", raising=False)
    send(logger, pixels, 7)
    (args, kwargs), named = experiment.calls[0], "key" if kind is MLFlowLogger else "name"
    assert args[-1] is pixels
    assert args[:-1] == (("run",) if kind is MLFlowLogger else ())
    assert kwargs == {named: "mix/preview", "step": 7}


def test_a_logger_with_a_method_for_it_is_called():
    logger, pixels = Told(), np.zeros((2, 2, 3), np.uint8)
    send(logger, pixels, 7)
    assert logger.calls == [((), {"key": "mix/preview", "images": [pixels], "step": 7})]
    send(SimpleNamespace(), pixels, 7)
