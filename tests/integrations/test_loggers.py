"""Loggers for real, offline: numbers, pictures and histograms arrive. A package that is missing skips its test."""

import importlib.util
import time

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from support import Spy
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import MixMonitor, MixPreview, Mixup

# What the clients warn of among themselves.
pytestmark = pytest.mark.filterwarnings("default")


def need(package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def train(logger, folder):
    """Two epochs of two batches with everything that logs."""
    seed_everything(0)
    data = DataLoader(TensorDataset(torch.rand(16, 1, 8, 8), torch.arange(16) % 10), batch_size=8)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=1,
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Mixup(alpha=1.0), MixPreview(), MixMonitor()],
    )
    trainer.fit(Spy(), data)
    return trainer


def test_csv(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    train(logger, tmp_path)
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"mix/lam", "mix/mixed", "mix/accuracy_dominant"} <= set(header)
    assert sum(name.startswith("mix/lam_share/") for name in header) == 10
    assert list((tmp_path / "mix_preview").glob("*.png"))


def test_tensorboard(tmp_path):
    need("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(TensorBoardLogger(tmp_path, name="", version=""), tmp_path)
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()
    assert [event.step for event in events.Scalars("mix/lam")] == [0, 1, 2, 3]
    assert "mix/mixed" in tags["scalars"]
    assert len(tags["images"]) == len(tags["histograms"]) == 1
    assert sum(events.Histograms("mix/lam_histogram")[0].histogram_value.bucket) == 16


def test_wandb_offline(tmp_path, monkeypatch):
    need("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(project="mixing", save_dir=tmp_path, offline=True)
    train(logger, tmp_path)
    logger.experiment.finish()
    folder = next(path for path in tmp_path.rglob("offline-run-*") if path.is_dir())
    assert list(folder.rglob("media/images/**/*.png"))
    file = next(folder.glob("*.wandb"))
    for _ in range(100):  # a process of W&B's own writes it
        if b"mix/lam_histogram" in (logged := file.read_bytes()):
            break
        time.sleep(0.1)
    for name in (b"mix/lam", b"mix/mixed", b"mix/lam_histogram"):
        assert name in logged


def test_mlflow_file_store(tmp_path, monkeypatch):
    need("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    place = (tmp_path / "mlruns").as_uri()
    logger = MLFlowLogger("mixing", tracking_uri=place)
    train(logger, tmp_path)
    client = MlflowClient(place)
    assert len(client.get_metric_history(logger.run_id, "mix/lam")) == 4
    shares = [name for name in client.get_run(logger.run_id).data.metrics if name.startswith("mix/lam_share/")]
    assert len(shares) == 10
    assert [item.path for item in client.list_artifacts(logger.run_id, "images") if item.path.endswith(".png")]
