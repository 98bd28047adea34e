"""Servers that people have, with every way of getting a socket that each of them knows."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from tests.spawn.children import LIMIT, ROOT, Pieces, alive, ask, environ, until
from tests.spawn.programs import FOLDER, module
from tests.support.rounds import rounds
from wsgiproxy.spawn import SpawningApplication

pytestmark = pytest.mark.in_turns(3)

SITE = "tests.spawn.programs.site:site"
ASGI = "tests.spawn.programs.asgi:site"
GUNICORN = module("gunicorn", "--no-control-socket", "--worker-class=gthread", "--threads=8")
UVICORN = module("uvicorn", "--lifespan=off", ASGI)
NODE = ["node", str(FOLDER / "site.mjs")]
LOCALHOST = "localhost" if os.path.exists("/proc/net/if_inet6") else "127.0.0.1"

#: Commands, and the settings that they need.
SERVERS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "waitress, a port": (module("waitress", "--listen=127.0.0.1:{port}", SITE), {}),
    "waitress, every address": (module("waitress", "--listen=*:{port}", SITE), {}),
    "waitress, a Unix socket": (module("waitress", "--unix-socket={socket}", SITE), {}),
    "gunicorn, a descriptor": ([*GUNICORN, "-b", "fd://{fd}", SITE], {}),
    "gunicorn, a descriptor as of old": ([*GUNICORN, "-b", "fd://__FD__", SITE], {}),
    "gunicorn, LISTEN_FDS": ([*GUNICORN, SITE], {}),
    "gunicorn, a Unix socket": ([*GUNICORN, "-b", "unix:{socket}", SITE], {}),
    "gunicorn, a port": ([*GUNICORN, "-b", "127.0.0.1:{port}", SITE], {}),
    "gunicorn, PORT": ([*GUNICORN, SITE], {"socket": "port"}),
    "gunicorn, loaded before it forks": (
        [*GUNICORN, "--preload", "-b", "127.0.0.1:{port}", SITE],
        {},
    ),
    "uvicorn, a descriptor": ([*UVICORN, "--fd={fd}"], {}),
    "uvicorn, a Unix socket": ([*UVICORN, "--uds={socket}"], {}),
    "uvicorn, a port": ([*UVICORN, "--port={port}"], {}),
    "uvicorn, IPv6": ([*UVICORN, "--host=::", "--port={port}"], {}),
    "granian, a port": (
        module("granian", "--interface=wsgi", "--port={port}", "--no-ws", SITE),
        {},
    ),
    "node, PORT": (NODE, {"socket": "port"}),
    "node, a port": ([*NODE, "{port}"], {}),
    "node, a port of old": ([*NODE, "__PORT__"], {}),
    "node, localhost": ([*NODE, "{port}", LOCALHOST], {}),
    "node, ::1": ([*NODE, "{port}", "::1"], {}),
    "node, a Unix socket": ([*NODE, "{socket}"], {}),
    "a shell that waits": (
        ["sh", "-c", '"$0" "$@" & wait', *module("waitress", "--listen=127.0.0.1:{port}", SITE)],
        {},
    ),
    "a shell that becomes it": (
        ["sh", "-c", 'cd . && exec "$0" "$@"', *GUNICORN, "-b", "unix:{socket}", SITE],
        {},
    ),
    "a shell in a shell": (
        ["sh", "-c", 'sh -c "$*; true" & wait', "sh", *GUNICORN, "-b", "127.0.0.1:{port}", SITE],
        {},
    ),
}


def needs(name: str) -> list[pytest.MarkDecorator]:
    """Node is a program of the system."""
    return [pytest.mark.system("node")] if name.startswith("node") else []


EACH = [pytest.param(name, marks=needs(name)) for name in SERVERS]


@pytest.fixture(scope="module", params=EACH)
def app(request: pytest.FixtureRequest) -> Iterator[SpawningApplication]:
    """Each server, started once."""
    if request.param.startswith("uvicorn"):
        pytest.importorskip("uvicorn")
    command, options = SERVERS[request.param]
    with SpawningApplication(command, cwd=ROOT, **options) as running:
        yield running


def told(app: SpawningApplication, target: str, **asked: Any) -> dict[str, Any]:
    answer = ask(app, target, **asked)
    assert answer.status == 200, answer
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_a_get_passes(app: SpawningApplication) -> None:
    found = told(app, "/a/b?c=d")
    assert found["PATH_INFO"] == "/a/b"
    assert found["body_sha256"] == hashlib.sha256().hexdigest()


def test_a_body_of_a_mebibyte_passes(app: SpawningApplication) -> None:
    body = os.urandom(1 << 20)
    found = told(app, "/upload", method="POST", body=body)
    assert found["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_a_stream_passes_as_it_comes(app: SpawningApplication) -> None:
    with Pieces(app, environ("/stream")) as pieces:
        assert pieces.status == 200
        received = b""
        while not received:  # the head comes with an empty block
            received = pieces.next()
        assert received == b"first\n"
        assert told(app, "/go")["PATH_INFO"] == "/go"
        assert pieces.rest() == b"last\n"


def test_a_request_may_follow_many(app: SpawningApplication) -> None:
    assert [told(app, f"/{number}")["PATH_INFO"] for number in range(50)] == [
        f"/{number}" for number in range(50)
    ]


@pytest.mark.parametrize("name", EACH)
def test_it_ends_without_being_killed(spawn, caplog, name: str) -> None:
    """And not by our patience: SIGTERM alone is enough."""
    if name.startswith("uvicorn"):
        pytest.importorskip("uvicorn")
    caplog.set_level(logging.INFO, "wsgiproxy.spawn")
    command, options = SERVERS[name]
    app = spawn(command, cwd=ROOT, stop_timeout=600, **options)
    count = rounds(1, 2)
    for _ in range(count):
        assert told(app, "/x")["PATH_INFO"] == "/x"
        pid = app.pid
        assert pid
        began = monotonic()
        app.stop()
        assert monotonic() - began < LIMIT
        assert app.state == "stopped" and app.pid is None
        until(lambda pid=pid: not alive(pid), "its end")
    story = [each for each in caplog.records if each.name == "wsgiproxy.spawn"]
    assert [each.getMessage() for each in story if each.levelno > logging.INFO] == []
    assert [each.getMessage() for each in story].count("stopped") == count


def test_a_file_server_of_python(spawn, tmp_path) -> None:
    """``python -m http.server`` answers GET alone."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "large").write_bytes(content := os.urandom(1 << 20))
    app = spawn(module("http.server", "--bind=127.0.0.1", "{port}"), cwd=folder)
    assert ask(app, "/large").body == content
    assert ask(app, "/absent").status == 404
    assert ask(app, "/large", method="POST", body=b"x" * (1 << 20)).status in (501, 502)
    assert ask(app, "/large").body == content


def test_a_file_server_that_listens_everywhere(spawn, tmp_path) -> None:
    (tmp_path / "file").write_text("content")
    app = spawn(module("http.server", "{port}"), cwd=tmp_path)
    assert ask(app, "/file").text == "content"
