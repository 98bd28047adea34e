"""How connections and servers end: tunnels, closing, what is left behind."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import Recorder, connections, descriptors, handler, hello, serving, until
from tests.support.client import RawClient, raw_exchange, request_bytes
from wsgiproxy.server import Handler

HALF = b"GET / HTTP/1.1\r\nHost: h\r\n"


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


def ours() -> list[str]:
    """The threads of connections of this test."""
    return [name for name in threads() if name.startswith("wsgiproxy-") and name not in _before]


# Of a test before, in the same process, a client may not have left yet.
_before: set[str] = set()


@pytest.fixture(autouse=True)
def _know_threads_of_others() -> None:
    _before.clear()
    _before.update(threads())


@pytest.mark.parametrize("pooled", [True, False], ids=["pool", "threads"])
def test_a_closed_server_leaves_no_thread_and_no_socket(pooled: bool) -> None:
    def wanted() -> bool:
        gc.collect()
        # What others have left may go meanwhile.
        return not (Counter([*threads(), *descriptors()]) - before)

    before = Counter([*threads(), *descriptors()])
    with serving(hello, use_threadpool=pooled) as server:
        waiting = [RawClient(server.server_port) for _ in range(20)]
        for client in waiting[:10]:
            client.send(HALF)
        until(lambda: len(ours()) == 20, "thread for each")
        assert raw_exchange(server.server_port, request_bytes("GET /")).complete
        left = RawClient(server.server_port)
        left.send(request_bytes("GET /"))
        left.reset()
    for client in waiting:
        assert client.closed_by_server()
        client.close()
    until(wanted, "return to what was before")


def test_a_request_in_progress_is_served_though_the_server_closes() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def app(environ: Any, start_response: Any) -> Any:
        inside.set()
        go_on.wait(20)
        return hello(environ, start_response)

    with serving(app) as server:
        client = RawClient(server.server_port)
        client.send(request_bytes("GET /"))
        assert inside.wait(20)
    go_on.set()
    with client:
        assert client.response().body == b"hello"
    until(lambda: not ours(), "end of its thread")


def test_a_connection_that_a_closed_server_still_had_in_its_queue_ends() -> None:
    with serving(hello) as server:
        pass
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        RawClient(listener.getsockname()[1]) as client,
    ):
        accepted, address = listener.accept()
        Handler(accepted, address, server)
        assert client.closed_by_server()
    until(lambda: not ours(), "end of its thread")


def test_the_worker_is_free_at_once_and_what_paste_closes_is_empty() -> None:
    given: list[Any] = []

    class Kept(Handler):
        def __init__(self, request: Any, client_address: Any, server: Any) -> None:
            given.append(request)
            super().__init__(request, client_address, server)

    options: dict[str, Any] = {"threadpool_workers": 1, "threadpool_options": {"spawn_if_under": 0}}
    with serving(hello, Kept, **options) as it, RawClient(it.server_port) as half:
        half.send(HALF)
        until(lambda: given and given[0].fileno() == -1, "hand-over")
        assert raw_exchange(it.server_port, request_bytes("GET /")).body == b"hello"


# Tunnels


def tunnel(environ: Any, start_response: Any) -> Any:
    """Echoes in upper case until the client ends its side."""
    client = environ["wsgiproxy.socket"]
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    data = environ["wsgiproxy.unread"]
    while data:
        client.sendall(data.upper())
        data = client.recv(65536)
    client.shutdown(socket.SHUT_RDWR)
    start_response("200 Connection established", [])
    return []


def closing(environ: Any, start_response: Any) -> Any:
    """The same, but it closes the socket, and never answers."""
    tunnel(environ, lambda status, headers: None)
    environ["wsgiproxy.socket"].close()
    return []


def by_start(environ: Any, start_response: Any) -> Any:
    """One that lets the server write."""
    start_response("200 Connection established", [])
    data = environ["wsgiproxy.unread"]
    yield b""
    while data:
        yield data.upper()
        data = environ["wsgiproxy.socket"].recv(65536)


@pytest.mark.parametrize("app", [tunnel, closing, by_start], ids=lambda app: app.__name__)
def test_a_tunnel_has_the_socket_for_itself(
    app: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The end of one side is not that of the other, and the last bytes arrive."""
    with serving(app) as server, RawClient(server.server_port) as client:
        client.send(request_bytes("CONNECT h:443") + b"early")
        head = client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 Connection established\r\n")
        assert b"ncoding" not in head
        assert client.read_until(b"EARLY") == b"EARLY"
        client.send(b"more" * 500_000)
        client.shutdown_write()
        assert client.closed_by_server()
        assert client.received.endswith(b"EARLY" + b"MORE" * 500_000)
    until(lambda: not ours(), "end of its thread")
    assert caplog.records == []


