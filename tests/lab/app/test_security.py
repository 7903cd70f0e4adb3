"""A configuration from a stranger runs no code of his, and a checkpoint holds plain values."""

import os
import sys

import pytest
import torch
from application import in_this_process
from omegaconf import OmegaConf
from torch.serialization import get_unsafe_globals_in_checkpoint

from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.guard import ALLOWED, CONSENT, check_names

EVIL = """
import os, pathlib
pathlib.Path(os.environ["SENTINEL"]).touch()
from torch.nn import Identity
from lightning.pytorch import Callback as Quiet
def run(*args, **kwargs): return 1.0
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield from in_this_process(tmp_path, monkeypatch)


@pytest.fixture
def stranger(tmp_path, monkeypatch, app):
    """Run the command on a recipe from a folder of a stranger's; gives the message and whether his code ran."""
    sentinel = tmp_path / "sentinel"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "evil.py").write_text(EVIL)
    (tmp_path / "conf" / "recipe").mkdir(parents=True)
    monkeypatch.setenv("SENTINEL", str(sentinel))
    monkeypatch.syspath_prepend(tmp_path / "code")

    def run(recipe, *arguments):
        (tmp_path / "conf" / "recipe" / "gift.yaml").write_text(f"# @package _global_\n{recipe}\n")
        try:
            app(f"--config-dir={tmp_path / 'conf'}", "recipe=gift", "+trainer.fast_dev_run=true", *arguments)
            message = ""
        except SystemExit as end:
            message = str(end.code)
        ran = sentinel.exists()
        sentinel.unlink(missing_ok=True)
        sys.modules.pop("evil", None)
        return message, ran

    return run


NODES = [
    "model: {_target_: evil.run}",
    "optimizer: {_target_: evil.run, _partial_: true}",
    "mix: {_target_: evil.run, _convert_: all}",
    "model: {depth: {_target_: evil.run}}",
    "model: {anything: [1, [{_target_: evil.run}]]}",
    "mix: {_target_: lightning_mixup.Mixup, _args_: [{_target_: evil.run}]}",
    "callbacks: {mine: {_recursive_: false, _target_: torch.nn.Identity, node: {_target_: evil.run}}}",
    "unused: {_target_: evil.run}",
    "mix: {prob: {_target_: hydra.utils.get_method, path: evil.run}}",
    "mix: {prob: {_target_: hydra.utils.get_method, _args_: [evil.run]}}",
    "mix: {prob: {_target_: hydra.utils.get_class, path: evil.run}}",
    "hydra: {callbacks: {mine: {_target_: evil.Quiet}}}",
    "hydra: {launcher: {_target_: evil.run}}",
    "hydra: {sweeper: {_target_: evil.run}}",
    "hydra: {sweeper: {params: {deep: {_target_: evil.run}}}}",
    "hydra: {job_logging: {handlers: {console: {class: evil.run}}}}",
    "hydra: {job_logging: {handlers: {mine: {(): evil.run}}}}",
    "hydra: {job_logging: {formatters: {mine: {(): evil.run}}}}",
    "hydra: {job_logging: {handlers: {console: {stream: 'ext://evil.run'}}}}",
    "hydra: {hydra_logging: {filters: {mine: {(): evil.run}}}}",
]


@pytest.mark.parametrize("recipe", NODES)
@pytest.mark.parametrize("arguments", [[], ["-m", "seed=0,1"]], ids=["run", "sweep"])
def test_a_name_outside_the_list_is_refused_before_it_is_imported(stranger, tmp_path, recipe, arguments):
    message, ran = stranger(recipe, *arguments)
    assert not ran
    assert "must name something in lightning_mixup, " in message
    assert "allow_targets=[" in message
    assert not list(tmp_path.glob("*/*/*/**/config.yaml"))  # nor has any job begun


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "functools.partial",
        "hydra.utils.instantiate",
        "importlib.import_module",
        "lightning.pytorch.LightningModule.load_from_checkpoint",
        "lightning.pytorch.callbacks.model_checkpoint.torch.load",
        "lightning.pytorch.loggers.WandbLogger",
        "lightning_mixup.lab.app.build.instantiate",
        "lightning_mixup.callbacks.base.os.system",
        "logging.handlers.HTTPHandler",
        "numpy.load",
        "os.system",
        "subprocess.run",
        "torch.hub.load",
        "torch.jit.load",
        "torch.load",
        "torch.nn.Module.__init__.__globals__",
        "torch.nn.__builtins__",
        "torch.utils.cpp_extension.load_inline",
        "torch.nn.Linear ",
        "torch.nn.",
        "",
        7,
        ["torch.nn.Linear"],
    ],
)
def test_what_the_list_leaves_out(name):
    with pytest.raises(ConfigError, match=r"model\._target_ must"):
        check_names(OmegaConf.create({"model": {"_target_": name}}))


def test_names_that_lead_out_of_their_package():
    cfg = OmegaConf.create({"model": {"_target_": "torch.optim.lr_scheduler.partial"}})
    check_names(cfg)
    with pytest.raises(ConfigError, match=r"torch\.optim\.lr_scheduler\.partial comes from functools"):
        build(cfg, "model")


