"""Training runs in one of several processes, started by test_distributed.py. Each rank writes what it drew."""

import functools
import hashlib
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from support import Spy, make, methods
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import LabelSmoothing

COLLECTIVES = (
    "all_gather all_gather_into_tensor all_gather_object all_reduce barrier broadcast broadcast_object_list gather "
    "reduce reduce_scatter scatter send recv monitored_barrier"
).split()


class Report(Callback):
    def __init__(self, mix, path):
        self.mix, self.path, self.draws = mix, path, []
        self.collectives = Counter()

    def on_train_start(self, *args):
        self.plain = {name: getattr(distributed, name) for name in COLLECTIVES}
        for name, function in self.plain.items():
            setattr(distributed, name, functools.partial(self.count, name, function))

    def count(self, name, function, *args, **kwargs):
        self.collectives[name] += 1
        return function(*args, **kwargs)

    def on_train_batch_end(self, *args):
        draw = self.mix and self.mix.last
        self.draws.append(
            draw and [np.asarray(draw.lam).tolist(), torch.as_tensor(draw.shift).tolist(), getattr(draw, "layer", None)]
        )

    def on_train_end(self, trainer, pl_module):
        for name, function in self.plain.items():
            setattr(distributed, name, function)
        weights = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in pl_module.parameters()]
        weights = [p.detach().float().cpu().numpy() for p in weights]
        report = {
            "draws": self.draws,
            "weights": hashlib.sha256(b"".join(p.tobytes() for p in weights)).hexdigest(),
            "norm": float(sum(np.abs(p.astype(np.float64)).sum() for p in weights)),
            "collectives": self.collectives,
            "state": self.mix and self.mix.state_dict(),
        }
        self.path.with_name(f"{self.path.name}-{trainer.global_rank}.json").write_text(json.dumps(report))


class Sharded(Spy):
    def configure_model(self):
        for part in self.net:
            if any(True for _ in part.parameters()):
                fully_shard(part, mesh=self.device_mesh["data_parallel"])


class Compiled(Spy):
    def configure_model(self):
        self.net.compile(backend="eager")


class Checkpointed(Spy):
    def forward(self, x):
        for part in self.net:
            x = checkpoint(part, x, use_reentrant=False)
        return x


class Normalised(Spy):
    def __init__(self):
        super().__init__()
        self.net[1].append(nn.BatchNorm2d(4))


MODULES = {module.__name__: module for module in (Spy, Sharded, Compiled, Checkpointed, Normalised)}


def train(
    folder,
    name,
    method,
    mix=None,
    devices=2,
    strategy="ddp",
    seed=7,
    ddp=None,
    module="Spy",
    backend="gloo",
    smoothing=0.0,
    **options,
):
    os.environ.pop("PL_GLOBAL_SEED", None)
    if seed is not None:
        seed_everything(seed, verbose=False)
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(
        torch.randn(64, 1, 8, 8, generator=generator), torch.randint(0, 10, (64,), generator=generator)
    )
    callback = method and make(next(found for found in methods() if found.__name__ == method), **(mix or {}))
    if strategy == "fsdp2":
        strategy = ModelParallelStrategy(devices, 1, process_group_backend=backend)
    elif strategy == "fsdp":
        strategy = FSDPStrategy(auto_wrap_policy={nn.Conv2d, nn.Linear}, use_orig_params=True)
    elif ddp:
        strategy = DDPStrategy(process_group_backend=backend, **ddp)
    torch.manual_seed(1)
    trainer = Trainer(
        accelerator="cuda" if backend == "nccl" else "cpu",
        devices=devices,
        strategy=strategy,
        max_epochs=2,
        callbacks=[*([callback] if callback else []), LabelSmoothing(smoothing), Report(callback, folder / name)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(MODULES[module](), DataLoader(data, batch_size=8), DataLoader(data, batch_size=8))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for run in json.loads(sys.argv[2]):
        train(Path(sys.argv[1]), **run)
