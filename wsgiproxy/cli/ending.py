"""The end of a spawned process with ours: what a signal begins, and what our exit waits for."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import select
import threading
from multiprocessing.util import Finalize
from time import sleep
from typing import TYPE_CHECKING

from wsgiproxy.cli.servers import GRACE
from wsgiproxy.cli.signals import at_first_signal
from wsgiproxy.sansio.process.lifecycle import Phase

if TYPE_CHECKING:
    from wsgiproxy.spawn import SpawningApplication

__all__ = ["Ending"]

# Between two looks at a parent where the system does not tell of its end.
_LOOK = 0.1


class Ending:
    """Ends a process when its server is told to end.

    Requests that wait for a start are refused at once, or the server would wait for them.
    Those that are being served may go on until the server has ended.

    :param proxy: the process, as an application.
    :param first: number of the process that a person has started; we may be its worker.
    """

    def __init__(self, proxy: SpawningApplication, first: int) -> None:
        self._proxy = proxy
        self._lock = threading.Lock()
        atexit.register(self._at_exit)
        # The workers of granian leave by another door.
        Finalize(None, self._at_exit, exitpriority=0)
        if first != os.getpid():
            threading.Thread(target=_end_with, args=[first], name="parent", daemon=True).start()
        at_first_signal(self._refuse)

    def _refuse(self) -> None:
        if self._proxy.state == "ready":
            # Threads that a server waits for without end would keep the command for as long.
            sleep(GRACE)
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
