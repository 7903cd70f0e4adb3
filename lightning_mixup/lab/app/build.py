"""From a config node to the object it describes."""

from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lightning_mixup.lab.app.allowed import check_built
from lightning_mixup.lab.app.errors import ConfigError, check_arguments


def build(cfg: DictConfig, key: str, **given: Any) -> Any:  # noqa: ANN401
    """Make the object that a node describes.

    Args:
        cfg: the whole configuration.
        key: path of the node, such as ``"data"``.
        given: further arguments, handed over as they are (Hydra would copy them).

    Returns:
        The object; a factory if the node says ``_partial_: true``; ``None`` if the node is empty.

    Raises:
        ConfigError: the node has no ``_target_`` or one that is not allowed, names an argument that the target does
            not take, or gives a value that the target refuses.
    """
    node = OmegaConf.select(cfg, key)
    if not node:
        return None
    if isinstance(node, DictConfig) and OmegaConf.is_missing(node, "_target_"):
        raise ConfigError(f"{key} must name your class: {key}._target_=my_package.MyClass 'allow_targets=[my_package]'")
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(f"{key} needs a _target_ that names a class or function; got {node}.")
    plain: Any = OmegaConf.to_container(node, resolve=True)
    check_built(plain, key, _run_dir())
    node = DictConfig(plain)  # what is checked is what is built
    try:
        factory: partial[Any] = instantiate(node, _partial_=True, _convert_="all")
    except InstantiationException as error:
        raise ConfigError(f"{key}: {node._target_} cannot be found: {_reason(error)}") from error
    check_arguments(factory.func, factory.keywords, key)
    if node.get("_partial_"):
        return factory
    try:
        return factory(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {error}") from error


def _run_dir() -> Path:
    hydra: Any = HydraConfig.get() if HydraConfig.initialized() else OmegaConf.create()
    return Path(OmegaConf.select(hydra, "runtime.output_dir") or ".").absolute()  # missing before a job begins


def _reason(error: BaseException) -> str:
    """What went wrong in the first place: Hydra hides it behind a hint at its own switch."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"{type(cause).__name__}: {cause}"
