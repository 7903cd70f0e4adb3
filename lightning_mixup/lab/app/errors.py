"""Errors that say what is allowed, on a line or two instead of a page of traceback."""

import inspect
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import Container, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from lightning_mixup.lab.app.stopping import Stopped, heard

HYDRA_SWITCH = "HYDRA_FULL_ERROR"
OUR_SWITCH = "LIGHTNING_MIXUP_FULL_ERROR"

ELSEWHERE = {
    "ckpt_path": "To judge a checkpoint: ckpt=PATH. To go on with a run: lightning-mixup resume RUN",
    "epochs": "It is trainer.max_epochs",
    "learning_rate": "It is optimizer.lr",
    "batch_size": "It is data.batch_size",
}
"""Names of other programs, and what does here what they do there."""

_failures: list[str] = []  # jobs of the sweep that runs in this process


class ConfigError(HydraException):
    """The configuration asks for something that cannot be."""


@contextmanager
def brief_errors() -> Iterator[None]:
    """End the program with a short message instead of a traceback, unless ``HYDRA_FULL_ERROR=1``.

    A sweep ends with the list of its jobs that failed.
    """
    # With its switch on, Hydra hands exceptions to us instead of printing them. What the user wanted is kept beside it,
    # where the processes that a distributed run starts find it too.
    before = dict(os.environ)
    full = os.environ.setdefault(OUR_SWITCH, os.environ.get(HYDRA_SWITCH, "0")) == "1"
    os.environ[HYDRA_SWITCH] = "1"
    try:
        yield
    except (Exception, KeyboardInterrupt, Stopped) as error:
        if stopped := _stopped(error):
            if os.environ.get("LOCAL_RANK", "0") == "0":  # the other ranks of a run have nothing to add
                print("\n".join([f"{stopped}.", *_notes(error)]), file=sys.stderr)
            sys.exit(stopped.code)
        if full:
            raise
        what = "\n".join([_list_failures() or explain(error), *_notes(error)])
        sys.exit(f"{what}\n({HYDRA_SWITCH}=1 shows the whole traceback.)")
    else:
        if _failures:  # a sweeper may go on after failures, and end well
            sys.exit(_list_failures())
    finally:
        _failures.clear()
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def noted_failure() -> Iterator[None]:
    """Let a job that fails leave its traceback in its run folder, as ``failed.txt``, before the error goes on.

    Hydra keeps the error of a job of a sweep for itself until the jobs started with it have run: the message is logged
    at once, and listed when the sweep ends.
    """
    hydra: Any = HydraConfig.get()
    path = Path(hydra.runtime.output_dir, "failed.txt")
    if os.environ.get("LOCAL_RANK", "0") == "0":
        path.unlink(missing_ok=True)  # of an earlier run in the same folder
    try:
        with _exits_as_failures():
            yield
    except Exception as error:
        if stopped := _stopped(error):
            raise stopped from error
        with path.open("a") as file:  # every rank adds its own: the first to fail is seldom the one that is heard
            file.write(traceback.format_exc())
        if hydra.mode == RunMode.MULTIRUN:
            _failures.append(f"{path.parent}: {explain(error)}")
            logging.getLogger(__name__).error("Failed: %s (%s)", explain(error), path)  # noqa: TRY400
        raise


def note_failures(failures: Iterable[str]) -> None:
    """Note what failed in other processes, so that the sweep ends with it."""
    _failures.extend(failure for failure in failures if failure not in _failures)


@contextmanager
def _exits_as_failures() -> Iterator[None]:
    """A job that calls ``sys.exit`` has no results: it has failed, and nothing else has."""
    try:
        yield
    except SystemExit as error:
        if type(error) is not SystemExit:  # Lightning's, when SLURM starts the job anew
            raise
        raise RuntimeError(f"the job called sys.exit({error.code!r})") from error


def _stopped(error: BaseException) -> Stopped | None:
    """The signal that an error stands for, if any."""
    if isinstance(error, Stopped):
        return error
    return Stopped(signal.SIGINT) if isinstance(error, KeyboardInterrupt) else heard()


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def _list_failures() -> str:
    return "\n".join([f"{len(_failures)} of the jobs failed:", *_failures]) if _failures else ""


