"""Modules as people write them, none for this library, trained unchanged with every callback."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.demos.lstm import LightningLSTM
from lightning.pytorch.demos.transformer import LightningTransformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import accuracy_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import Accuracy, MulticlassJaccardIndex, MultilabelF1Score
from torchmetrics.regression import MeanAbsoluteError, R2Score

from lightning_mixup import CutMix, ManifoldMixup, MixCallback, Mixup
from lightning_mixup.targets import MixedTargetError, value

ALL = pytest.mark.parametrize("method", [Mixup, CutMix, ManifoldMixup])
NOT_CUT = pytest.mark.parametrize("method", [Mixup, ManifoldMixup])


@pytest.fixture(autouse=True)
def seed() -> None:
    seed_everything(0, verbose=False)


@pytest.fixture
def fit(trainer: Callable[..., Trainer]) -> Callable[..., Trainer]:
    def run(module: LightningModule, mix: MixCallback | None, data: Any, epochs: int = 5, **kwargs: Any) -> Trainer:
        loader = data if isinstance(data, DataLoader) else DataLoader(data, 32, shuffle=True)
        fitted = trainer(*([mix] if mix else []), max_epochs=epochs, **kwargs)
        fitted.fit(module, loader)
        return fitted

    return run


@pytest.fixture(scope="module")
def digits() -> TensorDataset:
    x, y = load_digits(return_X_y=True)
    return TensorDataset(torch.tensor(x / 16, dtype=torch.float32).view(-1, 1, 8, 8)[:640], torch.tensor(y)[:640])


class TemplateModule(LightningModule):
    """In the style of the popular Lightning and Hydra template: a criterion, a shared step, a metric for everything."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(144, 10),
        )
        self.criterion = nn.CrossEntropyLoss()
        self.train_acc = Accuracy(task="multiclass", num_classes=10)
        self.train_loss = MeanMetric()
        self.best = MaxMetric()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def model_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        x, y = batch
        logits = self.forward(x)
        return self.criterion(logits, y), torch.argmax(logits, dim=1), y

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss, preds, targets = self.model_step(batch)
        self.train_loss(loss)
        self.train_acc(preds, targets)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.best(self.train_acc.compute())
        self.log("train/best", self.best.compute())

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.Adam(self.parameters(), 5e-3)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=10)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "train/loss"}}


@ALL
def test_image_classifier_of_the_template(method, fit, digits):
    module = TemplateModule()
    metrics = fit(module, method(), digits).callback_metrics
    assert metrics["train/acc"] > 0.4
    x, y = digits.tensors
    assert (module.eval()(x).argmax(1) == y).float().mean() > 0.8


class UNet(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.middle = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 1))
        self.up = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 2, 1))
        self.iou = MulticlassJaccardIndex(2, ignore_index=255)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        return self.up(torch.cat([skip, F.interpolate(self.middle(skip), scale_factor=2)], 1))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        logits = self(batch["image"])
        self.log("iou", self.iou(logits.argmax(1), batch["mask"]))
        return F.cross_entropy(logits, batch["mask"], ignore_index=255)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 5e-3)


@ALL
def test_segmentation_with_ignored_pixels(method, fit, digits):
    x, _ = digits.tensors
    mask = (x[:, 0] > 0.5).long()
    ignored = mask.clone()
    ignored[:, :, 0] = 255
    data = [{"image": image, "mask": target, "name": "digit"} for image, target in zip(x, ignored, strict=True)]
    module = UNet()
    mix = method(1.0, input_key="image", target_key="mask")
    if method is ManifoldMixup:
        mix = method(1.0, input_key="image", target_key="mask", layers=["input", "middle"])
    fit(module, mix, data, epochs=3)
    assert (module(x).argmax(1) == mask)[:, :, 1:].float().mean() > 0.9


class MultiLabel(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
        self.loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 0.5]))
        self.f1 = MultilabelF1Score(3)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        logits = self.net(batch[0])
        self.log("f1", self.f1(logits, batch[1].int()))
        return self.loss(logits, batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 5e-3)


