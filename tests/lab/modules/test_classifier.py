from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import MixedTarget, Mixup
from lightning_mixup.lab.modules.classifier import Classifier
from lightning_mixup.targets import Lockstep

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


def by_hand(loss, logits, y, smoothing):
    """Sum over samples and classes, one at a time, from the definitions."""
    target = smoothing / 3 + (1 - smoothing) * torch.eye(3, dtype=torch.double)[y]
    p = logits.double().sigmoid() if loss == "binary_cross_entropy" else logits.double().softmax(1)
    if loss == "cross_entropy":
        return -(target * p.log()).sum() / len(y)
    return -(target * p.log() + (1 - target) * (1 - p).log()).sum() / (3 * len(y))


LOSSES = ["cross_entropy", "binary_cross_entropy", "softmax_bce"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0, torch.linspace(0, 1, 60)], ids=["0", "0.3", "1", "each its own"])
def test_every_loss_has_its_closed_form_and_mixes(batch, loss, label_smoothing, lam):
    (x, y), weights = batch, torch.as_tensor(lam).expand(60)
    module = Classifier(nn.Linear(4, 3), SGD, num_classes=3, loss=loss, label_smoothing=label_smoothing)
    module.log = lambda *args, **kwargs: None
    with torch.no_grad():
        logits = module(x)
    halves = [
        torch.stack([by_hand(loss, logits[i : i + 1], labels[i : i + 1], label_smoothing) for i in range(60)])
        for labels in (y, y.roll(1))
    ]
    expected = (weights * halves[0] + (1 - weights) * halves[1]).mean().item()
    mixed = MixedTarget(y, y.roll(1), lam)
    lockstep = Lockstep(module)
    lockstep.attach()
    lockstep.begin({1: mixed})
    assert lockstep.result(module.training_step((x, mixed), 0)).item() == pytest.approx(expected, rel=1e-5)
    lockstep.require_use(trained=True)
    lockstep.detach()
    soft = weights[:, None] * torch.eye(3)[y] + (1 - weights[:, None]) * torch.eye(3)[y.roll(1)]
    assert module.training_step((x, soft), 0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("targets", ["auto", "soft"])
def test_every_loss_trains_in_mixed_precision(tmp_path, batch, loss, targets):
    x = batch[0]
    loader = DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=20)
    module = Classifier(nn.Linear(4, 3), partial(torch.optim.Adam, lr=0.1), num_classes=3, loss=loss)
    mix = Mixup(0.1, targets=targets, num_classes=3, seed=0)
    fit = trainer(tmp_path, max_epochs=20, precision="bf16-mixed", callbacks=[mix])
    fit.fit(module, loader, loader)
    assert float(fit.callback_metrics["val/accuracy"]) > 0.9
    assert float(fit.callback_metrics["train/accuracy"]) > 0.8


def test_confident_and_wrong_has_a_finite_loss_and_gradient(batch):
    logits = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
    for loss in LOSSES:
        module = Classifier(nn.Identity(), SGD, num_classes=3, loss=loss)
        module.log = lambda *args, **kwargs: None
        module.training_step((logits, torch.tensor([1])), 0).backward()
        assert logits.grad.isfinite().all()


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


def test_a_schedule_of_a_run_without_end_is_refused_with_the_cure(tmp_path, batch):
    module = Classifier(nn.Linear(4, 3), SGD, CosineAnnealingLR, num_classes=3)
    fit = trainer(tmp_path, max_epochs=-1, max_time={"seconds": 9}, limit_val_batches=0)
    with pytest.raises(MisconfigurationException, match=r"unknown with max_epochs=-1; give the Trainer max_steps"):
        fit.fit(module, DataLoader(TensorDataset(*batch), batch_size=20), [])


def test_without_a_schedule_the_rate_stays(tmp_path, batch):
    module = Classifier(nn.Linear(4, 3), SGD, num_classes=3)
    fit = trainer(tmp_path, max_epochs=2, limit_val_batches=0)
    fit.fit(module, DataLoader(TensorDataset(*batch), batch_size=20), [])
    assert fit.optimizers[0].param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0])
def test_impossible_smoothing_is_named(label_smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\)"):
        Classifier(nn.Linear(4, 3), SGD, num_classes=3, label_smoothing=label_smoothing)


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="loss must be one of cross_entropy, binary_cross_entropy, softmax_bce; got"):
        Classifier(nn.Linear(4, 3), SGD, num_classes=3, loss="bce")
