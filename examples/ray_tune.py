"""Search the strength of mixing with Ray Tune, each trial a Lightning Trainer of its own.

python examples/ray_tune.py
"""

import argparse
import tempfile

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer, seed_everything
from ray import init, shutdown, tune
from ray.tune.integration.pytorch_lightning import TuneReportCallback
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_mixup import Mixup


class Digits(LightningModule):
    """A small classifier, written without a thought of mixing."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 3e-3)


def train(config: dict[str, float]) -> None:
    """Carry out one trial.

    Args:
        config: The strength of mixing, and the seed.
    """
    seed_everything(int(config["seed"]), verbose=False)
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32) / 16, torch.tensor(digits.target)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=5,
        callbacks=[Mixup(alpha=config["alpha"]), TuneReportCallback({"accuracy": "val_accuracy"}, on="validation_end")],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        Digits(),
        DataLoader(TensorDataset(x[:1200], y[:1200]), batch_size=32, shuffle=True),
        DataLoader(TensorDataset(x[1200:1500], y[1200:1500]), batch_size=300),
    )


def main(trials: int = 4) -> None:
    """Search, and print the best strength.

    Args:
        trials: How many strengths are tried.
    """
    if trials < 1:
        raise SystemExit(f"trials must be at least 1, got {trials}")
    init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space={"alpha": tune.loguniform(0.05, 4.0), "seed": 0},
            tune_config=tune.TuneConfig(metric="accuracy", mode="max", num_samples=trials),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        best = results.get_best_result()
        print(f"{len(results)} trials, {results.num_errors} failed")
        print(f"best alpha {best.config['alpha']:.2f}: validation accuracy {best.metrics['accuracy']:.1%}")
    shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=int, nargs="?", default=4, help="strengths to try (default: %(default)s)")
    main(parser.parse_args().trials)
