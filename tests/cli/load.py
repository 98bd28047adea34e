"""Clients that ask all the time, on kept connections and on new ones, and count what fails."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from tests.cli.command import request_bytes
from tests.spawn.children import until
from tests.support.client import RawClient

__all__ = ["Load", "under_load"]

_REQUEST = request_bytes("GET /page")
# Seconds; while no process serves, connections wait in the queue of the listening socket.
_PATIENCE = 30.0
# Seconds between two requests of a client that thinks; less than a silent one is kept at the end.
_PAUSE = 0.4
# Seconds for which a server that ends keeps a silent connection, and a little less.
_SILENCE = 0.9


class _Client(RawClient):
    """A client that knows since when it has been silent."""

    def __init__(self, port: int, timeout: float) -> None:
        super().__init__(port, timeout=timeout)
        self.since = time.monotonic()


class Load:
    """Some clients, each in a thread, until :meth:`stop`.

    A request that is not answered with 200 has failed. None is sent again: not even one on a kept
    connection that the server was just closing, unless the client itself has been silent for as
    long as a server waits at its end, as on a machine that has much else to do.
    """

    def __init__(self, port: int, kept: int, short: int, thinking: int) -> None:
        self.failures: list[str] = []
        self.answered = 0
        #: Answers that said that their connection ends.
        self.last_answers = 0
        self._port = port
        self._enough = threading.Event()
        self._lock = threading.Lock()
        kinds = [(True, 0.0)] * kept + [(False, 0.0)] * short + [(True, _PAUSE)] * thinking
        self._threads = [threading.Thread(target=self._ask, args=kind) for kind in kinds]
        for thread in self._threads:
            thread.start()

    def _ask(self, keeps: bool, pause: float) -> None:
        while not self._enough.is_set():
            number = 0
            try:
                with _Client(self._port, timeout=_PATIENCE) as client:
                    while self._exchange(client) and keeps and not self._enough.is_set():
                        number += 1
                        self._enough.wait(pause)
            except OSError as error:
                with self._lock:
                    self.failures.append(f"request {number} of a connection: {error!r}")

    def _exchange(self, client: _Client) -> bool:
        """Whether the connection is kept."""
        client.send(_REQUEST)
        # Not before: on a busy machine this thread may have waited for its turn to send.
        is_late = time.monotonic() - client.since > _SILENCE
        answer = client.response()
        client.since = time.monotonic()
        if is_late and not answer.status and not answer.raw:
            return False
        with self._lock:
            self.answered += 1
            closes = answer.values("Connection") == ["close"]
            self.last_answers += closes
            if answer.status != 200 or not answer.complete or answer.body != b"page":
                self.failures.append(f"{answer.status} {answer.error} {answer.raw[:200]!r}")
        return not closes and not answer.error

    def more(self, count: int) -> None:
        """Return when *count* more requests were answered."""
        wanted = self.answered + count
        until(lambda: self.answered >= wanted or self.failures, f"{count} answers", limit=60)
        assert self.failures == [], self.failures

    def stop(self) -> None:
        """End all clients behind their present requests."""
        self._enough.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def under_load(port: int, kept: int = 3, short: int = 3, thinking: int = 3) -> Iterator[Load]:
    """Clients that ask during a block; none of their requests fails.

    :param kept: clients with one connection, as long as it is kept.
    :param short: clients with a connection for each request.
    :param thinking: clients with one connection, and a pause behind each answer.
    """
    load = Load(port, kept, short, thinking)
    begin = time.monotonic()
    try:
        yield load
    finally:
        load.stop()
    seconds = time.monotonic() - begin
    print(f"{load.answered} requests in {seconds:.1f} s, {load.last_answers} last answers")
    assert load.failures == [], load.failures
