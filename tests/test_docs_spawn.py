"""What the page on spawning says is so: its tables, its examples, and the commands it shows."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import signal
import subprocess
import sys
import textwrap
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.spawn.children import LIMIT, Answer, ask
from tests.support.client import raw_exchange, request_bytes
from tests.support.recipes import LINE, command_line, served, words
from wsgiproxy.sansio.process.command import KINDS, fill, socket_kind
from wsgiproxy.sansio.process.lifecycle import LONGEST_PAUSE, STABLE, Phase, pause
from wsgiproxy.settings import SPAWN, SPAWNED_TRANSPORT
from wsgiproxy.spawn import SpawningApplication, instance
from wsgiproxy.spawn import messages as report
from wsgiproxy.spawn.environment import DEFAULT, environment
from wsgiproxy.spawn.supervisor import loop, output

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "spawn.rst").read_text()


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    title = rf"^{re.escape(heading)}\n([-~])\1+\n"
    match = re.search(rf"{title}(.*?)(?=^\S[^\n]*\n[-~]{{3}}|\Z)", PAGE, re.S | re.M)
    assert match is not None, heading
    return match[2]


def named_block(name: str) -> str:
    """The code block with that name."""
    match = re.search(rf"    :name: {re.escape(name)}\n\n((?:(?:    .*)?\n)+)", PAGE)
    assert match is not None, name
    return textwrap.dedent(match[1])


def listed(text: str) -> list[list[str]]:
    """The rows of a list-table without its head, each cell on one line."""
    rows = re.split(r"^   \* - ", text.partition(".. list-table::")[2], flags=re.M)[2:]
    cells = [re.split(r"\n     -", row.partition("\n\n")[0]) for row in rows]
    return [[" ".join(cell.split()) for cell in row] for row in cells]


def marked(text: str) -> set[str]:
    return set(re.findall("``([^`]+)``", text))


# -- tables of names -------------------------------------------------------------------


def test_the_settings_are_those_of_the_code() -> None:
    rows = listed(section("Settings"))
    assert [row[0] for row in rows] == [f"``{row.name}``" for row in SPAWN]
    for (_, default, text), row in zip(rows, SPAWN, strict=True):
        assert text == f"{row.help}; expects {row.expected}"
        if row.name == "start_script":
            assert default == "required"
        else:
            assert default == f"``{row.default!r}``"


def test_the_settings_of_the_transport_are_those_of_the_code() -> None:
    text = section("Settings").partition("Of the transport")[2]
    assert re.findall("``([^`]+)``", text) == [row.name for row in SPAWNED_TRANSPORT]


def test_the_environment_is_that_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    text, _, ours = section("Environment").partition("Never passed on")
    taken, _, rest = text.partition("Passwords")
    assert re.findall("``([^`]+)``", taken) == list(DEFAULT)
    kept = {name.replace("*", "X") for name in marked(ours.partition("\n\n")[0])}
    assert len(kept) == 4
    for name in kept:
        monkeypatch.setenv(name, "canary")
    assert not kept & environment(["*"], {}).keys()
    assert {"WSGIPROXY_SECRET_FILE", "LISTEN_FDS", "LISTEN_PID", "PORT"} <= marked(rest)


def test_the_methods_are_those_of_the_code() -> None:
    table = re.findall(r"^``(\w+)(?:\(\))?``  ", section("In your application"), re.M)
    public = {name for name in vars(SpawningApplication) if name[0] != "_"}
    assert set(table) == public - {"shutdown_subprocess"}


def test_the_placeholders_are_those_of_the_code() -> None:
    rows = listed(section("The three sockets"))
    assert [row[0].strip("`") for row in rows] == list(KINDS)
    for name, placeholders, _ in rows:
        kind = name.strip("`")
        values = dict.fromkeys(KINDS[kind], "value")
        shown = marked(placeholders)
        assert {fill(each, values) for each in shown} == {"value"}
        assert {socket_kind([each], kind) for each in shown} == {kind}
        assert {each.strip("{}") for each in shown if each[0] == "{"} == KINDS[kind]


def test_the_picture_has_all_states() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "spawn.svg").getroot()
    names = {each.text for each in picture.iter() if "name" in (each.get("class") or "").split()}
    assert {phase.value for phase in Phase} <= names


def numbers() -> dict[str, str]:
    steps = [f"{pause(failures):g}" for failures in range(1, 7)]
    assert pause(7) == LONGEST_PAUSE == pause(6)
    defaults = {row.name: row.default for row in SPAWN}
    return {
        "pauses": f"pause: {steps[0]} second, then {', '.join(steps[1:5])}, and {steps[5]} from",
        "stable": {60.0: "After a minute of service"}[STABLE],
        "the waiting page": f"waits {defaults['waiting_page']:g} seconds (``waiting_page``)",
        "a wait": f"waits {defaults['start_timeout'] + 5:g} seconds (``max_wait``:",
        "a stop": f"SIGKILL after ``stop_timeout`` ({defaults['stop_timeout']:g} seconds)",
        "an orphan": f"SIGKILL after {loop._ORPHAN_GRACE:g} seconds",
        "what is left": f"the two signals after {loop._LEFTOVER_GRACE:g} seconds",
        "the last lines": f"the last {instance._LAST_LINES} lines of its output",
        "a long start": {5.0: "every five seconds of a long start"}[report._INTERVAL],
        "a line": f"cut after {output._LONGEST_LINE} bytes",
        "a flood": f"{output._LINES_A_SECOND} lines in a second",
        "a flood of bytes": f"more than {output._BYTES_A_SECOND >> 20} MiB in a second",
    }


@pytest.mark.parametrize("text", numbers().values(), ids=numbers())
def test_a_number_is_that_of_the_code(text: str) -> None:
    assert text in " ".join(PAGE.split())


# -- what the command is told, and what is logged --------------------------------------

ECHO = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, **self.headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


@pytest.mark.parametrize("strips", [pytest.param(False, id="whole"), pytest.param(True, id="cut")])
def test_path_and_headers_are_those_of_the_table(
    strips: bool, caplog: pytest.LogCaptureFixture
) -> None:
    text = section("Path and headers")
    rows = listed(text)
    path = rows.pop(0)[2 if strips else 1].strip("`")
    expected = {row[0].strip("`"): row[2 if strips else 1].strip("`") for row in rows}
    (always,) = re.findall(r"^(``X-Forwarded-For``.*?) are sent in both cases", text, re.S | re.M)
    caplog.set_level(logging.INFO, "wsgiproxy")
    command = [sys.executable, "-c", ECHO, "{port}"]
    with SpawningApplication(command, strip_script_name=strips, sign=False) as app:
        answer = ask(app, "/x", SCRIPT_NAME="/app")
    told: dict[str, str] = json.loads(answer.body)
    assert told.pop("path") == path
    for name, value in expected.items():
        assert told.pop(name, "") == value
    assert told.pop("Host") == "front.example"
    assert {name for name in told if name.startswith(("X-", "Via"))} == marked(always)
    loggers = {record.name for record in caplog.records} - {"wsgiproxy.access"}
    shown = set(re.findall("^``([^`]+)``  ", section("Output and logs"), re.M))
    assert loggers | {"wsgiproxy.error"} == shown


# -- what clients get ------------------------------------------------------------------

SILENT = [sys.executable, "-c", "import time; time.sleep(600)"]
DYING = """
import os, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        if server.accept()[0].recv(1):
            os._exit(3)
