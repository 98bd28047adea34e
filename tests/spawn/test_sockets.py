"""The three ways in which a process gets its socket, and where it may listen."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.spawn.children import LIMIT, alive, ask, until
from tests.spawn.programs import server, told
from tests.spawn.programs.thief import Thief
from tests.support.ports import free_port
from wsgiproxy.errors import ConfigurationError, ConnectFailed
from wsgiproxy.sansio.process.procfs import Listening
from wsgiproxy.spawn import listeners, sockets
from wsgiproxy.spawn.sockets import Port, Taken

pytestmark = pytest.mark.in_turns(2)

KINDS = [server(), server(socket="{socket}"), server(port="{port}")]
IPV6 = pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="no IPv6")


def option(words: list[str], name: str) -> str:
    """The value of an option, as the process got it."""
    return dict(word.split("=", 1) for word in words)[name]


# What the placeholders stand for


@pytest.mark.parametrize("written", ["{port}", "__PORT__"])
def test_a_port_is_filled_in(spawn, written):
    found = told(ask(spawn(server(port=written))))
    assert found["environment"]["PORT"] == option(found["words"], "port")
    assert not {"LISTEN_FDS", "LISTEN_PID"} & set(found["environment"])


@pytest.mark.parametrize("written", ["{fd}", "__FD__"])
def test_a_descriptor_is_filled_in(spawn, written):
    found = told(ask(spawn(server(fd=written))))
    assert option(found["words"], "fd") == "3"


def test_without_a_placeholder_a_socket_is_handed_over_as_systemd_does(spawn):
    app = spawn(server())
    found = told(ask(app))
    assert found["environment"]["LISTEN_FDS"] == "1"
    assert found["environment"]["LISTEN_PID"] == str(found["pid"]) == str(app.pid)
    assert "PORT" not in found["environment"]


def test_a_unix_socket_is_in_a_private_folder(spawn, temporary):
    app = spawn(server(socket="{socket}"))
    path = Path(option(told(ask(app))["words"], "socket"))
    assert path.is_relative_to(temporary)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    app.stop()
    assert not path.parent.exists()


@pytest.mark.parametrize(("name", "written"), [("port", "{port}"), ("socket", "{socket}")])
def test_placeholders_in_the_environment_count_too(spawn, name, written):
    command = ["sh", "-c", f'exec "$@" {name}="$WHERE"', "sh", *server()]
    found = told(ask(spawn(command, script_env={"WHERE": written, "TEXT": f"<{written}>"})))
    assert option(found["words"], name) == found["environment"]["WHERE"]
    assert found["environment"]["TEXT"] == f"<{found['environment']['WHERE']}>"


def test_the_port_can_be_filled_in_where_a_socket_is_handed_over(spawn):
    found = told(ask(spawn(server(url="http://127.0.0.1:{port}"), socket="inherit")))
    assert found["environment"]["LISTEN_FDS"] == "1"
    with socket.create_connection(("127.0.0.1", int(option(found["words"], "url")[17:]))):
        pass  # it listens there


def test_a_socket_may_be_asked_for_without_a_placeholder(spawn):
    command = ["sh", "-c", 'exec "$@" port="$PORT"', "sh", *server()]
    assert told(ask(spawn(command, socket="port")))["environment"]["PORT"]


def test_a_command_may_be_a_string_that_no_shell_sees(spawn):
    command = " ".join([*server(), "'text=$(echo no) ; & |'", "port={port}"])
    assert option(told(ask(spawn(command)))["words"], "text") == "$(echo no) ; & |"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"fd": "{fd}", "socket": "unix"}, "{fd}", id="a descriptor of a Unix socket"),
        pytest.param({"fd": "__FD__", "socket": "port"}, "__FD__", id="a descriptor of a port"),
        pytest.param({"port": "{port}", "socket": "unix"}, "{port}", id="a port of a Unix socket"),
        pytest.param({"s": "{socket}", "socket": "port"}, "{socket}", id="a path of a port"),
        pytest.param({"s": "{socket}", "socket": "inherit"}, "{socket}", id="a path of a socket"),
        pytest.param({"s": "{socket}", "port": "{port}"}, "{port}", id="both"),
        pytest.param({"s": "{socket}", "port": 1, "spawned_port": 80}, "80", id="a port beside"),
        pytest.param({"socket": "tcp"}, "tcp", id="no such socket"),
    ],
)
def test_a_contradiction_is_refused_at_once(spawn, options, named):
    settings = {name: options.pop(name) for name in ("socket", "spawned_port") if name in options}
    with pytest.raises(ConfigurationError) as refused:
        spawn(server(**options), **settings)
    assert named in str(refused.value)


# A port of one's own choice


@pytest.mark.parametrize("command", [server(port="{port}"), server()], ids=["port", "inherit"])
def test_the_given_port_is_used_again_and_again(spawn, command):
    port = free_port()
    app = spawn(command, spawned_port=port)
    for _ in range(3):
        assert ask(app).status == 200
        socket.create_connection(("127.0.0.1", port)).close()
        app.stop()


@pytest.mark.parametrize("command", [server(port="{port}"), server()], ids=["port", "inherit"])
def test_a_given_port_that_is_taken_is_named(spawn, caplog, command):
    with Thief("127.0.0.1") as thief:
        app = spawn(command, spawned_port=thief.port)
        assert ask(app).status == 502
        assert thief.stolen == b""
    assert "Address already in use" in caplog.text
    assert str(thief.port) in caplog.text


# Where it may listen


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"host": "127.0.0.1"}, id="127.0.0.1"),
        pytest.param({"host": "0.0.0.0"}, id="0.0.0.0"),
        pytest.param({"host": "::1"}, id="::1", marks=IPV6),
        pytest.param({"host": "::"}, id="all addresses", marks=IPV6),
        pytest.param({"host": "::", "only6": "yes"}, id="all of IPv6", marks=IPV6),
        pytest.param({"host": "::ffff:127.0.0.1"}, id="IPv4 in IPv6", marks=IPV6),
        pytest.param({"host": "127.0.0.1,::1"}, id="both of localhost", marks=IPV6),
        pytest.param({"host": "127.0.0.1,::1", "only6": "yes"}, id="one each", marks=IPV6),
        pytest.param({"host": "127.0.0.5,127.0.0.1"}, id="another address, too"),
    ],
)
def test_a_listener_is_found_at_each_address(spawn, options):
    app = spawn(server(port="{port}", **options), start_timeout=5)
    for _ in range(2):
        assert ask(app).status == 200, app


@IPV6
@pytest.mark.parametrize(
    ("options", "at"),
    [
        pytest.param({"host": "::", "only6": "yes"}, "[::1]", id="all of IPv6"),
        pytest.param({"host": "::"}, "127.0.0.1", id="all addresses"),
        pytest.param({"host": "127.0.0.1,::1"}, "127.0.0.1", id="both of localhost"),
    ],
)
def test_the_address_that_was_found_is_kept(spawn, options, at):
    """However often it is looked at before all is ready."""
    asked: list[str] = []
    app = spawn(
        server(port="{port}", **options),
        ready=lambda address: asked.append(address) or len(asked) % 3 == 0,
        start_timeout=5,
    )
    for _ in range(2):
        found = told(ask(app))
        assert asked == [f"http://{at}:{option(found['words'], 'port')}"] * 3
        asked.clear()
        app.stop()


def test_a_process_that_listens_at_another_address_is_logged(spawn, caplog):
    app = spawn(server(port="{port}", host="127.0.0.5"), start_timeout=1)
    assert ask(app).status == 502
    assert "but not on 127.0.0.1" in caplog.text


# Whose a listener is, which may go while one looks


class Kernel:
    """What it says of listeners, one answer after another; the last again and again."""

    def __init__(self, *answers: list[Listening]) -> None:
        self._answers = list(answers)

    def __call__(self, port: int) -> list[Listening]:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def listening(inode: int) -> Listening:
    return Listening(socket.inet_aton("127.0.0.1"), 9, 0, inode)


NOBODYS = 1 << 40  # no descriptor of any process


def test_a_listener_that_ends_between_two_looks_is_not_foreign(monkeypatch):
    monkeypatch.setattr(listeners, "listeners", Kernel([listening(NOBODYS)], []))
    assert Port(9).missing(os.getpid()) == "nothing listens on port 9"


def test_a_listener_that_ends_beside_our_own_is_not_foreign(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as ours:
        own = listening(os.fstat(ours.fileno()).st_ino)
        port = Port(ours.getsockname()[1])
        port.missing(os.getpid())
        monkeypatch.setattr(listeners, "listeners", Kernel([own, listening(NOBODYS)], [own]))
        port.check(ours)
        port.close()


def test_a_foreign_listener_that_stays_is_foreign(monkeypatch):
    monkeypatch.setattr(listeners, "listeners", Kernel([listening(NOBODYS)]))
    port = Port(9)
    with pytest.raises(Taken, match="not ours listens on port 9"):
        port.missing(os.getpid())
    with socket.socket() as sock, pytest.raises(ConnectFailed, match="not ours"):
        port.check(sock)


def test_an_ended_listener_is_not_foreign_if_another_takes_its_place(monkeypatch):
    """It is that one that is looked for, and not just any."""
    monkeypatch.setattr(
        listeners, "listeners", Kernel([listening(NOBODYS)], [listening(NOBODYS + 1)], [])
    )
    assert Port(9).missing(os.getpid()) == "nothing listens on port 9"


# While it runs


@pytest.mark.parametrize("command", KINDS, ids=["inherit", "unix", "port"])
def test_many_connections_at_once_are_all_to_our_process(spawn, command):
    """Each is looked at by itself, while others are."""
    app = spawn(command, max_idle=0)
    app.start()
    statuses: list[int] = []

    def come() -> None:
        for _ in range(100):
            statuses.append(ask(app).status)

    clients = [threading.Thread(target=come, daemon=True) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(LIMIT)
    assert Counter(statuses) == {200: 800}


def test_a_server_that_listens_anew_goes_on_serving(spawn):
    """As those do that look for changes in their sources, and start again."""
    app = spawn(server(port="{port}"), max_idle=0)
    pid = told(ask(app))["pid"]
    assert told(ask(app, "/move"))["pid"] == pid
    answers = [ask(app) for _ in range(4)]
    # The first may meet what it finds out only now.
    assert [told(answer)["pid"] for answer in answers[1:]] == [pid] * 3


@pytest.mark.parametrize("which", [0, 1], ids=["the first", "the second"])
def test_a_worker_that_leaves_does_not_take_the_address_along(spawn, which):
    """Of several listeners on one port, as granian's workers have them, any may go."""
    one = " ".join(server(port="$PORT", reuse="yes"))
    app = spawn(["sh", "-c", f"{one} & {one} & wait"], socket="port", max_idle=0)
    pids = set[int]()
    until(lambda: pids.add(told(ask(app))["pid"]) or len(pids) == 2, "an answer by each")
    leaves, stays = sorted(pids)[which], sorted(pids)[1 - which]
    os.kill(leaves, signal.SIGKILL)
    until(lambda: not alive(leaves), "its end")
    answers = [ask(app) for _ in range(4)]
    # The first may meet what it finds out only now.
    assert [told(answer)["pid"] for answer in answers[1:]] == [stays] * 3


