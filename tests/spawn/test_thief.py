"""A stranger who takes the address of a process never gets a byte of a request.

Each has to fail where a foreign process listens, and the log has to say why.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.spawn.children import LIMIT, Answer, ask, lines_of, until
from tests.spawn.programs import server, told
from tests.spawn.programs.thief import Thief
from tests.support.ports import free_port
from tests.support.rounds import rounds

pytestmark = pytest.mark.in_turns(2)

IPV6 = pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="no IPv6")
SECRET = {"HTTP_COOKIE": "session=secret", "HTTP_AUTHORIZATION": "Bearer secret"}


class Asking(threading.Thread):
    """One request in a thread of its own."""

    def __init__(self, app, **asked) -> None:
        super().__init__(daemon=True)
        self._app, self._asked = app, asked
        self.answer = Answer(0, {}, b"")

    def run(self) -> None:
        self.answer = ask(self._app, **self._asked)

    def end(self) -> Answer:
        self.join(LIMIT)
        assert not self.is_alive()
        return self.answer


def asking(app) -> Asking:
    asked = Asking(app, method="POST", body=b"secret" * 1000, **SECRET)
    asked.start()
    return asked


def refused(answer: Answer) -> None:
    """An error page of ours that says nothing about the inside."""
    assert answer.status in (502, 503), answer
    assert "stolen" not in answer.text
    assert "port" not in answer.text and "127.0.0.1" not in answer.text


# Before the process listens


@pytest.mark.parametrize(
    ("at", "host"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", id="at its address"),
        pytest.param("0.0.0.0", "127.0.0.1", id="at every address"),
        pytest.param("127.0.0.1", "0.0.0.0", id="at one of all addresses"),
        pytest.param("127.0.0.1", "::1", id="at the other localhost", marks=IPV6),
        pytest.param("::1", "127.0.0.1", id="at the IPv6 localhost", marks=IPV6),
        pytest.param("::", "127.0.0.1", id="at every address of IPv6", marks=IPV6),
    ],
)
def test_a_thief_that_listens_before_a_slow_process_gets_nothing(spawn, caplog, tmp_path, at, host):
    began, wait = tmp_path / "began", tmp_path / "wait"
    port = free_port()
    command = server(port="{port}", host=host, began=began, wait=wait)
    app = spawn(command, spawned_port=port, start_timeout=LIMIT)
    request = asking(app)
    until(lambda: lines_of(began), "the process")
    with Thief(at, port) as thief:
        wait.touch()
        refused(request.end())
        refused(ask(app, **SECRET))
        assert thief.stolen == b""
    # The process may have died of it before its port is looked at; both reasons are right.
    reasons = (f"a process that is not ours listens on port {port}", "Address already in use")
    assert any(reason in caplog.text for reason in reasons)


def test_a_thief_with_reuseport_gets_nothing(spawn, caplog, tmp_path):
    """SO_REUSEPORT, as servers with several workers use it: the kernel would choose."""
    began, wait = tmp_path / "began", tmp_path / "wait"
    port = free_port()
    command = server(port="{port}", host="0.0.0.0", reuse="yes", began=began, wait=wait)
    app = spawn(command, spawned_port=port)
    request = asking(app)
    until(lambda: lines_of(began), "the process")
    with Thief("127.0.0.1", port, reuse=True) as thief:
        wait.touch()
        refused(request.end())
        assert thief.stolen == b""
    assert f"a process that is not ours listens on port {port}" in caplog.text


def test_a_thief_instead_of_a_process_that_never_listens_gets_nothing(spawn, caplog, tmp_path):
    began = tmp_path / "began"
    port = free_port()
    command = server(port="{port}", began=began, wait=tmp_path / "never")
    app = spawn(command, spawned_port=port, start_timeout=LIMIT)
    with Thief("127.0.0.1", port, patient=True) as thief:
        refused(asking(app).end())
        until(thief.listens.is_set, "the thief")
        assert thief.stolen == b""
    assert "Address already in use" in caplog.text or "not ours" in caplog.text


def test_the_next_start_takes_another_port(spawn, tmp_path):
    """Whoever has taken one cannot keep us from serving."""
    began, wait = tmp_path / "began", tmp_path / "wait"
    app = spawn(server(port="{port}", began=began, wait=wait))
    request = asking(app)
    until(lambda: lines_of(began), "the process")
    with Thief("127.0.0.1", port_of(int(began.read_text()))) as thief:
        wait.touch()
        refused(request.end())
        assert told(ask(app))["words"][0] != f"port={thief.port}"
        assert thief.stolen == b""


def port_of(pid: int) -> int:
    """The port that a process was given."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return int(next(word[5:] for word in words if word.startswith("port=")))


# While it serves


