"""What a sweeper looks for: as much as possible, or as little."""

import pytest
from omegaconf import OmegaConf

from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.objective import find_objective, give_direction

SWEEPERS = {
    "direction": ({"direction": "minimize"}, "maximize"),  # Optuna
    "optim.maximize": ({"optim": {"maximize": False}}, True),  # Nevergrad
    "ax_config.experiment.minimize": ({"ax_config": {"experiment": {"minimize": True}}}, False),  # Ax
}


def config(sweeper, objective="auto", module="Classifier"):
    return OmegaConf.create(
        {
            "objective": objective,
            "module": {"_target_": f"lightning_mixup.lab.modules.{module}"},
            "hydra": {"sweeper": sweeper},
        }
    )


@pytest.mark.parametrize(("key", "case"), SWEEPERS.items())
@pytest.mark.parametrize(
    ("objective", "module", "found", "higher"),
    [
        ("auto", "Classifier", "val/accuracy", True),
        ("auto", "Regressor", "val/rmse", False),
        ("val/loss", "Classifier", "val/loss", False),
        ("test_acc", "Classifier", "test_acc", True),
    ],
)
def test_more_or_less_follows_from_the_objective(key, case, objective, module, found, higher):
    lowest, highest = case
    cfg = config(lowest, objective, module)
    give_direction(cfg, ["seed=1"])
    assert cfg.objective == found
    assert (OmegaConf.select(cfg.hydra.sweeper, key) == highest) == higher


def test_the_command_line_knows_better():
    cfg = config({"direction": "minimize"})
    give_direction(cfg, ["hydra.sweeper.direction=minimize"])
    assert cfg.hydra.sweeper.direction == "minimize"
    assert cfg.objective == "auto"


@pytest.mark.parametrize("sweeper", [{"max_batch_size": None}, {"direction": ["maximize", "minimize"]}])
def test_other_sweepers_are_left_alone(sweeper):
    cfg = config(sweeper)
    give_direction(cfg, [])
    assert cfg == config(sweeper)


def test_a_direction_that_nobody_knows_is_asked_for():
    cure = "hydra.sweeper.direction=minimize"
    with pytest.raises(ConfigError, match=cure):
        give_direction(config({"direction": "minimize"}, "val/depth"), [])
    give_direction(config({"direction": "minimize"}, "val/depth"), [cure])


def test_a_sweeper_without_an_objective_is_refused():
    with pytest.raises(ConfigError, match="objective=null"):
        give_direction(config({"direction": "minimize"}, None), [])


def test_the_metric_has_to_be_logged():
    assert find_objective("auto", {"val/rmse": 2.0, "val/loss": 1.0}) == 2
    assert find_objective("auto", {"loss": 1.0}) is None
    with pytest.raises(ConfigError, match=r"val/accuracy.*got 'val/acc'"):
        find_objective("val/acc", {"val/accuracy": 0.5})
