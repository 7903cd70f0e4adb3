"""Names of layers, as a user writes them: without what wrappers put in."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from torch import nn

INPUT = "input"
_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # compiled, sharded, checkpointed
_REPLICATED = (nn.parallel.DistributedDataParallel, nn.DataParallel)


def layer_names(root: nn.Module) -> dict[str, nn.Module]:
    """All submodules by their names, in which wrappers leave no trace.

    Args:
        root: Any module.

    Returns:
        Names as in ``root.named_modules()``, without the root, and without the parts that ``torch.compile``, FSDP, DDP
        and activation checkpointing add. A module that has several names has its first one here.

    Examples:
        >>> net = nn.ModuleDict({"module": nn.Linear(2, 2), "wrapped": nn.DataParallel(nn.Linear(2, 2))})
        >>> list(layer_names(net))
        ['module', 'wrapped']
    """
    return {name: module for name, module in _walk(unwrap(root), "", set()) if name}


def find(root: nn.Module, name: str) -> nn.Module | None:
    """The submodule of a name, as ``layer_names`` writes it; also under the second name of a shared one.

    Args:
        root: Any module.
        name: Parts with dots between them.

    Returns:
        The submodule, without its wrappers; None if there is none.

    Examples:
        >>> find(nn.Sequential(nn.Sequential(nn.ReLU())), "0.0"), find(nn.Sequential(), "0")
        (ReLU(), None)
    """
    module = unwrap(root)
    for part in name.split("."):
        child = module._modules.get(part)
        if child is None:
            return None
        module = unwrap(child)
    return module


def match(pattern: str, root: nn.Module, known: Mapping[str, nn.Module]) -> list[str]:
    """Names that a pattern means.

    Args:
        pattern: A name, in which ``*`` stands for any part between dots and ``**`` for any part.
        root: Any module.
        known: Its ``layer_names``.

    Returns:
        The names in the order of ``known``, ``"input"`` first; none if nothing fits.

    Examples:
        >>> net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU()))
        >>> match("*", net, layer_names(net)), match("1.**", net, layer_names(net))
        (['input', '0', '1'], ['1.0'])
    """
    glob = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", r"[^.]*")
    found = [name for name in (INPUT, *known) if re.fullmatch(glob, name)]
    return found or ([pattern] if find(root, pattern) is not None else [])


def near(name: str, known: Iterable[str]) -> list[str]:
    """Names that resemble one, for an error.

    Args:
        name: What was looked for.
        known: What there is.

    Returns:
        At most five names, the nearest first.

    Examples:
        >>> near("layer5", ["layer1", "fc"])
        ['layer1']
    """
    return difflib.get_close_matches(name, list(known), n=5, cutoff=0.3)


def unwrap(module: nn.Module) -> nn.Module:
    """What a wrapper holds, or the module itself.

    Args:
        module: Any module.

    Returns:
        The innermost module that is no wrapper.

    Examples:
        >>> unwrap(nn.DataParallel(nn.ReLU()))
        ReLU()
    """
    while key := _wrapped(module):
        module = module._modules[key]  # type: ignore[assignment]
    return module


def path(root: nn.Module, name: str) -> list[str]:
    """The keys that lead to a submodule, those of wrappers among them.

    Args:
        root: Any module.
        name: Name of a submodule that exists.

    Returns:
        Keys of ``_modules``, from the root on.

    Examples:
        >>> path(nn.Sequential(nn.DataParallel(nn.ReLU())), "0")
        ['0', 'module']
    """
    keys: list[str] = []
    module = root
    for part in [*name.split("."), ""]:
        while key := _wrapped(module):
            keys.append(key)
            module = module._modules[key]  # type: ignore[assignment]
        if part:
            keys.append(part)
            module = module._modules[part]  # type: ignore[assignment]
    return keys


def _wrapped(module: nn.Module) -> str:
    """The key of what a wrapper holds; none for any other module."""
    parts = module._modules
    for name in _WRAPPED:
        if name in parts:
            return name
    return "module" if isinstance(module, _REPLICATED) else ""


def _walk(module: nn.Module, name: str, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield name, module
    for part, child in module._modules.items():
        if child is not None:
            yield from _walk(unwrap(child), f"{name}.{part}" if name else part, seen)
