"""The small server beside what a process serves: silent connections keep nobody out."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest

from wsgiproxy.observe.side_server import SideServer


@pytest.fixture
def server() -> Iterator[SideServer]:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return [b"here"]

    server = SideServer(socket.create_server(("127.0.0.1", 0)), app, threads=4)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.close()


def test_silent_connections_keep_nobody_out(server: SideServer) -> None:
    address = ("127.0.0.1", server.server_port)
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            silent = opened.enter_context(socket.create_connection(address, 20))
            with contextlib.suppress(OSError):
                silent.sendall(b"GET /")
        with urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=5) as response:
            assert response.read() == b"here"
