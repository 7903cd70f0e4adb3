"""Training runs in one of several processes, started by test_distributed.py. Each rank writes what it drew."""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.strategies import DDPStrategy
from support import Spy, make, methods
from torch.utils.data import DataLoader, TensorDataset


class Report(Callback):
    def __init__(self, mix, path):
        self.mix, self.path, self.draws = mix, path, []

    def on_train_batch_end(self, *args):
        draw = self.mix.last
        self.draws.append([float(np.mean(draw.lam)), draw.shift, draw.layer])

    def on_train_end(self, trainer, pl_module):
        weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in pl_module.parameters())).hexdigest()
        report = {"draws": self.draws, "weights": weights, "state": self.mix.state_dict()}
        self.path.with_name(f"{self.path.name}-{trainer.global_rank}.json").write_text(json.dumps(report))


def train(folder, name, method, mix=None, devices=2, strategy="ddp", seed=7, ddp=None):
    os.environ.pop("PL_GLOBAL_SEED", None)
    if seed is not None:
        seed_everything(seed, verbose=False)
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(
        torch.randn(64, 1, 8, 8, generator=generator), torch.randint(0, 10, (64,), generator=generator)
    )
    callback = make(next(found for found in methods() if found.__name__ == method), **(mix or {}))
    torch.manual_seed(1)
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=DDPStrategy(process_group_backend="gloo", **ddp) if ddp else strategy,
        max_epochs=2,
        callbacks=[callback, Report(callback, folder / name)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(Spy(), DataLoader(data, batch_size=8), DataLoader(data, batch_size=8))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for run in json.loads(sys.argv[2]):
        train(Path(sys.argv[1]), **run)
