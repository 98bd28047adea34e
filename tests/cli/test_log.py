"""What the command writes on stderr: levels, forms, colours, and each thing once."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.cli.command import request_bytes, running
from tests.cli.serving import SERVERS
from tests.cli.terminal import on_a_terminal
from tests.spawn.children import until
from tests.support.client import RawClient, raw_exchange
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import errors
from wsgiproxy.cli import parser
from wsgiproxy.cli.log import LogStyle, _is_no_error_of_ours, read_log
from wsgiproxy.cli.logformat import JsonFormatter, TextFormatter
from wsgiproxy.cli.spelling import as_typed

pytestmark = pytest.mark.in_turns(4, "server")

LISTEN = ("--listen", "127.0.0.1:0")
CUT = [
    ("read",),
    ("send", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70000),
    ("close",),
]


@pytest.fixture(params=SERVERS)
def server(request):
    pytest.importorskip(request.param)
    return request.param


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


def asked(port: int, path: str, *fields: tuple[str, str]) -> int | None:
    return raw_exchange(port, request_bytes(f"GET {path}", list(fields))).status


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], LogStyle("info", "text", True), id="access-log-without-a-terminal"),
        pytest.param(["--no-access-log"], LogStyle("info", "text", False), id="without"),
        pytest.param(["--log-level", "WARNING"], LogStyle("warning", "text", False), id="level"),
        pytest.param(
            ["--log-level", "error", "--access-log"], LogStyle("error", "text", True), id="both"
        ),
        pytest.param(["--log-format", "json"], LogStyle("info", "json", True), id="json"),
    ],
)
@pytest.mark.parametrize(
    "command", [["serve", ":1"], ["forward"], ["demo"]], ids=lambda each: each[0]
)
def test_log_style_of_the_flags(command, words, expected):
    assert read_log(parser().parse_args([*command, *words])) == expected


def test_an_answer_that_breaks_off_is_one_line(server, upstream: RawUpstream):
    """The server raises our error once more, with a traceback of a page."""
    upstream.behaviour = CUT
    with running("serve", upstream.url, *LISTEN, "--server", server) as command:
        port = port_of(command.url())
        with RawClient(port) as client:
            client.send(request_bytes("GET /big"))
            with contextlib.suppress(EOFError):  # granian may send nothing of it
                client.read_until(b"x" * 100)
            assert client.closed_by_server()
        until(lambda: command.stderr.count("\n"), "a line in the log")
        assert command.end() == 0
        (line,) = command.stderr.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 127\.0\.0\.1 GET '/big' 200 \d+ bytes \d\.\d{3} s -> "
        rf"127\.0\.0\.1:{upstream.port} UpstreamLost: the upstream closed .*",
        line,
    )


def test_json_has_an_object_for_each_line(server, upstream: RawUpstream):
    upstream.behaviour = answer(body=b"hello")
    options = ("--server", server, "--log-format", "json", "--prefix", "/app")
    with running("serve", upstream.url, *LISTEN, *options) as command:
        port = port_of(command.url())
        assert asked(port, "/app/x?token=secret") == 200
        assert asked(port, "/x") == 404
        assert command.end() == 0
        first, second = map(json.loads, command.stderr.splitlines())
    assert datetime.fromisoformat(first.pop("time").replace("Z", "+00:00")).tzinfo is not None
    assert 0 <= first.pop("seconds") < 10
    assert first == {
        "level": "info",
        "logger": "wsgiproxy.access",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/app/x?token=***",
        "upstream": f"127.0.0.1:{upstream.port}",
        "status": 200,
        "received": 5,
        "sent": 5,
        "reused": False,
        "error": None,
        "side": None,
        "reason": None,
    }
    assert (second["status"], second["path"], second["error"]) == (404, "/x", "NotFound")
    assert second["sent"] > 100


def test_records_of_a_server_have_the_same_form(server, upstream: RawUpstream):
    """gunicorn warns of requests that it does not understand."""
    with running(
        "serve", upstream.url, *LISTEN, "--server", server, "--log-format", "json"
    ) as command:
        port = port_of(command.url())
        with RawClient(port) as client:
            client.send(b"GARBAGE\r\n\r\n")
            assert client.closed_by_server()
        upstream.behaviour = answer(body=b"x")
        assert asked(port, "/") == 200
        assert command.end() == 0
        lines = [json.loads(line) for line in command.stderr.splitlines()]
    assert all(line["level"] for line in lines)
    assert lines[-1]["status"] == 200
    if server == "gunicorn":
        assert "GARBAGE" in lines[0]["message"]


def test_paths_and_hosts_in_the_access_log(server, upstream: RawUpstream):
    """The path as it was sent; and a Host in which a setting seems to be named."""
    upstream.behaviour = answer(body=b"x")
    with running("serve", upstream.url, *LISTEN, "--server", server) as command:
        port = port_of(command.url())
        request = b"GET /evade HTTP/1.1\r\nHost: start_script=True\r\nConnection: close\r\n\r\n"
        status = raw_exchange(port, request).status
        assert asked(port, "/caf%C3%A9%2Fx?q=%C3%A9") == 200
        assert command.end() == 0
        slash = "/" if server == "granian" else "%2F"  # granian passes the decoded path alone
        assert f"GET '/caf%C3%A9{slash}x?q=%C3%A9' 200 " in command.stderr
        if status == 421:  # else the server itself has refused it
            assert "GET '/evade' 421 " in command.stderr and "Traceback" not in command.stderr


def test_limits_are_named_by_their_flags(upstream: RawUpstream):
    upstream.behaviour = answer(headers=[("X", "y" * 2000)])
    for style in ("text", "json"):
        options = ("--max-head", "1k", "--log-format", style)
        with running("serve", upstream.url, *LISTEN, *options) as command:
            assert asked(port_of(command.url()), "/?max_head=1") == 502
            assert command.end() == 0
            assert "of more than --max-head 1024 bytes" in command.stderr
            assert "/?max_head=1'" in command.stderr or '/?max_head=1"' in command.stderr


def test_failures_are_logged_without_the_access_log(upstream: RawUpstream):
    upstream.behaviour = answer(headers=[("X", "y" * 2000)])
    options = ("--max-head", "1k", "--no-access-log")
    with running("serve", upstream.url, *LISTEN, *options) as command:
        assert asked(port_of(command.url()), "/up?max_head=1") == 502
        assert command.end() == 0
        (line,) = command.stderr.splitlines()
    assert " GET '/up?max_head=1' -> " in line
    assert ": 502 BadResponse: a head of more than --max-head 1024 bytes" in line


def test_log_level_warning_leaves_out_errors_of_clients(upstream: RawUpstream):
    upstream.behaviour = answer(body=b"x")
    with running("serve", upstream.url, *LISTEN, "--log-level", "warning") as command:
        port = port_of(command.url())
        assert asked(port, "/") == 200
        assert asked(port, "/", ("Expect", "x")) == 417
        assert command.end() == 0
        assert command.stderr == ""


def test_paths_outside_the_prefix_are_logged(upstream: RawUpstream):
    upstream.behaviour = answer(body=b"x")
    with running("serve", upstream.url, *LISTEN, "--prefix", "/app") as command:
        port = port_of(command.url())
        assert [asked(port, path) for path in ("/", "/app", "/x")] == [302, 302, 404]
        assert command.end() == 0
        lines = [re.sub(r"^\S+ \S+ ", "", line) for line in command.stderr.splitlines()]
    assert lines[0].startswith("127.0.0.1 GET '/' 302 0 bytes ")
    assert lines[1].startswith("127.0.0.1 GET '/app' 302 0 bytes ")
    assert lines[2].startswith("127.0.0.1 GET '/x' 404 ")
    assert lines[2].endswith(" -> - NotFound: it is outside every prefix")


def test_links_outside_are_named_in_the_log_and_on_the_page(upstream: RawUpstream):
    """Browsers ask for favicons without a link."""
    referer = ("Referer", "http://front.localhost/app/page")
    with running("serve", upstream.url, *LISTEN, "--prefix", "/app") as command:
        port = port_of(command.url())
        assert asked(port, "/favicon.ico", referer) == 404
        page = raw_exchange(port, request_bytes("GET /style.css", [referer]))
        assert page.status == 404
        assert b"told its prefix" in page.body and b'href="/app/"' in page.body
        assert command.end() == 0
        icon, link = command.stderr.splitlines()
    assert "NotFound" in icon and "LinkedOutside" not in icon
    assert "LinkedOutside: a link of '/app/page' leads past the prefix /app;" in link


def test_links_outside_are_logged_without_the_access_log(upstream: RawUpstream):
    options = ("--prefix", "/app", "--no-access-log")
    with running("serve", upstream.url, *LISTEN, *options) as command:
        referer = ("Referer", "http://front.localhost/app/page")
        assert asked(port_of(command.url()), "/x", referer) == 404
        assert command.end() == 0
        assert "404 LinkedOutside: a link of '/app/page'" in command.stderr


# -- colours -----------------------------------------------------------------------------


def test_a_terminal_has_colours(upstream: RawUpstream):
    upstream.behaviour = answer(body=b"x")
    words = ("serve", upstream.url, *LISTEN)
    with on_a_terminal(*words, env={"NO_COLOR": ""}) as terminal:
        assert asked(terminal.port, "/") == 200
        terminal.wait_for("\x1b[32m200\x1b[0m 1 bytes")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"NO_COLOR": "", "TERM": "dumb"}], ids=str)
def test_no_colours_with_no_color_or_dumb(env, upstream: RawUpstream):
    upstream.behaviour = answer(body=b"x")
    with on_a_terminal("serve", upstream.url, *LISTEN, env=env) as terminal:
        assert asked(terminal.port, "/") == 200
        terminal.wait_for(" 200 1 bytes")
        assert "\x1b[3" not in terminal.output


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def colourful(monkeypatch) -> Iterator[logging.Formatter]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return TextFormatter(_Terminal())


@pytest.mark.parametrize(
    ("status", "colour"), [(200, 32), (204, 32), (302, 36), (404, 33), (502, 31), (999, None)]
)
def test_the_colour_of_a_status(colourful, status, colour):
    fields = {"status": status, "reason": None}
    record = logging.LogRecord("wsgiproxy.access", logging.INFO, "", 1, "%(status)s.", fields, None)
    record.exchange = fields
    expected = f"{status}" if colour is None else f"\x1b[{colour}m{status}\x1b[0m"
    assert colourful.format(record).split()[-1] == f"{expected}."
    assert record.exchange == {"status": status, "reason": None}, "other handlers see it, too"


@pytest.mark.parametrize(("level", "colour"), [("WARNING", 33), ("ERROR", 31)])
def test_the_colour_of_a_level(colourful, level, colour):
    record = logging.LogRecord("wsgiproxy.error", getattr(logging, level), "", 1, "a %s", "b", None)
    assert colourful.format(record).endswith(f" \x1b[{colour}ma b\x1b[0m")


def test_an_error_in_json_has_its_traceback():
    try:
        raise RuntimeError("no")
    except RuntimeError:
        record = logging.LogRecord("wsgiproxy", logging.ERROR, "", 1, "x\ny", (), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["message"], found["level"]) == ("x\ny", "error")
    assert found["traceback"].endswith("RuntimeError: no")


# -- what a server tells of our errors -----------------------------------------------------


@pytest.mark.parametrize(
    ("message", "error", "passes"),
    [
        pytest.param("Exception while serving", errors.UpstreamLost("x"), False, id="ours"),
        pytest.param("Exception while serving", ValueError("x"), True, id="another"),
        pytest.param("raised\nTraceback (most\n\nUpstreamLost: x", None, False, id="ours-as-text"),
        pytest.param("raised\nTraceback (most\n\nValueError: x", None, True, id="another-as-text"),
        pytest.param("UpstreamLost: x", None, True, id="no-traceback"),
        pytest.param("", None, True, id="empty"),
    ],
)
def test_records_of_servers_that_pass_the_filter(message, error, passes):
    info = error and (type(error), error, None)
    record = logging.LogRecord("waitress", logging.ERROR, "", 1, message, (), info)
    assert _is_no_error_of_ours(record) == passes


# -- spelling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("max_head='x': expected a number", "--max-head 'x': expected a number"),
        ("over max_head=8192", "over --max-head 8192"),
        ("ca_file names further authorities", "--ca-file names further authorities"),
        ("keep_alive=5.0: expected no max_idle=0 beside it",
         "--keep-alive 5.0: expected no --max-idle 0 beside it"),
        ("ca_file='x': expected no verify=False beside it",
         "--ca-file 'x': expected no --no-verify beside it"),
        ("sign_body=True: expected secret_file beside it",
         "--sign-body: expected --secret-file beside it"),
        ("port 25 is not one of ports=80 443", "port 25 is not one of --ports 80 443"),
        ("10.0.0.1 is private (allow= names exceptions)",
         "10.0.0.1 is private (--allow names exceptions)"),
        ("it is in deny=.ads.example", "it is in --deny .ads.example"),
        ("client '10.0.0.1' is not among allow_clients",
         "client '10.0.0.1' is not among --allow-client"),
        ("start_script: expected socket='unix'", "COMMAND: expected --socket 'unix'"),
        ("the port is shared, and via is a word", "the port is shared, and via is a word"),
        ("my_max_head=1", "my_max_head=1"),
        ("start_script=True", "COMMAND True"),
        ("Host 'socket=True max_head=1' is none", "Host 'socket=True max_head=1' is none"),
        ("Host \"it's max_head=1\", max_head=2", "Host \"it's max_head=1\", --max-head 2"),
    ],
)  # fmt: skip
def test_settings_are_named_by_their_flags(message, typed):
    assert as_typed(message) == typed
