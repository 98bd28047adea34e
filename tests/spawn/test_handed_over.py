"""What a command is given besides its environment: a socket, a session, and nothing of ours."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket

import pytest

from tests.spawn.children import ask, child, facts

WAYS = [
    pytest.param({}, id="inherited"),
    pytest.param({"port": "{port}"}, id="port"),
    pytest.param({"socket": "{socket}"}, id="unix"),
]


def links(pid: int | str) -> dict[int, str]:
    """The descriptors of a process, and what they are."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:  # that of the folder itself
            continue
    return found


@pytest.fixture
def inheritable():
    """Descriptors of ours that a careless parent would hand on."""
    reading, writing = os.pipe()
    high = fcntl.fcntl(reading, fcntl.F_DUPFD, 77)
    numbers = [reading, writing, high]
    for number in numbers:
        os.set_inheritable(number, True)
    yield os.readlink(f"/proc/self/fd/{reading}")
    for number in numbers:
        os.close(number)


def test_the_socket_is_descriptor_3_as_with_systemd(spawn):
    found = facts(spawn(child()))
    variables = found["environment"]
    assert (variables["LISTEN_FDS"], variables["LISTEN_PID"]) == ("1", str(found["pid"]))
    assert found["descriptors"]["3"].startswith("socket:[")


def test_the_inherited_socket_blocks_despite_a_default_timeout(spawn):
    """A default timeout, or gevent, makes them not block, and accept() would fail at once."""
    socket.setdefaulttimeout(5)
    try:
        app = spawn(child())
        assert ask(app).status == 200
    finally:
        socket.setdefaulttimeout(None)
    with open(f"/proc/{app.pid}/fdinfo/3", encoding="ascii") as file:
        [flags] = re.findall(r"^flags:\s+([0-7]+)$", file.read(), re.MULTILINE)
    assert not int(flags, 8) & os.O_NONBLOCK


@pytest.mark.parametrize("way", WAYS[1:])
def test_without_an_inherited_socket_listen_fds_is_not_set(spawn, way):
    found = facts(spawn(child(**way)))
    assert not [name for name in found["environment"] if name.startswith("LISTEN")]


def test_it_is_the_leader_of_a_session_and_a_group_without_a_terminal(spawn):
    found = facts(spawn(child()))
    assert found["session"] == found["group"] == found["pid"] != os.getsid(0)


def test_its_stdin_is_empty_and_its_output_one_pipe(spawn):
    found = facts(spawn(child()))["descriptors"]
    assert found["0"] == "/dev/null"
    assert found["1"] == found["2"]
    assert found["1"].startswith("pipe:[")


@pytest.mark.parametrize("way", WAYS)
def test_no_other_descriptor_reaches_it(spawn, inheritable, way):
    """Neither ours, even those that may be inherited, nor the supervisor's."""
    app = spawn(child(**way))  # kept, since an application that is garbage is closed
    found = facts(app)
    handed_over = {found["descriptors"]["3"]} if not way else set()
    more = {link for number, link in found["descriptors"].items() if int(number) > 2}
    assert all(link.startswith("socket:[") for link in more)
    others = {*links("self").values(), *links(found["parent"]).values()}
    assert more & others == handed_over
    assert inheritable not in found["descriptors"].values()


def test_the_supervisor_holds_its_connection_and_pipes_alone(spawn, inheritable):
    app = spawn(child())  # kept, since an application that is garbage is closed
    supervisor = facts(app)["parent"]
    kinds = sorted(link.partition(":")[0] for link in links(supervisor).values())
    # The folder, which it occupies; both ends of the pipe that tells it of SIGCHLD, and the
    # command's output.
    folder = app._backend.lifecycle.instance.folder
    assert kinds == ["/dev/null"] * 3 + [folder] + ["pipe"] * 3 + ["socket"]
    assert inheritable not in links(supervisor).values()


def test_ignored_and_blocked_signals_are_not_inherited(spawn, caplog):
    caplog.set_level("INFO", "wsgiproxy.spawn")
    # Not a Python program, which ignores some by itself.
    app = spawn(["grep", "^Sig...:", "/proc/self/status"])
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGQUIT, signal.SIGRTMIN + 3]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
    try:
        ask(app)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
    found = dict(re.findall(r"(Sig\w+):\s+([0-9a-f]+)$", caplog.text, re.MULTILINE))
    assert int(found["SigBlk"], 16) == 0
    # 32 and 33 are glibc's own: its posix_spawn ignores them, and programs that need them set them.
    assert int(found["SigIgn"], 16) & ~(0b11 << 31) == 0


def test_cwd_is_the_working_directory(spawn, tmp_path):
    assert facts(spawn(child(), cwd=tmp_path))["cwd"] == str(tmp_path)
    assert facts(spawn(child()))["cwd"] == os.getcwd()