@pytest.mark.parametrize("kept", ["64", "0"], ids=["with kept connections", "without"])
def test_a_thief_of_the_port_of_a_crashed_process_gets_nothing(spawn, caplog, kept):
    """Requests come all the while, and the thief is there as soon as the kernel lets him."""
    stolen = Counter[bytes]()
    count = rounds(3, 10)
    for _ in range(count):
        port = free_port()
        app = spawn(server(port="{port}"), spawned_port=port, max_idle=kept)
        pid = told(ask(app))["pid"]
        ended = threading.Event()
        answers: list[Answer] = []

        def come(app=app, ended=ended, answers=answers) -> None:
            while not ended.is_set():
                answers.append(ask(app, method="POST", body=b"secret" * 100, **SECRET))

        with Thief("127.0.0.1", port, patient=True) as thief:
            clients = [threading.Thread(target=come, daemon=True) for _ in range(4)]
            for client in clients:
                client.start()
            until(lambda answers=answers: len(answers) > 20, "requests")
            os.kill(pid, signal.SIGKILL)
            until(thief.listens.is_set, "the thief")
            came = len(answers)
            until(lambda answers=answers, came=came: len(answers) > came + 20, "more requests")
            ended.set()
            for client in clients:
                client.join(LIMIT)
            stolen[thief.stolen[:100]] += 1
        assert {answer.status for answer in answers} <= {200, 502, 503}
        assert not any(b"stolen" in answer.body for answer in answers)
        app.close()
    assert stolen == {b"": count}
    assert "it ended by SIGKILL" in caplog.text


@pytest.mark.parametrize(
    ("at", "host"),
    [
        pytest.param("127.0.0.1", "::1", id="at the other localhost", marks=IPV6),
        pytest.param("::1", "127.0.0.1", id="at the IPv6 localhost", marks=IPV6),
    ],
)
def test_a_thief_beside_a_ready_process_gets_nothing(spawn, at, host):
    app = spawn(server(port="{port}", host=host), max_idle=0)
    pid = told(ask(app))["pid"]
    with Thief(at, port_of(pid)) as thief:
        for _ in range(5):
            answer = ask(app, **SECRET)
            assert answer.status in (200, 502, 503) and b"stolen" not in answer.body
        assert thief.stolen == b""


def test_a_thief_that_joins_a_ready_process_gets_nothing(spawn, caplog):
    """SO_REUSEPORT again: at the more exact address all connections would be his."""
    app = spawn(server(port="{port}", host="0.0.0.0", reuse="yes"), max_idle=0)
    pid = told(ask(app))["pid"]
    with Thief("127.0.0.1", port_of(pid), reuse=True) as thief:
        for _ in range(5):
            refused(ask(app, **SECRET))
        assert thief.stolen == b""
    assert f"listens on port {thief.port}" in caplog.text


def test_a_thief_of_a_port_that_is_given_up_gets_nothing(spawn, caplog):
    """A socket that has been shut down still exists, and any process may take its port."""
    app = spawn(server(port="{port}"), max_idle=0)
    port = port_of(told(ask(app))["pid"])
    ask(app, "/shut")
    with Thief("127.0.0.1", port) as thief:
        for _ in range(5):
            refused(ask(app, **SECRET))
        assert thief.stolen == b""
    assert f"port {port}" in caplog.text


# The other sockets


def test_a_thief_that_replaces_a_unix_socket_gets_nothing(spawn, caplog):
    app = spawn(server(socket="{socket}"), max_idle=0)
    path = told(ask(app))["words"][0].partition("=")[2]
    with Thief(path) as thief:
        for _ in range(5):
            refused(ask(app, **SECRET))
        assert thief.stolen == b""
    assert f"process {os.getpid()}, which is not ours, listens on {path}" in caplog.text


def test_a_thief_that_makes_the_unix_socket_first_gets_nothing(spawn, caplog, tmp_path, temporary):
    began, wait = tmp_path / "began", tmp_path / "wait"
    app = spawn(server(socket="{socket}", began=began, wait=wait))
    request = asking(app)
    until(lambda: lines_of(began), "the process")
    (folder,) = temporary.iterdir()
    with Thief(str(folder / "socket")) as thief:
        wait.touch()
        refused(request.end())
        assert thief.stolen == b""
    # The process may have died of it before its socket is looked at; both reasons are right.
    reasons = (f"process {os.getpid()}, which is not ours", "Address already in use")
    assert any(reason in caplog.text for reason in reasons)


@pytest.mark.parametrize("reuse", [False, True], ids=["plainly", "with SO_REUSEPORT"])
def test_a_thief_cannot_listen_on_the_port_of_an_inherited_socket(spawn, tmp_path, reuse):
    began, wait = tmp_path / "began", tmp_path / "wait"
    app = spawn(server(url="{port}", began=began, wait=wait), socket="inherit")
    request = asking(app)
    until(lambda: lines_of(began), "the process")
    pid = int(began.read_text())
    port = int(Path(f"/proc/{pid}/cmdline").read_text().partition("url=")[2].partition("\0")[0])
    for address in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(OSError, match="in use"), Thief(address, port, reuse=reuse):
            pass  # he would have it
    wait.touch()
    assert told(request.end())["pid"] == pid
    os.kill(pid, signal.SIGKILL)
    with Thief("127.0.0.1", port, patient=True) as thief:
        for _ in range(20):
            answer = ask(app, **SECRET)
            assert b"stolen" not in answer.body
        assert thief.stolen == b""


def test_the_thief_of_these_tests_takes_requests():
    """Or all of the above would prove nothing."""
    with Thief("127.0.0.1") as thief:
        with socket.create_connection(("127.0.0.1", thief.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(100).endswith(b"stolen")
        assert thief.stolen == b"GET / HTTP/1.1\r\n\r\n"
