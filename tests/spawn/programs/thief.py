"""Somebody else who listens where our process should, and counts what he gets."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time

from tests.spawn.children import LIMIT

__all__ = ["Thief"]

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"


class Thief:
    """Listens from the beginning of its block, in a thread, and answers whatever it hears.

    :param address: of IPv4, of IPv6, or the path of a Unix socket, which is replaced.
    :param port: the port; any free one if it is 0.
    :param reuse: also beside others of the same user who allow it.
    :param patient: try again until the address is free, and not at all wait for that.
    """

    def __init__(
        self, address: str, port: int = 0, *, reuse: bool = False, patient: bool = False
    ) -> None:
        self.stolen = b""
        self.connections = 0
        self._address = address
        self.port = port
        self._reuse = reuse
        self._patient = patient
        self.listens = threading.Event()
        self._ended = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="thief", daemon=True)

    def __enter__(self) -> Thief:
        if not self._patient:
            self._open()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(LIMIT)
        if self._socket is not None:
            self._socket.close()

    def _open(self) -> None:
        if self._address.startswith("/"):
            sock = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._address)
            sock.bind(self._address)
        else:
            sock = socket.socket(socket.AF_INET6 if ":" in self._address else socket.AF_INET)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._reuse:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                sock.bind((self._address, self.port))
                sock.listen(100)
            except BaseException:
                sock.close()
                raise
            self.port = sock.getsockname()[1]
        sock.listen(100)
        self._socket = sock
        self.listens.set()

    def _run(self) -> None:
        while self._socket is None and not self._ended.is_set():
            try:
                self._open()
            except OSError as error:
                assert error.errno == errno.EADDRINUSE, error
                time.sleep(0)  # at the very moment at which it is free
        while not self._ended.is_set():
            assert self._socket is not None
            with contextlib.suppress(OSError), self._socket.accept()[0] as connection:
                self.connections += 1
                self._rob(connection)

    def _rob(self, connection: socket.socket) -> None:
        connection.settimeout(LIMIT)
        while data := connection.recv(65536):
            self.stolen += data
            connection.sendall(_ANSWER)
