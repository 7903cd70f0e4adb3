"""The one number that a sweeper asks a run for, and whether more of it is better.

This module loads with the command: nothing in it is heavy.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lightning_mixup.lab.app.errors import ConfigError

OBJECTIVES = ("val/accuracy", "val/rmse", "val/loss")
"""What ``objective=auto`` looks for, in this order."""
_DIRECTIONS: Mapping[str, tuple[object, object]] = {
    "hydra.sweeper.direction": ("minimize", "maximize"),  # Optuna
    "hydra.sweeper.optim.maximize": (False, True),  # Nevergrad
    "hydra.sweeper.ax_config.experiment.minimize": (True, False),  # Ax
}
"""Where sweepers are told what to look for: what to say if less is better, and if more is."""


def give_direction(cfg: DictConfig, said: Sequence[str]) -> None:
    """Tell a sweeper that looks for the best run whether its objective is to be high or low.

    ``objective=auto`` becomes the metric that the direction was chosen for: a run that does not log it fails.

    Args:
        cfg: a composed configuration, changed in place if its sweeper asks for a direction, and the command line does
            not give it.
        said: the command line.

    Raises:
        ConfigError: there is no objective, or none whose direction is known.
    """
    key = next((path for path in _DIRECTIONS if OmegaConf.select(cfg, path) is not None), None)
    if key is None or any(word.lstrip("+").startswith(f"{key}=") for word in said):
        return
    if isinstance(OmegaConf.select(cfg, key), ListConfig):  # of several objectives
        return
    from lightning_mixup.lab.evaluation.measures import measure

    if cfg.objective is None:
        raise ConfigError("objective=null gives the sweeper nothing to look at; name a metric, or say objective=auto.")
    if cfg.objective == "auto":
        regression = str(OmegaConf.select(cfg, "module._target_")).endswith(".Regressor")
        cfg.objective = "val/rmse" if regression else "val/accuracy"
    better = measure(cfg.objective).better
    lower, higher = (str(word).lower() for word in _DIRECTIONS[key])
    if better == 0:
        raise ConfigError(f"Is more {cfg.objective} better, or less? Say {key}={higher} or {key}={lower}.")
    OmegaConf.update(cfg, key, _DIRECTIONS[key][better > 0])


def find_objective(name: str | None, logged: Mapping[str, Any]) -> float | None:
    """Give a sweeper its number.

    Args:
        name: what ``objective`` says.
        logged: what the run logged.

    Returns:
        The metric of this name; ``None`` if none was asked for, or if there is none that ``auto`` would take.

    Raises:
        ConfigError: the metric was not logged.

    Examples:
        >>> find_objective("auto", {"val/accuracy": 0.9, "val/loss": 0.3}), find_objective(None, {"val/loss": 0.3})
        (0.9, None)
    """
    if name == "auto":
        name = next((one for one in OBJECTIVES if one in logged), None)
    if name is None:
        return None
    if name not in logged:
        names = ", ".join(one for one, value in logged.items() if isinstance(value, float))
        raise ConfigError(f"objective must be auto, null or a logged metric ({names}); got {name!r}.")
    return float(logged[name])
