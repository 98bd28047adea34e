"""``serve --metrics``: an address of its own, in the process that serves."""

from __future__ import annotations

import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.cli.command import Command, request_bytes, running
from tests.cli.serving import SERVERS
from tests.spawn.children import until
from tests.support.client import RawClient, raw_exchange
from tests.support.judges import JudgedResponse
from tests.support.ports import free_port
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli import main
from wsgiproxy.cli.variables import from_environment

pytest.importorskip("prometheus_client")

LISTEN = ("--listen", "127.0.0.1:0")
METRICS = ("--metrics", "127.0.0.1:0")


@pytest.fixture
def target(upstream: RawUpstream) -> RawUpstream:
    upstream.behaviour = answer(body=b"hello")
    return upstream


def ports(command: Command) -> tuple[int, int]:
    """Where it serves, and where the figures are."""
    line = command.line()
    found = re.search(
        r"Serving http://[^:]+:(\d+)/.*; metrics at http://127.0.0.1:(\d+)/metrics\)", line
    )
    assert found, line
    return int(found[1]), int(found[2])


def asked(port: int, path: str, host: str = "127.0.0.1") -> JudgedResponse:
    return raw_exchange(port, request_bytes(f"GET {path}", host=host))


def figures(port: int) -> str:
    answer = asked(port, "/metrics")
    assert answer.status == 200
    return answer.body.decode()


@pytest.mark.parametrize("server", SERVERS)
def test_each_server(server: str, target: RawUpstream):
    pytest.importorskip(server)
    with running("serve", target.url, *LISTEN, *METRICS, "--server", server) as command:
        port, shown = ports(command)
        for _ in range(3):
            assert asked(port, "/x", "localhost").status == 200
        labels = f'method="GET",route="",status="200",upstream="{target.url}"'
        count = f"wsgiproxy_requests_total{{{labels}}} 3.0"
        until(lambda: count in figures(shown), count)  # the record comes after the answer
        # What is asked for there is no exchange of the proxy.
        assert figures(shown).count("wsgiproxy_requests_total{") == 1
        assert asked(port, "/metrics", "localhost").body == b"hello"
        assert command.end() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", shown))


def test_names_of_others_are_refused(target: RawUpstream):
    with running("serve", target.url, *LISTEN, *METRICS, "--server", "waitress") as command:
        _, shown = ports(command)
        assert asked(shown, "/metrics", "evil.example").status == 421
        assert asked(shown, "/metrics", "metrics.localhost").status == 200


@pytest.mark.parametrize("server", ["waitress", "uvicorn"])
def test_a_client_that_says_nothing_keeps_nothing(server: str, target: RawUpstream):
    pytest.importorskip(server)
    with running("serve", target.url, *LISTEN, *METRICS, "--server", server) as command:
        port, shown = ports(command)
        with RawClient(shown):
            assert "wsgiproxy_requests_in_flight 0.0" in figures(shown)
            assert asked(port, "/", "localhost").status == 200
            assert command.end(signal.SIGTERM) == 0


def test_the_prefix_is_the_route(target: RawUpstream):
    words = ("--prefix", "/app", "--server")
    for server in ("waitress", "uvicorn"):
        with running("serve", target.url, *LISTEN, *METRICS, *words, server) as command:
            port, shown = ports(command)
            assert asked(port, "/app/x", "localhost").status == 200
            until(lambda at=shown: 'method="GET",route="/app",status="200"' in figures(at))


def test_a_port_that_is_taken(target: RawUpstream, capfd: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", target.url, *LISTEN, "--metrics", f"127.0.0.1:{port}"]) == 1
    error = f"cannot listen on 127.0.0.1:{port}: address already in use; another --metrics may help"
    assert error in capfd.readouterr().err


@pytest.mark.parametrize("server", ["uvicorn", "waitress", "gunicorn"])
def test_a_version_beside_the_old_one_waits_for_the_port(server: str, target: RawUpstream):
    pytest.importorskip(server)
    shown = free_port()
    words = ("serve", target.url, "--metrics", str(shown), "--server", server)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=100) as listener,
        running(*words, listener=listener) as old,
    ):
        port, _ = ports(old)
        with running(*words, listener=listener) as new:
            line = new.line()
            assert f"metrics at http://127.0.0.1:{shown}/metrics when its port is free)" in line
            assert "wsgiproxy_requests_in_flight" in figures(shown)
            assert old.end() == 0
            assert asked(port, "/x", "localhost").body == b"hello"  # before its figures are shown
            until(lambda: accepts(shown), "the listener of the new one")
            count = f'status="200",upstream="{target.url}"}} 1.0'
            until(lambda: count in figures(shown), count)
            assert new.end() == 0


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_version_that_waits_for_the_port_ends(target: RawUpstream):
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_server(("127.0.0.1", 0)) as taken,
        running(
            *("serve", target.url, "--metrics", str(taken.getsockname()[1])), listener=listener
        ) as command,
    ):
        command.line()
        assert command.end() == 0


def test_an_address_that_is_none(target: RawUpstream, capfd: pytest.CaptureFixture[str]):
    assert main(["serve", target.url, *LISTEN, "--metrics", "nowhere"]) == 2
    assert "--metrics 'nowhere': expected host:port" in capfd.readouterr().err


def test_without_the_library(target: RawUpstream, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert main(["serve", target.url, *LISTEN, *METRICS]) == 2
    expected = "--metrics: the package prometheus-client is not installed; try: pip install"
    assert expected in capfd.readouterr().err


FILE = """\
listen = "127.0.0.1:0"
server = "{server}"
metrics = "127.0.0.1:{port}"
request-id = true

[[route]]
prefix = "/shop"
target = "{target}"
"""


@pytest.mark.parametrize("server", ["waitress", "uvicorn"])
def test_in_the_file(server: str, echo: RawUpstream, tmp_path: Path):
    pytest.importorskip(server)
    shown = free_port()
    path = tmp_path / "proxy.toml"
    path.write_text(FILE.format(server=server, port=shown, target=echo.url))
    with running("serve", "--config", str(path)) as command:
        port, there = ports(command)
        assert there == shown
        answer = asked(port, "/shop/x", "localhost")
        assert b'"X-Request-Id"' in answer.body
        labels = f'method="GET",route="/shop",status="200",upstream="{echo.url}"'
        until(lambda: f"wsgiproxy_requests_total{{{labels}}} 1.0" in figures(shown), labels)
        path.write_text(FILE.format(server=server, port=shown + 1, target=echo.url))
        command.send_signal(signal.SIGHUP)
        until(lambda: "a new metrics needs a restart" in command.stderr, "the warning")
        assert asked(port, "/shop/x", "localhost").status == 200
        # Those of before go on.
        until(lambda: f"wsgiproxy_requests_total{{{labels}}} 2.0" in figures(shown), labels)


def test_in_the_environment():
    process, common = from_environment({"WSGIPROXY_METRICS": "127.0.0.1:9100"})
    assert (process, common) == ({"metrics": "127.0.0.1:9100"}, {})


def test_a_file_with_an_address_that_is_none(tmp_path: Path, capfd):
    path = tmp_path / "proxy.toml"
    path.write_text('metrics = "nowhere"\n[[route]]\ntarget = ":1"\n')
    assert main(["check", str(path)]) == 1
    assert "metrics='nowhere': expected host:port" in capfd.readouterr().out
