from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup.lab.evaluation import FullEvaluation
from lightning_mixup.lab.evaluation.scores import detection_auroc, memorisation


class Net(LightningModule):
    """Written by somebody who has never heard of us."""

    def __init__(self, size):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(size, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)


class Bare(LightningDataModule):
    """No more than test batches."""

    shape: tuple[int, ...] = (1, 6, 6)

    def batches(self, seed=0):
        generator = torch.Generator().manual_seed(seed)
        x, y = torch.rand(50, *self.shape, generator=generator), torch.randint(3, (50,), generator=generator)
        return DataLoader(TensorDataset(x, y), batch_size=32)

    def test_dataloader(self):
        return self.batches()


class Table(Bare):
    shape = (4,)


class Generous(Bare):
    mean, std = 0.5, 0.5

    def val_dataloader(self):
        return self.batches(1)

    def ood_dataloader(self):
        return self.batches(2)

    def memory_dataloader(self):
        x, y = self.batches(3).dataset.tensors
        return DataLoader(TensorDataset(x, y, torch.zeros_like(y)), batch_size=20)


PLAIN = {"accuracy", "nll", "brier", "ece", "rms_ce", "adaptive_ece", "confidence_gap"}
ATTACKS = {f"{kind}_{strength}/accuracy" for kind in ("fgsm", "pgd") for strength in ("0.0314", "0.1")}
NOISE = {"noise_0.1/accuracy", "noise_0.3/accuracy"}
PICTURES = {f"rotation_{angle}/accuracy" for angle in (20, 40)} | {f"shear_{angle}/accuracy" for angle in (28.6, 57.3)}
PICTURES |= {f"zoom_{view}/accuracy" for view in (0.6, 0.8, 1.2, 1.4)} | {"ood_auroc"}
SCALED = {f"{name}_scaled" for name in PLAIN - {"accuracy", "brier"}} | {"temperature"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [(Table(), PLAIN | ATTACKS | NOISE), (Bare(), PLAIN | ATTACKS | NOISE | PICTURES)],
    ids=["table", "images"],
)
def test_judges_what_the_data_allow(data, expected):
    report = FullEvaluation()(Net(36 if len(data.shape) == 3 else 4), data)
    assert set(report.scores) == {f"test/{name}" for name in expected}
    assert sum(bar.size for bar in report.reliability) == 50


def test_asks_data_for_more():
    scores = FullEvaluation()(Net(36), Generous()).scores
    names = {f"test/{name}" for name in PLAIN | ATTACKS | NOISE | PICTURES | SCALED}
    assert set(scores) == names | {
        f"train/{name}" for name in ("given_accuracy", "true_accuracy", "memorised", "resisted")
    }
    assert scores["train/resisted"] + scores["train/memorised"] <= 1
    assert scores["test/ood_auroc"] != FullEvaluation()(Net(36), Bare()).scores["test/ood_auroc"]


def test_judging_repeats_and_leaves_the_module_as_it_was():
    module = Net(36).train()
    module.net[3].eval()
    first, second = (FullEvaluation()(module, Generous()).scores for _ in range(2))
    assert first == second
    assert module.training
    assert not module.net[3].training
    assert all(weight.grad is None for weight in module.parameters())
    assert first != FullEvaluation(seed=1)(module, Generous()).scores


def test_stronger_attacks_do_not_help():
    scores = FullEvaluation(epsilons=[0.02, 0.2])(Net(36), Bare()).scores
    weak, strong = (scores[f"test/pgd_{epsilon}/accuracy"] for epsilon in (0.02, 0.2))
    assert strong <= weak <= scores["test/accuracy"]


def test_what_is_not_asked_for_is_not_done():
    nothing = FullEvaluation(epsilons=[], noise=[], rotations=[], shears=[], zooms=[])(Net(36), Bare()).scores
    assert set(nothing) == {f"test/{name}" for name in PLAIN | {"ood_auroc"}}
    assert not any("pgd" in name for name in FullEvaluation(pgd_steps=0)(Net(36), Bare()).scores)


def test_logits_may_be_held_by_an_output():
    class Hugging(Net):
        def forward(self, x):
            return SimpleNamespace(logits=self.net(x))

    class Mapped(Net):
        def forward(self, x):
            return {"logits": self.net(x)}

    expected = FullEvaluation()(Net(36), Bare()).scores
    assert FullEvaluation()(Hugging(36), Bare()).scores == expected
    assert FullEvaluation()(Mapped(36), Bare()).scores == expected


