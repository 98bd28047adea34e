"""WebSockets through a process on demand under WSGI: a tunnel keeps it, and ends with it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.spawn.children import LIMIT, ask, environ, until
from wsgiproxy.spawn import SpawningApplication

pytest.importorskip("websockets")

PROGRAM = Path(__file__).with_name("websocket_program.py")
HANDSHAKE = {
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}
# A masked text, and the same without a mask (RFC 6455, 5.7).
HELLO, ECHO = b"\x81\x85\0\0\0\0hello", b"\x81\x05hello"


def talker(**words: object) -> list[str]:
    return [sys.executable, str(PROGRAM), "{port}", *(f"{k}={v}" for k, v in words.items())]


class Talk:
    """The client of one tunnel; the application runs in a thread, as a server has it."""

    def __init__(self, app: SpawningApplication, path: str, server: socket.socket) -> None:
        self.status = ""
        more: dict[str, Any] = {"wsgiproxy.socket": server, "wsgiproxy.unread": b"", **HANDSHAKE}

        def start(status: str, headers: object, _: object = None) -> Any:
            self.status = status
            return lambda data: None

        def run() -> None:
            for _ in app(environ(path, **more), start):
                pass

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()


@contextmanager
def talking(app: SpawningApplication, path: str = "/") -> Iterator[tuple[Talk, socket.socket]]:
    server, client = socket.socketpair()
    with server, client:
        client.settimeout(LIMIT)
        talk = Talk(app, path, server)
        try:
            yield talk, client
        finally:
            client.close()
            talk.thread.join(LIMIT)
            assert not talk.thread.is_alive()


def opened(client: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    client.sendall(HELLO)
    assert client.recv(100) == ECHO


def ended(client: socket.socket) -> None:
    """It ends within a second; its last bytes may be a Close frame of the process."""
    client.settimeout(1)
    while client.recv(100):
        pass


def test_it_starts_the_process_and_keeps_it(spawn):
    app = spawn(talker(), idle_shutdown=0.2)
    with talking(app) as (_, client):
        opened(client)
        pid = app.pid
        time.sleep(0.6)  # three times as long as a process may be idle
        client.sendall(HELLO)
        assert client.recv(100) == ECHO and app.pid == pid
    until(lambda: app.state == "stopped", "the idle stop")


def test_an_ignored_path_neither_starts_nor_keeps_it(spawn):
    app = spawn(talker(), idle_shutdown=0.3, idle_ignore="/live")
    with talking(app, "/live") as (talk, _):
        talk.thread.join(LIMIT)
        assert talk.status.startswith("503") and app.state == "stopped"
    assert ask(app).status == 200
    with talking(app, "/live") as (_, client):
        opened(client)
        until(lambda: app.state != "ready", "the idle stop")
        ended(client)
    until(lambda: app.state == "stopped", "its end")


def test_a_start_that_takes_too_long_gets_503(spawn, gate):
    with talking(spawn(talker(gate=gate), max_wait=0.1)) as (talk, _):
        talk.thread.join(LIMIT)
        assert talk.status.startswith("503")


@pytest.mark.parametrize("end", ["dies", "waits"])
def test_a_stop_ends_tunnels_and_does_not_wait_for_them(spawn, end):
    app = spawn(talker(end=end), stop_timeout=20)
    with talking(app) as (_, client):
        opened(client)
        begun = time.monotonic()
        app.stop()
        assert time.monotonic() - begun < 3
        ended(client)
    with talking(app) as (_, client):
        opened(client)
        app.close()
        ended(client)


def test_a_process_that_dies_takes_its_tunnels_along(spawn):
    app = spawn(talker())
    with talking(app) as (_, client):
        opened(client)
        os.kill(app.pid, signal.SIGKILL)
        ended(client)
