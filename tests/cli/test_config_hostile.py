"""Requests that are meant to reach another route than theirs, through both servers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.cli.command import running
from tests.support.client import raw_exchange
from tests.support.echo import echo
from tests.support.upstream import RawUpstream

HERE = "h.localhost"
FILE = """\
listen = "127.0.0.1:0"
server = "{server}"
access_log = false

[[route]]
prefix = "/api"
target = "{api}"
hooks = []

[[route]]
prefix = "/api/admin"
target = "{admin}/base"

[[route]]
host = "App.Localhost."
target = "{app}"

[[route]]
prefix = "/caf%C3%A9/a%20b"
target = "{cafe}"
"""


@pytest.fixture(scope="module", params=["uvicorn", "waitress"])
def ask(request, tmp_path_factory) -> Iterator:
    pytest.importorskip(request.param)
    path = tmp_path_factory.mktemp("hostile") / "proxy.toml"
    names = ("api", "admin", "app", "cafe")
    ends = contextlib.ExitStack()
    urls = {name: ends.enter_context(RawUpstream(echo)).url for name in names}
    by_host = {urlsplit(url).netloc: name for name, url in urls.items()}
    path.write_text(FILE.format(server=request.param, **urls))

    def ask(target: str, *hosts: str) -> str:
        """The status; if an upstream has answered, its name and the target that it has seen."""
        head = "".join(f"Host: {host}\r\n" for host in hosts)
        request = f"GET {target} HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
        answer = raw_exchange(port, request.encode("latin-1"), timeout=5)
        if answer.status != 200:
            return str(answer.status)
        told = json.loads(answer.body)
        host = next(value for name, value in told["headers"] if name.lower() == "host")
        return f"{by_host[host]} {told['line'].split()[1]}"

    with ends, running("serve", "--config", str(path)) as command:
        port = urlsplit(command.line().split()[1]).port
        yield ask
        assert "Traceback" not in command.stderr


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/api/x", "api /x"),
        ("/api/admin", "admin /base"),
        # What servers decode alike is the same path to all of them.
        ("/%61pi/x", "api /x"),
        ("/api%2Fadmin/x", "admin /base/x"),
        ("/caf%c3%a9/a%20b/x", "cafe /x"),
        # Paths are not tidied up: what an upstream makes of them stays within its own route.
        ("//evil.example/api/x", "404"),
        ("/API/x", "404"),
        ("/api;/x", "404"),
        ("/api%00/x", "404"),
        ("/api\\x", "404"),
        ("/api//admin/x", "api //admin/x"),
        ("/api/./admin/x", "api /./admin/x"),
        ("/api/x?a=/../", "api /x?a=/../"),
        # None of them leads out of it.
        ("/%2e%2e/", "404"),
        ("/api/..", "400"),
        ("/api/../x", "400"),
        ("/api/%2e%2e/x", "400"),
        ("/api%2f..", "400"),
        ("/api%2F..%2Fapp", "400"),
        ("/api/..;/admin/x", "400"),
        ("/api/%5c..%5cx", "400"),
        ("/api/%252e%252e/x", "400"),
        ("/api/admin/%2e%2e/x", "400"),
    ],
)
def test_path_reaches_its_route_or_none(ask, target, expected):
    assert ask(target, HERE) == expected


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["app.localhost"], "app /api/x"),
        (["APP.localhost.:8080"], "app /api/x"),
        (["x.app.localhost"], "api /x"),
        (["app.localhost.."], "421"),
        (["user@app.localhost"], "421"),
        (["app.localhost@h.localhost"], "421"),
        (["app.localhost:80:90"], "421"),
        (["app.localhost/"], "421"),
        (["app.localhost#h.localhost"], "421"),
        (["app.localhost\\.h.localhost"], "421"),
        (["app%2elocalhost"], "421"),
        (["app.localhost, h.localhost"], "421"),
        ([""], "400"),
    ],
)
def test_host_reaches_its_route_or_none(ask, hosts, expected):
    assert ask("/api/x", *hosts) == expected


def test_slashes_at_the_beginning_are_no_host(ask):
    assert ask("//api/x", HERE) in ("404", "api /x")  # waitress makes one of them
    assert ask("//app.localhost/x", HERE) == "404"


def test_two_lines_of_host_reach_no_route(ask):
    for hosts in (["app.localhost", HERE], [HERE, "app.localhost"]):
        assert ask("/api/x", *hosts) in ("400", "421")


def test_host_of_an_absolute_target_counts_more_than_host(ask):
    assert ask("http://app.localhost/api/x", HERE) == "app /api/x"
    assert ask("HTTP://h.localhost/api/x", "app.localhost") == "api /x"
    assert ask("http://evil.example/api/x", HERE) == "421"
    for target in ("http://u:p@app.localhost/api/x", "http:///api/x", "api/x", "*"):
        assert ask(target, HERE) in ("400", "404")