def test_batches_go_the_way_that_the_data_send_them():
    class Bytes(Bare):
        def test_dataloader(self):
            return [((255 * x).round().to(torch.uint8), y) for x, y in self.batches()]

        def on_after_batch_transfer(self, batch, index):
            return [batch[0].float() / 255, batch[1]]

    class Rounded(Bare):
        def test_dataloader(self):
            return [((255 * x).round() / 255, y) for x, y in self.batches()]

    assert FullEvaluation()(Net(36), Bytes()).scores == FullEvaluation()(Net(36), Rounded()).scores


def test_words_are_neither_attacked_nor_changed():
    class Words(Bare):
        def batches(self, seed=0):
            return [(torch.randint(9, (20, 4)), torch.randint(3, (20,)))]

        def val_dataloader(self):
            return self.batches()

        def ood_dataloader(self):
            return self.batches()

    class Reader(Net):
        def __init__(self):
            super().__init__(4 * 5)
            self.words = nn.Embedding(9, 5)

        def forward(self, x):
            return self.net(self.words(x))

    scores = FullEvaluation()(Reader(), Words()).scores
    assert set(scores) == {f"test/{name}" for name in PLAIN | SCALED | {"ood_auroc"}}


def test_no_temperature_is_fitted_on_test_samples():
    class Papers(Generous):
        val_is_test = True

    assert not any("temperature" in name for name in FullEvaluation()(Net(36), Papers()).scores)


@pytest.mark.parametrize(
    ("output", "labels", "message"),
    [
        (lambda x: x.flatten(1)[:, 0], None, r"logits of shape \(B, C\), .*; Given gave shape \(50,\)"),
        (lambda x: x.flatten(1)[:, :1], None, r"with C at least 2.*gave shape \(50, 1\)"),
        (lambda x: (x,), None, r"Given gave tuple"),
        (None, torch.zeros(50), r"target_key=1 must lead to class indices, shape \(B,\); got torch.float32"),
        (None, torch.zeros(50, 3).long(), r"got torch.int64 of shape \(50, 3\)"),
        (None, torch.full((50,), 3), r"Labels must be in \[0, 3\).*got 3 to 3"),
        (None, ["a"] * 50, r"evaluate.target_key=1 must lead to a tensor in a batch; the batch has 2 entries"),
    ],
)
def test_what_cannot_be_judged_is_named(output, labels, message):
    class Given(Net):
        def forward(self, x):
            return output(x) if output else super().forward(x)

    class Labelled(Bare):
        def test_dataloader(self):
            x, y = self.batches().dataset.tensors
            return [(x, y if labels is None else labels)]

    with pytest.raises((TypeError, ValueError), match=message):
        FullEvaluation()(Given(36), Labelled())


def test_no_test_samples_are_named():
    class Empty(Bare):
        def test_dataloader(self):
            return []

    with pytest.raises(ValueError, match="needs test samples; Empty has no test batch"):
        FullEvaluation()(Net(36), Empty())


def test_batches_may_be_dictionaries():
    class Named(Bare):
        def test_dataloader(self):
            return [{"image": x, "label": y} for x, y in self.batches()]

    named = FullEvaluation(input_key="image", target_key="label")(Net(36), Named())
    assert named.scores == FullEvaluation()(Net(36), Bare()).scores


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilons": [0.1, 0]}, r"epsilons must be above 0, each of them; got \[0.1, 0\]"),
        ({"noise": [-1]}, "noise must be above 0"),
        ({"shears": [90]}, "shears must be below 90 degrees"),
        ({"pgd_steps": -1}, "pgd_steps must be 0"),
    ],
)
def test_impossible_strengths_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FullEvaluation(**arguments)


def test_detection_agrees_with_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    known, unknown = 3 * torch.randn(80, 4, generator=generator), torch.randn(60, 4, generator=generator)
    confidence = torch.cat([known, unknown]).softmax(1).amax(1)
    expected = roc_auc_score([1] * 80 + [0] * 60, confidence)
    assert detection_auroc(known, unknown) == pytest.approx(expected, abs=1e-6)
    assert detection_auroc(known, known) == pytest.approx(0.5)


def test_without_wrong_labels_there_is_nothing_to_memorise():
    labels = torch.tensor([0, 1])
    assert memorisation(torch.eye(2), labels, labels) == {"given_accuracy": 1.0, "true_accuracy": 1.0}
