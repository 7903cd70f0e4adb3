"""Ends that come from outside: Ctrl-C and SIGTERM, told as what they are.

This module loads with the command: nothing in it is heavy.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 45.0
"""So long a process that is told to end may take to unwind. Schedulers wait for a minute or so before they kill."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_watches: list["_Watch"] = []  # of this process, at most one
_heard: list["Stopped"] = []  # of the last time that something could be stopped
_last_words: list[Callable[[], None]] = []  # what has to be done even where nothing unwinds


class Stopped(BaseException):
    """The process was told to end. Not an error: what catches errors lets it pass.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__("Interrupted by Ctrl-C" if number == signal.SIGINT else f"Ended by {self.signal.name}")

    @property
    def code(self) -> int:
        """What the shell calls the end of a process by a signal: 130 or 143."""
        return 128 + self.signal


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise `Stopped`, at once and once; whatever does not unwind then is ended all the same."""
    if threading.current_thread() is not threading.main_thread() or _watches:
        yield  # only the main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    watch = _Watch()
    _watches.append(watch)
    _heard.clear()
    listen()
    try:
        yield
    finally:
        _watches.clear()
        watch.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def listen() -> None:
    """Handle the signals here; said once more where a library has put handlers of its own in the place."""
    if _watches and threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, _stop)


def unwound() -> None:
    """Give what comes after an end all the time it needs; a second signal ends the process as it always does."""
    for watch in _watches:
        watch.end()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def heard() -> Stopped | None:
    """The signal that came, if any.

    Whatever fails after it fails because of it: an import in C that is interrupted reports an `ImportError`.
    """
    return _heard[0] if _heard else None


@contextmanager
def at_the_latest(action: Callable[[], None]) -> Iterator[None]:
    """Carry out an action before the process is ended that did not unwind in time.

    Args:
        action: such as to kill other processes, which nobody else would.
    """
    _last_words.append(action)
    try:
        yield
    finally:
        _last_words.remove(action)


def _stop(number: int, frame: FrameType | None) -> None:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # an impatient second one would cut the unwinding short
    _heard.append(Stopped(number))
    raise _heard[0]


class _Watch:
    """Ends the process in a while after a signal, even if its main thread is stuck where Python handles none.

    Python writes the number of a signal to a file as soon as it comes; a thread waits for it there.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.before = signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()

    def end(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            signal.set_wakeup_fd(self.before)
            os.write(self.writer, b"\0")  # closing it would not do: forked processes have it too
            self.thread.join()
            os.close(self.writer)
            os.close(self.reader)

    def _wait(self) -> None:
        while (heard := os.read(self.reader, 1)) != b"\0":
            if heard[0] in _SIGNALS and not self.ended.wait(SECONDS):
                for action in _last_words:
                    action()
                print(f"Nothing ended within {SECONDS:.0f} s of the signal: given up.", file=sys.stderr, flush=True)
                os._exit(128 + heard[0])


def _forget() -> None:
    """Leave a forked process to itself: its signals are not ours."""
    if _watches:
        _watches.clear()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget)
