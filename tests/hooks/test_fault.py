"""Faults happen where they are wanted, and a cut body never looks whole."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from tests.hooks.both import EDGES, asked
from tests.support.in_process import front_environ, run
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError, UpstreamLost
from wsgiproxy.hooks.fault import fault


@pytest.mark.parametrize("edge", EDGES)
def test_a_status_is_answered_and_nothing_is_sent(edge: str, upstream: RawUpstream) -> None:
    assert asked(edge, upstream.url, [fault(status=503)]).status == 503
    assert upstream.requests == []


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("cut", [0, 3, 100])
def test_a_cut_breaks_the_connection(edge: str, cut: int, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, body=b"hello")
    with pytest.raises(Exception, match="on purpose|broke|early|incomplete"):
        asked(edge, upstream.url, [fault(cut=cut)])


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("more", "status"), [({}, 200), ({"status": 503}, 503)])
def test_a_delay_is_waited_for_first(edge, more, status, upstream: RawUpstream) -> None:
    began = time.monotonic()
    assert asked(edge, upstream.url, [fault(delay=0.05, **more)]).status == status
    assert time.monotonic() - began >= 0.05
    assert len(upstream.requests) == (status == 200)


@pytest.mark.parametrize("edge", EDGES)
def test_a_delay_comes_before_a_cut(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, body=b"hello")
    began = time.monotonic()
    with pytest.raises(Exception, match="on purpose|broke|early|incomplete"):
        asked(edge, upstream.url, [fault(cut=3, delay=0.05)])
    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize("edge", EDGES)
def test_a_reset_without_a_socket_breaks_behind_the_head(edge: str, upstream: RawUpstream) -> None:
    with pytest.raises(UpstreamLost, match="on purpose"):
        asked(edge, upstream.url, [fault(reset=True)])
    assert upstream.requests == []


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("options", "status"), [({"reset": True}, 502), ({"cut": 3}, 200)])
def test_a_head_has_no_body_to_break_off(
    edge: str, options: dict[str, Any], status: int, upstream: RawUpstream
) -> None:
    upstream.behaviour = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    got = asked(edge, upstream.url, [fault(**options)], method="HEAD")
    assert got.status == status and len(upstream.requests) == (status == 200)
    assert status == 502 or got.value("Content-Length") == "5"


def test_a_reset_reaches_the_client_alone(upstream: RawUpstream) -> None:
    app = WSGIProxyApp(upstream.url, hooks=[fault(reset=True)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), 5)
        server, _ = listener.accept()
    with client, server:
        number = server.fileno()
        environ = front_environ(**{"wsgiproxy.socket": server})
        with pytest.raises(UpstreamLost):
            run(app, environ)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        # What the server still has is open, and leads nowhere.
        assert server.fileno() == number and server.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            server.sendall(b"HTTP/1.1 200 OK")
    assert upstream.requests == []


def test_a_share_is_by_chance(upstream: RawUpstream) -> None:
    found = [asked("wsgi", upstream.url, [fault(503, share=0.5)]).status for _ in range(50)]
    assert set(found) == {200, 503}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param({}, "status", id="none"),
        pytest.param({"status": 500, "cut": 1}, "status", id="both"),
        pytest.param({"delay": 0}, "status", id="no-delay"),
        pytest.param({"delay": -1}, "delay=-1", id="delay"),
        pytest.param({"delay": True}, "delay=True", id="delay-bool"),
        pytest.param({"delay": float("nan")}, "delay=nan", id="delay-nan"),
        pytest.param({"cut": 1, "reset": True}, "status", id="cut-and-reset"),
        pytest.param({"reset": 1}, "reset=1", id="reset"),
        pytest.param({"status": 99}, "status=99", id="status"),
        pytest.param({"cut": -1}, "cut=-1", id="cut"),
        pytest.param({"cut": True}, "cut=True", id="cut-bool"),
        pytest.param({"delay": 10**400}, "delay=1000", id="delay-large"),
        pytest.param({"status": 500, "share": True}, "share=True", id="share-bool"),
        pytest.param({"status": 500, "share": 2}, "share=2", id="share"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        fault(**options)
