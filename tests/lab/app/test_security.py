"""A file runs no code of its own, however the program is called."""

import os
import re
import sys

import pytest
import torch
from application import in_this_process
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError, UnsupportedValueType
from torch.serialization import get_unsafe_globals_in_checkpoint

from lightning_mixup.lab import app as application
from lightning_mixup.lab.app.allowed import CONSENT, check_names
from lightning_mixup.lab.app.build import build
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.guard import check_words

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
    """Run the command on files of a stranger's; gives the message and whether his code ran."""
    sentinel, conf = tmp_path / "sentinel", tmp_path / "conf"
    for module in ("evil.py", "conf/__init__.py"):
        (tmp_path / "code" / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / module).write_text(EVIL)
    monkeypatch.setenv("SENTINEL", str(sentinel))
    monkeypatch.setenv("EVIL", "evil.run")
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setattr(application, "add_recipes", lambda: None)  # ours take longer to read than all else

    def run(files, *arguments):
        for name, text in (
            {"recipe/gift": f"# @package _global_\n{files}"} if isinstance(files, str) else files
        ).items():
            (conf / f"{name}.yaml").parent.mkdir(parents=True, exist_ok=True)
            (conf / f"{name}.yaml").write_text(f"{text}\n")
        chosen = [] if any(word.startswith("--config-name") for word in arguments) else ["recipe=gift"]
        try:
            app(f"--config-dir={conf}", *chosen, "+trainer.fast_dev_run=true", *arguments)
            message = ""
        except SystemExit as end:
            message = str(end.code)
        ran = sentinel.exists()
        sentinel.unlink(missing_ok=True)
        sys.modules.pop("evil", None)
        return message, ran

    return run


# What files say to Hydra: refused in every way of calling the program, for Hydra acts on it before any job begins.
TO_HYDRA = {
    "a callback": "hydra: {callbacks: {mine: {_target_: evil.Quiet}}}",
    "a launcher": "hydra: {launcher: {_target_: evil.run}}",
    "a sweeper": "hydra: {sweeper: {_target_: evil.run}}",
    "parameters that are a node": "hydra: {sweeper: {params: {_target_: evil.run}}}",
    "a parameter that is a node": "hydra: {sweeper: {params: {deep: {_target_: evil.run}}}}",
    "parameters made of text": "hydra: {sweeper: {params: '${oc.create:{_target_:evil.run}}'}}",
    "a search space": "hydra: {sweeper: {custom_search_space: evil.run}}",
    "a storage": "hydra: {sweeper: {storage: 'sqlite:////tmp/x'}}",
    "a handler": "hydra: {job_logging: {handlers: {console: {class: evil.run}}}}",
    "a factory": "hydra: {job_logging: {handlers: {mine: {(): evil.run}}}}",
    "a formatter": "hydra: {job_logging: {formatters: {mine: {(): evil.run}}}}",
    "a filter": "hydra: {hydra_logging: {filters: {mine: {(): evil.run}}}}",
    "a stream": "hydra: {job_logging: {handlers: {console: {stream: 'ext://evil.run'}}}}",
    "a stream elsewhere": "text: 'ext://evil.run'\nhydra: {job_logging: {handlers: {console: {stream: '${text}'}}}}",
    "a stream in pieces": "text: '://evil.run'\nhydra: {job_logging: {handlers: {console: {stream: 'ext${text}'}}}}",
    "a class of the environment": "hydra: {job_logging: {handlers: {console: {class: '${oc.env:EVIL}'}}}}",
    "a log file anywhere": "hydra: {job_logging: {handlers: {file: {filename: /tmp/evil.pth}}}}",
    "free text in a log": "hydra: {job_logging: {formatters: {simple: {format: 'import evil'}}}}",
    "a lookup in a log": "hydra: {job_logging: {formatters: {m: {(): hydra.utils.get_method, path: evil.run}}}}",
    "the run folder as a scheme": "hydra: {runtime: {output_dir: 'ext:/'}}",
    "environment variables": "hydra: {job: {env_set: {LD_PRELOAD: evil.so}}}",
    "a name for the log": "hydra: {job: {name: ../../evil}}",
    "another working folder": "hydra: {job: {chdir: true}}",
    "a folder for the record": "hydra: {output_subdir: ../../evil}",
    "all of it at once": "anything: {}\nhydra: ${anything}",
    "another help": "hydra: {help: {template: '${oc.env:HOME}'}}",
    "a choice of a group": "defaults: [{override /hydra/job_logging: colorlog}]",
    "a file for a group of Hydra": {
        "recipe/gift": "# @package _global_\ndefaults: [{override /hydra/launcher: mine}]",
        "hydra/launcher/mine": "_target_: evil.run",
    },
    "a file in a package of Hydra": {"recipe/gift": "# @package hydra.launcher\n_target_: evil.run"},
    "a package in a list of defaults": {
        "recipe/gift": "# @package _global_\ndefaults: [{/other@hydra.launcher: mine}]",
        "other/mine": "_target_: evil.run",
    },
}
WAYS = [["seed=1"], ["-m", "seed=0,1"], ["--help"], ["--cfg=all", "--resolve"], ["--cfg=hydra"], ["--info=all"]]