@ALL
def test_multilabel_classifier(method, fit, digits):
    x, y = digits.tensors
    bits = torch.stack([y % 2 == 0, y > 4, y % 3 == 0], 1).float()
    module = MultiLabel()
    fit(module, method(), TensorDataset(x, bits), epochs=8)
    assert ((module.net(x) > 0) == bits).float().mean() > 0.85


class Regressor(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
        self.mae, self.r2 = MeanAbsoluteError(), R2Score()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        pred = self.net(batch[0]).squeeze(1)
        self.log("mae", self.mae(pred, batch[1]))
        self.r2(pred, batch[1])
        return F.mse_loss(pred, batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-2)


@NOT_CUT
def test_regression_on_diabetes(method, fit):
    x, y = load_diabetes(return_X_y=True, scaled=False)
    x = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
    y = torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32)
    module = Regressor()
    fit(module, method(), TensorDataset(x, y), epochs=15)
    assert 1 - (module.net(x).squeeze(1) - y).square().mean() > 0.45


class TextModel(nn.Module):
    """Takes token ids and, as transformers do, ``labels=``, and then returns its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(12, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.classifier = nn.Linear(16, 2)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        hidden = self.encoder(
            self.embeddings(input_ids), src_key_padding_mask=None if attention_mask is None else attention_mask == 0
        )
        logits = self.classifier(hidden.mean(1))
        if labels is None:
            return {"logits": logits}
        return {"loss": nn.CrossEntropyLoss()(logits.view(-1, 2), labels.view(-1).to(logits.device)), "logits": logits}


class TextClassifier(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = TextModel()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        output = self.model(**batch)
        labels = self.reported(batch["labels"])
        self.log("accuracy", accuracy_score(labels.cpu().numpy(), output["logits"].argmax(-1).cpu().numpy()))
        return output["loss"]

    def reported(self, labels: Tensor) -> Tensor:
        """NumPy cannot know both labels: it gets those that weigh more."""
        return value(labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 5e-3)


@pytest.fixture(scope="module")
def sentences() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 12, (320, 9), generator=generator)
    labels = (ids < 6).sum(1) > 4
    mask = torch.ones(9, dtype=torch.long)
    return [
        {"input_ids": row, "attention_mask": mask, "labels": label.long()}
        for row, label in zip(ids, labels, strict=True)
    ]


@pytest.mark.parametrize("layers", [None, ["model.embeddings"]])
def test_transformer_that_takes_labels(layers, fit, sentences):
    module = TextClassifier()
    mix = ManifoldMixup(0.2, layers=layers, input_key="input_ids", target_key="labels")
    fit(module, mix, sentences, epochs=12)
    assert mix.eligible[0] == "model.embeddings"
    ids, labels = (torch.stack([row[key] for row in sentences]) for key in ("input_ids", "labels"))
    assert (module.eval().model(ids)["logits"].argmax(1) == labels).float().mean() > 0.85


def test_labels_that_leave_for_numpy_are_refused(fit, sentences, monkeypatch):
    monkeypatch.setattr(TextClassifier, "reported", lambda self, labels: labels)
    mix = ManifoldMixup(0.2, input_key="input_ids", target_key="labels")
    with pytest.raises(MixedTargetError, match=r"array of numpy(.|\n)*for a number to report, take value\(y\)"):
        fit(TextClassifier(), mix, sentences)


@pytest.mark.parametrize("method", [Mixup])
def test_token_ids_are_not_mixed(method, fit, sentences):
    with pytest.raises(Exception, match=r"input 'input_ids' is torch.int64.*ManifoldMixup\(layers="):
        fit(TextClassifier(), method(input_key="input_ids", target_key="labels"), sentences)


@pytest.mark.parametrize("demo", [LightningTransformer, LightningLSTM])
def test_demo_language_models_of_lightning(demo, fit, monkeypatch):
    monkeypatch.setattr(demo, "prepare_data", lambda self: None)  # it downloads
    monkeypatch.setattr(demo, "configure_optimizers", lambda self: torch.optim.Adam(self.parameters(), 2e-3))
    module = demo(vocab_size=12)
    text = torch.arange(2048) % 12
    data = [(text[i : i + 8], text[i + 1 : i + 9]) for i in range(0, 512, 2)]
    losses = []
    module.on_before_backward = lambda loss: losses.append(loss.item())
    fit(module, ManifoldMixup(0.2), DataLoader(data, 16, shuffle=True, drop_last=True), epochs=2)
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


class OwnStep(TemplateModule):
    def on_train_epoch_end(self) -> None:
        """Nothing: these do not keep the template's metrics."""

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 5e-3)


