"""The end of a spawned process together with the command, by a signal or at exit."""

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
    from typing import Protocol

    class _Spawner(Protocol):
        @property
        def state(self) -> str: ...

        def close(self) -> None: ...


__all__ = ["Ending"]

# Seconds between two looks at the parent where the system has no pidfd_open().
_INTERVAL = 0.1


class Ending:
    """Ends the process of a spawner, of either interface, when the server ends.

    Requests that wait for a start are refused at once, or the server would wait for them. Those
    in progress may go on until the server has ended.

    :param first: process id of ``wsgiproxy serve``, of which this process may be a worker.
    :param grace: seconds for requests in progress.
    """

    def __init__(self, proxy: _Spawner, first: int, grace: float = GRACE) -> None:
        self._proxy = proxy
        self._grace = grace
        self._lock = threading.Lock()
        atexit.register(self._at_exit)
        # The workers of granian do not run atexit.
        Finalize(None, self._at_exit, exitpriority=0)
        if first != os.getpid():
            threading.Thread(target=_end_with, args=[first], name="parent", daemon=True).start()
        at_first_signal(self._refuse)

    def _refuse(self) -> None:
        if self._proxy.state == "ready":
            # A server may wait without end for its threads; the command must not.
            sleep(self._grace)
        self.close()

    def close(self) -> None:
        """End the process, and say so, once; it may block."""
        with self._lock:
            if self._proxy.state in ("starting", "ready"):
                logger = logging.getLogger("wsgiproxy.spawn")
                logger.info("stopping", extra={"spawn": Phase.DRAINING})
            self._proxy.close()

    def _at_exit(self) -> None:
        # The threads of waitress would log errors of its closed sockets.
        logging.getLogger("waitress").disabled = True
        self.close()


def _end_with(parent: int) -> None:
    """End when the parent was killed; workers of granian would serve for ever."""
    with contextlib.suppress(AttributeError, OSError):  # Linux alone has pidfd_open()
        ended = select.poll()
        ended.register(os.pidfd_open(parent), select.POLLIN)
        ended.poll()
    while os.getppid() == parent:
        sleep(_INTERVAL)
    os._exit(1)
