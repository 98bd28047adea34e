"""``serve --inspect`` and ``--record``: the page of a process that serves, and its archive."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.cli.command import Command, request_bytes, running
from tests.cli.serving import SERVERS
from tests.spawn.children import until
from tests.support.client import raw_exchange
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli import main, parser
from wsgiproxy.cli.inspecting import read_inspection
from wsgiproxy.cli.variables import from_environment

LISTEN = ("--listen", "127.0.0.1:0")
INSPECT = ("--inspect-at", "127.0.0.1:0")


@pytest.fixture
def target(upstream: RawUpstream) -> RawUpstream:
    upstream.behaviour = answer(body=b"hello")
    return upstream


def port_of(command: Command) -> int:
    return int(command.url().split(":")[2].split("/")[0])


def page_of(command: Command) -> str:
    """The address of the inspector, from the next line."""
    line = command.line()
    found = re.fullmatch(r"Inspect it at (http://\S+:\d+/[\w-]{43}/)\n", line)
    assert found, line
    return found[1]


def ask(port: int, path: str, *fields: tuple[str, str]) -> bytes:
    response = raw_exchange(port, request_bytes(f"GET {path}", list(fields)))
    assert response.status == 200, response
    return response.body


def api(page: str, path: str, change: object = None) -> Any:
    """What the page asks of its server, or has it do."""
    request = Request(f"{page}api/{path}")
    if change is not None:
        request.data = json.dumps(change).encode()
        request.add_header("Content-Type", "application/json")
        request.add_header("Origin", "/".join(page.split("/")[:3]))
    with urlopen(request, timeout=30) as response:
        return json.load(response)


def targets(page: str) -> list[str]:
    return [each["target"] for each in api(page, "exchanges")["exchanges"]]


@pytest.mark.in_turns(2, "server")
@pytest.mark.parametrize("server", SERVERS)
def test_each_server_shows_replays_and_records(server: str, target: RawUpstream, tmp_path: Path):
    pytest.importorskip(server)
    file = tmp_path / "seen.har"
    options = [*INSPECT, "--record", str(file), "--inspect-hide", "X-Mine", "--server", server]
    with running("serve", target.url, *LISTEN, *options) as command:
        port = port_of(command)
        page = page_of(command)
        assert command.line() == f"Recorded to {file}\n"
        ask(port, "/a?token=s3cret", ("X-Mine", "s3cret"), ("X-Forwarded-For", "6.6.6.6"))
        text = json.dumps(api(page, "exchanges/1"))
        assert "6.6.6.6" in text and "127.0.0.1" in text and "s3cret" not in text
        # It is no part of what is served, whatever the name.
        assert ask(port, "/" + page.split("/")[3] + "/") == b"hello"
        sent = api(page, "exchanges/1/replay", {"headers": [["Host", "localhost"], ["X-New", "1"]]})
        until(lambda: len(target.requests) == 3, "the request that is sent again")
        assert ("X-New", "1") in target.requests[2].headers
        until(lambda: api(page, f"exchanges/{sent['number']}")["seconds"])
        assert command.end() == 0
        assert not command.left_over()
    entries = json.loads(file.read_text())["log"]["entries"]
    assert len(entries) == 3
    assert "s3cret" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_another_port_is_taken_where_the_usual_one_is_not_free():
    arguments = parser().parse_args(["serve", ":1", "--inspect"])
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # something else has it
            stack.enter_context(socket.create_server(("127.0.0.1", 4040)))
        inspection = read_inspection(arguments, "x")
        assert inspection is not None and inspection.listener is not None
        host, port = stack.enter_context(inspection.listener).getsockname()
        assert host == "127.0.0.1" and port != 4040
        assert inspection.url == f"http://127.0.0.1:{port}/{inspection.token}/"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["serve", ":1", *LISTEN, "--no-check", *arguments])
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--inspect-at", "0.0.0.0:4040"], "expected a loopback address", id="all"),
        pytest.param(["--inspect-at", "192.0.2.1:1"], "expected a loopback address", id="other"),
        pytest.param(["--inspect-at", "x"], "--inspect-at 'x': expected host:port", id="none"),
        pytest.param(
            ["--inspect-body", "1M"], "--inspect-body: expected --inspect or --record", id="alone"
        ),
        pytest.param(
            ["--inspect", "--inspect-exchanges", "0"], "inspect_exchanges='0': expected", id="zero"
        ),
    ],
)
def test_wrong_flags_end_with_2(arguments, message, capsys):
    status, said = refused(capsys, *arguments)
    assert status == 2
    assert message in said


def test_a_taken_port_that_was_typed_ends_with_1(capsys):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        where = f"127.0.0.1:{busy.getsockname()[1]}"
        status, said = refused(capsys, "--inspect-at", where)
    assert status == 1
    assert f"cannot listen on {where}" in said and "--inspect-at" in said


def test_an_archive_that_cannot_be_written_ends_with_2(tmp_path: Path, capsys):
    status, said = refused(capsys, "--record", str(tmp_path / "no" / "x.har"))
    assert status == 2
    assert "no/x.har': no such file or directory" in said


def test_options_of_a_file(target: RawUpstream, tmp_path: Path, capsys):
    record = tmp_path / "seen.har"
    file = tmp_path / "wsgiproxy.toml"
    file.write_text(
        f'listen = "127.0.0.1:0"\ninspect_at = "127.0.0.1:0"\ninspect_exchanges = 2\n'
        f'record = "{record}"\n[[route]]\nprefix = "/"\ntarget = "{target.url}"\n'
    )
    assert main(["check", str(file)]) == 0
    with running("serve", "--config", str(file)) as command:
        port, page = port_of(command), page_of(command)
        for path in ("/a", "/b", "/c"):
            ask(port, path)
        until(lambda: len(json.loads(record.read_text())["log"]["entries"]) == 3, "the archive")
        ask(port, "/d")
        assert targets(page)[-2:] == ["/c", "/d"]
        assert command.end() == 0
    file.write_text(file.read_text().replace("127.0.0.1:0", "0.0.0.0:1"))
    capsys.readouterr()
    assert main(["check", str(file)]) == 1
    assert (
        "inspect_at='0.0.0.0:1': expected host:port of a loopback address"
        in capsys.readouterr().out
    )


def test_variables_have_the_same_names():
    process, common = from_environment({"WSGIPROXY_INSPECT_AT": "127.0.0.1:0"})
    assert (process, common) == ({"inspect_at": "127.0.0.1:0"}, {})