@pytest.mark.parametrize(
    "recipe",
    [
        "name: evil.run\nmodel: {_target_: '${name}'}",
        "model: {_target_: '${oc.env:EVIL}'}",
        "text: 'ext://evil.run'\nhydra: {job_logging: {handlers: {console: {stream: '${text}'}}}}",
        "text: '://evil.run'\nhydra: {job_logging: {handlers: {console: {stream: 'ext${text}'}}}}",
        "hydra: {job_logging: {handlers: {console: {class: '${oc.env:EVIL}'}}}}",
    ],
)
def test_a_name_must_be_spelled_out(stranger, monkeypatch, recipe):
    monkeypatch.setenv("EVIL", "evil.run")
    message, ran = stranger(recipe)
    assert not ran
    assert "must be spelled out" in message


@pytest.mark.parametrize("resolver", ["oc.create", "oc.decode"])
@pytest.mark.parametrize("key", ["module", "hydra.callbacks.mine", "hydra.sweeper.params"])
def test_interpolation_makes_no_nodes(stranger, resolver, key):
    text = "${" + resolver + ":'{_target_: evil.run}'}"
    recipe = OmegaConf.create({})
    OmegaConf.update(recipe, key, text, force_add=True)
    message, ran = stranger(OmegaConf.to_yaml(recipe), "-m", "seed=0,1")
    assert not ran
    assert f"Unsupported interpolation type {resolver}" in message


def test_no_environment_variables_from_a_file(stranger):
    message, ran = stranger("hydra: {job: {env_set: {LD_PRELOAD: evil.so}}}")
    assert "hydra.job.env_set must be empty" in message
    assert not ran


@pytest.mark.parametrize(
    ("recipe", "arguments"),
    [
        ("allow_targets: [evil]\nmix: {_target_: evil.Quiet}", []),
        ("allow_targets: [evil]", []),
        ("hydra: {sweeper: {params: {allow_targets: '[evil]'}}}", ["-m"]),
    ],
)
def test_a_file_cannot_allow_itself(stranger, recipe, arguments):
    message, ran = stranger(recipe, *arguments)
    assert not ran
    assert "must name something in" in message or "allow_targets counts on the command line only" in message


@pytest.mark.parametrize("allowed", ["allow_targets=[evil]", "++allow_targets=[math,evil]"])
def test_the_user_can_allow_a_package(stranger, allowed):
    recipe = "callbacks: {mine: {_target_: evil.Quiet}}"
    assert stranger(recipe)[1] is False
    message, ran = stranger(recipe, allowed)
    assert ran
    assert "evil.Quiet comes from lightning" in message  # the name must be its own, too
    assert CONSENT not in os.environ


def test_allowing_one_package_allows_no_other(stranger):
    message, ran = stranger("model: {_target_: evil.run}", "allow_targets=[evi]")
    assert not ran
    assert "allow_targets=[evil]" in message


def test_what_is_allowed_is_a_list(stranger):
    message, ran = stranger("seed: 1", "allow_targets=evil")
    assert "allow_targets must be a list" in message
    assert not ran


def test_a_primary_configuration_imports_no_package_to_search(stranger, tmp_path):
    (tmp_path / "conf" / "main.yaml").write_text("defaults: [train]\nhydra: {searchpath: ['pkg://evil']}\n")
    message, ran = stranger("seed: 1", "--config-name=main")
    assert not ran
    assert "hydra.searchpath must name something in" in message


@pytest.mark.parametrize("look", ["--cfg=job", "--help", "--info=config"])
def test_looking_is_allowed_and_runs_nothing(stranger, capsys, look):
    message, ran = stranger("model: {_target_: evil.run}\nhydra: {callbacks: {mine: {_target_: evil.Quiet}}}", look)
    assert message in ("", "0")
    assert not ran
    assert "_target_: evil.run" in capsys.readouterr().out


def test_no_pickles(stranger, tmp_path):
    message, ran = stranger("seed: 1", f"--experimental-rerun={tmp_path / 'config.pickle'}")
    assert "loads a pickle" in message
    assert not ran


def test_what_is_built_is_checked_wherever_the_configuration_comes_from():
    cfg = OmegaConf.create({"model": {"_target_": "${name}"}, "name": "os.getcwd"})
    with pytest.raises(ConfigError, match=r"model\._target_ must name something in .*; got 'os\.getcwd'"):
        build(cfg, "model")


def test_what_is_allowed_exists():
    for name in (entry.removesuffix(".*") for entry in ALLOWED):
        module, _, last = name.rpartition(".")
        __import__(module or name, fromlist=[last])


MIXES = [
    "mix=none",
    "mix=mixup",
    "mix=cutmix",
    "mix=manifold_mixup",
    "+schedule@mix.prob=combined",
    "+schedule@mix.alpha=function",
]


@pytest.mark.parametrize("mix", MIXES)
def test_the_checkpoint_of_a_run_holds_plain_values(app, mix):
    (folder,) = app(mix)
    path = folder / "checkpoints" / "model.ckpt"
    assert get_unsafe_globals_in_checkpoint(path) == []
    checkpoint = torch.load(path, weights_only=True)

    def leaves(node):
        if not isinstance(node, (dict, list, tuple)):
            yield node
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ():
            yield from leaves(value)

    assert {type(leaf) for leaf in leaves(checkpoint)} <= {int, float, bool, str, type(None), torch.Tensor}
