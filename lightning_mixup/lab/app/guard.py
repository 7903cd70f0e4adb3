"""Files run no code: what a configuration file may say, compared with the command line.

Two rules. Of Hydra's own settings, below ``hydra``, a file may give the folders of runs and sweeps and the parameters
of a sweep: all else there can import, write or set environment variables before any job begins. And a ``_target_`` may
name what ``lightning_mixup.lab.app.allowed`` allows. The first rule is applied to every file as it is loaded, for
whatever it is loaded; the second to what is composed, unless it is only shown.

Of Hydra's private parts one is replaced while the command runs: the class of its configuration loader, by one whose
repository of files checks what it loads. There is no public way to see which file says what.
"""

import copy
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import hydra._internal.hydra as application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ConfigDefault, GroupDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lightning_mixup.lab.app.allowed import CONSENT, SAID, WRITES, check_names, consented
from lightning_mixup.lab.app.errors import ConfigError
from lightning_mixup.lab.app.objective import give_direction
from lightning_mixup.lab.app.recipes import RecipeLoader
from lightning_mixup.lab.app.words import check_numbers, check_read

OURS = "pkg://lightning_mixup.conf"
FOR_FILES = (
    "hydra.run.dir",
    "hydra.sweep.dir",
    "hydra.sweep.subdir",
    "hydra.sweeper.direction",
    "hydra.sweeper.max_batch_size",
    "hydra.sweeper.n_jobs",
    "hydra.sweeper.n_trials",
)
"""What a file may say below ``hydra``, beside ``hydra.sweeper.params.KEY``."""


