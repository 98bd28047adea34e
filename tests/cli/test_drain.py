"""SIGTERM: what was begun is finished within a limit, and nothing new is begun."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.cli.command import Command, request_bytes, running
from tests.spawn.children import until
from tests.support.client import RawClient, raw_exchange
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli.servers import GRACE, SILENCE

pytestmark = pytest.mark.in_turns(2)


@pytest.fixture(params=["uvicorn", "waitress"])
def server(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """The upstream answers when it is set."""
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def upstream(gate) -> Iterator[RawUpstream]:
    late = answer(headers=[("Connection", "close")], body=b"late")
    with RawUpstream([("read",), ("wait", gate), ("send", late), ("close",)]) as made:
        yield made


@pytest.fixture
def quick() -> Iterator[RawUpstream]:
    """It answers at once, again and again."""
    with RawUpstream(answer(body=b"page")) as made:
        yield made


def serve(server: str, upstream: RawUpstream, *options: str) -> list[str]:
    return ["serve", upstream.url, "--server", server, "--listen", "127.0.0.1:0", *options]


def port_of(command: Command) -> int:
    port = urlsplit(command.line().split()[1]).port
    assert port
    return port


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def seconds_to(end: Command) -> float:
    begin = time.monotonic()
    assert end.wait() == 0
    return time.monotonic() - begin


def test_requests_in_progress_are_finished_with_connection_close(server, upstream, gate):
    with running(*serve(server, upstream)) as command:
        port = port_of(command)
        with RawClient(port) as client, RawClient(port) as old:
            client.send(request_bytes("GET /"))
            fields = "Host: localhost\r\nConnection: keep-alive"
            old.send(f"GET /old HTTP/1.0\r\n{fields}\r\n\r\n".encode())
            upstream.wait_for_requests(2)
            command.send_signal(signal.SIGTERM)
            until(lambda: refuses(port), "the end of the listener")
            gate.set()
            for each in (client, old):
                got = each.response()
                assert (got.status, got.body, got.complete) == (200, b"late", True)
                assert got.values("Connection") == ["close"]
                assert each.closed_by_server()
        assert seconds_to(command) < GRACE
        assert "Traceback" not in command.stderr


def test_requests_that_wait_for_a_thread_are_served(upstream, gate):
    with running(*serve("waitress", upstream, "--threads", "1")) as command:
        port = port_of(command)
        clients = [RawClient(port) for _ in range(4)]
        for client in clients:
            client.send(request_bytes("GET /"))
        upstream.wait_for_requests(1)
        command.send_signal(signal.SIGTERM)
        until(lambda: refuses(port), "the end of the listener")
        gate.set()
        for client in clients:
            with client:
                assert client.response().body == b"late"
        assert command.wait() == 0
        assert "Canceling" not in command.stderr


def test_an_upload_in_progress_is_finished(server, quick):
    with running(*serve(server, quick)) as command:
        port = port_of(command)
        with RawClient(port) as client:
            client.send(request_bytes("POST /", [("Content-Length", "6")]) + b"abc")
            raw_exchange(port, request_bytes("GET /"))  # so that it has arrived
            begin = time.monotonic()
            command.send_signal(signal.SIGTERM)
            until(lambda: refuses(port), "the end of the listener")
            # A client that is silent between two requests would be sent away by now.
            until(lambda: time.monotonic() - begin > SILENCE * 1.5, "some time")
            client.send(b"def")
            got = client.response()
            assert (got.body, got.values("Connection")) == (b"page", ["close"])
        assert command.wait() == 0
        assert b"abcdef" in [each.body for each in quick.requests]


def test_a_kept_connection_has_one_more_request(server, quick):
    with running(*serve(server, quick)) as command:
        port = port_of(command)
        with RawClient(port) as kept, RawClient(port) as new, RawClient(port) as silent:
            kept.send(request_bytes("GET /"))
            assert kept.response().values("Connection") == []
            new.send(b"GET / HTTP/1.1\r\nHo")
            raw_exchange(port, request_bytes("GET /"))
            begin = time.monotonic()
            command.send_signal(signal.SIGTERM)
            until(lambda: refuses(port), "the end of the listener")
            kept.send(request_bytes("GET /last"))
            new.send(b"st: localhost\r\n\r\n")
            for each in (kept, new):
                got = each.response()
                assert (got.body, got.values("Connection")) == (b"page", ["close"])
                assert each.closed_by_server()
            assert silent.closed_by_server() and silent.received == b""
            assert SILENCE * 0.9 < time.monotonic() - begin < GRACE
        assert command.wait() == 0


def test_ctrl_c_closes_kept_connections_at_once(server, quick):
    with running(*serve(server, quick, "--drain", "600")) as command:
        with RawClient(port_of(command)) as kept:
            kept.send(request_bytes("GET /"))
            kept.response()
            begin = time.monotonic()
            command.send_signal(signal.SIGINT)
            assert kept.closed_by_server()
            assert time.monotonic() - begin < SILENCE * 0.9
        assert command.wait() == 0


def test_what_does_not_end_is_cut_at_the_limit(server):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
    with (
        RawUpstream([("read",), ("send", head)]) as upstream,
        running(*serve(server, upstream, "--grace", "2")) as command,
        RawClient(port_of(command)) as client,
    ):
        client.send(request_bytes("GET /"))
        client.read_until(b"data: 1\n\n")
        begin = time.monotonic()
        command.send_signal(signal.SIGTERM)
        assert client.closed_by_server()
        assert b"0\r\n\r\n" not in client.received  # it does not look as if it had ended
        assert 1.8 < time.monotonic() - begin < 5
        assert command.wait() == 0
        assert "1 request is in progress, with 2 s to finish" in command.stderr


def test_a_drain_accepts_connections_until_it_is_over(server, quick):
    with running(*serve(server, quick, "--drain", "1.5")) as command:
        port = port_of(command)
        begin = time.monotonic()
        command.send_signal(signal.SIGTERM)
        served = 0
        # A socket of our own is closed in the end; what then waits in its queue is reset.
        with contextlib.suppress(ConnectionError):
            while not (got := raw_exchange(port, request_bytes("GET /"))).error:
                assert (got.body, got.values("Connection")) == (b"page", ["close"])
                served += 1
        assert served > 3
        assert 1.4 < time.monotonic() - begin < 4
        assert command.wait() == 0
        assert "Traceback" not in command.stderr


def test_what_began_before_a_drain_is_the_last_of_its_connection(server, upstream, gate):
    options = ("--drain", "1.5", "--health", "/-/health")
    with running(*serve(server, upstream, *options)) as command:
        port = port_of(command)
        with RawClient(port) as client:
            client.send(request_bytes("GET /"))
            upstream.wait_for_requests(1)
            command.send_signal(signal.SIGTERM)
            probe = request_bytes("GET /-/health")
            until(lambda: raw_exchange(port, probe).status == 503, "the signal")
            gate.set()
            got = client.response()
            assert (got.body, got.values("Connection")) == (b"late", ["close"])
            assert client.closed_by_server()
        assert command.wait() == 0


def test_a_handshake_in_progress_is_told_to_come_again(upstream):
    """503: a balancer sends it to another server, which it would not do with a 500."""
    pytest.importorskip("websockets")
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    fields.append(("Sec-WebSocket-Key", "MDAwMDAwMDAwMDAwMDAwMA=="))
    with running(*serve("uvicorn", upstream)) as command, RawClient(port_of(command)) as client:
        client.send(request_bytes("GET /", fields))
        upstream.wait_for_requests(1)
        command.send_signal(signal.SIGTERM)
        assert client.response().status == 503
        assert client.closed_by_server()
        assert command.wait() == 0


def test_a_command_is_there_until_the_drain_is_over(server):
    """It is started by a request during the drain, and ended behind it."""
    from tests.spawn.children import child

    words = ["serve", "--server", server, "--listen", "127.0.0.1:0", "--drain", "4"]
    with running(*words, "--", *child(port="{port}")) as command:
        port = port_of(command)
        command.send_signal(signal.SIGTERM)
        got = raw_exchange(port, request_bytes("GET /pid"), timeout=30)
        assert got.status == 200, (got, command.stderr)
        assert command.wait() == 0
        assert not command.left_over()


def test_a_signal_during_the_start_ends_it(server, upstream, tmp_path):
    (tmp_path / "slow_hooks.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(__file__).with_name('started').touch()\n"
        "while True: time.sleep(0.01)\n"
    )
    path = tmp_path / "proxy.toml"
    path.write_text(
        f'server = "{server}"\ncheck = false\ndrain = 600\nhooks = ["slow_hooks:x"]\n'
        f'[[route]]\ntarget = "{upstream.url}"\n'
    )
    with running("serve", "--config", str(path), env={"PYTHONPATH": str(tmp_path)}) as command:
        until((tmp_path / "started").exists, "the import")
        assert command.end() != 0  # nothing is served yet
