"""``--health``: what a load balancer is told, before anything else looks at the request."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.cli.command import request_bytes, running
from tests.cli.test_command_line import refused
from tests.spawn.children import until
from tests.support.client import RawClient, raw_exchange
from tests.support.judges import JudgedResponse
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli.health import read_health
from wsgiproxy.errors import ConfigurationError

pytestmark = pytest.mark.in_turns(2)

SERVERS = ["uvicorn", "waitress", "gunicorn", "granian"]


@pytest.fixture(scope="module", params=SERVERS)
def site(request):
    """The upstream, the port, and the command; one of each for all cases."""
    pytest.importorskip(request.param)
    options = ["--server", request.param, "--listen", "127.0.0.1:0", "--health", "/-/health"]
    with RawUpstream(answer(body=b"page")) as upstream:
        with running("serve", upstream.url, *options) as command:
            port = int(command.line().split()[1].split(":")[2].split("/")[0])
            yield upstream, port, command
        assert upstream.errors == []


def asked(port: int, line: str, host: str = "10.0.0.1", body: bytes = b"") -> JudgedResponse:
    fields = f"Host: {host}\r\n" + (f"Content-Length: {len(body)}\r\n" if body else "")
    return raw_exchange(port, f"{line} HTTP/1.1\r\n{fields}\r\n".encode() + body)


@pytest.mark.parametrize("host", ["10.0.0.1", "", "other.example", "localhost"])
@pytest.mark.parametrize("query", ["", "?", "?from=kubelet"])
def test_it_is_answered_by_any_name(site, host, query):
    upstream, port, _ = site
    before = len(upstream.requests)
    got = asked(port, f"GET /-/health{query}", host)
    assert (got.status, got.body) == (200, b"ok")
    assert got.values("Cache-Control") == ["no-store"]
    assert len(upstream.requests) == before


def test_head_has_no_body(site):
    got = asked(site[1], "HEAD /-/health")
    assert (got.status, got.body, got.values("Content-Length")) == (200, b"", ["2"])


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_other_methods_get_405(site, method):
    upstream, port, _ = site
    before = len(upstream.requests)
    got = asked(port, f"{method} /-/health", body=b"x" * (method == "POST"))
    assert (got.status, got.values("Allow")) == (405, ["GET, HEAD"])
    assert len(upstream.requests) == before


@pytest.mark.parametrize(
    "path",
    [
        "/-/health/",
        "/-/healthy",
        "//-/health",
        "/-//health",
        "/-/./health",
        "/x/../-/health",
        "/-/Health",
        "/%2D/health",
        "/-%2Fhealth",
        "/-/%68ealth",
        "/-/health%00",
        "/-/health;a=b",
        "/-/health%3F",
        "http://localhost/-/%68ealth",
    ],
)
def test_a_path_that_the_upstream_would_see_otherwise_is_another_one(site, path):
    if "granian" in site[2].arguments and "%" in path:
        pytest.skip("granian shows the decoded path alone")
    got = asked(site[1], f"GET {path}", "localhost")
    assert got.body != b"ok"
    assert got.body == b"page" or got.status in (400, 404, 421), got


def test_the_whole_url_as_a_target_is_the_same_path(site):
    if "granian" in site[2].arguments:
        pytest.skip("it shows no target")
    assert asked(site[1], "GET http://any.example/-/health").body == b"ok"


def test_it_is_not_in_the_access_log(site):
    _, port, command = site
    before = command.stderr.count(" '/-/health'")
    assert asked(port, "GET /-/health").status == 200
    assert asked(port, "GET /seen", "localhost").status == 200
    until(lambda: "'/seen'" in command.stderr, "the line of another request")
    assert command.stderr.count(" '/-/health'") == before


def test_a_handshake_is_refused_there(site):
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    fields += [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    upstream, port, _ = site
    before = len(upstream.requests)
    got = raw_exchange(port, request_bytes("GET /-/health", fields))
    assert got.status in (200, 403)
    assert len(upstream.requests) == before


@pytest.mark.parametrize("server", ["uvicorn", "waitress"])
def test_it_is_503_while_a_request_is_finished(server):
    pytest.importorskip(server)
    go_on = threading.Event()
    script = [("read",), ("wait", go_on), ("send", answer(body=b"late"))]
    options = ["--server", server, "--listen", "127.0.0.1:0", "--health", "/-/health"]
    with (
        RawUpstream([script]) as upstream,
        running("serve", upstream.url, *options, "--drain", "600") as command,
    ):
        port = int(command.line().split()[1].split(":")[2].split("/")[0])
        with RawClient(port) as client, RawClient(port) as kept:
            client.send(request_bytes("GET /"))
            upstream.wait_for_requests(1)
            kept.send(request_bytes("GET /-/health"))
            first = kept.response()
            assert (first.status, first.values("Connection")) == (200, [])
            # A loop that answers another client has ended what it does behind the last byte.
            assert asked(port, "GET /-/health").status == 200
            command.send_signal(signal.SIGTERM)
            until(lambda: asked(port, "GET /-/health").status == 503, "the drain")
            kept.send(request_bytes("GET /-/health"))
            last = kept.response()
            assert (last.status, last.body) == (503, b"ending")
            assert last.values("Connection") == ["close"]
            head = asked(port, "HEAD /-/health")
            assert (head.status, head.body) == (503, b"")
            go_on.set()
            assert client.response().body == b"late"

        def is_over() -> bool:
            command.send_signal(signal.SIGINT)
            return command.has_ended()

        until(is_over, "a second signal, half a second later, waits for nothing")
        assert command.wait() == 130
        assert "Traceback" not in command.stderr


@pytest.mark.parametrize("typed", ["/", "h", "/h/", "/h?x", "/h h", "/%68", "/../h", "//h", "/é"])
def test_no_health_path(typed, capsys):
    with pytest.raises(ConfigurationError, match="^--health "):
        read_health(typed)
    status, line = refused(capsys, "serve", ":1", "--health", typed, "--no-check")
    assert (status, line) == (2, f"--health {typed!r}: expected a path such as /-/health")


@pytest.mark.parametrize("flag", ["--drain", "--grace"])
@pytest.mark.parametrize("typed", ["x", "", "-1", "nan", "inf"])
def test_no_seconds(flag, typed, capsys):
    status, line = refused(capsys, "serve", ":1", f"{flag}={typed}", "--no-check")
    assert (status, line) == (2, f"{flag} {typed!r}: expected a number of seconds from 0 on")


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_drain_is_refused_for_servers_that_stop_by_themselves(server, capsys):
    pytest.importorskip(server)
    words = ["serve", ":1", "--drain", "5", "--server", server, "--no-check"]
    status, line = refused(capsys, *words)
    assert (status, line) == (2, "--drain: expected --server uvicorn or waitress")


def test_both_in_a_file_and_in_the_environment(tmp_path):
    path = tmp_path / "proxy.toml"
    with RawUpstream(answer(body=b"page")) as upstream:
        path.write_text(
            f'listen = "127.0.0.1:0"\nhealth = "/a"\n[[route]]\ntarget = "{upstream.url}"\n'
        )
        for env, there in (({}, "/a"), ({"WSGIPROXY_HEALTH": "/b"}, "/b")):
            with running("serve", "--config", str(path), env=env) as command:
                port = int(command.line().split()[1].split(":")[2].split("/")[0])
                for where in ("/a", "/b"):
                    got = asked(port, f"GET {where}", "localhost")
                    assert got.body == (b"ok" if where == there else b"page")
                assert command.end() == 0


@pytest.mark.parametrize("line", ["health = 3", 'health = "h"', 'drain = "x"', "grace = -1"])
def test_faults_of_a_file_have_a_line(line, tmp_path, capsys):
    path = tmp_path / "proxy.toml"
    path.write_text(f'{line}\n[[route]]\ntarget = ":1"\n')
    status, said = refused(capsys, "serve", "--config", str(path))
    assert status == 1
    assert said.startswith(f"{path}:1: {line.split()[0]}=")
