"""The command line as people write it, in the words that Hydra knows."""

from collections.abc import Sequence
from pathlib import Path

from lightning_mixup.lab.app.errors import ConfigError

_OPTIONS = ("-m", "--multirun")


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Turn a verb in front into what it stands for.

    Args:
        arguments: of the command, without its name.

    Returns:
        ``ckpt=PATH evaluate=full`` for ``evaluate ckpt=PATH``, ``compare=FOLDER`` for ``compare FOLDER``,
        ``resume=FOLDER`` for ``resume FOLDER``; all else as it is.

    Raises:
        ConfigError: the verb is not told what to do it to.

    Examples:
        >>> spelled_out(["evaluate", "ckpt=outputs/x", "evaluate.pgd_steps=20"])
        ['ckpt=outputs/x', 'evaluate=full', 'evaluate.pgd_steps=20']
        >>> spelled_out(["compare", "multirun/x", "baseline=mix=none"])
        ['compare=multirun/x', 'baseline=mix=none']
        >>> spelled_out(["mix=none"])
        ['mix=none']
    """
    options = [word for word in arguments[:1] if word in _OPTIONS]
    verb, *rest = [*arguments[len(options) :], ""]
    rest = rest[:-1]
    if verb in ("compare", "resume"):
        if not rest or (rest[0].startswith("-") or ("=" in rest[0] and not Path(rest[0]).exists())):
            of = "a sweep" if verb == "compare" else "a run or a sweep"
            raise ConfigError(f"{verb} must be followed by the folder of {of}: lightning-mixup {verb} multirun/...")
        return [*options, f"{verb}={rest[0]}", *rest[1:]]
    if verb != "evaluate":
        return list(arguments)
    given = [word if "=" in word or word.startswith("-") else f"ckpt={word}" for word in rest]
    where = [number for number, word in enumerate(given) if word.startswith("ckpt=")]
    if not where:
        raise ConfigError("evaluate must be told what to judge: lightning-mixup evaluate ckpt=PATH")
    judges = [] if any(word.startswith("evaluate=") for word in given) else ["evaluate=full"]
    return [*options, *given[: where[0] + 1], *judges, *given[where[0] + 1 :]]
