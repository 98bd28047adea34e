"""``serve`` as a process, in front of an upstream that shows the bytes."""

from __future__ import annotations

import json
import socket
import threading
from urllib.parse import urlsplit

import pytest

from tests.cli.command import Command, request_bytes, running
from tests.spawn.children import until
from tests.support.client import RawClient, raw_exchange
from tests.support.echo import echo as echo_behaviour
from tests.support.upstream import RawUpstream
from wsgiproxy.cli import main

pytestmark = pytest.mark.in_turns(4, "server")

SERVERS = ["uvicorn", "waitress", "gunicorn", "granian"]


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


@pytest.fixture(params=SERVERS)
def server(request):
    pytest.importorskip(request.param)
    return request.param


def serve(upstream, *options: str, env: dict[str, str] | None = None):
    return running("serve", upstream.url, "--listen", "127.0.0.1:0", *options, env=env)


def described(port: int, line: str, *headers: tuple[str, str]):
    """What the upstream received: the request line, and the fields by lower-case name."""
    response = raw_exchange(port, request_bytes(line, list(headers)))
    assert response.status == 200
    said = json.loads(response.body)
    return said["line"], {name.lower(): value for name, value in said["headers"]}


@pytest.fixture(scope="module", params=SERVERS)
def configured(request, tmp_path_factory):
    """The port of a process with many options, and variables that look like header fields."""
    pytest.importorskip(request.param)
    secret = str(tmp_path_factory.mktemp("keys") / "secret.txt")
    assert main(["keygen", secret, "--keyid", "k7"]) == 0
    options = ["--server", request.param, "--secret-file", secret, "--sign-body"]
    options += ["--preserve-host", "--no-verify", "--max-body", "4"]
    env = {"HTTP_X_LEAK": "secret", "CONTENT_TYPE": "text/leak", "HTTP_PROXY": "http://h:1"}
    env["FORWARDED_ALLOW_IPS"] = "*"
    with RawUpstream(echo_behaviour) as echo, serve(echo, *options, env=env) as command:
        yield port_of(command.url())


def ends_cleanly(command: Command) -> None:
    assert command.end() == 0
    assert not command.left_over()
    assert "Traceback" not in command.stderr


def test_a_request_and_sigterm(server, echo):
    with serve(echo, "--server", server, "--threads", "2", "--prefix", "/app") as command:
        line = command.line()
        url = line.split()[1]
        how = f"{server}, 2 threads: 2 exchanges at once, no WebSocket"
        if server == "uvicorn":
            how = "uvicorn, which has no use for --threads"
        elif server == "gunicorn":
            how = "gunicorn, 2 threads: 2 exchanges or WebSockets at once"
        assert line == f"Serving {url} -> {echo.url} ({how}). Ctrl-C ends it.\n"
        assert url.endswith("/app/")
        said, fields = described(port_of(url), "GET /app/a//b;c?x=%zz")
        assert said == "GET /a//b;c?x=%zz HTTP/1.1"
        assert fields["x-forwarded-prefix"] == "/app"
        assert fields["x-forwarded-for"] == "127.0.0.1"
        ends_cleanly(command)


@pytest.mark.parametrize(
    ("base", "path", "location"),
    [
        pytest.param("", "/app?q=%2F", "/app/?q=%2F", id="root"),
        pytest.param("/base/", "/app", "/app/", id="folder"),
        pytest.param("/base", "/app", None, id="the-upstream-sees-the-difference"),
        pytest.param("", "/app/", None, id="with-its-slash"),
    ],
)
def test_the_bare_prefix_is_redirected_to_its_slash(echo, base, path, location):
    """Or its relative links would lead out of the prefix."""
    target = echo.url + base
    with running("serve", target, "--listen", "127.0.0.1:0", "--prefix", "/app") as command:
        port = port_of(command.url())
        answers = [raw_exchange(port, request_bytes(f"{word} {path}")) for word in ("GET", "HEAD")]
    for found in answers:
        assert found.status == (302 if location else 200)
        assert found.values("Location") == ([location] if location else [])


