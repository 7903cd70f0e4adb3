from functools import partial

import numpy as np
import pytest
import torch
from application import in_this_process, results
from lightning.pytorch import Trainer
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import Mixup
from lightning_mixup.lab.modules.regressor import Regressor

SGD = partial(torch.optim.SGD, lr=0.1)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    return x, x @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 0.1 * torch.randn(60, generator=generator)


def trainer(path, **changes):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", default_root_dir=path, enable_checkpointing=False, **quiet, **changes)


@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_a_fit_learns_and_its_scores_agree_with_scikit_learn(tmp_path, batch, shape):
    x, y = batch[0], batch[1].view(shape)
    loader = DataLoader(TensorDataset(x, y), batch_size=25)  # the last batch is smaller
    module = Regressor(nn.Linear(4, 1), SGD, num_outputs=1)
    fit = trainer(tmp_path, max_epochs=20)
    fit.fit(module, loader, loader)
    assert set(fit.callback_metrics) == {"train/loss", "val/rmse", "val/mae", "val/r2"}
    tested = trainer(tmp_path).test(module, loader, verbose=False)[0]
    with torch.no_grad():
        guess, truth = module(x).numpy().ravel(), y.numpy().ravel()
    assert tested == {
        "test/rmse": pytest.approx(root_mean_squared_error(truth, guess), rel=1e-4),
        "test/mae": pytest.approx(mean_absolute_error(truth, guess), rel=1e-4),
        "test/r2": pytest.approx(r2_score(truth, guess), rel=1e-4),
    }
    assert tested["test/r2"] > 0.9


def test_two_outputs_are_judged_together(tmp_path, batch):
    x, y = batch[0], torch.stack([batch[1], -3 * batch[1]], 1)
    loader = DataLoader(TensorDataset(x, y), batch_size=25)
    module = Regressor(nn.Linear(4, 2), SGD, num_outputs=2)
    tested = trainer(tmp_path).test(module, loader, verbose=False)[0]
    with torch.no_grad():
        guess = module(x).numpy()
    assert tested["test/rmse"] == pytest.approx(np.sqrt(((guess - y.numpy()) ** 2).mean()), rel=1e-4)
    assert tested["test/r2"] == pytest.approx(r2_score(y.numpy(), guess), rel=1e-4)


def test_the_loss_is_the_squared_error_of_mixed_values(tmp_path, batch):
    module = Regressor(nn.Linear(4, 1), SGD, num_outputs=1)
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    mix = Mixup(1.0, seed=0)
    fit = trainer(tmp_path, max_epochs=1, limit_val_batches=0, callbacks=[mix])
    fit.fit(module, DataLoader(TensorDataset(*batch), batch_size=60), [])
    lam, shift = mix.last.lam, mix.last.shift
    x, y = (lam * part + (1 - lam) * part.roll(-shift, 0) for part in batch)
    guess = x @ weights["network.weight"].T + weights["network.bias"]
    seen = float(fit.callback_metrics["train/loss"])
    assert seen == pytest.approx(float((guess.squeeze() - y).square().mean()), rel=1e-4)


@pytest.mark.parametrize(("network", "target"), [(nn.Linear(4, 3), (60,)), (nn.Linear(4, 1), (60, 2))])
def test_predictions_and_targets_of_other_numbers_are_named(batch, network, target):
    module = Regressor(network, SGD, num_outputs=1)
    with pytest.raises(ValueError, match=r"With num_outputs=1 the network must predict \(60, 1\) numbers.* gave"):
        module.training_step((batch[0], torch.zeros(target)), 0)


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


REGRESSION = ["data=diabetes", "module=regressor", "model=mlp"]


def test_a_regression_goes_through_the_same_comparison(app, tmp_path):
    folders = app("-m", *REGRESSION, "mix=none,mixup", "seed=0,1", "trainer.max_epochs=2")
    assert all({"test/rmse", "test/mae", "test/r2", "val/rmse"} <= set(results(folder)) for folder in folders)
    (report,) = tmp_path.glob("multirun/*/*/comparison/comparison.md")
    head = report.read_text().splitlines()[2]
    assert "root mean square error (target units)" in head.lower()
    assert "accuracy" not in head
    assert (report.parent / "curves.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate=full"], r"evaluate: a full evaluation .* needs data with num_classes; Diabetes has values"),
        (["module=classifier"], r"module needs num_classes, which Diabetes does not announce .* module=regressor"),
    ],
)
def test_what_does_not_fit_a_regression_is_refused_before_training(app, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        app(*REGRESSION, *arguments)
    assert not list(tmp_path.rglob("metrics.csv"))


def test_classes_are_no_values(app):
    with pytest.raises(SystemExit, match=r"module needs num_outputs, which Digits does not announce"):
        app("module=regressor")
