"""SIGINT and SIGTERM: callbacks at the first one; a second Ctrl-C ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType

from wsgiproxy.cli.liveline import erase
from wsgiproxy.cli.systemd import notify

__all__ = [
    "Handler",
    "SignalCount",
    "at_first_signal",
    "handle_interrupts",
    "handle_signals",
    "is_ending",
]

Handler = Callable[[int, "FrameType | None"], object]

# Seconds within which two signals are one Ctrl-C: of the terminal, and of a parent that passes
# it on.
_SAME = 0.5


class SignalCount:
    """Counts signals. A second Ctrl-C ends the process at once.

    :param kill: called before that.
    """

    def __init__(self, kill: Callable[[], None] = lambda: None) -> None:
        self._kill = kill
        self._since: float | None = None

    @property
    def has_come(self) -> bool:
        """Whether there was one."""
        return self._since is not None

    def is_first(self, number: int) -> bool:
        """Whether this is the first signal."""
        now = monotonic()
        if self._since is None:
            self._since = now
            return True
        if number == signal.SIGINT and now - self._since > _SAME:
            self._kill()
            erase()
            os._exit(130)  # a supervisor ends with this process, and its command with it
        return False


def handle_interrupts(then: Handler, kill: Callable[[], None]) -> None:
    """Handle SIGINT: call *then* at the first one; at a second, *kill*, and end the process."""
    signals = SignalCount(kill)

    def handle(number: int, frame: FrameType | None) -> None:
        if signals.is_first(number):
            then(number, frame)

    signal.signal(signal.SIGINT, handle)


_signals = SignalCount()
_callbacks: list[Callable[[], None]] = []
_is_handled = False


def is_ending() -> bool:
    """Whether the first SIGINT or SIGTERM has come: this process takes requests for the last time.

    It is true from the signal on, also while connections are still accepted (``--drain``).
    """
    return _signals.has_come


def handle_signals(
    then: Handler, kill: Callable[[], None], drain: Callable[[], float] = lambda: 0.0
) -> None:
    """Handle SIGINT and SIGTERM: the callbacks of :func:`at_first_signal`, and *then*.

    To be called before any :func:`at_first_signal`, for a server that handles no signal itself.

    :param drain: seconds between SIGTERM and both of them; after Ctrl-C there are none. *then* is
        called in a thread if there are any.
    """
    global _signals, _is_handled
    _signals, _is_handled = SignalCount(kill), True

    def begin(number: int, frame: FrameType | None) -> None:
        _call_back()
        then(number, frame)

    def handle(number: int, frame: FrameType | None) -> None:
        if not _signals.is_first(number):
            return
        notify("STOPPING=1")
        seconds = drain() if number == signal.SIGTERM else 0.0
        if not seconds:
            begin(number, frame)
            return
        timer = threading.Timer(seconds, begin, [number, None])
        timer.daemon = True
        timer.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def at_first_signal(callback: Callable[[], None]) -> None:
    """Call *callback* at the first SIGINT or SIGTERM, beside the handler of the server.

    :param callback: called in a thread of its own, since a handler must not wait for locks.
    """
    _callbacks.append(callback)
    if (
        _is_handled
        or len(_callbacks) > 1
        or threading.current_thread() is not threading.main_thread()
    ):
        return
    _precede_handler(signal.SIGINT)
    if not _watch(signal.SIGTERM):
        _precede_handler(signal.SIGTERM)


def _note(number: int) -> bool:
    """Start the callbacks, unless this is another signal than the first."""
    if not _signals.is_first(number):
        return False
    _call_back()
    return True


def _call_back() -> None:
    for callback in _callbacks:
        threading.Thread(target=callback, name="ending", daemon=True).start()


def _precede_handler(number: int) -> None:
    """Note a signal before the present handler gets it."""
    then = signal.getsignal(number)

    def handle(number: int, frame: FrameType | None) -> None:
        if _note(number) and callable(then):
            then(number, frame)

    if callable(then):
        signal.signal(number, handle)


def _watch(wanted: int) -> bool:
    """Note a signal, whatever handler a server sets later; False where gunicorn watches."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    other = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if other != -1:  # that of gunicorn, which has its handlers by now
        signal.set_wakeup_fd(other, warn_on_full_buffer=False)
        os.close(reader)
        os.close(writer)
        return False

    def listen() -> None:
        while number := os.read(reader, 1):
            if number[0] == wanted:
                _note(wanted)

    threading.Thread(target=listen, name="signals", daemon=True).start()
    return True
