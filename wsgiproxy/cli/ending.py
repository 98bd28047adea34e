"""The end of a spawned process with ours: what a signal begins, and what our exit waits for."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import signal
import threading
from multiprocessing.util import Finalize
from time import monotonic, sleep
from types import FrameType
from typing import TYPE_CHECKING

from wsgiproxy.cli.liveline import erase
from wsgiproxy.sansio.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsgiproxy.spawn import SpawningApplication

    Handler = Callable[[int, FrameType | None], object]

__all__ = ["Ending"]

# Who passes Ctrl-C on to us does so at once: the terminal has told us, too.
_SAME = 0.5  # seconds
# Between two looks at a parent where the system does not tell of its end.
_LOOK = 0.1


class Ending:
    """Ends a process when its server is told to end; the second Ctrl-C waits for nothing.

    Requests that wait for a start are refused at once, or the server would wait for them.
    Those that are being served may go on until the server has ended.

    :param proxy: the process, as an application.
    :param first: number of the process that a person has started; we may be its worker.
    """

    def __init__(self, proxy: SpawningApplication, first: int) -> None:
        self._proxy = proxy
        self._lock = threading.Lock()
        self._told: float | None = None
        atexit.register(self._at_exit)
        # The workers of granian leave by another door.
        Finalize(None, self._at_exit, exitpriority=0)
        if first != os.getpid():
            threading.Thread(target=_end_with, args=[first], name="parent", daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            self._go_before(signal.SIGINT)
            if not self._hear(signal.SIGTERM):
                self._go_before(signal.SIGTERM)

    def _go_before(self, number: int) -> None:
        """Be told of a signal before the handler that there is."""
        then = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None) -> None:
            if self._take_note(number) and callable(then):
                then(number, frame)

        if callable(then):
            signal.signal(number, handle)

    def _hear(self, wanted: int) -> bool:
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
                    self._take_note(wanted)

        threading.Thread(target=listen, name="signals", daemon=True).start()
        return True

    def _take_note(self, number: int) -> bool:
        """Whether it is the first signal."""
        now = monotonic()
        if self._told is not None:
            if number == signal.SIGINT and now - self._told > _SAME:
                erase()
                os._exit(130)  # the lifeline ends with us, and the command with it
            return False
        self._told = now
        # A handler must not wait for locks.
        threading.Thread(target=self._refuse, name="ending", daemon=True).start()
        return True

    def _refuse(self) -> None:
        if self._proxy.state != "ready":
            self._close()

    def _close(self) -> None:
        with self._lock:
            if self._proxy.state in ("starting", "ready"):
                logger = logging.getLogger("wsgiproxy.spawn")
                logger.info("stopping", extra={"spawn": Phase.DRAINING})
            self._proxy.close()

    def _at_exit(self) -> None:
        # The sockets of waitress are closed, which its threads find out only now.
        logging.getLogger("waitress").disabled = True
        self._close()


def _end_with(parent: int) -> None:
    """End when our parent has ended without a word: granian's workers would serve for ever."""
    with contextlib.suppress(AttributeError, OSError):  # Linux alone has it
        ended = select.poll()
        ended.register(os.pidfd_open(parent), select.POLLIN)
        ended.poll()
    while os.getppid() == parent:
        sleep(_LOOK)
    os._exit(1)
