"""What a configuration may name exists, takes no code, and writes nothing outside the run folder."""

import inspect
import re
from importlib import import_module
from pydoc import locate

import pytest
from omegaconf import OmegaConf

from lightning_mixup.lab.app.allowed import OTHERS, PUBLIC, WRITES, check_names, named_by_us
from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError

# Where what is built may write


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "/elsewhere"},
        {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "_args_": ["/elsewhere"]},
        {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "filename": "../../evil"},
        {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "s3://theirs"},
        {"_target_": "lightning.pytorch.callbacks.OnExceptionCheckpoint", "dirpath": "~"},
        {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "../elsewhere"},
        {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": ".", "name": "../elsewhere"},
        {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": ".", "version": "/elsewhere"},
        {"_target_": "lightning.pytorch.Trainer", "default_root_dir": "/elsewhere"},
        {"_target_": "lightning_mixup.data.ImageDataModule", "name": "mnist", "cache_dir": "/elsewhere"},
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.Identity", "save_dir": "/elsewhere"}]},
    ],
)
def test_nothing_is_written_outside_the_run_folder(tmp_path, monkeypatch, node):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"must stay in the run folder"):
        build(OmegaConf.create({"x": node}), "x")
    assert not list(tmp_path.iterdir())


def test_whatever_is_allowed_and_takes_a_path_is_known():
    """A new class that writes where its arguments say must be in WRITES, or take data from there only."""
    reads = {"data_dir", "folder", "path", "test_path", "val_path"}
    for name in sorted({*named_by_us(), *OTHERS, *(f"{p}.{n}" for p in PUBLIC for n in import_module(p).__all__)}):
        found = locate(name) if "kornia" not in name else None
        if not isinstance(found, type) or issubclass(found, (BaseException, dict)):
            continue
        parameters = set(inspect.signature(found).parameters) - {*WRITES, *sum(WRITES.values(), ()), *reads}
        assert not [p for p in parameters if re.search(r"(^|_)(dir|path|file|folder|root)(name|path)?($|_)", p)], name


# The list


def test_what_is_allowed_exists():
    for name in {*named_by_us(), *OTHERS}:
        check_names({"_target_": name}, "x")
        if not name.startswith("kornia"):
            assert locate(name) is not None, name


@pytest.mark.parametrize(
    "name",
    """lightning_mixup.Mixup lightning_mixup.data.Digits lightning_mixup.classifier.Classifier
    lightning_mixup.regressor.Regressor lightning_mixup.models.MLP lightning_mixup.optim.adamw
    lightning_mixup.evaluation.FullEvaluation lightning_mixup.data.ArrayDataModule
    lightning_mixup.callbacks.MixPreview lightning_mixup.lab.modules.Classifier math.sqrt torch.nn.Linear""".split(),
)
def test_what_configurations_of_any_version_name_is_allowed(name):
    check_names({"_target_": name}, "x")
    assert locate(name) is not None


def test_every_target_of_ours_can_be_built_from_a_file():
    named = named_by_us()
    assert len(named) > 60
    assert all(name.split(".")[0] in ("lightning_mixup", "lightning", "torch", "kornia", "math") for name in named)
