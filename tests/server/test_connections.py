"""Which connection is closed when there are too many."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from wsgiproxy.server.client import ClientConnection
from wsgiproxy.server.connections import Connections, connections_of


class Pair:
    """A connection, seen from both of its ends."""

    def __init__(self) -> None:
        self.client, server = socket.socketpair()
        self.client.settimeout(0)
        self.connection = ClientConnection(server)
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


def test_the_connection_that_waits_longest_is_cut(pairs: list[Pair]) -> None:
    connections = Connections(3)
    assert all(connections.admit(pair.connection) for pair in pairs[:5])
    assert (cut(pairs), len(connections)) == ([0, 1], 3)


def test_a_connection_that_was_cut_is_not_served(pairs: list[Pair]) -> None:
    connections = Connections(1)
    for pair in pairs[:2]:
        connections.admit(pair.connection)
    assert not connections.begin(pairs[0].connection)
    assert connections.begin(pairs[1].connection)


def test_a_connection_that_is_served_is_not_cut(pairs: list[Pair]) -> None:
    connections = Connections(2)
    connections.admit(pairs[0].connection)
    assert connections.begin(pairs[0].connection)
    assert connections.admit(pairs[1].connection)
    assert connections.admit(pairs[2].connection)
    assert cut(pairs) == [1]


def test_an_answered_connection_is_cut_before_a_waiting_one(pairs: list[Pair]) -> None:
    connections = Connections(2)
    for pair in pairs[:2]:
        connections.admit(pair.connection)
    assert connections.begin(pairs[1].connection)
    connections.finish(pairs[1].connection)
    assert connections.admit(pairs[2].connection)
    assert cut(pairs) == [1]


def test_a_new_connection_is_refused_when_all_are_served(pairs: list[Pair]) -> None:
    connections = Connections(1)
    connections.admit(pairs[0].connection)
    connections.begin(pairs[0].connection)
    assert not any(connections.admit(pair.connection) for pair in pairs[1:35])
    # Those turned away have some time to read that.
    assert (cut(pairs), len(connections)) == ([1, 2], 33)
    connections.leave(pairs[0].connection)
    assert connections.admit(pairs[35].connection)


def test_a_closed_connection_is_not_counted(pairs: list[Pair]) -> None:
    connections = Connections(1)
    for pair in pairs:
        assert connections.admit(pair.connection)
        assert connections.begin(pair.connection)
        connections.finish(pair.connection)
        connections.leave(pair.connection)
    assert (cut(pairs), len(connections)) == ([], 0)


def test_the_end_of_the_server_closes_all_that_are_not_served(
    pairs: list[Pair],
) -> None:
    connections = Connections(9)
    for pair in pairs[:3]:
        connections.admit(pair.connection)
    connections.begin(pairs[1].connection)
    connections.close()
    connections.admit(pairs[3].connection)
    assert cut(pairs) == [0, 2, 3]


class FailingServer:
    """A server whose ``get_request`` fails some times, and then accepts a connection."""

    def __init__(self, failures: int, number: int) -> None:
        self.failures = failures
        self.number = number
        self.socket = socket.socket()

    def get_request(self) -> str:
        if self.failures:
            self.failures -= 1
            raise OSError(self.number, "as told")
        return "a connection"


def test_without_descriptors_the_longest_wait_makes_room(caplog, pairs: list[Pair]):
    server = FailingServer(3, errno.EMFILE)
    with server.socket:
        connections = connections_of(server, 10)
        for pair in pairs[:4]:
            connections.admit(pair.connection)
        for _ in range(3):
            with pytest.raises(OSError, match="as told"):
                server.get_request()
        assert server.get_request() == "a connection"
    assert cut(pairs) == [0, 1, 2]
    assert len(caplog.records) == 1
    assert "ulimit -n" in caplog.text


def test_a_failure_other_than_a_lack_of_descriptors_closes_no_connection(caplog, pairs: list[Pair]):
    server = FailingServer(1, errno.ECONNABORTED)
    with server.socket:
        connections_of(server, 10).admit(pairs[0].connection)
        with pytest.raises(OSError, match="as told"):
            server.get_request()
    assert cut(pairs) == []
    assert caplog.records == []
