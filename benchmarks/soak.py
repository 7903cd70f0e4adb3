"""Kill a training run at random moments, resume it each time, and compare it with one that was left alone.

    python -m benchmarks.soak --kills 20 --method ManifoldMixup

Prints how many kills the run survived, and ends with an error unless both runs end with the same weights, bit for bit.
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEPS_PER_LIFE = 10


def child(folder: Path, method: str, steps: int) -> None:
    """Train from the newest whole checkpoint on, with one after every step; print every step that was taken."""
    import torch
    import torch.nn.functional as F
    from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
    from lightning.pytorch.callbacks import ModelCheckpoint
    from torch import Tensor, nn
    from torch.utils.data import DataLoader, TensorDataset

    import lightning_mixup

    class Resumable(DataLoader[tuple[Tensor, ...]]):
        """Goes on in mid-epoch where its state says. The order is that of the data set: what is tested is mixing."""

        done = start = 0

        def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
            self.start, self.done = self.done, 0
            for index, batch in enumerate(super().__iter__()):
                if index >= self.start:
                    self.done = index + 1
                    yield batch
            self.done = 0

        def state_dict(self) -> dict[str, int]:
            return {"done": self.done}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.done = state["done"]

    class Net(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            blocks = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(2)]
            self.net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), *blocks, nn.Flatten(), nn.Linear(512, 10))

        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), 1e-3)

    class Report(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: object) -> None:
            print("step", trainer.global_step, flush=True)

        def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            bits = b"".join(p.detach().numpy().tobytes() for p in pl_module.parameters())
            print("weights", hashlib.sha256(bits).hexdigest(), flush=True)

    torch.set_num_threads(1)
    seed_everything(3, verbose=False)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(96, 1, 8, 8, generator=generator), torch.randint(0, 10, (96,), generator=generator)
    newest = None
    for path in sorted(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            torch.load(path, weights_only=True)
        except (EOFError, OSError, RuntimeError):
            continue  # the run was killed while it wrote this one
        newest = path
        break
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        callbacks=[
            getattr(lightning_mixup, method)(),
            ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1),
            Report(),
        ],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(), Resumable(TensorDataset(x, y), batch_size=8), ckpt_path=newest)


def live(folder: Path, method: str, steps: int, kill_after: int | None = None) -> str | None:
    """Start the run; kill it after some steps and a moment more. The weights' digest, if it came to its end."""
    command = [sys.executable, "-m", "benchmarks.soak", "--child", str(folder), "--method", method]
    process = subprocess.Popen(
        [*command, "--steps", str(steps)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    digest = None
    for taken, line in enumerate(process.stdout, 1):
        word, value = line.split()
        if word == "weights":
            digest = value
        if taken == kill_after:
            time.sleep(random.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
            break
    errors = process.stderr.read()
    if process.wait() != 0 and kill_after is None:
        raise SystemExit(errors)
    return digest


def main() -> None:
    """Parse the command line, and run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--method", default="ManifoldMixup", help="Mixup, CutMix or ManifoldMixup")
    parser.add_argument("--steps", type=int, help="default: 10 for every kill")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    steps = args.steps or STEPS_PER_LIFE * (args.kills + 1)
    if args.child:
        child(args.child, args.method, steps)
        return
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as killed:
        expected = live(Path(whole), args.method, steps)
        survived = 0
        while survived < args.kills:
            if live(Path(killed), args.method, steps, random.randint(1, STEPS_PER_LIFE)) is not None:
                break
            survived += 1
        got = live(Path(killed), args.method, steps)
        print(f"{args.method}: {steps} steps, killed and resumed {survived} times; weights equal: {got == expected}")
        if got != expected or survived < args.kills:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
