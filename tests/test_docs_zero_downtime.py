"""The page about ends without downtime: its units, its program, its balancer and its numbers."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import running
from tests.cli.load import under_load
from tests.spawn.children import until
from tests.support.client import raw_exchange, request_bytes
from tests.support.daemon import haproxy
from tests.support.ports import free_port
from tests.support.rounds import IN_FULL
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli import parser
from wsgiproxy.cli.servers import GRACE, SILENCE
from wsgiproxy.cli.variables import from_environment

HAS_SYSTEMD = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there"
)
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "zero_downtime.rst").read_text()
_LIMIT = 30


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", PAGE, re.M)
    return [textwrap.dedent(each) for each in found]


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream(answer(body=b"page")) as made:
        yield made


def test_numbers_of_the_page() -> None:
    assert f"``--grace`` seconds ({GRACE:g})" in PAGE
    assert SILENCE == 1 and PAGE.count("a second is sent away") == 1


@HAS_SYSTEMD
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    socket_unit, service = blocks("ini")
    program = "/srv/proxy/venv/bin/wsgiproxy"
    assert service.count(program) == 1
    (tmp_path / "proxy.socket").write_text(socket_unit)
    service = service.replace(program, "/bin/true").replace("User=proxy\n", "")
    (tmp_path / "proxy.service").write_text(service)
    command = ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT)
    ours = [line for line in done.stderr.splitlines() if "proxy." in line]
    assert (done.returncode, ours) == (0, [])


def test_the_command_of_the_unit_is_one() -> None:
    (line,) = re.findall("^ExecStart=(.*)$", blocks("ini")[1], re.M)
    words = shlex.split(line)
    assert words[0].endswith("/wsgiproxy")
    assert parser().parse_args(words[1:]).config == "/srv/proxy/proxy.toml"


def test_variables_of_the_pod_are_known() -> None:
    (spec,) = blocks("yaml")
    found = dict(re.findall(r'name: (WSGIPROXY_\w+), value: "?([^"}]+)"?}', spec))
    process, routes = from_environment(found)
    assert process == {
        "listen": "0.0.0.0:8080",
        "health": "/-/health",
        "drain": 10.0,
        "grace": 15.0,
    }
    assert routes == {}
    assert f"httpGet: {{path: {process['health']}, port: 8080}}" in spec
    limit = re.search(r"terminationGracePeriodSeconds: (\d+)", spec)
    assert limit and int(limit[1]) > process["drain"] + process["grace"] + 10  # --stop-timeout


@contextlib.contextmanager
def replacing(port: int, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The program of the page."""
    words = [sys.executable, str(ROOT / "docs" / "examples" / "replace.py"), str(port), *command]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True, bufsize=1) as program:
        try:
            yield program
        finally:
            if program.poll() is None:
                program.terminate()
                program.wait(_LIMIT)


def line_of(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    assert select.select([program.stdout], [], [], _LIMIT)[0], "no line"
    return program.stdout.readline()


def test_the_program_replaces_a_proxy_under_load(upstream: RawUpstream, tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "proxy.toml"
    good = f'access_log = false\n[[route]]\ntarget = "{upstream.url}"\n'
    path.write_text(good)
    command = [sys.executable, "-m", "wsgiproxy", "serve", "--config", str(path)]
    with replacing(port, command) as program:
        assert f"http://127.0.0.1:{port}/" in line_of(program)
        with under_load(port) as load:
            for content, said in ((good, "Serving "), ("x = 1", "it does not"), (good, "Serving ")):
                load.more(300)
                path.write_text(content)
                program.send_signal(signal.SIGHUP)
                assert line_of(program).startswith(said)
            load.more(300)
        program.send_signal(signal.SIGTERM)
        assert program.wait(_LIMIT) == 0
    assert raw_refused(port)


def raw_refused(port: int) -> bool:
    try:
        raw_exchange(port, request_bytes("GET /"))
    except ConnectionRefusedError:
        return True
    return False


@IN_FULL  # tests/deploy has HAProxy before two hosts
@pytest.mark.system("haproxy")
@pytest.mark.in_turns(2)
@pytest.mark.parametrize("server", ["uvicorn", "waitress"])
def test_haproxy_loses_nothing_when_a_server_leaves(
    server: str, upstream: RawUpstream, tmp_path: Path
) -> None:
    (config,) = blocks("text")
    ports = [free_port(), free_port()]
    for number, port in enumerate(ports, 1):
        assert config.count(f"10.0.0.{number}:8080") == 1
        config = config.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{port}")
    words = ["serve", upstream.url, "--server", server, "--no-access-log", "--health", "/-/health"]
    with contextlib.ExitStack() as stack:

        def start(port: int):  # type: ignore[no-untyped-def]  # a command
            listen = ["--listen", f"127.0.0.1:{port}", "--drain", "3"]
            command = stack.enter_context(running(*words, *listen))
            command.line()
            return command

        commands = [start(port) for port in ports]
        front = stack.enter_context(haproxy(tmp_path, config))
        until(lambda: raw_exchange(front, request_bytes("GET /", host="localhost")).status == 200)
        with under_load(front, kept=2, short=2) as load:
            for number, port in enumerate(ports):
                load.more(100)
                assert commands[number].end() == 0
                commands[number] = start(port)
                # HAProxy has to see it before the other one goes.
                health = f"GET /-/health HTTP/1.1\r\nHost: {port}\r\n\r\n".encode()
                assert raw_exchange(port, health).status == 200
                load.more(1000)
            load.more(100)
        for command in commands:
            assert command.end(signal.SIGINT) == 0
            assert "Traceback" not in command.stderr