def test_ctrl_c_ends_it(server, echo):
    with serve(echo, "--server", server) as command:
        assert described(port_of(command.url()), "GET /")[0] == "GET / HTTP/1.1"
        until(lambda: " GET '/' 200 " in command.stderr, "a line in the log")
        assert command.interrupt() == 0
        assert not command.left_over()
        assert len(command.stderr.splitlines()) == 1


def test_forwarding_fields_of_clients_are_ignored(configured):
    forged = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "6.6.6.6"), ("Script-Name", "/x")]
    _, fields = described(configured, "GET /", *forged)
    assert fields["x-forwarded-proto"] == "http"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert "script-name" not in fields and "x-forwarded-prefix" not in fields


def test_fields_of_a_trusted_proxy_are_used(server, echo):
    told = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.7")]
    options = ["--server", server, "--trusted-proxies", "127.0.0.1"]
    with serve(echo, *options) as command:
        _, fields = described(port_of(command.url()), "GET /", *told)
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-for"] == "192.0.2.7, 127.0.0.1"


def test_environment_variables_are_not_header_fields(configured):
    _, fields = described(configured, "GET /")
    assert not {"x-leak", "content-type", "proxy"} & set(fields)


def test_settings_reach_the_proxy(configured):
    assert described(configured, "GET /", ("Accept", "*/*"))[1]["host"] == "front.localhost"
    assert raw_exchange(configured, request_bytes("PUT /", body=b"1234")).status == 200
    assert raw_exchange(configured, request_bytes("PUT /", body=b"12345")).status == 413


def test_a_secret_file_signs(configured):
    _, fields = described(configured, "GET /")
    assert 'keyid="k7"' in fields["signature-input"]
    assert "wsgiproxy" in fields


def test_a_client_that_leaves_ends_the_exchange(upstream):
    upstream.behaviour = [("read",)]
    with serve(upstream) as command:
        with RawClient(port_of(command.url())) as client:
            client.send(request_bytes("GET /"))
            asked = upstream.accepted[upstream.wait_for_requests(1)[0].connection]
        # The proxy closes its connection to the upstream.
        assert upstream.wait_until(lambda: asked.ended_by_peer, 10)
        ends_cleanly(command)


@pytest.mark.parametrize(("flag", "written"), [("--access-log", True), ("--no-access-log", False)])
def test_the_access_log(flag, written, echo):
    with serve(echo, flag) as command:
        described(port_of(command.url()), "GET /secret?token=abc")
        ends_cleanly(command)
        assert ("GET '/secret?token=***' 200" in command.stderr) == written
        assert "abc" not in command.stderr


def test_no_check_serves_a_silent_target():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        target = f":{bound.getsockname()[1]}"
        with running("serve", target, "--no-check", "--listen", "127.0.0.1:0") as command:
            port = port_of(command.url())
            assert raw_exchange(port, request_bytes("GET /")).status == 502
            ends_cleanly(command)
            assert " GET '/' 502 " in command.stderr
            assert f" ConnectFailed: connecting to http://127.0.0.1{target}: " in command.stderr


def test_a_lone_target_is_served(echo):
    with running(echo.netloc, "--listen", "127.0.0.1:0") as command:
        assert described(port_of(command.url()), "GET /x")[0] == "GET /x HTTP/1.1"


def test_a_unix_socket_is_served(unix_upstream):
    with serve(unix_upstream) as command:
        assert raw_exchange(port_of(command.url()), request_bytes("GET /")).status == 200


def test_ipv6(echo):
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with running("serve", echo.url, "--listen", "[::1]:0") as command:
        url = command.url()
        assert url.startswith("http://[::1]:")
        response = raw_exchange(port_of(url), request_bytes("GET /"), host="::1")
        assert response.status == 200


def test_threads_option(upstream):
    """Two requests are with the upstream before either is answered."""
    both = threading.Barrier(2)

    def behave(connection):
        connection.read()
        both.wait(10)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serve(upstream, "--threads", "2") as command:
        upstream.behaviour = behave
        port = port_of(command.url())
        with RawClient(port) as one, RawClient(port) as two:
            one.send(request_bytes("GET /1"))
            two.send(request_bytes("GET /2"))
            assert (one.response().status, two.response().status) == (200, 200)
