"""What systemd hands over to ``serve``, and what it is told."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.cli.command import Command, request_bytes, running
from tests.spawn.children import child, until
from tests.support.client import raw_exchange
from tests.support.ports import free_port
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli.listen import CannotStart, Listen
from wsgiproxy.cli.systemd import address_of, flag_of, inherited, notify

pytestmark = pytest.mark.in_turns(2)

SERVERS = ["uvicorn", "waitress", "gunicorn"]


@pytest.fixture(params=SERVERS)
def server(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream(answer(body=b"page")) as made:
        yield made


# The socket


def test_the_inherited_socket_is_served(server, upstream, listener):
    host, port = listener.getsockname()
    with running("serve", upstream.url, "--server", server, listener=listener) as command:
        assert command.line().startswith(f"Serving http://{host}:{port}/ -> ")
        assert raw_exchange(port, request_bytes("GET /")).body == b"page"
        # Its address is a loopback one, so that other names are refused.
        refused = raw_exchange(port, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert refused.status == 421
        assert command.end() == 0
    # The socket is still ours.
    with socket.create_connection(("127.0.0.1", port), 10):
        listener.settimeout(10)
        listener.accept()[0].close()


def test_it_counts_more_than_listen(upstream, listener, tmp_path):
    other = free_port()
    path = tmp_path / "proxy.toml"
    path.write_text(f'listen = "127.0.0.1:{other}"\n[[route]]\ntarget = "{upstream.url}"\n')
    typed = ["serve", upstream.url, "--listen", f"127.0.0.1:{other}"]
    for words in (typed, ["serve", "--config", str(path)]):
        with running(*words, listener=listener) as command:
            port = urlsplit(command.line().split()[1]).port
            assert port == listener.getsockname()[1]
            assert raw_exchange(port, request_bytes("GET /")).body == b"page"
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", other))
            assert command.end() == 0


def test_ipv6(upstream):
    with (
        contextlib.suppress(OSError),
        socket.create_server(("::1", 0), family=socket.AF_INET6) as it,
    ):
        port = it.getsockname()[1]
        with running("serve", upstream.url, listener=it) as command:
            assert command.line().startswith(f"Serving http://[::1]:{port}/ -> ")
            assert raw_exchange(port, request_bytes("GET /"), host="::1").body == b"page"
            assert command.end() == 0
        return
    pytest.skip("no ::1 here")


def test_a_command_gets_no_variable_and_no_socket(listener):
    words = ["serve", "--script-env", "A=1", "--", *child(port="{port}")]
    with running(*words, listener=listener) as command:
        command.line()
        port = listener.getsockname()[1]
        pid = int(raw_exchange(port, request_bytes("GET /pid"), timeout=30).body)
        with open(f"/proc/{pid}/environ") as file:
            assert "LISTEN_" not in file.read()
        links = [os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")]
        assert f"socket:[{os.fstat(listener.fileno()).st_ino}]" not in links
        assert command.end() == 0


def test_granian_takes_none(listener):
    pytest.importorskip("granian")
    words = ["serve", ":1", "--no-check", "--server", "granian"]
    with running(*words, listener=listener) as command:
        assert command.wait() == 2
        assert "--server granian: it takes no socket of LISTEN_FDS" in command.stderr


@pytest.fixture
def variables(monkeypatch):
    """As for this process; removed behind the test."""
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDNAMES", "web")
    return lambda count: monkeypatch.setenv("LISTEN_FDS", count)


def test_no_socket_for_us(monkeypatch, variables):
    for count in ("", "0"):
        variables(count)
        assert inherited() is None
    variables("2")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert inherited() is None
    assert os.environ["LISTEN_FDNAMES"] == "web"  # those of another process


@pytest.mark.parametrize("count", ["2", "3", "x", "-1"])
def test_several_sockets_are_refused(variables, count):
    variables(count)
    with pytest.raises(CannotStart, match=f"^LISTEN_FDS={count}: expected one socket; "):
        inherited()


_WRONG = """
import os, socket, sys
made = {
    "connected": lambda: socket.socketpair()[0],
    "udp": lambda: socket.socket(type=socket.SOCK_DGRAM),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "closed": lambda: None,
}[sys.argv[1]]()
if sys.argv[1] == "unix":
    made.bind("\\0wsgiproxy-test-%d" % os.getpid())
    made.listen()
