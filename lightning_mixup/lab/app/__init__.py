"""The Hydra application. Nothing outside this package imports hydra.

This module loads with every ``--help`` and every press of the tab key: torch and Lightning wait until a job runs.
"""

import gc
import sys
from functools import cache
from importlib.resources import files

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from lightning_mixup.lab.app.errors import brief_errors, noted_failure
from lightning_mixup.lab.app.folders import begun
from lightning_mixup.lab.app.guard import guarded
from lightning_mixup.lab.app.resume import resumed
from lightning_mixup.lab.app.stopping import stoppable
from lightning_mixup.lab.app.sweep import asked_to_compare, reported_at_end, show_progress
from lightning_mixup.lab.app.verbs import answered, spelled_out


def main() -> None:
    """Compose a run from the command line and carry it out."""
    add_recipes()
    if answered(sys.argv[1:]):
        return
    with brief_errors(), stoppable():
        sys.argv[1:] = spelled_out(sys.argv[1:])
        if asked_to_compare(sys.argv[1:]):
            return
        sys.argv[1:] = resumed(sys.argv[1:])
        with begun() as begin, guarded(sys.argv[1:], begin), reported_at_end():
            _run()


@cache
def add_recipes() -> None:
    """Offer every YAML of ``recipes/`` as ``recipe=NAME``.

    Hydra names a group after its folder, in the folder of the primary config; the config store frees recipes from both.
    """
    for path in files("lightning_mixup.recipes").iterdir():
        if path.name.endswith(".yaml"):
            node = OmegaConf.create(path.read_text())
            ConfigStore.instance().store(group="recipe", name=path.name, node=node, package="_global_")


@hydra.main(config_path="pkg://lightning_mixup.conf", config_name="train", version_base="1.3")
def _run(cfg: DictConfig) -> float | None:
    show_progress()
    with noted_failure():
        _load_lightning()
        if cfg.get("preview"):
            from lightning_mixup.lab.app.preview import preview

            preview(cfg)
            return None
        if cfg.get("ckpt"):
            from lightning_mixup.lab.app.evaluate import evaluate

            evaluate(cfg)
            return None
        from lightning_mixup.lab.app.train import train

        return train(cfg)


def _load_lightning() -> None:
    """Load Lightning out of the sight of the garbage collector, and leave it there.

    Of its half a million objects none is garbage: looking for some takes a third of the time of loading and of the end.
    """
    if "lightning.pytorch" in sys.modules:
        return
    gc.disable()
    try:
        import lightning.pytorch  # noqa: F401

        gc.freeze()
    finally:
        gc.enable()