def test_an_application_may_close_the_socket_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    class Body:
        def __init__(self, client: socket.socket) -> None:
            self._client = client

        def __iter__(self) -> Any:
            yield b"all"

        def close(self) -> None:
            self._client.close()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Body(environ["wsgiproxy.socket"])

    with serving(app) as server:
        assert raw_exchange(server.server_port, request_bytes("GET /")).body == b"all"
        until(lambda: not ours(), "end of its thread")
    assert caplog.records == []


def test_tunnels_do_not_stop_others() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        answer = tunnel if environ["REQUEST_METHOD"] == "CONNECT" else hello
        return answer(environ, start_response)

    with serving(app) as server:
        tunnels = [RawClient(server.server_port) for _ in range(30)]
        for client in tunnels:
            client.send(request_bytes("CONNECT h:443") + b"x")
            client.read_until(b"X")
        assert raw_exchange(server.server_port, request_bytes("GET /")).body == b"hello"
        for client in tunnels:
            client.close()
        until(lambda: not ours(), "end of the tunnels")


def test_the_socket_has_a_time_limit_when_the_application_gets_it() -> None:
    recorder = Recorder()
    limits: list[float | None] = []

    def app(environ: Any, start_response: Any) -> Any:
        limits.append(environ["wsgiproxy.socket"].gettimeout())
        return recorder(environ, start_response)

    with serving(app, handler(idle_timeout=7)) as server:
        assert raw_exchange(server.server_port, request_bytes("GET /")).complete
    assert limits == [7]


# TLS


class Likeness:
    """What Paste gives for pyOpenSSL: no socket, but with the methods of one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def shutdown(self) -> None:
        """That of TLS, which has no argument."""

    def sock_shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def settimeout(self, seconds: float) -> None:
        raise AssertionError("recv would fail with it")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_what_is_no_plain_socket_stays_in_its_worker() -> None:
    recorder = Recorder()
    with (
        serving(recorder) as server,
        socket.create_server(("127.0.0.1", 0)) as listener,
        RawClient(listener.getsockname()[1]) as client,
    ):
        client.send(request_bytes("GET /"))
        accepted, address = listener.accept()
        Handler(Likeness(accepted), address, server)
        assert len(recorder.environs) == 1  # it has not returned before
        assert client.response().complete
    assert recorder.environ["wsgi.url_scheme"] == "https"
    assert "wsgiproxy.socket" not in recorder.environ


def test_tls_of_the_standard_library(tls_files: tuple[ssl.SSLContext, Path]) -> None:
    recorder = Recorder()
    trusting = ssl.create_default_context(cafile=str(tls_files[1]))
    with (
        serving(recorder, handler(idle_timeout=0.3), tls=tls_files[0]) as server,
        socket.create_connection(server.server_address) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(request_bytes("POST /", [("Content-Length", "9")]) + b"abc")
        received = b""
        with contextlib.suppress(ssl.SSLError):  # the end without close_notify
            while data := client.recv(65536):
                received += data
    assert received.startswith(b"HTTP/1.1 408 ")
    assert recorder.environ["wsgi.url_scheme"] == "https"
    assert "wsgiproxy.socket" not in recorder.environ


def test_no_thread_for_a_connection_is_no_end_of_the_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("wsgiproxy-"):
            raise RuntimeError("can't start new thread")
        original(thread)

    original = threading.Thread.start
    with serving(hello) as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            # The reset may be faster than our own connect.
            with contextlib.suppress(ConnectionError), RawClient(server.server_port) as client:
                assert client.closed_by_server()
            until(lambda: "can't start new thread" in caplog.text, "log")
        assert raw_exchange(server.server_port, request_bytes("GET /")).body == b"hello"
        until(lambda: not connections(server), "end of both")
