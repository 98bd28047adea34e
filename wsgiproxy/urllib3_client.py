"""urllib3 as the client of :mod:`wsgiproxy.proxies`: an adapter around a pool of the user's.

It decodes nothing, and follows nothing unless an option says so.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, ClassVar

import urllib3
from urllib3 import exceptions
from urllib3.util import SKIP_HEADER, Retry, Timeout

from wsgiproxy.compat import CHUNK_SIZE, ResponseBody, fields_of, framed, unshare
from wsgiproxy.sansio.message import Headers

__all__ = ["HttpClient"]

# Seconds: every wait has a limit.
_CONNECT, _READ = 10.0, 60.0


class HttpClient:
    """A client of a proxy, on urllib3.

    The default client keeps the bytes of a target as they are, which urllib3 does not: it
    resolves dots and changes the case of escapes.

    :param pool: a :class:`urllib3.PoolManager`, with its own timeouts and certificates; one
        with limits that verifies certificates, if not given.
    :param chunk_size: largest block of a response body, in bytes. Less is passed on as soon as
        it arrives.
    :param urlopen_options: further arguments of its ``urlopen``.

    >>> HttpClient(urllib3.PoolManager(2)).options
    {'redirect': False}
    """

    default_options: ClassVar[dict[str, Any]] = {"redirect": False}

    def __init__(
        self, pool: Any = None, *, chunk_size: int = 65536, **urlopen_options: Any
    ) -> None:
        self.options = {**self.default_options, **urlopen_options}
        self.chunk_size: int = CHUNK_SIZE.convert_value(chunk_size)
        self._owns_pool = pool is None
        self.pool = _pool() if pool is None else pool
        if pool is None:
            _owners.add(self)

    def __call__(
        self, uri: str, method: str, body: Any, headers: dict[str, str]
    ) -> tuple[str, str | None, Headers, ResponseBody]:
        """Send one request.

        :returns: status, Location, field lines and body.
        :raises TimeoutError: it took too long.
        :raises OSError: there is no response for another reason.
        """
        lines, body_file, length = framed(body, headers)
        fields = fields_of(lines)
        if length is not None:
            fields["Content-Length"] = str(length)
        for name in ("User-Agent", "Accept-Encoding"):
            # Not ours to add; urllib3 would.
            if name.lower() not in {each.lower() for each in fields}:
                fields[name] = SKIP_HEADER
        options = {**self.options, "body": body_file, "headers": fields}
        if body_file is not None and self._owns_pool:
            options.setdefault("retries", False)  # it cannot be read a second time
        limits = getattr(getattr(body, "call", None), "timeouts", None)
        if limits is not None:
            options["timeout"] = Timeout(limits.connect, limits.idle)
        try:
            response = self.pool.urlopen(
                method, uri, **{**options, "preload_content": False, "decode_content": False}
            )
        except exceptions.HTTPError as error:
            kind = TimeoutError if _is_timeout(error) else ConnectionError
            raise kind(f"{type(error).__name__}: {error}") from error
        unshare(response, lines)
        return _response(response, self.chunk_size)

    def close(self) -> None:
        """Close the connections that are kept, unless the pool was given to us."""
        if self._owns_pool:
            _close(self.pool)


def _is_timeout(error: BaseException) -> bool:
    reason = getattr(error, "reason", None)
    if isinstance(error, exceptions.MaxRetryError) and isinstance(reason, BaseException):
        return _is_timeout(reason)
    # urllib3 derives NewConnectionError ("refused") from ConnectTimeoutError.
    return isinstance(error, exceptions.TimeoutError) and not isinstance(
        error, exceptions.NewConnectionError
    )


def _response(response: Any, size: int) -> tuple[str, str | None, Headers, ResponseBody]:
    def read(limit: int) -> bytes:
        try:
            return bytes(response.read1(limit, decode_content=False))
        except exceptions.TimeoutError as error:
            raise TimeoutError(str(error)) from error

    def close() -> None:
        response.close()
        response.release_conn()

    # A response without a reason phrase has None here.
    status = f"{response.status} {response.reason or ''}"
    blocks = ResponseBody(read, size, at_end=response.release_conn, close=close)
    return status, response.headers.get("location"), list(response.headers.items()), blocks


def _pool() -> urllib3.PoolManager:
    # Once more, since a kept connection may be dead; a status is an answer. Redirects are
    # followed only where an option says so.
    retries = Retry(None, connect=1, read=1, redirect=10, status=0, other=0)
    return urllib3.PoolManager(10, timeout=Timeout(_CONNECT, _READ), retries=retries)


def _close(manager: urllib3.PoolManager) -> None:
    keys = list(manager.pools.keys())  # it cannot be iterated over
    for key in keys:
        pool = manager.pools.get(key)
        if pool is not None:
            pool.close()
    manager.clear()


# After a fork the connections belong to the parent. The locks of its pools may be held by
# threads that the child does not have, so that they are not even closed.
_owners: weakref.WeakSet[HttpClient] = weakref.WeakSet()
_parents: list[urllib3.PoolManager] = []


def _begin_anew() -> None:
    for client in list(_owners):
        _parents.append(client.pool)
        client.pool = _pool()


os.register_at_fork(after_in_child=_begin_anew)