@pytest.mark.parametrize("files", TO_HYDRA.values(), ids=TO_HYDRA)
def test_no_file_says_anything_to_hydra(stranger, tmp_path, files):
    for way in WAYS:
        message, ran = stranger(files, *way)
        assert not ran, way
        assert "must leave Hydra's own settings alone; it says " in message, way
    assert not list(tmp_path.rglob("config.yaml"))  # nor has any job begun


@pytest.mark.parametrize("way", [[], ["-m", "seed=0,1"], ["--help"], ["--info=all"], ["--info=defaults"]])
def test_a_primary_configuration_imports_no_package_to_search(stranger, way):
    message, ran = stranger({"main": "hydra: {searchpath: ['pkg://conf']}"}, "--config-name=main", *way)
    assert not ran
    assert "must leave Hydra's own settings alone; it says hydra.searchpath" in message


def test_no_path_leads_out_of_our_folder_and_is_taken_for_ours(stranger, tmp_path):
    hostile = {"far/gift": TO_HYDRA["a callback"]}
    up = "/".join([".."] * 40)
    message, ran = stranger(hostile, "--config-name=far/gift", f"data={up}{tmp_path}/conf/far/gift")
    assert not ran
    assert "must leave Hydra's own settings alone" in message


def test_a_file_may_give_folders_and_parameters_of_a_sweep(stranger, tmp_path):
    recipe = (
        "hydra: {run: {dir: a}, sweep: {dir: b, subdir: '${hydra.job.num}'}, sweeper: {params: {mix: 'none,mixup'}}}"
    )
    assert stranger(recipe, "--cfg=hydra") == ("0", False) or stranger(recipe, "--cfg=hydra")[0] == ""
    message, _ = stranger(recipe, "-m", "model._target_=evil.run")
    assert message.startswith("model._target_ must name")


@pytest.mark.parametrize("key", ["hydra.job.name", "+hydra/callbacks", "++hydra.callbacks.x._target_", "allow_targets"])
def test_parameters_of_a_sweep_are_settings_of_runs(stranger, key):
    message, ran = stranger(f"hydra: {{sweeper: {{params: {{'{key}': 'evil.run'}}}}}}", "-m")
    assert not ran
    assert re.search(r"must leave Hydra's own settings alone|must be settings of runs|command line only", message)


def test_what_the_user_trusts_with_hydra_is_his_decision(stranger):
    assert stranger(TO_HYDRA["a callback"], "--cfg=job", "allow_targets=[hydra]")[0] in ("", "0")


# What files name: refused where something would be built, and shown where not.
NODES = [
    "model: {_target_: evil.run}",
    "optimizer: {_target_: evil.run, _partial_: true}",
    "mix: {_target_: evil.run, _convert_: all}",
    "model: {anything: [1, [{_target_: evil.run}]]}",
    "mix: {_target_: lightning_mixup.Mixup, _args_: [{_target_: evil.run}]}",
    "callbacks: {mine: {_recursive_: false, _target_: torch.nn.Identity, node: {_target_: evil.run}}}",
    "unused: {_target_: evil.run}",
    "mix: {prob: {_target_: hydra.utils.get_method, path: evil.run}}",
    "mix: {prob: {_target_: hydra.utils.get_class, _args_: [evil.run]}}",
    "name: evil.run\nmodel: {_target_: '${name}'}",
    "model: {_target_: '${oc.env:EVIL}'}",
    "allow_targets: [evil]\nmix: {_target_: evil.Quiet}",
    "allow_targets: [evil]",
]


@pytest.mark.parametrize("recipe", NODES)
@pytest.mark.parametrize("way", [[], ["-m", "seed=0,1"]], ids=["run", "sweep"])
def test_a_name_outside_the_list_is_refused_before_it_is_imported(stranger, tmp_path, recipe, way):
    message, ran = stranger(recipe, *way)
    assert not ran
    assert re.search(r"must name |must be spelled out|counts on the command line only", message)
    assert not list(tmp_path.rglob("config.yaml"))