"""


@contextlib.contextmanager
def spawned(command: list[str], **options: Any) -> Iterator[SpawningApplication]:
    with SpawningApplication(command, stop_timeout=1, **options) as app:
        yield app


def situation(what: str) -> contextlib.AbstractContextManager[SpawningApplication]:
    """An application in which that will happen to the next request."""
    if what == "it is starting, or stopping":
        return spawned(SILENT, waiting_page=0.1, max_wait=0.1)
    if "requests wait already" in what:
        return spawned(SILENT, max_waiting=0)
    if what == "the command cannot be run":
        return spawned(["./nonesuch"])
    if what == "it dies before it has answered":
        return spawned([sys.executable, "-c", DYING, "{port}"])
    return spawned([sys.executable, "-c", "raise SystemExit(3)"])


def ask_in(what: str, accept: str) -> Answer:
    with situation(what) as app:
        if "pause" in what:
            assert [ask(app).status for _ in range(2)] == [502, 502]
        if "close()" in what:
            app.close()
        answer = ask(app, HTTP_ACCEPT=accept)
        if "without another attempt" in dict_of_clients()[what][0]:
            assert ask(app, HTTP_ACCEPT=accept).status == answer.status
        return answer


def dict_of_clients() -> dict[str, list[str]]:
    rows = listed(section("Its life"))
    return {row[0].replace("`", ""): row[1:] for row in rows}


@pytest.mark.parametrize("what", dict_of_clients())
def test_what_clients_get(what: str) -> None:
    browser, other = dict_of_clients()[what]
    for said, accept in ((browser, "text/html"), (other, "*/*")):
        answer = ask_in(what, accept)
        (status,) = re.findall(r"\b[45]\d\d\b", said)
        assert answer.status == int(status)
        asks_again = "refresh" in answer.text
        assert asks_again == ("page that asks again" in said or "same page" in said)
        for seconds in re.findall(r"``Retry-After: (\d+)``", said):
            assert answer.headers["retry-after"] == seconds
        if "the rest of the pause" in said:
            assert answer.headers["retry-after"] == f"{pause(2):g}"


# -- commands --------------------------------------------------------------------------

UNIT_LINE = re.compile(r"^    ExecStart=(\S+/wsgiproxy serve (?:.*\\\n)*.*)$", re.M)
LINES = [*LINE.findall(PAGE), *UNIT_LINE.findall(PAGE)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user stands who types what the page says."""
    monkeypatch.chdir(tmp_path)
    for name in ("server.js", "old.py"):
        (tmp_path / name).write_text(named_block(name))
    (tmp_path / "shop.py").write_text(
        re.sub("(?m)^.*WSGIProxyMiddleware.*$", "", named_block("shop.py"))
    )
    (tmp_path / "public" / "shop").mkdir(parents=True)
    (tmp_path / "public" / "shop" / "index.php").write_text('<?= $_SERVER["SCRIPT_NAME"] ?>')
    (tmp_path / "hello.txt").write_text("hello")
    return tmp_path


