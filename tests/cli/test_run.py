"""``run MODULE:NAME``: the other end, which serves an application and believes its parent."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.cli.serving import get, served
from tests.spawn.children import LIMIT
from wsgiproxy.cli import main
from wsgiproxy.cli.run import _check_server, load
from wsgiproxy.errors import ConfigurationError

_SITE = """
import json, os

def app(environ, start_response):
    told = {key: value for key, value in environ.items() if isinstance(value, str)}
    listening = [name for name in os.environ if name.startswith("LISTEN_")]
    told["listening"] = f"{listening} {os.get_inheritable(3)}"
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]

def make():
    return app

class Sites:
    first = app

number = 7

async def asgi(scope, receive, send):
    assert scope["type"] == "http", "as many do where it is lifespan"
    told = {key: scope.get(key) for key in ("root_path", "path", "scheme", "client", "server")}
    told["raw_path"] = scope["raw_path"].decode()
    told["query_string"] = scope["query_string"].decode()
    told["host"] = [value.decode() for name, value in scope["headers"] if name == b"host"]
    told["listening"] = [name for name in os.environ if name.startswith("LISTEN_")]
    head = {"type": "http.response.start", "status": 200}
    await send({**head, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})

async def fails(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.fixture
def folder(tmp_path):
    """Where `our_site` is a module."""
    (tmp_path / "our_site.py").write_text(_SITE)
    return tmp_path


def running(place: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "wsgiproxy", "run", place, *options]


def run(command: list[str], folder, *options: str):
    where = ["--cwd", str(folder), "--inherit-env", "PYTHONPATH"]
    return served(command, *where, *options)


# Behind `serve`


@pytest.mark.parametrize(
    "place", ["our_site:app", "our_site:make()", "our_site:Sites.first"], ids=lambda each: each
)
def test_the_application_sees_what_the_client_asked_for(place, folder):
    with run(running(place), folder, "--prefix", "/app") as site:
        told = site.json("/app/a%2Fb//c?d=e")
        assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("/app", "/a/b//c")
        assert told["QUERY_STRING"] == "d=e"
        assert told["HTTP_HOST"] == "front.localhost"
        assert (told["SERVER_NAME"], told["SERVER_PORT"]) == ("front.localhost", str(site.port))
        assert told["REMOTE_ADDR"] == "127.0.0.1"
        assert told["wsgi.url_scheme"] == "http"
        assert not [key for key in told if "SCRIPT_NAME" in key[5:] or "SIGNATURE" in key]


def test_an_asgi_application_sees_the_same(folder):
    pytest.importorskip("uvicorn")
    options = ["--prefix", "/app"]
    with run(running("our_site:asgi"), folder, *options) as site:
        told = site.json("/app/a%2Fb//c?d=e")
        assert (told["root_path"], told["path"]) == ("/app", "/app/a/b//c")
        assert (told["raw_path"], told["query_string"]) == ("/app/a%2Fb//c", "d=e")
        assert told["host"] == ["front.localhost"]
        assert told["server"] == ["front.localhost", site.port]
        assert told["client"][0] == "127.0.0.1"
        assert told["scheme"] == "http"
        assert told["listening"] == []
        assert len(site.get("/app/").values("Date")) == 1
        assert site.command.end() == 0
        assert "Traceback" not in site.log


@pytest.mark.parametrize("place", ["our_site:app", "our_site:asgi"])
def test_unsigned_requests_get_403(place, folder):
    with run(running(place), folder) as site:
        assert site.get().status == 200
        backend = re.search(r" at http://127\.0\.0\.1:(\d+)", site.log)
        assert backend and get(int(backend[1])).status == 403


def test_the_socket_is_not_inherited_by_children(folder):
    with run(running("our_site:app"), folder) as site:
        assert site.json("/")["listening"] == "[] False"


def test_started_by_another_program(folder):
    """As ``uv run`` does: the number in LISTEN_PID is not its own."""
    with run(["sh", "-c", '"$@"; true', "sh", *running("our_site:app")], folder) as site:
        assert site.json("/x")["PATH_INFO"] == "/x"
        assert len(site.processes()) == 3  # the one between, the shell and it


def test_settings_as_flags(folder):
    options = ["--allowed-hosts", "other.example", "--threads", "2"]
    with run(running("our_site:app", *options), folder) as site:
        assert site.get("/", ("Accept", "*/*")).status == 400
        site.wait_for("| ")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param(
            "nosuch:app", r"'nosuch:app': expected MODULE:NAME, .*'nosuch'\)", id="module"
        ),
        pytest.param("our_site.x:app", "'our_site.x:app': expected .* not a package", id="part"),
        pytest.param("our_site:nothing", ".* has no attribute 'nothing'", id="name"),
        pytest.param("our_site:Sites.last", ".* has no attribute 'last'", id="attribute"),
        pytest.param(
            "our_site:number", ".*: expected a WSGI or ASGI application, not 7", id="no-callable"
        ),
        pytest.param("our_site", "'our_site': expected MODULE:NAME, such as", id="no-name"),
    ],
)
def test_a_wrong_application_ends_with_one_line(place, said, folder):
    with run(running(place), folder) as site:
        assert site.get().status == 502
        site.wait_for("its last lines are above")
        assert re.search(rf" \| wsgiproxy: {said}", site.log)
        assert "it ended with status 2 before it was ready" in site.log
        assert "Traceback" not in site.log


