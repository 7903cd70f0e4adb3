"""What a configuration may name, so that one from a stranger runs no code of his.

Whatever a ``_target_`` names is imported and called: a configuration is a program. Ours may name what our own options
need, and packages that the user names on the command line. All of a configuration is checked as soon as it is composed,
before anything in it is imported; what is built is checked once more, with its interpolations resolved.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pydoc import locate
from typing import Any

import hydra._internal.hydra as application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.resolvers import oc

from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.recipes import RecipeLoader

# Full names, and modules of which every public name is allowed. No whole packages: torch.hub.load, for one, runs what
# it downloads.
ALLOWED = (
    "lightning_mixup.*",
    "lightning_mixup.callbacks.*",
    "lightning_mixup.lab.modules.classifier.*",
    "lightning_mixup.lab.data.*",
    "lightning_mixup.lab.evaluation.*",
    "lightning_mixup.lab.models.*",
    "lightning_mixup.lab.optim.*",
    "lightning_mixup.lab.modules.regressor.*",
    "lightning_mixup.schedules.*",
    # Where these stood in version 0.1.
    "lightning_mixup.classifier.Classifier",
    "lightning_mixup.data.*",
    "lightning_mixup.evaluation.*",
    "lightning_mixup.models.*",
    "lightning_mixup.optim.*",
    "lightning_mixup.regressor.Regressor",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.*",
    "lightning.pytorch.loggers.CSVLogger",  # others talk to servers
    "lightning.pytorch.loggers.TensorBoardLogger",
    "kornia.augmentation.ColorJitter",
    "kornia.augmentation.RandomErasing",
    "kornia.augmentation.auto.RandAugment",
    "kornia.augmentation.auto.TrivialAugment",
    "torch.nn.*",
    "torch.optim.*",
    "torch.optim.lr_scheduler.*",
    "math.*",
    "hydra.utils.get_method",  # what it is asked for is checked as well
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "logging.FileHandler",
    "logging.StreamHandler",
)
# Where the processes that a run starts, its other ranks or the workers of a launcher, find what the user allowed.
CONSENT = "LIGHTNING_MIXUP_ALLOW_TARGETS"
# They make nodes of text, in which no walk over a configuration sees a _target_.
_NODE_MAKERS: dict[str, Any] = {"oc.create": oc.create, "oc.decode": oc.decode}
_LOOKUP = "hydra.utils.get_method"
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_RUN_DIR = "${hydra.runtime.output_dir}/"


@contextmanager
def guarded(arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra compose nothing that names what is not allowed.

    Args:
        arguments: the command line, the only place where ``allow_targets`` counts. If it asks to be shown something
            (``--cfg job``), names are not checked, for nothing will be imported.

    Raises:
        ConfigError: within, as soon as a configuration is composed that has to be refused.
    """
    options, _ = get_args_parser().parse_known_args(arguments)
    if options.experimental_rerun:
        raise ConfigError("--experimental-rerun loads a pickle, which can run code; use --config-path, --config-name.")
    looking = options.help or options.hydra_help or options.cfg or options.info or options.shell_completion
    given = [override for override in options.overrides if override.lstrip("+").startswith("allow_targets=")]
    if given:
        packages = OverridesParser.create().parse_override(given[-1]).value()
        if not isinstance(packages, list):
            raise ConfigError(f"allow_targets must be a list, such as allow_targets=[my_package]; got {given[-1]}.")
        os.environ[CONSENT] = ",".join(packages)
    path = list(sys.path)
    if os.environ.get(CONSENT):
        sys.path.append(os.getcwd())  # where a script would find it; last, so that nothing there replaces a module
    for name in _NODE_MAKERS:
        OmegaConf.clear_resolver(name)
    application.ConfigLoaderImpl = partial(_GuardedLoader, bool(looking))  # type: ignore[assignment, attr-defined]
    try:
        yield
    finally:
        sys.path[:] = path
        application.ConfigLoaderImpl = ConfigLoaderImpl  # type: ignore[attr-defined]
        for name, resolver in _NODE_MAKERS.items():
            OmegaConf.register_new_resolver(name, resolver, replace=True)


def check_names(cfg: Container, where: str = "") -> None:
    """Refuse a configuration that names what is not allowed. Nothing is imported.

    Args:
        cfg: any part of a configuration.
        where: its path.

    Raises:
        ConfigError: a ``_target_`` is not allowed, or not spelled out.
    """
    for key, name in _targets(OmegaConf.to_container(cfg), where):
        _require_allowed(key, name)


