"""What cannot be measured is no number: networks that diverged, temperatures that were not found."""

import math

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule

from lightning_mixup.lab.evaluation import FullEvaluation, calibration, classification_metrics
from lightning_mixup.lab.evaluation.scores import describe, detection_auroc


def test_a_diverged_network_has_no_score_at_all():
    logits, labels = torch.tensor([[1.0, 0.0, 0.0]] * 5 + [[torch.nan] * 3]), torch.zeros(6, dtype=torch.long)
    scores = describe(logits, labels)
    assert {name for name, score in scores.items() if not math.isnan(score)} == set()
    assert math.isnan(calibration.fit_temperature(logits, labels))
    assert math.isnan(detection_auroc(logits, logits[:5]))
    streamed = classification_metrics(3)
    for start in (0, 4):
        streamed.update(logits[start : start + 4], labels[start : start + 4])
    assert {name for name, score in streamed.compute().items() if not math.isnan(float(score))} == set()
    streamed.reset()
    assert float(streamed(logits[:5], labels[:5])["accuracy"]) == 1


def test_a_temperature_at_its_bound_is_said():
    class Sure(LightningModule):
        def forward(self, x):
            return torch.nn.functional.one_hot(x[:, 0].long(), 3).float()

    class Numbers(LightningDataModule):
        def test_dataloader(self):
            return [(torch.arange(6.0)[:, None] % 3, torch.arange(6) % 3)]

        val_dataloader = test_dataloader

    report = FullEvaluation(epsilons=(), noise=())(Sure(), Numbers())
    assert report.scores["test/temperature"] == pytest.approx(0.01, rel=0.01)
    (note,) = report.notes
    assert note.startswith("The fitted temperature is at a bound of its range, [0.01, 100]")