def test_a_wrapper_that_forks_and_waits_is_found(spawn):
    one = " ".join(server(socket="$WHERE"))
    app = spawn(["sh", "-c", f"{one} & wait"], script_env={"WHERE": "{socket}"})
    assert told(ask(app))["pid"] != app.pid


def test_a_unix_socket_needs_a_short_folder(spawn, tmp_path, monkeypatch, caplog):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert ask(spawn(server(socket="{socket}"))).status == 502
    assert "too long for a Unix socket" in caplog.text
    assert os.listdir(long) == []


def test_nothing_but_its_socket_is_handed_over(spawn, tmp_path):
    """Not even what our process lets others inherit."""
    with open(tmp_path / "open", "w") as file:
        os.set_inheritable(file.fileno(), True)
        app = spawn(server())
        app.start()
    folder = f"/proc/{app.pid}/fd"
    links = {int(name): os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}
    assert links[0] == "/dev/null"
    assert links[1] == links[2] and links[1].startswith("pipe:")
    assert links[3].startswith("socket:")
    # What has come since is the connection that has found out that it is there.
    assert [link for number, link in links.items() if number > 3 and "socket:" not in link] == []


def test_a_port_that_is_given_by_number_is_none_of_those_for_clients(spawn):
    """The kernel could give it to a client before the process has bound it."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if first <= 10_000:
        pytest.skip("this kernel gives all of them to clients")
    app = spawn(server(port="{port}"))
    assert ask(app).status == 200
    words = Path(f"/proc/{app.pid}/cmdline").read_text().split("\0")
    assert 10_000 <= int(next(word[5:] for word in words if word.startswith("port="))) < first


def test_where_all_are_taken_any_free_one_will_do(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        monkeypatch.setattr(sockets, "_quiet_ports", lambda: [number])
        found = sockets._free_port(None)
        assert found != number
        with pytest.raises(OSError, match=f"port {number}: "):
            sockets._free_port(number)
