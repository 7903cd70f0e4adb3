"""Packages that not every user has."""

import importlib
from typing import Any


def extra(module: str, name: str) -> Any:  # noqa: ANN401
    """Import a module of an optional package.

    Args:
        module: its full name.
        name: the extra of this package that brings it.

    Raises:
        ModuleNotFoundError: it is not installed; says how to.

    Examples:
        >>> extra("no_such_package", "vision")
        Traceback (most recent call last):
        ModuleNotFoundError: This data set needs no_such_package: pip install "lightning-mixup[vision]"
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f'This data set needs {package}: pip install "lightning-mixup[{name}]"', name=package
        ) from error
