"""The command line as people write it, in the words that Hydra knows."""

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from lightning_mixup.lab.app.errors import ConfigError

_OPTIONS = ("-m", "--multirun")
_PATHS = ("ckpt", "dir", "path", "data_dir", "dirpath", "save_dir", "cache_dir", "default_root_dir")
"""The last part of keys whose values are paths."""


def answered(arguments: Sequence[str]) -> bool:
    """Answer what asks for words and no run: ``version`` or ``--version``, ``list`` or ``recipes``.

    Args:
        arguments: of the command, without its name.

    Returns:
        Whether it was that.
    """
    if list(arguments) in (["version"], ["--version"]):
        others = ", ".join(f"{name} {version(name)}" for name in ("lightning", "torch", "hydra-core"))
        print(f"lightning-mixup {version('lightning-mixup')} ({others})")
        return True
    if list(arguments) in (["list"], ["recipes"]):
        for name, title in _recipes():
            print(f"recipe={name:<40} {title}")
        print("lightning-mixup --help lists data, models, methods and all other groups.")
        return True
    return False


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Turn a verb in front into what it stands for, and quote paths that Hydra would take for something else.

    Args:
        arguments: of the command, without its name.

    Returns:
        ``ckpt=PATH evaluate=full`` for ``evaluate ckpt=PATH``, ``compare=FOLDER`` for ``compare FOLDER``,
        ``resume=FOLDER`` for ``resume FOLDER``, ``--help`` for ``help``; all else as it is.

    Raises:
        ConfigError: the verb is not told what to do it to, or there is no such verb.

    Examples:
        >>> spelled_out(["evaluate", "ckpt=outputs/x", "evaluate.pgd_steps=20"])
        ['ckpt=outputs/x', 'evaluate=full', 'evaluate.pgd_steps=20']
        >>> spelled_out(["compare", "multirun/x", "baseline=mix=none"])
        ['compare=multirun/x', 'baseline=mix=none']
        >>> spelled_out(["ckpt=outputs/x/epoch=1-step=8.ckpt"])
        ["ckpt='outputs/x/epoch=1-step=8.ckpt'"]
        >>> spelled_out(["mix=none"])
        ['mix=none']
    """
    options = [word for word in arguments[:1] if word in _OPTIONS]
    verb, *rest = [*arguments[len(options) :], ""]
    rest = rest[:-1]
    if verb in ("compare", "resume"):
        if not rest or rest[0].startswith("-") or ("=" in rest[0] and not Path(rest[0]).exists()):
            of = "a sweep" if verb == "compare" else "a run or a sweep"
            raise ConfigError(f"{verb} must be followed by the folder of {of}: lightning-mixup {verb} multirun/...")
        return [*options, f"{verb}={rest[0]}", *(rest[1:] if verb == "compare" else map(_quoted_path, rest[1:]))]
    if verb == "help":
        return [*options, "--help", *rest]
    if re.fullmatch(r"[a-z_]+", verb) and verb != "evaluate":
        raise ConfigError(
            f"lightning-mixup knows no {verb!r}. It takes settings such as mix=cutmix seed=3, or one of: "
            "evaluate PATH, compare SWEEP, resume FOLDER, recipes, version, help."
        )
    if verb != "evaluate":
        return [_quoted_path(word) for word in arguments]
    given = [word if _is_setting(word) else f"ckpt={word}" for word in rest]
    where = [number for number, word in enumerate(given) if word.startswith("ckpt=")]
    if not where:
        raise ConfigError("evaluate must be told what to judge: lightning-mixup evaluate ckpt=PATH")
    given = [_quoted_path(word) for word in given]
    judges = [] if any(word.startswith("evaluate=") for word in given) else ["evaluate=full"]
    return [*options, *given[: where[0] + 1], *judges, *given[where[0] + 1 :]]


def quoted(text: str) -> str:
    r"""A text as Hydra's grammar takes any.

    Examples:
        >>> print(quoted("Bob's [1]"))
        'Bob\'s [1]'
    """
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", text) + "'"


def _is_setting(word: str) -> bool:
    return word.startswith("-") or ("=" in word and not Path(word).exists())


def _quoted_path(word: str) -> str:
    """Quote the value of a word if it is a path and Hydra cannot read it, or reads something else in it."""
    key, equals, value = word.partition("=")
    if not equals or key.rpartition(".")[2] not in _PATHS or value[:1] in ("'", '"', "") or "${" in value:
        return word
    if Path(value).exists():
        return word if _reads_as(word, value) else f"{key}={quoted(value)}"
    parts = value.split(",")  # of a sweep
    if len(parts) > 1 and all(Path(part).exists() for part in parts):
        return f"{key}={','.join(quoted(part) for part in parts)}"
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return f"{key}={quoted(value)}"
    return word


def _reads_as(word: str, value: str) -> bool:
    try:
        override = OverridesParser.create().parse_override(word)
        return not override.is_sweep_override() and override.value() == value
    except HydraException:
        return False


def _recipes() -> Iterator[tuple[str, str]]:
    """Name and first sentence of every recipe."""
    for path in sorted(files("lightning_mixup.recipes").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            lines = path.read_text(encoding="utf-8").splitlines()
            said = [line.removeprefix("# ") for line in lines if line.startswith("# ") and "@package" not in line]
            yield path.name.removesuffix(".yaml"), said[0] if said else ""
