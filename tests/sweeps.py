"""Sweeps written by hand."""

import json


def job(sweep, overrides, results=None, failed=None):
    """One job's folder, as Hydra and a run leave it."""
    folder = sweep / str(len([path for path in sweep.iterdir() if path.is_dir()]))
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    if results is not None:
        seed = next(int(override.removeprefix("seed=")) for override in overrides if override.startswith("seed="))
        (folder / "results.json").write_text(json.dumps({"seed": seed, "torch": "2", **results}))
    if failed:
        (folder / "failed.txt").write_text(failed)
    return folder


def numbers(accuracy, rng=None):
    return {"test/accuracy": accuracy, "test/nll": 2 - accuracy, "duration": 1.0 + (rng.random() if rng else 0)}
