"""``wsgiproxy forward``: what it says, whom it serves, how it ends."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import bcrypt
import pytest

from tests.cli.command import Command, running
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli import main
from wsgiproxy.cli.forward import _server, how_to_use
from wsgiproxy.cli.listen import Listen
from wsgiproxy.forward import ForwardProxy

LIMIT = 10


def started(command: Command) -> tuple[int, list[str]]:
    """The port, and all that it says at the start."""
    lines = [command.line()]
    while not lines[-1].startswith("  programs"):
        lines.append(command.line())
    return int(lines[0].split()[3].rstrip(".").rpartition(":")[2]), lines


def connected(port: int, authority: str, *fields: str) -> tuple[socket.socket, bytes]:
    """A tunnel that has been asked for, and the head of the answer."""
    sock = socket.create_connection(("127.0.0.1", port), LIMIT)
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *fields, "", ""]
    sock.sendall("\r\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        block = sock.recv(1)
        assert block, head
        head += block
    return sock, head


def asked(port: int, raw: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        sock.sendall(f"GET {raw} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.fixture
def upstream_or_end(upstream: RawUpstream) -> RawUpstream:
    upstream.behaviour = answer(200, body=b"hello")
    return upstream


def test_it_serves_and_prints_how_to_use_it(upstream_or_end):
    upstream = upstream_or_end
    allow = f"127.0.0.1:{upstream.port}"
    with running("forward", "--listen", "127.0.0.1:0", "--allow", allow, "--access-log") as command:
        port, lines = started(command)
        assert lines[0] == f"Browser proxy at 127.0.0.1:{port}. Ctrl-C ends it.\n"
        assert lines[1].split(None, 1) == ["for", "this machine\n"]
        assert lines[2].split(None, 1) == [
            "to",
            f"public addresses, ports 80 443; besides {allow}\n",
        ]
        assert f"--proxy-server=127.0.0.1:{port}\n" in lines[4]
        assert asked(port, f"{upstream.url}/x").endswith(b"hello")
        assert asked(port, "http://127.0.0.1:1/").startswith(b"HTTP/1.1 403 ")
        assert asked(port, "/").startswith(b"HTTP/1.1 400 ")
        sock, head = connected(port, upstream.netloc)
        with sock:
            assert head.startswith(b"HTTP/1.1 200 ")
            sock.sendall(b"GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        upstream.wait_for_requests(2)
        assert command.end(signal.SIGTERM) == 0
        log = command.stderr
    assert [request.line for request in upstream.requests] == [
        "GET /x HTTP/1.1",
        "GET /y HTTP/1.1",
    ]
    assert f"127.0.0.1 GET '{upstream.url}/x' 200 5 bytes" in log
    assert f"tunnel to {upstream.netloc}" in log
    assert f"127.0.0.1 CONNECT '{upstream.netloc}' 200" in log
    assert "DestinationForbidden: '127.0.0.1' port 1 is refused: 127.0.0.1 is loopback" in log
    assert "Traceback" not in log


def test_the_limit_of_descriptors_is_raised(upstream):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        few = len(os.listdir("/proc/self/fd")) + 100  # the run itself may hold many
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(few, before[1]), before[1]))
        with running("forward", "--listen", "127.0.0.1:0") as command:
            started(command)
            limits = Path(f"/proc/{command._process.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert line.split()[3] == line.split()[4] == str(before[1])


def test_the_server_accepts_max_connections_of_the_proxy():
    with closing(ForwardProxy(max_connections=1500)) as proxy:
        assert _server(proxy)[1].max_connections == 3000
    with closing(ForwardProxy()) as proxy:
        assert _server(proxy)[1].max_connections == 1000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_also_with_open_tunnels(upstream, number):
    upstream.behaviour = [("wait_ended",)]
    allow = f"127.0.0.1:{upstream.port}"
    with running("forward", "--listen", "127.0.0.1:0", "--allow", allow) as command:
        port, _ = started(command)
        sock, head = connected(port, upstream.netloc)
        with sock, socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"GET http://")
            assert b" 200 " in head
            assert command.end(number) == 0
            assert sock.recv(1) == b""
        log = command.stderr.splitlines()
        assert log[0].endswith(f"tunnel to {upstream.netloc}")
        # Perhaps the access log has it too, if its thread was faster than our end.
        more = [line for line in log[1:] if f" CONNECT '{upstream.netloc}' " not in line]
        assert [line[20:] for line in more] == ["ending: 1 exchanges and tunnels are cut"]


def test_credentials_allow_other_machines(upstream, tmp_path: Path):
    upstream.behaviour = answer(200, body=b"hello")
    users = tmp_path / "users"
    users.write_bytes(b"alice:" + bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)))
    options = ["--credentials", str(users), "--allow", f"127.0.0.1:{upstream.port}"]
    with running("forward", "--listen", "0.0.0.0:0", *options) as command:
        port, lines = started(command)
        assert lines[0].startswith(f"Browser proxy at 127.0.0.1:{port} and all other addresses.")
        assert lines[1].split(None, 1) == ["for", "everybody with a password\n"]
        assert f"USER:PASSWORD@127.0.0.1:{port}" in lines[5]
        sock, head = connected(port, upstream.netloc)
        with sock:
            assert head.startswith(b"HTTP/1.1 407 ")
            assert b"\r\nProxy-Authenticate: Basic " in head
        right = "Proxy-Authorization: Basic YWxpY2U6d29uZGVy"
        sock, head = connected(port, upstream.netloc, right)
        with sock:
            assert head.startswith(b"HTTP/1.1 200 ")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["forward", *arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wsgiproxy: ") and err.count("\n") == 1
    return status, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--listen", "0.0.0.0:0"], "--listen 0.0.0.0:0: others can reach it; expected"),
        (["--listen", "[::]:0"], "--listen [::]:0: others can reach it; expected"),
        (["--allow", "http://a/"], "--allow 'http://a/': expected"),
        (["--deny", "a:b"], "--deny 'a:b': expected"),
        (["--ports", "x"], "--ports 'x': expected port numbers"),
        (["--allow-client", "me"], "--allow-client 'me': expected an address"),
        (["--credentials", "/nowhere"], "--credentials '/nowhere': cannot be read"),
        (["--max-connections", "x"], "--max-connections 'x': expected"),
        (["--alow", "x"], "unrecognized arguments: --alow"),
    ],
)
def test_wrong_command_lines_end_with_2(capsys, arguments, message):
    status, err = refused(capsys, *arguments)
    assert status == 2
    assert message in err


def test_list_flags_may_be_repeated(capsys):
    status, err = refused(capsys, "--allow", "a:1", "--allow", "b:x", "--listen", "127.0.0.1:0")
    assert (status, "--allow 'b:x': expected" in err) == (2, True)


def test_a_busy_port_ends_with_1(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, err = refused(capsys, "--listen", f"127.0.0.1:{port}")
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in err


def test_missing_paste_is_named_with_its_extra(tmp_path: Path):
    (tmp_path / "hide.py").write_text(
        textwrap.dedent("""
        import sys
        sys.modules["paste.httpserver"] = None
        from wsgiproxy.cli import main
        sys.exit(main(["forward", "--listen", "127.0.0.1:0"]))
        """)
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, str(tmp_path / "hide.py")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 2
    assert "pip install 'wsgiproxy[forward]>=1'" in done.stderr


def test_the_printed_address_of_0_0_0_0_is_127_0_0_1():
    lines = how_to_use(Listen("::", 0), 3128, {"ports": "*", "allow_clients": ("10.0.0.0/8",)})
    assert lines[0].startswith("Browser proxy at [::1]:3128 and all other addresses.")
    assert lines[1].split() == ["for", "10.0.0.0/8"]
    assert "all ports" in lines[2]
    assert "-x http://[::1]:3128 https://" in lines[5]


def test_how_to_use_without_connect():
    lines = how_to_use(Listen("127.0.0.1", 0), 3128, {"connect": False, "allow_clients": ()})
    assert lines[1].split() == ["for", "nobody"]
    assert lines[3].endswith("not for HTTPS")
    assert "https" not in "".join(lines[4:])
