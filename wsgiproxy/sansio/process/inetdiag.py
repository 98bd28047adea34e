"""Listening TCP sockets by netlink (sock_diag(7), Linux): requests and responses.

A query takes microseconds however many connections there are, unlike reading /proc/net/tcp.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from wsgiproxy.sansio.process.procfs import Listening

__all__ = ["is_last", "listening", "request"]

# <linux/sock_diag.h>, <linux/netlink.h>, <netinet/tcp.h>
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_AND_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IPPROTO_TCP = 6
_TCP_LISTEN = 10

# struct nlmsghdr: length, type, flags, sequence number, port of the sender.
_HEADER = struct.Struct("=IHHII")
# struct inet_diag_req_v2: family, protocol, extensions, padding, states, and an empty id.
_REQUEST = struct.Struct("=BBBBI48x")
# struct inet_diag_msg: family, state, timer, retransmits; source and destination port; their
# addresses; interface, cookie, expiry; queues, user, inode.
_MESSAGE = struct.Struct("=BBBB2s2s16s16s4x8x4xIIII")
_SIZES = {2: 4, 10: 16}  # AF_INET, AF_INET6 -> bytes of an address


def request(family: int) -> bytes:
    """The request for all listening TCP sockets of an address family.

    :param family: ``AF_INET`` (2) or ``AF_INET6`` (10) of Linux.
    """
    body = _REQUEST.pack(family, _IPPROTO_TCP, 0, 0, 1 << _TCP_LISTEN)
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_AND_DUMP, 0, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The netlink messages of a datagram: type and body."""
    position = 0
    while position + _HEADER.size <= len(data):
        size, kind, *_ = _HEADER.unpack_from(data, position)
        if size < _HEADER.size:
            return
        yield kind, data[position + _HEADER.size : position + size]
        position += (size + 3) & ~3


def is_last(data: bytes) -> bool:
    """Whether a datagram is the last one of the response (``NLMSG_DONE``).

    :raises OSError: the kernel has sent ``NLMSG_ERROR``.
    """
    for kind, body in _messages(data):
        if kind == _NLMSG_ERROR:
            number = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
            raise OSError(number, "sock_diag")
        if kind == _NLMSG_DONE:
            return True
    return False


def listening(data: bytes) -> Iterator[Listening]:
    """The listening sockets in a datagram."""
    for kind, body in _messages(data):
        if kind != _SOCK_DIAG_BY_FAMILY or len(body) < _MESSAGE.size:
            continue
        family, _, _, _, port, _, address, _, waiting, _, _, inode = _MESSAGE.unpack_from(body)
        if family in _SIZES:
            yield Listening(address[: _SIZES[family]], int.from_bytes(port, "big"), waiting, inode)