@pytest.mark.parametrize(
    ("source", "error"),
    [
        pytest.param("import nosuchmodule", "No module named 'nosuchmodule'", id="import"),
        pytest.param("import os; os.nothing", "has no attribute 'nothing'", id="attribute"),
        pytest.param("int('x')", "ValueError: invalid literal", id="value"),
        pytest.param("def (", "SyntaxError", id="syntax"),
    ],
)
def test_an_error_inside_the_module_shows_its_traceback(source, error, tmp_path):
    (tmp_path / "broken.py").write_text(source)
    with run(running("broken:app"), tmp_path) as site:
        assert site.get().status == 502
        site.wait_for("its last lines are above")
        last = site.log
        assert "broken.py" in last and error in last
        assert "expected MODULE:NAME" not in site.log


def test_a_missing_secret_is_named(folder):
    with run(running("our_site:app"), folder, "--no-sign") as site:
        assert site.get().status == 502
        site.wait_for("WSGIPROXY_SECRET_FILE is not set: expected to be started by")
        assert "it ended with status 2" in site.log


@pytest.mark.parametrize(
    ("place", "server", "said"),
    [
        pytest.param(
            "our_site:asgi", "waitress",
            "--server waitress: 'our_site:asgi' is an ASGI application; expected --server uvicorn",
            id="asgi",
        ),
        pytest.param(
            "our_site:app", "uvicorn",
            "--server uvicorn: 'our_site:app' is a WSGI application; expected --server waitress",
            id="wsgi",
        ),
    ],
)  # fmt: skip
def test_a_server_that_does_not_take_the_application(place, server, said, folder):
    with run(running(place, "--server", server), folder) as site:
        assert site.get().status == 502
        site.wait_for("its last lines are above")
        assert f" | wsgiproxy: {said}, or none" in site.log
        assert "it ended with status 2" in site.log


def test_a_startup_that_fails_ends_with_1(folder):
    pytest.importorskip("uvicorn")
    with run(running("our_site:fails"), folder) as site:
        assert site.get().status == 502
        site.wait_for("its last lines are above")
        assert "no database" in site.log and "it ended with status 1" in site.log


# Alone


def refused(capsys, *argv: str) -> tuple[int, str]:
    status = main(["run", *argv])
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("wsgiproxy: ") and err.count("\n") == 1
    return status, err.removeprefix("wsgiproxy: ").rstrip("\n")


def test_outside_of_a_spawner_a_hint_is_printed(capsys):
    status, said = refused(capsys, "our_site:app")
    assert said == ("no socket was handed over; try: wsgiproxy serve -- wsgiproxy run our_site:app")
    assert status == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param(["app"], "'app': expected MODULE:NAME, such as mysite.wsgi:app", id="place"),
        pytest.param([], "the following arguments are required: MODULE:NAME", id="nothing"),
        pytest.param(["a:b", "--threads", "0"], "--threads '0': expected a number", id="threads"),
        pytest.param(["a:b", "--max-age", "x"], "--max-age 'x': expected a number", id="setting"),
        pytest.param(["a:b", "--replay", "x"], "--replay 'x': expected 'memory'", id="replay"),
        pytest.param(["a:b", "c"], "unrecognized arguments: c (see wsgiproxy run", id="more"),
    ],
)
def test_wrong_command_lines_end_with_2(argv, said, capsys):
    status, line = refused(capsys, *argv)
    assert line.startswith(said)
    assert status == 2


def handed(kind: str) -> subprocess.CompletedProcess[str]:
    """It runs with something as its third descriptor."""
    code = (
        "import os, socket, sys\n"
        "bound = socket.socket()\n"
        "if sys.argv[1] == 'nothing': os.closerange(3, 10)\n"
        "else: os.dup2(bound.fileno() if sys.argv[1] == 'bound' else 0, 3)\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'wsgiproxy', 'run', 'a:b'])"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "LISTEN_FDS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, kind],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


@pytest.mark.parametrize("kind", ["nothing", "bound", "a file"])
def test_descriptor_3_must_be_a_listening_socket(kind):
    ended = handed(kind)
    assert ended.stderr.startswith("wsgiproxy: no socket was handed over; try: ")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "place", ["", ":", "a:", ":b", "a:b()()", "a:b(1)", "a b:c", ".a:b", "a:1"]
)
def test_wrong_names_of_applications(place):
    with pytest.raises(ConfigurationError, match="expected MODULE:NAME"):
        load(place)


def test_module_names_that_are_not_identifiers(tmp_path, monkeypatch):
    (tmp_path / "our-site.py").write_text(_SITE)
    monkeypatch.syspath_prepend(tmp_path)
    assert load("our-site:app").__name__ == "app"


def test_an_asgi_application_without_uvicorn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigurationError, match=r"'a:b' is an ASGI application: pip install 'ws"):
        _check_server("a:b", "an ASGI", None, "uvicorn")