def explain(error: BaseException) -> str:
    """Say what is wrong, and for a key that does not exist what would be right."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return unknown(option, error.options, group, kind="option")
    if isinstance(error, ConfigCompositionException) and isinstance(cause, ConfigAttributeError | ConfigKeyError):
        node, key = cause.parent_node, str(cause.key)
        if isinstance(node, Container) and cause.full_key:
            parent = cause.full_key.rpartition(".")[0]
            allowed = [str(name) for name in node if name != "hydra"] + ([] if parent else ["recipe"])
            if not parent and (hint := meant(key, _plain(node))):
                return hint
            plus = f"\nA new key needs a plus: +{cause.full_key}=VALUE" if parent else ""
            return f"{unknown(key, allowed, parent)}{plus}"
    if isinstance(error, HydraException):
        detail = f"\n{cause}" if isinstance(cause, OmegaConfBaseException) else ""
        return f"{error}{detail}"
    return f"{type(error).__name__}: {error}"


def unknown(name: str, allowed: Iterable[str], where: str = "", kind: str = "key") -> str:
    """Word the message for a name that does not exist.

    Args:
        name: what was given.
        allowed: what exists.
        where: path of the config node that was searched; empty for the top level.
        kind: what the name is.

    Returns:
        One line.

    Examples:
        >>> unknown("alhpa", ["alpha", "prob"], where="mix")
        "mix has no key 'alhpa', did you mean 'alpha'? It takes: alpha, prob."
    """
    allowed = [key for key in allowed if not key.startswith("_")]
    near = get_close_matches(name, allowed, n=1)
    meant = f", did you mean {near[0]!r}?" if near else "."
    takes = f"It takes: {', '.join(allowed)}." if allowed else "It takes none."
    return f"{where or 'The configuration'} has no {kind} {name!r}{meant} {takes}"


def meant(key: str, plain: Mapping[str, Any]) -> str:
    """Say what somebody meant who gave a key at the top level that is not there; empty if nothing is like it.

    Args:
        key: what was given.
        plain: the configuration.

    Examples:
        >>> meant("alpha", {"mix": {"alpha": 0.2}})
        'alpha is given as mix.alpha=VALUE.'
        >>> meant("ckpt_path", {})
        'ckpt_path is not known. To judge a checkpoint: ckpt=PATH. To go on with a run: lightning-mixup resume RUN.'
        >>> meant("x", {"mix": {"alpha": 0.2}})
        ''
    """
    paths = [path for path, _ in _paths(plain, "") if path.rpartition(".")[2] == key and "." in path]
    if paths:
        return f"{key} is given as {' or '.join(f'{path}=VALUE' for path in paths[:3])}."
    return f"{key} is not known. {ELSEWHERE[key]}." if key in ELSEWHERE else ""


def _plain(node: Container) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(node)
    return {key: value for key, value in plain.items() if key != "hydra"}


def _paths(node: Mapping[str, Any], where: str) -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        path = f"{where}.{key}" if where else str(key)
        yield path, value
        if isinstance(value, Mapping):
            yield from _paths(value, path)


def check_arguments(function: Callable[..., Any], given: Mapping[str, object], where: str) -> None:
    """Refuse arguments that a class or function does not take, by name or by type.

    Args:
        function: what will be called.
        given: its keyword arguments.
        where: path of the config node that gives them.

    Raises:
        ConfigError: a name is not among the parameters, or a value is none of the plain types that its annotation
            lists. What an annotation says with other types is for the function to judge.
    """
    parameters = inspect.signature(function).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    annotated = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    try:
        hints = get_type_hints(annotated)
    except NameError:  # names that exist for type checkers only
        hints = {}
    for name, value in given.items():
        if name not in parameters and not open_ended:
            raise ConfigError(unknown(name, parameters, where))
        if not _fits(value, hints.get(name, Any)):
            raise ConfigError(f"{where}.{name} must be {inspect.formatannotation(hints[name])}; got {value!r}.")


def _fits(value: object, hint: object) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, member) for member in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint or hint not in (bool, int, str, NoneType)
