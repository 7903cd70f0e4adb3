import inspect
from pathlib import Path

import pytest
import torch
from application import composing
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from support import need_timm

import lightning_mixup
from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError

CONF = Path(__file__).parents[3] / "conf"
# A new option is tested because its file exists.
OPTIONS = sorted((path.parent.name, path.stem) for path in CONF.glob("*/*.yaml"))
FOR_GPU = [("trainer", "gpu"), ("trainer", "ddp")]
EMPTY = [("mix", "none"), ("model", "none"), ("logger", "none"), ("lr_scheduler", "constant"), ("evaluate", "basic")]
# Options that leave the name to the user.
NAMELESS = [("data", "own"), ("module", "own")]
# Options that cannot be built without a file of the user's.
NEEDY = {
    ("data", "csv"): "data: path must be a file: CSV",
    ("data", "idx"): "data: folder must be a folder with the four files of an IDX data set",
}
# Groups that are no part of a bare run: where an option goes, and the node that then holds it.
PLACED = {"schedule": ("+schedule@mix.prob", "mix"), "options": ("options@mix", "mix")}
# What the application adds to a node when it builds it.
ADDED = {
    "model": {"num_classes": 10, "input_shape": (1, 8, 8)},
    "module": {"network": torch.nn.Linear(1, 10), "optimizer": torch.optim.Adam},
}
# What some options need instead of that (None: nothing).
DATA = {
    "cnn1d": {"input_shape": (1, 40)},
    "sentence_cnn": {"input_shape": None, "vocab_size": 30},
    "classifier": {"num_classes": 10},
    "regressor": {"num_outputs": 1},
}


@pytest.fixture
def composed(tmp_path):
    """Compose the application as a job sees it."""

    def run(*overrides):
        with composing():
            cfg = compose("train", ["hydra.runtime.output_dir=" + str(tmp_path), *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        return cfg

    yield run
    HydraConfig.instance().cfg = None


def test_options_were_found():
    assert ("mix", "mixup") in OPTIONS
    assert len(OPTIONS) > 15


@pytest.mark.parametrize(("group", "option"), [option for option in OPTIONS if option[0] != "callbacks"])
def test_every_option_builds(composed, group, option):
    if option == "tensorboard":
        pytest.importorskip("tensorboard")
    if option == "timm":
        need_timm()
    override, key = PLACED.get(group, (group, group))
    cfg = composed(f"{override}={option}")
    if (group, option) in NAMELESS:
        with pytest.raises(ConfigError, match=rf"{group} must name your class: {group}\._target_=my_package\.MyClass"):
            build(cfg, key)
    elif (group, option) in NEEDY:
        with pytest.raises(ConfigError, match=NEEDY[group, option]):
            build(cfg, key)
    elif (group, option) in FOR_GPU and not torch.cuda.is_available():
        with pytest.raises(MisconfigurationException, match="gpu"):
            build(cfg, key)
    else:
        given = {**ADDED.get(group, {}), **DATA.get(option, {})}
        given = {name: value for name, value in given.items() if value is not None}
        assert (build(cfg, key, **given) is None) == ((group, option) in EMPTY)


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "callbacks"])
def test_every_set_of_callbacks_builds(composed, option):
    cfg = composed(f"callbacks={option}")
    assert all(build(cfg, f"callbacks.{name}") is not None for name in cfg.callbacks)


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_group_files_can_be_placed_anywhere(path):
    text = path.read_text()
    assert "@package" not in text
    assert text.startswith("# ")  # says what it is


@pytest.mark.parametrize("name", [option for group, option in OPTIONS if group == "mix" and option != "none"])
def test_an_option_offers_what_its_callback_takes(composed, name):
    callback = build(composed(f"mix={name}"), "mix")
    parameters = set(inspect.signature(type(callback)).parameters) - {"inplace"}
    assert set(composed(f"mix={name}").mix) - {"_target_", "inplace"} == parameters


@pytest.mark.parametrize(
    ("option", "kind", "key"),
    [
        ("cutmix", "CutMix", ""),
        ("mixup", "Mixup", ""),
        ("manifold_mixup", "ManifoldMixup", ""),
        ("c_mixup", "Mixup", ""),
        ("deit", "RandomChoice", ".methods.mixup"),
        ("regmixup", "RegMixup", ".method"),
    ],
)
def test_another_application_can_use_our_groups(tmp_path, option, kind, key):
    (tmp_path / "app.yaml").write_text(
        "callbacks:\n"
        "  checkpoint: {_target_: lightning.pytorch.callbacks.ModelCheckpoint}\n"
        "hydra: {searchpath: ['pkg://lightning_mixup.conf']}\n"
    )
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        cfg = compose("app", [f"+mix@callbacks.mix={option}", f"callbacks.mix{key}.alpha=0.5"])
    callbacks = {name: instantiate(node) for name, node in cfg.callbacks.items()}
    assert isinstance(callbacks["checkpoint"], ModelCheckpoint)
    assert isinstance(callbacks["mix"], getattr(lightning_mixup, kind))
    assert next(callbacks["mix"].leaves()).alpha == 0.5


def test_data_of_another_application_need_no_seed_of_ours(tmp_path):
    (tmp_path / "app.yaml").write_text("hydra: {searchpath: ['pkg://lightning_mixup.conf']}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert compose("app", ["+data@dataset=digits"]).dataset.seed == 0


def test_the_seed_of_the_run_is_the_seed_of_the_data(composed):
    assert composed("seed=7").data.seed == 7
    assert composed("seed=7", "data.seed=1").data.seed == 1


def test_every_combination_of_mix_and_trainer_composes(composed):
    for mix in (option for group, option in OPTIONS if group == "mix"):
        for trainer in (option for group, option in OPTIONS if group == "trainer"):
            cfg = composed(f"mix={mix}", f"trainer={trainer}")
            assert cfg.trainer.max_epochs > 0
