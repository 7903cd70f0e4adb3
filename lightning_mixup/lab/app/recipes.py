"""How a recipe and the command line come together."""

import re
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import GroupDefault, ResultDefault
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, open_dict

GROUP = "mix"


class RecipeLoader(ConfigLoaderImpl):
    """Let ``mix=NAME`` beside ``recipe=NAME`` win as a whole.

    A recipe chooses a method and gives its strength. Hydra would keep the strength when the command line chooses
    another method, and with it train a plain network with a mix without a name, or Manifold Mixup at the strength of
    Mixup. The other groups are left to Hydra: a recipe's number of epochs counts on any trainer.

    And let ``schedule@mix.prob=NAME`` stand for ``+schedule@mix.prob=NAME`` where there is a number so far.
    """

    _another: bool = False

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> DictConfig:
        """Compose, with a plus where a schedule needs one."""
        try:
            return super().load_configuration(config_name, overrides, *args, **kwargs)
        except ConfigCompositionException as error:
            absent = re.match(r"Could not override '(schedule@[\w.]+)'", str(error))
            added = [f"+{word}" if absent and word.startswith(f"{absent[1]}=") else word for word in overrides]
            if added == overrides:
                raise
            return self.load_configuration(config_name, added, *args, **kwargs)

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        paths = [default.config_path or "" for default in defaults]
        chosen = [path.removeprefix(f"{GROUP}/") for path in paths if path.startswith(f"{GROUP}/")]
        files = [default for default in defaults if default.primary or _is_recipe(default)]
        meant = [choice for choice in (_choice(repo, default) for default in files) if choice]
        self._another = bool(chosen and meant) and chosen[-1] != meant[-1]
        return super()._compose_config_from_defaults_list(defaults, repo)

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        result = super()._load_single_config(default, repo)
        config: Any = result.config
        if self._another and _is_recipe(default) and GROUP in config:
            with open_dict(config):
                del config[GROUP]
        return result


def _is_recipe(default: ResultDefault) -> bool:
    return (default.config_path or "").startswith("recipe/")


def _choice(repo: IConfigRepository, default: ResultDefault) -> str | None:
    """The method that a configuration file chooses."""
    result = repo.load_config(default.config_path or "")
    defaults = (result.defaults_list if result else None) or []
    chosen = [
        entry.value for entry in defaults if isinstance(entry, GroupDefault) and (entry.group or "").strip("/") == GROUP
    ]
    return str(chosen[-1]) if chosen else None
