"""The id of a request: sent, and in every line about it, on either edge."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from typing import Any

import pytest

from tests.asgi.driven import Client, scope_of
from tests.hooks.edges import held
from tests.support.in_process import Backend, front_environ, run
from tests.support.upstream import RawUpstream
from wsgiproxy import SpawningApplication, WSGIProxyApp
from wsgiproxy.asgi import ASGISpawningApplication
from wsgiproxy.cli.logformat import FORMATS
from wsgiproxy.wsgiapp import make_app

EDGES = ("wsgi", "asgi")
MADE = re.compile("[0-9a-f]{32}")
#: The peers of the two edges, in `held`.
PEERS = ["203.0.113.9", "192.0.2.1"]


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def received(body: bytes) -> list[str]:
    """The values of the field that reached the upstream."""
    headers = json.loads(body)["headers"]
    return [value for name, value in headers if name.lower() == "x-request-id"]


def logged(caplog: pytest.LogCaptureFixture, logger: str) -> logging.LogRecord:
    (found,) = [each for each in caplog.records if each.name == logger]
    return found


def test_one_is_made_sent_and_logged(edge, echo: RawUpstream, caplog):
    caplog.set_level("INFO", "wsgiproxy.access")
    headers = [("X-Request-Id", "forged")]
    _, _, body = held(edge, echo.url, (), headers=headers, request_id=True)
    (request_id,) = received(body)
    assert MADE.fullmatch(request_id)
    record = logged(caplog, "wsgiproxy.access")
    assert record.exchange["request_id"] == request_id
    assert record.getMessage().endswith(f" [{request_id}]")


def test_each_request_has_another(edge, echo: RawUpstream):
    found = [received(held(edge, echo.url, (), request_id=True)[2])[0] for _ in range(3)]
    assert len(set(found)) == 3


def test_that_of_a_trusted_proxy_is_kept(edge, echo: RawUpstream, caplog):
    caplog.set_level("INFO", "wsgiproxy.access")
    options: dict[str, Any] = {"request_id": True, "trusted_proxies": PEERS}
    _, _, body = held(edge, echo.url, (), headers=[("X-Request-Id", "from-above")], **options)
    assert received(body) == ["from-above"]
    assert logged(caplog, "wsgiproxy.access").exchange["request_id"] == "from-above"


def test_hooks_see_it(edge, echo: RawUpstream):
    seen = []

    def look(request):
        seen.append(request.headers["X-Request-Id"])
        yield request

    _, _, body = held(edge, echo.url, [look], headers=[("X-Request-Id", "forged")], request_id=True)
    assert received(body) == seen
    assert MADE.fullmatch(seen[0])


def test_without_the_setting_it_passes_and_nothing_is_logged(edge, echo: RawUpstream, caplog):
    caplog.set_level("INFO", "wsgiproxy.access")
    assert received(held(edge, echo.url, ())[2]) == []
    _, _, body = held(edge, echo.url, (), headers=[("X-Request-Id", "theirs")])
    assert received(body) == ["theirs"]
    for record in caplog.records:
        assert "request_id" not in record.exchange
        assert "[" not in record.getMessage()


@pytest.mark.parametrize("style", FORMATS)
def test_a_line_about_a_failure_has_it(edge, style, caplog):
    caplog.set_level("INFO")
    status, _, _ = held(edge, "http://127.0.0.1:1", (), request_id=True)
    assert status == 502
    request_id = logged(caplog, "wsgiproxy.access").exchange["request_id"]
    failure = logged(caplog, "wsgiproxy.error")
    line = FORMATS[style](io.StringIO()).format(failure)
    assert f" [{request_id}]: 502 ConnectFailed: " in line
    if style == "json":
        assert json.loads(line)["request_id"] == request_id


def test_a_line_about_a_failure_of_ours_has_it(caplog):
    class Broken(Backend):
        def send(self, *arguments):
            raise RuntimeError("a mistake")

    app = WSGIProxyApp("http://10.0.0.1", request_id=True, transport=Broken())
    assert run(app, front_environ()).head.status == 500
    first, second = (json.loads(FORMATS["json"](io.StringIO()).format(r)) for r in caplog.records)
    assert "RuntimeError: a mistake" in first["traceback"]
    assert first["request_id"] == second["request_id"]
    assert MADE.fullmatch(first["request_id"])


def test_in_paste_deploy(echo: RawUpstream):
    app = make_app({}, href=echo.url, request_id="true")
    (request_id,) = received(run(app, front_environ()).whole)
    app.close()
    assert MADE.fullmatch(request_id)


def test_a_command_that_cannot_be_started(edge, caplog):
    caplog.set_level("INFO")
    command, options = ["/nowhere/no-such-program"], {"request_id": True}
    if edge == "wsgi":
        with SpawningApplication(command, **options) as app:
            assert run(app, front_environ(HTTP_X_REQUEST_ID="forged")).head.status == 502
    else:

        async def exchange() -> None:
            async with ASGISpawningApplication(command, **options) as app:
                client = Client(scope_of("GET", "/", [("x-request-id", "forged")]))
                await client.run(app)
                assert client.status == 502

        asyncio.run(exchange())
    request_id = logged(caplog, "wsgiproxy.access").exchange["request_id"]
    assert MADE.fullmatch(request_id)
    assert f" [{request_id}]: 502 NotStarted: " in logged(caplog, "wsgiproxy.error").getMessage()


def test_a_command_gets_it(edge, echo_command):
    options = {"request_id": True, "trusted_proxies": ["203.0.113.9", "127.0.0.1"]}
    headers = [("x-request-id", "from-above")]
    if edge == "wsgi":
        with SpawningApplication(echo_command, **options) as app:
            body = run(app, front_environ(HTTP_X_REQUEST_ID="from-above")).whole
    else:
        found = []

        async def exchange() -> None:
            async with ASGISpawningApplication(echo_command, **options) as app:
                client = Client(scope_of("GET", "/", headers, client=("127.0.0.1", 1)))
                await client.run(app)
                found.append(client.body)

        asyncio.run(exchange())
        (body,) = found
    assert b"from-above" in body


ECHO = """
import sys
from wsgiref.simple_server import make_server

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("HTTP_X_REQUEST_ID", "none").encode()]

make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"""


@pytest.fixture
def echo_command() -> list[str]:
    """A command that answers with the id it is told."""
    return [sys.executable, "-c", ECHO, "{port}"]


@pytest.mark.parametrize("option", ["x-request-id", "close, X-Request-Id", "X_Request_Id"])
@pytest.mark.parametrize("peers", [(), PEERS])
def test_no_connection_field_removes_it(edge, echo: RawUpstream, caplog, option, peers):
    caplog.set_level("INFO", "wsgiproxy.access")
    headers = [("X-Request-Id", "from-above"), ("Connection", f"{option}, x-a"), ("X-A", "1")]
    options: dict[str, Any] = {"request_id": True, "trusted_proxies": peers}
    _, _, body = held(edge, echo.url, (), headers=headers, **options)
    (request_id,) = received(body)
    assert logged(caplog, "wsgiproxy.access").exchange["request_id"] == request_id
    assert (request_id == "from-above") == bool(peers)
    sent = [name.lower() for name, _ in json.loads(body)["headers"]]
    assert "x-a" not in sent  # what else it lists is removed


def test_without_the_option_it_is_a_field_as_others(edge, echo: RawUpstream):
    headers = [("X-Request-Id", "a"), ("Connection", "x-request-id")]
    assert received(held(edge, echo.url, (), headers=headers)[2]) == []
