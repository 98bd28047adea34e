"""A new process beside the old one, a reload and an end: under load, and no request is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.command import Command, request_bytes, running
from tests.cli.load import under_load
from tests.spawn.children import until
from tests.support.client import raw_exchange
from tests.support.rounds import rounds
from tests.support.upstream import RawUpstream, answer

pytestmark = pytest.mark.in_turns(2)

SERVERS = ["uvicorn", "waitress"]


@pytest.fixture(params=SERVERS)
def server(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream(answer(body=b"page")) as made:
        yield made


def serve(server: str, upstream: RawUpstream, *options: str) -> list[str]:
    return ["serve", upstream.url, "--server", server, "--no-access-log", *options]


def port_of(command: Command) -> int:
    port = urlsplit(command.line().split()[1]).port
    assert port
    return port


def probe(port: int) -> int | None:
    """The status of the health path, asked as a balancer does: by address."""
    return raw_exchange(port, b"GET /-/health HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n").status


def test_a_new_process_beside_the_old_one_on_the_same_socket(server, upstream, listener):
    port = listener.getsockname()[1]
    words = serve(server, upstream)
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(running(*words, listener=listener))
        assert port_of(old) == port
        with under_load(port) as load:
            for _ in range(2):
                load.more(300)
                new = stack.enter_context(running(*words, listener=listener))
                new.line()
                load.more(300)
                assert old.end() == 0, old.stderr
                assert "Traceback" not in old.stderr
                old = new
            load.more(max(300, 2000 - load.answered))
            assert load.last_answers > 4  # of each process that has ended
        assert old.end() == 0


@pytest.mark.parametrize("loop", ["", "asyncio"])
def test_a_restart_with_no_process_in_between(server, loop, upstream, listener, tmp_path):
    """Connections wait in the queue of the socket, which is not ours."""
    port = listener.getsockname()[1]
    words = serve(server, upstream)
    env = {}
    if loop:  # which has lost connections that it had accepted just before the close
        (tmp_path / "uvloop.py").write_text("raise ImportError\n")
        env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    with contextlib.ExitStack() as stack:
        command = stack.enter_context(running(*words, listener=listener, env=env))
        command.line()
        with under_load(port) as load:
            for _ in range(rounds(2, 10)):
                load.more(300)
                assert command.end() == 0, command.stderr
                command = stack.enter_context(running(*words, listener=listener, env=env))
                command.line()
            load.more(300)
        assert command.end() == 0


def test_reloads_and_a_drain_under_load(server, upstream, tmp_path):
    """The balancer sees 503 while connections are still accepted, and sends no more."""
    path = tmp_path / "proxy.toml"
    head = f'listen = "127.0.0.1:0"\nserver = "{server}"\ncheck = false\n'
    head += 'health = "/-/health"\ndrain = 2\n'
    route = f'[[route]]\ntarget = "{upstream.url}"\n'
    path.write_text(head + route)
    with running("serve", "--config", str(path), "--no-access-log") as command:
        port = port_of(command)
        with under_load(port) as load:
            for number in range(1, 6):
                path.write_text(f'{head}{route}via = "v{number}"\n')
                command.send_signal(signal.SIGHUP)
                until(lambda: command.stderr.count("was read again") == number, "it")  # noqa: B023
                load.more(200)
                assert probe(port) == 200
            command.send_signal(signal.SIGTERM)
            until(lambda: probe(port) == 503, "the beginning of the drain")
            load.more(100)  # new connections among them
            assert load.last_answers > 50
            assert load.answered > 1000
        assert command.wait() == 0
        assert "Traceback" not in command.stderr


def test_reuse_port_loses_what_waits_in_the_queue():
    """Why there is no such option: closing a listener resets what it has not accepted."""
    with open("/proc/sys/net/ipv4/tcp_migrate_req") as file:
        if file.read().strip() != "0":
            pytest.skip("this machine hands them over")
    with contextlib.ExitStack() as stack:
        old, new = (stack.enter_context(socket.socket()) for _ in range(2))
        for each in (old, new):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", old.getsockname()[1]))
            each.listen(100)
        clients = [socket.create_connection(old.getsockname(), 10) for _ in range(60)]
        for client in clients:
            stack.enter_context(client)
            client.sendall(request_bytes("GET /"))
        old.close()
        new.settimeout(1)
        accepted = 0
        with contextlib.suppress(TimeoutError):
            while True:
                stack.enter_context(new.accept()[0])
                accepted += 1
        lost = 0
        for client in clients:
            client.setblocking(False)
            try:
                client.recv(1)
            except ConnectionResetError:
                lost += 1
            except BlockingIOError:
                continue  # it waits for an answer
        assert 0 < lost == len(clients) - accepted