os.close(3) if made is None and os.path.exists("/proc/self/fd/3") else None
if made is not None:
    os.dup2(made.fileno(), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
from wsgiproxy.cli import main
sys.exit(main(["serve", ":1", "--no-check"]))
"""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("connected", "expected a listening socket (Accept=no)"),
        ("udp", "expected a listening socket (Accept=no)"),
        ("closed", "expected a listening socket (Accept=no)"),
        ("unix", "expected a TCP socket, ListenStream=HOST:PORT"),
    ],
)
def test_a_wrong_descriptor(kind, said):
    words = [sys.executable, "-c", _WRONG, kind]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert ended.stderr == f"wsgiproxy: descriptor 3 (LISTEN_FDS): {said}\n"
    assert ended.returncode == 1


def test_addresses():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert address_of(listener) == Listen("127.0.0.1", port)
        assert flag_of(address_of(listener)) == f"127.0.0.1:{port}"


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd here")
def test_by_the_program_of_systemd(upstream):
    port = free_port()
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    words = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-E", "PYTHONPATH"]
    words += [sys.executable, "-m", "wsgiproxy", "serve", upstream.url]
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as it:
        try:

            def accepts() -> bool:
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            until(accepts, "the socket")
            # The connection has started the program, and is answered.
            assert raw_exchange(port, request_bytes("GET /"), timeout=30).body == b"page"
            it.send_signal(signal.SIGTERM)
            assert it.wait(30) == 0
        finally:
            it.kill()


# What is told


class Listening:
    """The socket of ``NOTIFY_SOCKET``, with what came to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        self._sock.settimeout(30)

    def next(self) -> str:
        return self._sock.recv(4096).decode()

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def told(request, tmp_path):
    name = str(tmp_path / "notify") if request.param == "path" else f"@wsgiproxy-{os.getpid()}"
    with contextlib.closing(Listening(name)) as made:
        yield made


def start_and_end(command: Command, told: Listening) -> None:
    port = urlsplit(command.line().split()[1]).port
    assert told.next() == "READY=1"
    assert port and raw_exchange(port, request_bytes("GET /")).status == 200
    command.send_signal(signal.SIGTERM)
    assert told.next() == "STOPPING=1"
    assert command.wait() == 0


@pytest.mark.parametrize("server", ["uvicorn", "waitress"])
def test_readiness_and_the_end_are_told(server, told, upstream):
    pytest.importorskip(server)
    words = ["serve", upstream.url, "--listen", "127.0.0.1:0", "--server", server]
    with running(*words, env={"NOTIFY_SOCKET": told.name}) as command:
        start_and_end(command, told)


def test_gunicorn_tells_it_by_itself(told, upstream):
    pytest.importorskip("gunicorn")
    words = ["serve", upstream.url, "--listen", "127.0.0.1:0", "--server", "gunicorn"]
    with running(*words, env={"NOTIFY_SOCKET": told.name}) as command:
        command.line()
        assert told.next().split("\n")[0] == "READY=1"


def test_a_reload_is_told(told, upstream, tmp_path):
    path = tmp_path / "proxy.toml"
    good = f'listen = "127.0.0.1:0"\n[[route]]\ntarget = "{upstream.url}"\n'
    path.write_text(good)
    with running("serve", "--config", str(path), env={"NOTIFY_SOCKET": told.name}) as command:
        command.line()
        assert told.next() == "READY=1"
        for content, said in ((good, "was read again"), ("x = 1", "the old settings stay")):
            path.write_text(content)
            command.send_signal(signal.SIGHUP)
            state, _, when = told.next().partition("\nMONOTONIC_USEC=")
            assert (state, when.isdigit()) == ("RELOADING=1", True)
            assert told.next() == "READY=1"
            assert said in command.stderr
        command.send_signal(signal.SIGTERM)
        assert told.next() == "STOPPING=1"
        assert command.wait() == 0


@pytest.mark.parametrize("name", ["", "relative", "/no/such/socket", "@nothing-listens-there"])
def test_nothing_to_tell_it_to(name, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")
