"""Opening connections without blocking the event loop: TCP, Unix sockets, TLS, a parent proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aiohappyeyeballs import start_connection

from wsgiproxy.errors import ConnectFailed
from wsgiproxy.guard import TRIES
from wsgiproxy.transport.aio.connection import Connection
from wsgiproxy.transport.connect import Dialler, failures, unix_address

if TYPE_CHECKING:
    from wsgiproxy.guard import Guard
    from wsgiproxy.sansio.message import Origin

__all__ = ["Connected", "dial"]

#: Shown each new connection before a byte is sent; what it returns, if anything, is awaited.
Connected = Callable[[socket.socket], "Awaitable[None] | None"]

_T = TypeVar("_T")

# RFC 8305, 5: the next address is tried when the one before has not answered for so long.
_NEXT_ADDRESS = 0.25


async def dial(
    dialler: Dialler,
    origin: Origin,
    timeout: float,
    discard: Callable[[Connection], None],
    connected: Connected | None = None,
) -> Connection:
    """Connect, and do the TLS handshake for https.

    :param timeout: seconds for all of it.
    :param discard: called when the connection ends while it is idle.
    :param connected: shown the socket; it raises ConnectFailed to have another one made, once.
    :raises DestinationForbidden: the guard refuses it.
    :raises ConnectFailed: there is no connection; nothing was sent.
    :raises UpstreamTimeout: there was none in time.
    """
    dialler.check(origin)
    with failures(origin, timeout):
        return await _within(
            timeout, _opened(dialler, origin, timeout, discard, connected), Connection.close
        )


async def _within(
    timeout: float, making: Coroutine[Any, Any, _T], discard: Callable[[_T], None]
) -> _T:
    """What *making* makes, in so many seconds; what comes later is discarded.

    That is what asyncio.wait_for forgets before Python 3.12: it swallows a cancellation then.
    """
    task = asyncio.ensure_future(making)

    def discard_late(task: asyncio.Task[_T]) -> None:
        if not task.cancelled() and task.exception() is None:
            discard(task.result())

    try:
        if (await asyncio.wait([task], timeout=timeout))[0]:
            return task.result()
    except asyncio.CancelledError:
        task.cancel()
        task.add_done_callback(discard_late)
        raise
    task.cancel()
    task.add_done_callback(discard_late)
    raise TimeoutError("timed out")


async def _opened(
    dialler: Dialler,
    origin: Origin,
    timeout: float,
    discard: Callable[[Connection], None],
    connected: Connected | None,
) -> Connection:
    sock = await _shown(dialler, origin, timeout, connected)
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {}
    if origin.scheme == "https" and not origin.unix:
        options = {
            "ssl": dialler.context(),
            # Certificates have no dot at the end.
            "server_hostname": origin.host.rstrip("."),
            # Later than ours, which is for all.
            "ssl_handshake_timeout": timeout + 1,
        }
    create = loop.create_unix_connection if origin.unix else loop.create_connection
    try:
        _, connection = await create(
            partial(Connection, sock, origin, discard), sock=sock, **options
        )
    except BaseException:
        sock.close()
        raise
    return connection


async def _shown(
    dialler: Dialler, origin: Origin, timeout: float, connected: Connected | None
) -> socket.socket:
    # Twice, since nothing is sent yet, and who is there may just have changed.
    for last in (False, True):
        sock = await _connected(dialler, origin, timeout)
        if connected is None:
            break
        try:
            seen = connected(sock)
            if seen is not None:
                await seen
            break
        except BaseException as error:
            sock.close()
            if last or not isinstance(error, ConnectFailed):
                raise
    return sock


async def _connected(dialler: Dialler, origin: Origin, timeout: float) -> socket.socket:
    if origin.unix:
        return await _connected_unix(origin.unix)
    if dialler.parent is not None:
        return await _through_parent(dialler, origin, timeout)
    if dialler.guard is not None:
        return await _guarded(dialler.guard, origin.host, origin.port)
    return await _first(await _looked_up(origin.host, origin.port))


async def _connected_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, unix_address(path))
    except BaseException:
        sock.close()
        raise
    return sock


async def _through_parent(dialler: Dialler, origin: Origin, timeout: float) -> socket.socket:
    """A connection that a thread makes, since the libraries for CONNECT and SOCKS block."""
    loop = asyncio.get_running_loop()
    made = loop.run_in_executor(None, dialler.tunnel, origin, timeout)
    try:
        sock = await asyncio.shield(made)
    except asyncio.CancelledError:
        made.add_done_callback(_close_result)
        raise
    sock.setblocking(False)
    return sock


def _close_result(made: asyncio.Future[socket.socket]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().close()


async def _guarded(guard: Guard, host: str, port: int) -> socket.socket:
    name = guard.name(host, port)
    if guard.resolve is None:
        results = await _looked_up(name, port)
    else:
        look_up = partial(guard.resolve, name, port, type=socket.SOCK_STREAM)
        results = list(await asyncio.get_running_loop().run_in_executor(None, look_up))
    judged = guard.judged(host, port, results)
    sock = await _first(judged[:TRIES])
    guard.check_connected(sock, host, port, [str(each[4][0]) for each in judged])
    return sock


async def _looked_up(host: str, port: int) -> list[Any]:
    """The addresses of a host; by a thread of the loop if it is a name."""
    with contextlib.suppress(socket.gaierror):
        numeric = socket.AI_NUMERICHOST
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric))
    loop = asyncio.get_running_loop()
    return list(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def _first(addresses: Sequence[Any]) -> socket.socket:
    """A socket connected to the first of some addresses that answers (RFC 8305)."""
    try:
        return await start_connection(list(addresses), happy_eyeballs_delay=_NEXT_ADDRESS)
    except RuntimeError as error:  # uvloop's, for a loop that ends
        raise OSError(str(error)) from error
