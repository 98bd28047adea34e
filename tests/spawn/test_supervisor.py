"""The process between us and the command: its protocol, and what it hands on."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.spawn.children import LIMIT, MARK, alive, ask, child, facts, lines_of, processes, until
from wsgiproxy.spawn.supervisor import loop

SCRIPT = Path(loop.__file__).with_name("__main__.py")


class Line:
    """One end of a connection to the supervisor."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._partial = b""

    def receive(self) -> str | None:
        """The next line; None at the end."""
        while b"\n" not in self._partial:
            assert select.select([self.sock], [], [], LIMIT)[0], "the supervisor is silent"
            data = self.sock.recv(4096)
            if not data:
                assert not self._partial, self._partial
                return None
            self._partial += data
        line, _, self._partial = self._partial.partition(b"\n")
        return line.decode()

    def rest(self) -> list[str]:
        """All lines to the end."""
        return list(iter(self.receive, None))

    def is_silent(self, seconds: float = 0.2) -> bool:
        return not self._partial and not select.select([self.sock], [], [], seconds)[0]

    def tell(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\n")

    def close(self) -> None:
        self.sock.close()


class Supervisor:
    """A supervisor of our own, with a control socket."""

    def __init__(self, folder: Path, command: list[str], mark: str) -> None:
        folder.mkdir(mode=0o700)
        self._path = str(folder / "control")
        control = socket.socket(socket.AF_UNIX)
        control.bind(self._path)
        control.listen(5)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        ours, theirs = socket.socketpair()
        self.line = Line(ours)
        self._lines = [self.line]
        numbers = [theirs.fileno(), control.fileno(), listener.fileno()]
        with theirs, control, listener:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", SCRIPT, *map(str, numbers), folder, "", *command],
                pass_fds=numbers,
                env={MARK: mark, "LISTEN_FDS": "1"},
                stdin=subprocess.DEVNULL,
            )

    def join(self) -> Line:
        """One more connection to the supervisor."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._path)
        self._lines.append(Line(sock))
        return self._lines[-1]

    def begins(self) -> int:
        """Hear the first line; the pid of the command."""
        line = self.line.receive()
        assert line is not None
        found = re.fullmatch(r"P (\d+) (\d+)", line)
        assert found is not None, line
        assert int(found[2]) == self.process.pid
        return int(found[1])

    def ends(self) -> int:
        """Its own status, when it has ended."""
        return self.process.wait(LIMIT)

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self.process.wait(LIMIT)


@pytest.fixture
def supervisor(mark, tmp_path) -> Iterator:
    """``supervisor(command)``: a supervisor of our own."""
    made: list[Supervisor] = []

    def make(*command: str) -> Supervisor:
        made.append(Supervisor(tmp_path / f"w{len(made)}", list(command), mark))
        return made[-1]

    yield make
    for each in made:
        each.close()
        assert each.process.returncode == 0
    assert not list(tmp_path.glob("w*"))  # a supervisor removes its folder at the end


# What is said on the line


def test_messages_are_pids_output_and_exit_status(supervisor):
    it = supervisor("sh", "-c", "echo one; echo two >&2; printf three; exit 5")
    it.begins()
    assert it.line.rest() == ["O one", "O two", "O three", "X 5 0"]
    assert it.ends() == 0


def test_the_message_of_a_command_that_cannot_be_run_has_errno_and_path(supervisor, tmp_path):
    assert supervisor("no-such-command-of-ours").line.rest() == ["E 2 no-such-command-of-ours"]
    assert supervisor(str(tmp_path)).line.rest() == [f"E 13 {tmp_path}"]


def test_the_end_by_a_signal_is_a_negative_number(supervisor):
    it = supervisor("sh", "-c", "kill -SEGV $$")
    it.begins()
    assert it.line.rest() == ["X -11 0"]


def test_s_stops_the_command(supervisor, tmp_path):
    it = supervisor(*child(ended=tmp_path / "ended"))
    pid = it.begins()
    until(lambda: handles_sigterm(pid), "its handler")
    it.line.tell("S 10")
    assert it.line.rest() == ["D", "X 0 0"]
    assert lines_of(tmp_path / "ended") == [str(pid)]


def test_s_kills_after_its_seconds(supervisor, tmp_path):
    it = supervisor(*child(ignore="yes", starts=tmp_path / "starts"))
    it.begins()
    until(lambda: lines_of(tmp_path / "starts"), "the start")
    it.line.tell("S 0.2")
    assert it.line.rest() == ["D", "X -9 0"]


def test_a_second_s_can_only_shorten_the_time(supervisor, tmp_path):
    it = supervisor(*child(ignore="yes", starts=tmp_path / "starts"))
    it.begins()
    until(lambda: lines_of(tmp_path / "starts"), "the start")
    it.line.tell("S 0.2")
    it.line.tell("S 600")
    assert it.line.rest() == ["D", "D", "X -9 0"]


def test_the_command_ends_with_the_last_connection(supervisor, mark):
    it = supervisor(*child("idle"))
    it.begins()
    other = it.join()
    assert other.receive() is not None
    it.line.close()
    assert other.is_silent()
    assert len(processes(mark)) == 2
    other.close()
    until(lambda: not processes(mark), "the end", 1)
    assert it.ends() == 0


def test_a_second_connection_gets_the_same_messages(supervisor):
    it = supervisor(*child("idle"))
    pid = it.begins()
    one, two = it.join(), it.join()
    assert one.receive() == two.receive() == f"P {pid} {it.process.pid}"
    one.tell("S 10")
    assert it.line.receive() == one.receive() == two.receive() == "D"
    assert it.line.rest() == one.rest() == two.rest()


def test_a_connection_during_a_stop_gets_d(supervisor, tmp_path):
    it = supervisor(*child(linger=1, ended=tmp_path / "ended"))
    pid = it.begins()
    until(lambda: handles_sigterm(pid), "its handler")
    it.line.tell("S 10")
    until(lambda: lines_of(tmp_path / "ended"), "SIGTERM")
    late = it.join()
    assert late.rest() == [f"P {pid} {it.process.pid}", "D", "X 0 0"]


def test_output_is_o_for_the_first_connection_and_small_o_for_the_others(supervisor, tmp_path):
    it = supervisor(*child(wait=tmp_path / "gate", starts=tmp_path / "starts"))
    it.begins()
    other = it.join()
    assert other.receive() is not None
    until(lambda: lines_of(tmp_path / "starts"), "the start")
    (tmp_path / "gate").touch()
    with say(it.port, b"hello\n"):
        assert (it.line.receive(), other.receive()) == ("O hello", "o hello")


def test_q_of_the_last_connection_sets_the_time(supervisor, tmp_path):
    """``Q seconds``, and then the end of the line."""
    it = supervisor(*child(linger=0.8, ended=tmp_path / "ended"))
    pid = it.begins()
    until(lambda: handles_sigterm(pid), "its handler")
    other = it.join()
    other.receive()
    other.tell("Q 10")
    other.close()
    assert it.line.is_silent()  # a connection is left
    it.line.tell("Q 10")
    it.line.sock.shutdown(socket.SHUT_WR)
    # Longer than an orphan would be given.
    assert it.ends() == 0
    assert lines_of(tmp_path / "ended") == [str(pid)]


def test_an_owner_that_reads_nothing_delays_no_other(supervisor, tmp_path):
    it = supervisor(*child(flood="lines"))
    it.begins()
    other = it.join()
    assert other.receive() is not None
    # Two seconds of a flood are more than all buffers.
    heard = [it.line.receive() for _ in range(3000)]
    assert heard[0] is not None
    it.line.tell("S 0.2")
    assert it.line.rest()[-1] == "X 0 0"


@contextmanager
def say(port: int, text: bytes) -> Iterator[None]:
    """Have a server print something."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        sock.sendall(b"POST /say HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        yield


