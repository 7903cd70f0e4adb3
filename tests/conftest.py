"""Fixtures of many tests."""

import gc
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from support import Spy
from torch.utils.data import DataLoader, TensorDataset

# The tests' networks are too small to share a core with themselves, also in processes that tests start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_finish() -> None:
    """Keep the garbage collector from the objects of all imported packages, which are a tenth of the time of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def images() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(22, 1, 8, 8, generator=generator), torch.randint(0, 10, (22,), generator=generator)
    )


@pytest.fixture
def loader(images: TensorDataset) -> DataLoader:
    return DataLoader(images, batch_size=8)


@pytest.fixture
def spy() -> Spy:
    seed_everything(1, verbose=False)
    return Spy()


@pytest.fixture
def trainer(tmp_path: Any) -> Callable[..., Trainer]:
    def build(*callbacks: Any, **kwargs: Any) -> Trainer:
        quiet = {
            "accelerator": "cpu",
            "default_root_dir": tmp_path,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "log_every_n_steps": 1,
            "logger": False,
            "max_epochs": 1,
        }
        return Trainer(callbacks=list(callbacks), **{**quiet, **kwargs})

    return build
