"""What the page on the browser proxy says is so: its examples, its settings, its tables."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.cli.test_forward import asked, connected
from tests.support.daemon import daemon
from tests.support.ports import free_port
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli.forward import how_to_use
from wsgiproxy.cli.listen import Listen
from wsgiproxy.forward.passwords import PasswordFile
from wsgiproxy.sansio.destination import kind
from wsgiproxy.settings import FORWARD, FORWARD_TRANSPORT, SERVER

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "forward.rst").read_text()
WORDS = " ".join(PAGE.split())


def named_block(name: str) -> str:
    match = re.search(rf"    ?:name: {re.escape(name)}\n\n((?:(?:    .*)?\n)+)", PAGE)
    assert match is not None, name
    return textwrap.dedent(match[1]).strip() + "\n"


def test_the_settings_are_those_of_the_code() -> None:
    table = PAGE.partition("\nSettings\n")[2]
    rows = [
        [
            " ".join(cell.replace("\\*", "*").split())
            for cell in re.split(r"\n     -", row.partition("\n\n")[0])
        ]
        for row in re.split(r"^   \* - ", table, flags=re.M)[2:]
    ]
    assert rows == [
        [f"``{row.name}``", f"``{row.default!r}``", f"{row.help}; expects {row.expected}"]
        for row in FORWARD
    ]
    theirs = table.partition("And of the transport")[2]
    assert set(re.findall("``([a-z_]+)``", theirs)) == {row.name for row in FORWARD_TRANSPORT}


def test_numbers_in_the_text_are_those_of_the_code() -> None:
    defaults = {row.name: row.default for row in FORWARD}
    assert f"``tunnel_idle`` seconds without a byte ({defaults['tunnel_idle']:g})" in WORDS
    assert f"``max_connections`` ({defaults['max_connections']}) exchanges" in WORDS
    server = {row.name: row.default for row in SERVER}
    assert f"within {server['head_timeout']:g} seconds" in WORDS
    assert f"nothing for {server['idle_timeout']:g} seconds" in WORDS
    assert f"When {server['max_connections']} connections are open" in WORDS


def test_what_the_command_says_is_what_the_page_shows() -> None:
    said = [line.rstrip() for line in how_to_use(Listen("127.0.0.1", 8080), 8080, {})]
    assert named_block("forward-says").splitlines() == [line for line in said if line]


@contextmanager
def program(source: str, port: int, tmp_path: Path) -> Iterator[None]:
    path = tmp_path / "program.py"
    path.write_text(source)
    with daemon([sys.executable, str(path)], ("127.0.0.1", port)):
        yield


def test_three_lines_of_paste_are_a_browser_proxy(tmp_path: Path) -> None:
    port = free_port()
    source = named_block("three-lines").replace("8080", str(port))
    assert len([line for line in source.splitlines() if line]) == 4
    with program(source, port, tmp_path):
        assert asked(port, "/").startswith(b"HTTP/1.1 400 ")
        assert asked(port, "http://169.254.169.254/").startswith(b"HTTP/1.1 403 ")
        sock, head = connected(port, "127.0.0.1:443")
        with sock:
            assert head.startswith(b"HTTP/1.1 403 ")


def test_the_ini_file_is_served(tmp_path: Path, upstream: RawUpstream) -> None:
    if not any(each.name == "real_proxy" for each in entry_points(group="paste.app_factory")):
        pytest.skip("the package is not installed, so Paste Deploy does not find it")
    upstream.behaviour = answer(200, body=b"hello")
    text = (ROOT / "docs" / "examples" / "browser_proxy.ini").read_text()
    port = free_port()
    (tmp_path / "proxy.ini").write_text(
        text.replace("8080", str(port)).replace(
            "; allow = localhost:3000 .intranet.example:*", f"allow = {upstream.netloc}"
        )
    )
    script = ROOT / "docs" / "examples" / "serve_ini.py"
    command = [sys.executable, str(script), str(tmp_path / "proxy.ini")]
    with daemon(command, ("127.0.0.1", port)):
        assert asked(port, f"{upstream.url}/x").endswith(b"hello")
        assert asked(port, "http://127.0.0.1:1/").startswith(b"HTTP/1.1 403 ")
        sock, head = connected(port, upstream.netloc)
        with sock:
            assert head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("name", ["guarded"])
def test_the_block_runs(name: str) -> None:
    exec(compile(named_block(name), name, "exec"), {})


def test_the_password_is_one(tmp_path: Path) -> None:
    found: dict[str, bytes] = {}
    exec(named_block("make-a-password"), found)
    path = tmp_path / "users"
    path.write_bytes(found["line"])
    assert PasswordFile(path)("alice", "a long password")


@pytest.mark.parametrize(
    ("spelling", "stands_for"),
    [("127.1", "this machine"), ("2130706433", "this machine"), ("0x7f000001", "this machine")],
)
def test_spellings_are_what_the_page_calls_them(spelling: str, stands_for: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import socket; print(socket.getaddrinfo({spelling!r}, 80)[0][4][0])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"``{spelling}``" in WORDS
    assert f"are all {stands_for}" in WORDS
    assert kind(done.stdout.strip()) == "loopback"
