"""What the kernel answers about listening sockets, from bytes."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.process.inetdiag import is_last, listening, request
from wsgiproxy.sansio.process.procfs import Listening

DONE, ERROR, SOCKET = 3, 2, 20


def message(kind: int, body: bytes) -> bytes:
    """One netlink message, padded."""
    data = struct.pack("=IHHII", 16 + len(body), kind, 2, 0, 0) + body
    return data + bytes(-len(data) % 4)


def found(family: int, port: int, address: bytes, waiting: int, inode: int) -> bytes:
    """struct inet_diag_msg of a socket that listens."""
    return (
        struct.pack("=BBBB", family, 10, 0, 0)
        + struct.pack(">HH", port, 0)
        + address.ljust(16, b"\0")
        + bytes(16 + 4 + 8 + 4)
        + struct.pack("=IIII", waiting, 128, 1000, inode)
    )


V4 = found(2, 8080, b"\x7f\0\0\1", 2, 4711)
V6 = found(10, 80, bytes(15) + b"\1", 0, 4712)
LISTENING = [
    Listening(b"\x7f\0\0\1", 8080, 2, 4711),
    Listening(bytes(15) + b"\1", 80, 0, 4712),
]


@pytest.mark.parametrize("family", [2, 10], ids=["IPv4", "IPv6"])
def test_request_is_for_listening_tcp_sockets(family: int) -> None:
    data = request(family)
    size, kind, flags, *_ = struct.unpack_from("=IHHII", data)
    assert (size, kind, flags) == (len(data), 20, 0x301) and len(data) == 72
    assert struct.unpack_from("=BBBBI", data, 16) == (family, 6, 0, 0, 1 << 10)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(message(SOCKET, V4), LISTENING[:1], id="one"),
        pytest.param(message(SOCKET, V4) + message(SOCKET, V6), LISTENING, id="of-each-family"),
        pytest.param(message(SOCKET, V4 + b"more"), LISTENING[:1], id="with-attributes"),
        pytest.param(message(SOCKET, V4 + b"abc") + message(SOCKET, V6), LISTENING, id="padded"),
        pytest.param(message(SOCKET, V4[:-1]), [], id="cut"),
        pytest.param(message(SOCKET, b"\1" + V4[1:]), [], id="of-another-family"),
        pytest.param(message(DONE, bytes(4)), [], id="done"),
        pytest.param(bytes(40), [], id="lengths-of-nothing"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_listening_reads_sockets(data: bytes, expected: list[Listening]) -> None:
    assert list(listening(data)) == expected


def test_is_last_finds_nlmsg_done_at_each_position() -> None:
    assert is_last(message(SOCKET, V4) + message(DONE, bytes(4)))
    assert not is_last(message(SOCKET, V4))
    assert not is_last(b"")


@pytest.mark.parametrize(
    ("body", "number"),
    [
        pytest.param(struct.pack("=i", -2) + bytes(16), 2, id="no-such-module"),
        pytest.param(b"", 0, id="cut"),
    ],
)
def test_nlmsg_error_is_an_oserror(body: bytes, number: int) -> None:
    with pytest.raises(OSError) as refused:
        is_last(message(ERROR, body))
    assert refused.value.errno == number


@given(
    st.binary(max_size=300)
    | st.lists(st.binary(max_size=90)).map(
        lambda bodies: b"".join(message(SOCKET, body) for body in bodies)
    )
)
def test_any_bytes_are_parsed(data: bytes) -> None:
    for each in listening(data):
        assert len(each.address) in (4, 16) and 0 <= each.port < 65536
    with contextlib.suppress(OSError):
        assert is_last(data) in (True, False)
