"""Which connection has to go when there are too many."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from wsgiproxy.server.client import ClientConnection
from wsgiproxy.server.connections import Connections, _accepting


class Pair:
    """A connection, seen from both of its ends."""

    def __init__(self) -> None:
        self.client, server = socket.socketpair()
        self.client.settimeout(0)
        self.wire = ClientConnection(server)
        self._server = server

    @property
    def is_cut(self) -> bool:
        try:
            return self.client.recv(1) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.client.close()
        self._server.close()


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    found = [Pair() for _ in range(40)]
    yield found
    for pair in found:
        pair.close()


def cut(pairs: list[Pair]) -> list[int]:
    return [number for number, pair in enumerate(pairs) if pair.is_cut]


def test_the_longest_wait_ends(pairs: list[Pair]) -> None:
    connections = Connections(3)
    assert all(connections.admit(pair.wire) for pair in pairs[:5])
    assert (cut(pairs), len(connections)) == ([0, 1], 3)


def test_whoever_had_to_go_is_not_served(pairs: list[Pair]) -> None:
    connections = Connections(1)
    for pair in pairs[:2]:
        connections.admit(pair.wire)
    assert not connections.begin(pairs[0].wire)
    assert connections.begin(pairs[1].wire)


def test_whoever_is_served_stays(pairs: list[Pair]) -> None:
    connections = Connections(2)
    connections.admit(pairs[0].wire)
    assert connections.begin(pairs[0].wire)
    assert connections.admit(pairs[1].wire)
    assert connections.admit(pairs[2].wire)
    assert cut(pairs) == [1]


def test_whoever_has_an_answer_goes_before_those_who_wait_for_one(pairs: list[Pair]) -> None:
    connections = Connections(2)
    for pair in pairs[:2]:
        connections.admit(pair.wire)
    assert connections.begin(pairs[1].wire)
    connections.finish(pairs[1].wire)
    assert connections.admit(pairs[2].wire)
    assert cut(pairs) == [1]


def test_when_all_are_served_there_is_no_place(pairs: list[Pair]) -> None:
    connections = Connections(1)
    connections.admit(pairs[0].wire)
    connections.begin(pairs[0].wire)
    assert not any(connections.admit(pair.wire) for pair in pairs[1:35])
    # Those turned away have some time to read that.
    assert (cut(pairs), len(connections)) == ([1, 2], 33)
    connections.leave(pairs[0].wire)
    assert connections.admit(pairs[35].wire)


def test_one_that_left_takes_no_place(pairs: list[Pair]) -> None:
    connections = Connections(1)
    for pair in pairs:
        assert connections.admit(pair.wire)
        assert connections.begin(pair.wire)
        connections.finish(pair.wire)
        connections.leave(pair.wire)
    assert (cut(pairs), len(connections)) == ([], 0)


def test_the_end_of_the_server_is_theirs_and_of_those_to_come(pairs: list[Pair]) -> None:
    connections = Connections(9)
    for pair in pairs[:3]:
        connections.admit(pair.wire)
    connections.begin(pairs[1].wire)
    connections.close()
    connections.admit(pairs[3].wire)
    assert cut(pairs) == [0, 2, 3]


class Accepting:
    """A server whose ``get_request`` fails as often as it is told to."""

    def __init__(self, failures: int, number: int) -> None:
        self.failures = failures
        self.number = number

    def __call__(self) -> str:
        if self.failures:
            self.failures -= 1
            raise OSError(self.number, "as told")
        return "a connection"


def test_without_descriptors_the_longest_wait_makes_room(caplog):
    connections = Connections(10)
    rooms: list[None] = []
    connections.make_room = lambda: rooms.append(None)  # type: ignore[method-assign]
    accept = _accepting(connections, Accepting(3, errno.EMFILE))
    for _ in range(3):
        with pytest.raises(OSError, match="as told"):
            accept()
    assert (len(rooms), accept()) == (3, "a connection")
    assert len(caplog.records) == 1
    assert "ulimit -n" in caplog.text


def test_other_failures_are_nobodys_fault(caplog):
    connections = Connections(10)
    accept = _accepting(connections, Accepting(1, errno.ECONNABORTED))
    with pytest.raises(OSError, match="as told"):
        accept()
    assert caplog.records == []