def check_origins(cfg: Container, where: str) -> None:
    """Refuse names that lead out of their package, as ``torch.optim.lr_scheduler.partial`` does.

    Args:
        cfg: a node that ``check_names`` let pass; what it names is imported.
        where: its path.

    Raises:
        ConfigError: an object comes from another package than its name says.
    """
    for key, name in _targets(OmegaConf.to_container(cfg), where):
        found = locate(str(name))
        home = str(getattr(found, "__module__", "elsewhere"))
        if found is not None and home.partition(".")[0] != str(name).partition(".")[0]:
            raise ConfigError(f"{key} must name what its package defines; {name} comes from {home}.")


class _GuardedLoader(RecipeLoader):
    def __init__(self, looking: bool, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.looking = looking

    def load_configuration(self, *args: Any, **kwargs: Any) -> DictConfig:  # noqa: ANN401
        cfg = super().load_configuration(*args, **kwargs)
        for check in () if self.looking else (check_names, _check_consent, _check_environment, _check_logging):
            check(cfg)
        return cfg

    def _process_config_searchpath(self, config_name: str | None, parsed_overrides: Any, repo: Any) -> None:  # noqa: ANN401
        """Check the one thing that Hydra imports in order to compose."""
        primary = repo.load_config(config_path=config_name) if config_name else None
        for path in (OmegaConf.select(primary.config, "hydra.searchpath") if primary else None) or ():
            scheme, _, package = str(path).partition("://")
            if scheme == "pkg" and package.replace("/", ".") != "lightning_mixup.conf":
                _require_allowed("hydra.searchpath", package.replace("/", "."))
        super()._process_config_searchpath(config_name, parsed_overrides, repo)


def _check_consent(cfg: DictConfig) -> None:
    said = [str(package) for package in cfg.get("allow_targets") or ()]
    if not all(_consented(package) for package in said):
        raise ConfigError(f"allow_targets counts on the command line only; a file or a sweep gives {said}.")


def _check_environment(cfg: DictConfig) -> None:
    variables: Any = OmegaConf.to_container(cfg.hydra.job.env_set)
    for name, value in variables.items():
        if os.environ.get(name) != value:
            raise ConfigError(f"hydra.job.env_set must be empty, for variables can run code; set {name} in the shell.")


def _check_logging(cfg: DictConfig) -> None:
    """Logging imports handlers and, wherever a text says ``ext://NAME``, that name."""
    settings: Any = OmegaConf.to_container(cfg.hydra)
    for key in ("hydra_logging", "job_logging"):
        for path, text in _texts(settings[key], f"hydra.{key}"):
            # The run folder is an absolute path; any other interpolation may turn out to be such a text.
            start, dollar, _ = text.replace(_RUN_DIR, "/", 1).partition("${")
            if path.endswith((".class", ".()")):
                _require_allowed(path, text)
            elif text not in _STREAMS and (text.startswith("ext://") or (dollar and "ext://".startswith(start))):
                _require_allowed(path, text.removeprefix("ext://"))


def _texts(node: Any, where: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    if isinstance(node, str):
        yield where, node
    elif isinstance(node, Mapping | list):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _texts(value, f"{where}.{key}" if where else str(key))


def _targets(node: Any, where: str) -> Iterator[tuple[str, object]]:  # noqa: ANN401
    """Path and name of everything that would be imported, however deep."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if isinstance(node, Mapping):
        for key, value in node.items():
            path = f"{where}.{key}" if where else str(key)
            if key == "_target_" and value != "???":
                yield path, value
            yield from _targets(value, path)
        if node.get("_target_") == _LOOKUP:
            yield from _texts({key: value for key, value in node.items() if key != "_target_"}, where)


def _require_allowed(key: str, name: object) -> None:
    if not isinstance(name, str) or "${" in name:
        raise ConfigError(f"{key} must be spelled out, so that it can be checked; got {name}.")
    module, _, last = name.rpartition(".")
    public = last.isidentifier() and not last.startswith("_")
    if not (name in ALLOWED or (public and f"{module}.*" in ALLOWED) or _consented(name)):
        modules = ", ".join(entry.removesuffix(".*") for entry in ALLOWED if entry.endswith(".*"))
        raise ConfigError(
            f"{key} must name something in {modules}; got {name!r}.\n"
            f"A package that you trust is allowed on the command line: 'allow_targets=[{name.partition('.')[0]}]'"
        )


def _consented(name: str) -> bool:
    packages = os.environ.get(CONSENT, "").split(",")
    return any(name == package or name.startswith(f"{package}.") for package in packages if package)