@pytest.mark.parametrize("look", ["--cfg=job", "--help", "--info=config"])
def test_to_look_at_a_name_is_safe(stranger, capsys, look):
    message, ran = stranger("model: {_target_: evil.run}", look)
    assert message in ("", "0")
    assert not ran
    assert "_target_: evil.run" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    """builtins.eval functools.partial hydra.utils.instantiate hydra.utils.get_method importlib.import_module
    lightning.pytorch.LightningModule.load_from_checkpoint lightning.pytorch.callbacks.model_checkpoint.torch.load
    lightning.pytorch.loggers.WandbLogger lightning.pytorch.callbacks.SpikeDetection
    lightning_mixup.lab.app.build.instantiate lightning_mixup.callbacks.base.os.system
    lightning_mixup.lab.optim.import_timm lightning_mixup.optim.import_timm lightning_mixup.lab.optim.require
    lightning_mixup.classifier.pair lightning_mixup.lab.modules.classifier.nn lightning_mixup.schedules.plot
    lightning_mixup.schedules.as_schedule lightning_mixup.interpolate_loss logging.FileHandler
    logging.handlers.HTTPHandler numpy.load os.system subprocess.run torch.hub.load torch.jit.load torch.load
    torch.nn.Module.__init__.__globals__ torch.nn.__builtins__ torch.nn.modules torch.nn.factory_kwargs
    torch.optim.lr_scheduler.partial torch.utils.cpp_extension.load_inline torch.nn. math""".split(),
)
def test_what_the_list_leaves_out(name):
    with pytest.raises(ConfigError, match=r"model\._target_ must"):
        check_names({"model": {"_target_": name}}, "")


@pytest.mark.parametrize("name", ["torch.nn.Linear ", "", 7, ["torch.nn.Linear"], None, {"a": 1}])
def test_what_is_no_name(name):
    with pytest.raises(ConfigError, match=r"model\._target_ must"):
        check_names({"model": {"_target_": name}}, "")


@pytest.mark.parametrize("text", ["${oc.create:'{_target_: evil.run}'}", "${oc.decode:'{_target_: evil.run}'}"])
@pytest.mark.parametrize("key", ["model", "model.deep", "mix.prob"])
def test_a_node_that_is_made_of_text_is_checked_when_it_is_built(monkeypatch, key, text):
    monkeypatch.setitem(sys.modules, "evil", None)
    cfg = OmegaConf.create({"model": {"_target_": "torch.nn.Identity"}, "mix": {"_target_": "lightning_mixup.Mixup"}})
    OmegaConf.update(cfg, key, text, force_add=True)
    with pytest.raises(
        (ConfigError, UnsupportedValueType, InterpolationResolutionError), match=r"must name|needs|not a"
    ):
        build(cfg, key.partition(".")[0])


def test_what_is_resolved_is_not_resolved_again(monkeypatch):
    monkeypatch.setenv("EVIL", "${oc.create:'{_target_: evil.run}'}")
    cfg = OmegaConf.create({"model": {"_target_": "torch.nn.Identity", "deep": "${oc.env:EVIL}"}})
    with pytest.raises(ConfigError, match=r"model\.deep must not make new interpolations"):
        build(cfg, "model")


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
    assert "allow_targets must be a list" in stranger("seed: 1", "allow_targets=evil")[0]


def test_no_pickles(stranger, tmp_path):
    message, ran = stranger("seed: 1", f"--experimental-rerun={tmp_path / 'config.pickle'}")
    assert "loads a pickle" in message
    assert not ran


@pytest.mark.parametrize(
    "word",
    """hydra.searchpath=[pkg://evil] +hydra.callbacks.x._target_=evil.Quiet hydra/job_logging=mine allow_targets=[evil]
    ++hydra.job.env_set.A=1 --config-dir=/evil hydra/launcher=../evil +evil@hydra.launcher=x hydra.mode=RUN""".split(),
)
def test_words_that_a_file_may_not_say(word):
    with pytest.raises(ConfigError, match=r"multirun\.yaml says .*, which counts on the command line only"):
        check_words(["mix=none", word], "multirun.yaml")


def test_words_that_a_file_may_say():
    check_words(["mix=none,mixup", "+mix.x=1", "hydra.sweep.dir=x", "hydra/launcher=joblib", "~mix.a"], "multirun.yaml")


def test_the_command_line_may_write_elsewhere(stranger, app, tmp_path):
    message, _ = stranger(f"logger: {{save_dir: {tmp_path / 'theirs'}}}")
    assert "logger.save_dir must stay in the run folder" in message
    app("logger.save_dir=elsewhere")
    assert (tmp_path / "elsewhere" / "log").is_dir()


MIXES = ["mix=none", "mix=mixup", "mix=cutmix", "mix=manifold_mixup", "+schedule@mix.alpha=function"]


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
