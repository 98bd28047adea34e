"""What a process does when it is told to end: once, and at once if it is told again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType

from wsgiproxy.cli.liveline import erase

__all__ = ["SignalCount", "at_first_signal"]

# Who passes Ctrl-C on to us does so at once: the terminal has told us, too.
_SAME = 0.5  # seconds


class SignalCount:
    """Notes signals. A second Ctrl-C ends the process, which waits for nothing.

    :param kill: called before that.
    """

    def __init__(self, kill: Callable[[], None] = lambda: None) -> None:
        self._kill = kill
        self._since: float | None = None

    def is_first(self, number: int) -> bool:
        """Whether no signal was noted before this one."""
        now = monotonic()
        if self._since is None:
            self._since = now
            return True
        if number == signal.SIGINT and now - self._since > _SAME:
            self._kill()
            erase()
            os._exit(130)  # a supervisor of ours ends with us, and its command with it
        return False


_heard = SignalCount()
_callbacks: list[Callable[[], None]] = []


def at_first_signal(callback: Callable[[], None]) -> None:
    """Have something done when this process is told to end by SIGINT or SIGTERM.

    What the server does then goes on as ever.

    :param callback: called in a thread of its own, since a handler must not wait for locks.
    """
    _callbacks.append(callback)
    if len(_callbacks) > 1 or threading.current_thread() is not threading.main_thread():
        return
    _go_before(signal.SIGINT)
    if not _hear(signal.SIGTERM):
        _go_before(signal.SIGTERM)


def _take_note(number: int) -> bool:
    if not _heard.is_first(number):
        return False
    for callback in _callbacks:
        threading.Thread(target=callback, name="ending", daemon=True).start()
    return True


def _go_before(number: int) -> None:
    """Be told of a signal before the handler that there is."""
    then = signal.getsignal(number)

    def handle(number: int, frame: FrameType | None) -> None:
        if _take_note(number) and callable(then):
            then(number, frame)

    if callable(then):
        signal.signal(number, handle)


def _hear(wanted: int) -> bool:
    """Be told of a signal, whatever handler a server sets later; False if it cannot be."""
    heard, said = os.pipe()
    os.set_blocking(said, False)
    other = signal.set_wakeup_fd(said, warn_on_full_buffer=False)
    if other != -1:  # that of gunicorn, which has its handlers by now
        signal.set_wakeup_fd(other, warn_on_full_buffer=False)
        os.close(heard)
        os.close(said)
        return False

    def listen() -> None:
        while number := os.read(heard, 1):
            if number[0] == wanted:
                _take_note(wanted)

    threading.Thread(target=listen, name="signals", daemon=True).start()
    return True