@contextmanager
def guarded(arguments: Sequence[str], begin: Callable[[DictConfig, bool], None]) -> Iterator[None]:
    """Let Hydra compose nothing that a file may not say.

    Args:
        arguments: the command line, the only place where ``allow_targets`` counts. If it asks to be shown something
            (``--cfg job``), what a ``_target_`` names is not checked, for nothing of it will be imported.
        begin: called with what is composed and about to be carried out, and whether that is a sweep.

    Raises:
        ConfigError: within, as soon as something is loaded or composed that has to be refused.
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
    places = {*WRITES, *(piece for pieces in WRITES.values() for piece in pieces)}
    keys = [override.partition("=")[0].lstrip("+") for override in options.overrides]
    if said := [key for key in keys if key.rpartition(".")[2] in places]:
        os.environ[SAID] = ",".join(said)
    path = list(sys.path)
    if os.environ.get(CONSENT):
        sys.path.append(os.getcwd())  # where a script would find it; last, so that nothing there replaces a module
    application.ConfigLoaderImpl = partial(_GuardedLoader, bool(looking), begin)  # type: ignore[assignment, attr-defined]
    try:
        yield
    finally:
        sys.path[:] = path
        application.ConfigLoaderImpl = ConfigLoaderImpl  # type: ignore[attr-defined]


def check_words(words: Sequence[str], where: str) -> None:
    """Refuse overrides from a file, such as the ``multirun.yaml`` of a sweep, that only a person may give.

    Args:
        words: as they would stand on a command line.
        where: the file.

    Raises:
        ConfigError: one is an option, allows packages, or changes a setting of Hydra that a file may not.
    """
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        chooses = re.fullmatch(r"hydra/(launcher|sweeper)=\w+", word)  # of what is installed
        if word.startswith("-") or key == "allow_targets" or (_touches_hydra(key) and not (chooses or _may_say(key))):
            raise ConfigError(f"{where} says {word}, which counts on the command line only: add it there to allow it.")


class _GuardedLoader(RecipeLoader):
    def __init__(
        self, looking: bool, begin: Callable[[DictConfig, bool], None], config_search_path: ConfigSearchPath
    ) -> None:
        super().__init__(config_search_path)
        self.begin = begin
        self.repository = _GuardedRepository(config_search_path)
        self.looking = looking

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> DictConfig:
        cfg = super().load_configuration(config_name, overrides, *args, **kwargs)
        varied = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
        for key in varied:
            if _touches_hydra(key := str(key).lstrip("+~")) or key == "allow_targets":
                raise ConfigError(f"hydra.sweeper.params must be settings of runs, none of Hydra; got {key}.")
        if not self.looking:
            if words := _said_as_words(overrides):
                others = [word for word in overrides if word not in words]
                check_numbers(list(words.values()), super().load_configuration(config_name, others, *args, **kwargs))
            plain: Any = OmegaConf.to_container(cfg)
            plain.pop("hydra")  # what stands there is Hydra's own or from the command line
            check_names(plain, "")
            _check_consent(cfg)
            check_read(cfg)
            give_direction(cfg, overrides)
            if kwargs.get("validate_sweep_overrides", True):  # else Hydra only asks which mode is meant
                self.begin(cfg, kwargs.get("run_mode") == RunMode.MULTIRUN)
        return cfg

    def __getstate__(self) -> dict[str, Any]:
        # What begins a run belongs to the process of the command; a launcher takes the rest into those of its jobs.
        return {**self.__dict__, "begin": _nothing}


def _nothing(cfg: DictConfig, is_sweep: bool) -> None:
    """Begin nothing: the process of the command has done so."""


def _said_as_words(overrides: Sequence[str]) -> dict[str, tuple[str, object]]:
    """What sets a single value below the top level to a word: override to its path and value."""
    parser = OverridesParser.create()
    found: dict[str, tuple[str, object]] = {}
    for said in overrides:
        override = parser.parse_override(said)
        key = override.key_or_group
        plain = ("." in key or key in ("seed", "threads")) and override.package is None and not override.is_delete()
        if plain and not override.is_add() and not override.is_force_add() and not override.is_sweep_override():
            value = override.value()
            if isinstance(value, str) and "${" not in value:
                found[said] = (key, value)
    return found


class _GuardedRepository(ConfigRepository):
    def __deepcopy__(self, memo: dict[int, Any]) -> "_GuardedRepository":
        """Hydra wants sources to itself, each time that it composes; a copy of all recipes would take most of it."""
        other = copy.copy(self)
        other.sources = list(self.sources)
        return other

    def load_config(self, config_path: str) -> ConfigResult | None:
        result = super().load_config(config_path)
        if result is not None and not _is_installed(result, config_path) and not consented("hydra"):
            for said in _said_to_hydra(result, config_path):
                raise ConfigError(
                    f"{config_path}.yaml of {result.path} must leave Hydra's own settings alone; it says {said}. "
                    "A file may give hydra.run.dir, hydra.sweep.dir and hydra.sweeper.params; all else is for the "
                    "command line. If you trust your files: 'allow_targets=[hydra]'"
                )
        return result


def _is_installed(result: ConfigResult, config_path: str) -> bool:
    """Whether a file came with this package, Hydra or a plugin of it, and not by a path that leads out of there."""
    packages = (OURS, "pkg://hydra.conf", "pkg://hydra_plugins.", "structured://")
    return result.path.startswith(packages) and ".." not in config_path and not config_path.startswith("/")


def _said_to_hydra(result: ConfigResult, config_path: str) -> Iterator[str]:
    """What a file says to Hydra, and may not: by its place, its header, its list of defaults, or its content."""
    if "hydra" in config_path.split("/"):
        yield config_path
    if _touches_hydra(package := result.header.get("package") or ""):
        yield f"@package {package}"
    for entry in result.defaults_list or ():
        group = (
            entry.group if isinstance(entry, GroupDefault) else entry.path if isinstance(entry, ConfigDefault) else ""
        )
        if _touches_hydra(f"{group}@{getattr(entry, 'package', None) or ''}"):
            yield f"defaults: {group}"
    settings: Any = OmegaConf.to_container(result.config)
    if isinstance(settings, Mapping) and "hydra" in settings:
        yield from (
            key
            for key, value in _leaves(settings["hydra"], "hydra")
            if not _may_say(key, value) and (key, value) != ("hydra.searchpath", [OURS])
        )


def _leaves(node: object, where: str) -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            path = f"{where}.{key}"
            # A node among the parameters of a sweep would be built: it is not looked into, and refused as a value.
            yield from [(path, value)] if where == "hydra.sweeper.params" else _leaves(value, path)
    elif node != {}:
        yield where, node


def _may_say(key: str, value: object = None) -> bool:
    plain = not isinstance(value, Mapping | list)
    return plain and (key in FOR_FILES or bool(re.fullmatch(r"hydra\.sweeper\.params\.[+~]*[a-z][\w.@/]*", key)))


def _touches_hydra(key: str) -> bool:
    return "hydra" in re.split(r"[./@: ]", key)


def _check_consent(cfg: DictConfig) -> None:
    said = [str(package) for package in cfg.get("allow_targets") or ()]
    if not all(consented(package) for package in said):
        raise ConfigError(f"allow_targets counts on the command line only; a file or a sweep gives {said}.")