def mask(pid: int, name: str) -> set[int]:
    """A set of signals of a process, as the kernel has it: SigBlk, SigIgn or SigCgt."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        [bits] = re.findall(rf"^{name}:\s+([0-9a-f]+)$", file.read(), re.MULTILINE)
    return {number for number in range(1, 65) if int(bits, 16) >> (number - 1) & 1}


def handles_sigterm(pid: int) -> bool:
    return signal.SIGTERM in mask(pid, "SigCgt")


# Signals to the supervisor itself


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE"])
def test_signals_do_not_end_the_supervisor_before_its_command(spawn, name):
    app = spawn(child())
    found = facts(app)
    os.kill(found["parent"], signal.Signals[name])
    assert signal.Signals[name] in mask(found["parent"], "SigIgn")
    assert [facts(app)["pid"] for _ in range(5)] == [found["pid"]] * 5
    assert alive(found["parent"]) == [found["parent"]]


def test_sigkill_of_the_supervisor_ends_the_command_and_the_next_request_starts_another(
    spawn, temporary, caplog
):
    app = spawn(child(ignore="yes"), stop_timeout=0.2)
    found = facts(app)
    os.kill(found["parent"], signal.SIGKILL)
    until(lambda: not alive(found["pid"]), "the end of the command", 1)
    until(lambda: app.state == "backing off", "the pause")
    assert os.listdir(temporary) == []
    assert "the process that watches it has ended" in caplog.text
    assert ask(app).status == 200
    assert app.pid != found["pid"]


def test_sigkill_of_the_supervisor_ends_the_group_of_the_command(spawn, mark):
    app = spawn(["sh", "-c", '"$@" & wait', "sh", *child()])
    shell = facts(app)["parent"]
    with open(f"/proc/{shell}/stat", encoding="ascii") as file:
        supervisor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: app.state == "backing off", "the pause")
    try:
        until(lambda: not processes(mark), "the end of all", 1)
    finally:
        for pid in processes(mark):
            os.kill(pid, signal.SIGKILL)