def body_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        text: bytes = answer.read()
    return text.decode()


def test_there_are_lines_to_run() -> None:
    assert len(LINES) == PAGE.count("wsgiproxy serve -") - PAGE.count("``wsgiproxy serve -")
    assert len(LINES) > 10


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "line",
    [pytest.param(line, id=" ".join(words(line.partition(" -- ")[2])[:3])) for line in LINES],
)
def test_a_line_can_be_meant(line: str) -> None:
    """It serves, whether the command is installed or not."""
    with served(line) as (command, url):
        prefix = words(line)[words(line).index("--prefix") + 1]
        assert url.endswith(f"{prefix}/")
        assert command.stderr == ""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("containing", "target", "expected"),
    [
        pytest.param("http.server", "hello.txt", "hello", id="http.server"),
        pytest.param("run shop:app", "", "/shop", id="run"),
        pytest.param("old.py", "a/b", "{url}a/b", id="old"),
        pytest.param(
            "/app -- node server.js",
            "x?y",
            "/app/x?y is below /app\n",
            id="node",
            marks=pytest.mark.system("node"),
        ),
        pytest.param(
            "--ready {prefix}/health",
            "",
            "/app/ is below /app\n",
            id="node, asked for its health",
            marks=pytest.mark.system("node"),
        ),
        pytest.param("php -S", "", "/shop/index.php", id="php", marks=pytest.mark.system("php")),
    ],
)
def test_a_recipe_works(containing: str, target: str, expected: str) -> None:
    with served(command_line(containing)) as (_, url):
        assert body_of(url + target) == expected.format(url=url)