class Distilling(OwnStep):
    """Teacher and student see the same mixed images; the teacher's part of the loss needs no labels."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher.eval().requires_grad_(False)
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.teacher.register_forward_pre_hook(lambda module, args: self.pairs.append((args[0], None)))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        logits = self(x)
        soft = F.kl_div(logits.log_softmax(1), self.teacher(x).softmax(1), reduction="batchmean")
        self.pairs[-1] = (self.pairs[-1][0], x)
        return 0.5 * F.cross_entropy(logits, y) + 0.5 * soft


@ALL
def test_distillation(method, fit, digits):
    module = Distilling(TemplateModule().net)
    fit(module, method(), digits, epochs=1)
    assert all(teacher is student for teacher, student in module.pairs)


class Auxiliary(OwnStep):
    """Two heads, a masked part, micro-batches and contrastive pairs: all that a target can go through in one step."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        logits = self(x)
        keep = torch.arange(len(x)) % 2 == 0
        loss = F.cross_entropy(logits, y) + 0.4 * F.cross_entropy(logits[keep], y[keep])
        loss = loss + sum(F.cross_entropy(a, b) for a, b in zip(logits.chunk(2), y.chunk(2), strict=True))
        loss = loss + F.cross_entropy(torch.cat([logits, logits.flip(0)]), torch.cat([y, y.flip(0)]))
        loss = loss + F.nll_loss(logits[:4].log_softmax(1), y[:4])
        self.log("train/loss", loss)
        return loss


@ALL
@pytest.mark.parametrize("per_sample", [False, True])
def test_everything_that_a_target_goes_through(method, per_sample, fit, digits):
    module = Auxiliary()
    fit(module, method(per_sample=per_sample), digits, epochs=2)
    x, y = digits.tensors
    assert (module.eval()(x).argmax(1) == y).float().mean() > 0.7


class Manual(OwnStep):
    """Optimises by itself, with two optimizers, and accumulates."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        first, second = self.optimizers()
        loss, _, _ = self.model_step(batch)
        self.manual_backward(loss)
        if batch_idx % 2:
            for optimizer in (first, second):
                optimizer.step()
                optimizer.zero_grad()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(self.net[:4].parameters(), 5e-3), torch.optim.Adam(self.net[4:].parameters(), 5e-3)]


@ALL
def test_manual_optimisation(method, fit, digits):
    module = Manual()
    fit(module, method(), digits, epochs=4)
    x, y = digits.tensors
    assert (module.eval()(x).argmax(1) == y).float().mean() > 0.7


@ALL
def test_manual_optimisation_is_guarded_too(method, fit, digits):
    class Forgetful(Manual):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
            self.manual_backward(self(batch[0]).square().mean())

    with pytest.raises(RuntimeError, match="none of its losses used the mixed labels"):
        fit(Forgetful(), method(), digits)


@ALL
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_precisions(method, precision, fit, digits):
    class Wide(OwnStep):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            assert batch[1].dtype == torch.int64
            assert batch[1].max() > 2048
            assert batch[0].dtype == {"bf16-mixed": torch.float32, "bf16-true": torch.bfloat16}.get(
                precision, torch.float64
            )
            loss, _, _ = self.model_step([batch[0], batch[1] - 3000])
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.05)

    x, y = digits.tensors
    fit(Wide(), method(per_sample=True), TensorDataset(x, y + 3000), epochs=1, precision=precision)
