from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup.classifier import Classifier

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec:FutureWarning"),
]
SGD = partial(torch.optim.SGD, lr=0.5)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(60, 4, generator=generator), torch.randint(3, (60,), generator=generator)


def trainer(path, **changes):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", default_root_dir=path, enable_checkpointing=False, **quiet, **changes)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_loss_is_cross_entropy(tmp_path, batch, label_smoothing):
    module = Classifier(nn.Linear(4, 3), SGD, num_classes=3, label_smoothing=label_smoothing)
    expected = F.cross_entropy(module(batch[0]), batch[1], label_smoothing=label_smoothing).item()
    fit = trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    fit.fit(module, DataLoader(TensorDataset(*batch), batch_size=60), [])
    assert float(fit.callback_metrics["train/loss"]) == pytest.approx(expected, rel=1e-5)


def test_a_fit_learns_and_every_score_is_logged(tmp_path, batch):
    x = batch[0]
    y = x[:, :3].argmax(1)
    loader = DataLoader(TensorDataset(x, y), batch_size=20)
    module = Classifier(nn.Linear(4, 3), SGD, num_classes=3)
    fit = trainer(tmp_path, max_epochs=20)
    fit.fit(module, loader, loader)
    logged = set(fit.callback_metrics)
    assert logged == {"train/loss", "train/accuracy", "val/accuracy", "val/nll", "val/ece"}
    assert float(fit.callback_metrics["train/accuracy"]) > 0.9
    tested = trainer(tmp_path).test(module, loader, verbose=False)[0]
    assert tested["test/accuracy"] == pytest.approx((module(x).argmax(1) == y).float().mean().item())


def test_the_schedule_spans_the_run_step_by_step(tmp_path, batch):
    rates = []

    class Spy(Classifier):
        def on_train_batch_end(self, *_):
            rates.append(self.optimizers().param_groups[0]["lr"])

    module = Spy(nn.Linear(4, 3), SGD, CosineAnnealingLR, num_classes=3)
    fit = trainer(tmp_path, max_epochs=2, limit_val_batches=0)
    fit.fit(module, DataLoader(TensorDataset(*batch), batch_size=20), [])
    half_cosine = 0.25 * (1 + torch.cos(torch.arange(1, 7) * torch.pi / 6))
    assert rates == pytest.approx(half_cosine.tolist(), abs=1e-6)  # Lightning steps the schedule before this hook


def test_without_a_schedule_the_rate_stays(tmp_path, batch):
    module = Classifier(nn.Linear(4, 3), SGD, num_classes=3)
    fit = trainer(tmp_path, max_epochs=2, limit_val_batches=0)
    fit.fit(module, DataLoader(TensorDataset(*batch), batch_size=20), [])
    assert fit.optimizers[0].param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0])
def test_impossible_smoothing_is_named(label_smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\)"):
        Classifier(nn.Linear(4, 3), SGD, num_classes=3, label_smoothing=label_smoothing)