WSGI = """
from wsgiproxy import WSGIProxyMiddleware

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(environ["SCRIPT_NAME"] + "|" + environ["PATH_INFO"]).encode()]

app = WSGIProxyMiddleware.from_env(app)
"""
PLAIN = re.sub("(?m)^.*WSGIProxyMiddleware.*$", "", WSGI)
FLASK = """
from flask import Flask

app = Flask(__name__)
app.add_url_rule("/<name>", "it", lambda name: "|/" + name)
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        path = scope["path"].removeprefix(scope["root_path"])
        body = scope["root_path"] + "|" + path
        await send({"type": "http.response.body", "body": body.encode()})
"""
SOURCES = {"wsgiproxy": PLAIN, "uvicorn": ASGI, "hypercorn": ASGI, "flask": FLASK}
MODULES = {"waitress-serve": "waitress"}


def write_site(folder: Path, program: str) -> None:
    if find_spec(MODULES.get(program, program)) is None:
        pytest.skip(f"{program} is not installed")
    (folder / "mysite.py").write_text(SOURCES.get(program, WSGI))


SERVERS = re.findall(r"^``(\S+ [^`]*mysite[^`]*)``  ", section("The three sockets"), re.M)


@pytest.mark.in_turns(2)
@pytest.mark.parametrize("command", [pytest.param(each, id=each.split()[0]) for each in SERVERS])
def test_a_server_of_the_table_finds_its_socket(folder: Path, command: str) -> None:
    write_site(folder, command.split()[0])
    with served(f"wsgiproxy serve -- {command}") as (_, url):
        assert body_of(url + "x") == "|/x"


@pytest.mark.in_turns(2)
@pytest.mark.parametrize("program", ["gunicorn", "uvicorn", "hypercorn"])
def test_a_server_learns_its_prefix(folder: Path, program: str) -> None:
    write_site(folder, program)
    text = section("Other WSGI and ASGI servers")
    shown = re.findall(rf"``({program} [^`]*)``", text)
    line = (
        f"wsgiproxy serve --prefix /app -- {shown[0]}" if shown else command_line(f"-- {program}")
    )
    with served(line) as (_, url):
        assert body_of(url + "x") == "/app|/x"


def test_an_application_can_say_itself_whom_it_believes(folder: Path) -> None:
    (folder / "shop.py").write_text(named_block("shop.py"))
    with served("wsgiproxy serve --prefix /shop -- gunicorn shop:application") as (_, url):
        assert body_of(url + "x") == "/shop"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("server", "status"), [("uvicorn", 200), ("waitress", 501)])
def test_websockets_pass_where_the_server_can_carry_them(server: str, status: int) -> None:
    assert "Under waitress a handshake gets 501" in section("Recipes")
    line = command_line("run shop:app").replace("serve ", f"serve --server {server} ", 1)
    with served(line) as (_, url):
        port = int(url.split(":")[2].split("/")[0])
        fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        fields += [("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)]
        answer = raw_exchange(port, request_bytes("GET /shop/", fields, host="localhost"))
    assert answer.status == status  # the application answers 200, for want of one


# -- signals ---------------------------------------------------------------------------

AT_EXIT = """
import atexit
import signal
{before}
{block}
atexit.register(print, "at exit")
print("ready", flush=True)
signal.pause()
"""
BEFORE = "signal.signal(signal.SIGTERM, lambda *_: print('the one before'))"


@pytest.mark.parametrize(
    ("name", "before", "expected"),
    [
        pytest.param("", "", "", id="no handler, no atexit"),
        pytest.param("sigterm", "", "at exit\n", id="the handler"),
        pytest.param(
            "sigterm-after-another", BEFORE, "the one before\nat exit\n", id="after another"
        ),
        pytest.param("sigterm-after-another", "", "at exit\n", id="after none"),
    ],
)
def test_the_handler_makes_an_orderly_end(name: str, before: str, expected: str) -> None:
    source = AT_EXIT.format(before=before, block=named_block(name) if name else "")
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=LIMIT)[0]
    assert said == expected
    assert process.returncode == (0 if name else -signal.SIGTERM)


def test_the_unit_waits_longer_than_we_do() -> None:
    unit = dict(re.findall(r"^    (\w+)=(.*)$", section("systemd"), re.M))
    stop = next(row.default for row in SPAWN if row.name == "stop_timeout")
    assert int(unit["TimeoutStopSec"]) > stop + 5
    assert (unit["Type"], unit["KillMode"]) == ("simple", "mixed")
