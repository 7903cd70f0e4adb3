"""Train for many tiny steps and tell by how much the process has grown meanwhile.

    python -m benchmarks.growth --steps 20000 --methods Mixup CutMix ManifoldMixup

Prints resident memory and the number of objects that Python knows, after a tenth of the steps and after all of them.
"""

import argparse
import gc
import itertools
import logging
import os
import resource
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

import lightning_mixup


class Tiny(LightningModule):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 10))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:  # noqa: D102
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.SGD(self.parameters(), 0.01)


class Endless(IterableDataset[list[Tensor]]):
    """The same batch again and again."""

    def __iter__(self) -> Any:  # noqa: ANN401
        return itertools.repeat([torch.randn(4, 1, 2, 2), torch.arange(4)])


class Weigh(Callback):
    """Weighs the process."""

    def __init__(self, steps: int) -> None:
        self.at = (steps // 10, steps)
        self.found: list[tuple[int, int]] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401, D102
        if trainer.global_step in self.at:
            gc.collect()
            self.found.append((_resident(), len(gc.get_objects())))


def _resident() -> int:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--methods", nargs="*", default=["none", "Mixup", "CutMix", "ManifoldMixup"])
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for method in args.methods:
        seed_everything(0, verbose=False)
        weigh = Weigh(args.steps)
        mix = [] if method == "none" else [getattr(lightning_mixup, method)()]
        free: dict[str, Any] = dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
        )
        Trainer(max_steps=args.steps, callbacks=[*mix, weigh], **free).fit(
            Tiny(), DataLoader(Endless(), batch_size=None)
        )
        (before, objects), (after, more) = weigh.found
        print(
            f"{method}: {after - before:+,} kB and {more - objects:+,} objects from step {weigh.at[0]:,} to "
            f"{weigh.at[1]:,} ({after:,} kB)"
        )


if __name__ == "__main__":
    main()
