"""What is said of a run and means nothing, or not that, is refused before anything heavy is loaded.

This module loads with the command: nothing in it is heavy.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightning_mixup.lab.app.errors import ConfigError, meant, unknown

READ = (
    "data",
    "model",
    "module",
    "optimizer",
    "lr_scheduler",
    "mix",
    "trainer",
    "logger",
    "callbacks",
    "evaluate",
    "seed",
    "threads",
    "objective",
    "ckpt",
    "overwrite",
    "preview",
    "allow_targets",
)
"""Keys at the top level that a run reads."""
_NUMBERS = {int: "int", float: "float"}
_WORDS = ("devices", "num_nodes", "input_key", "target_key")  # numbers by default, and words too


def check_read(cfg: DictConfig) -> None:
    """Refuse keys at the top level that nothing reads: neither a run, nor another key by ``${key}``.

    Args:
        cfg: a composed configuration.

    Raises:
        ConfigError: there is one; the message names the path that was meant.
    """
    plain: Any = OmegaConf.to_container(cfg)
    plain.pop("hydra", None)
    texts = "\n".join(text for _, text in _leaves(plain, "") if isinstance(text, str))
    for key in plain:
        if key not in READ and f"{{{key}" not in texts and f":{key}" not in texts:
            hint = meant(str(key), plain)
            raise ConfigError(
                f"{hint}\nNothing reads {key!r} at the top level."
                if hint
                else f"{unknown(str(key), READ)} Nothing reads {key!r}, not even another key by ${{{key}}}."
            )


def check_numbers(given: Sequence[tuple[str, object]], before: DictConfig) -> None:
    """Refuse words where the configuration has numbers.

    Args:
        given: path and value of what the command line sets.
        before: what is composed without it.

    Raises:
        ConfigError: a word stands for a number.
    """
    usuals = dict(_leaves(OmegaConf.to_container(before), ""))  # an interpolation is left as it is written
    for key, value in given:
        usual = type(usuals.get(key))
        if usual in _NUMBERS and key.rpartition(".")[2] not in _WORDS:
            raise ConfigError(f"{key} must be {_NUMBERS[usual]}; got {value!r}.")


def _leaves(node: object, where: str) -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping | list):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _leaves(value, f"{where}.{key}" if where else str(key))
    else:
        yield where, node
