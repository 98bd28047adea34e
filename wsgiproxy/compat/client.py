"""The client that a proxy has unless it is given another one: our own transport."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from wsgiproxy.compat.request_body import framed
from wsgiproxy.compat.response_body import ResponseBody
from wsgiproxy.sansio.fields.connection import end_to_end
from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.h1 import Limits, request_head
from wsgiproxy.sansio.message import BLOCK, Headers, Request
from wsgiproxy.sansio.policy.wsgiproxy2 import split_uri
from wsgiproxy.transport import PooledTransport

__all__ = ["HttpClient"]

_STANDARD = (http.client.HTTPConnection, http.client.HTTPSConnection)


class HttpClient:
    """The default client: our own transport.

    :cvar HTTPConnection: replace it, or ``HTTPSConnection``, by something with the interface of
        :class:`http.client.HTTPConnection`, and that is used.
    :param connection_options: the rows of :data:`wsgiproxy.settings.TRANSPORT`, such as
        ``ca_file``; with a replaced class, arguments of its ``request``.
    :raises ConfigurationError: naming the setting, its value and what was expected.

    >>> HttpClient(connect_timeout=3).options
    {'connect_timeout': 3}
    """

    HTTPConnection: ClassVar[Any] = http.client.HTTPConnection
    HTTPSConnection: ClassVar[Any] = http.client.HTTPSConnection

    def __init__(self, **connection_options: Any) -> None:
        self.options = connection_options
        is_ours = (self.HTTPConnection, self.HTTPSConnection) == _STANDARD
        self._transport = PooledTransport(**connection_options) if is_ours else None

    def __call__(
        self, uri: str, method: str, body: Any, headers: dict[str, str]
    ) -> tuple[str, str | None, Headers, Iterable[bytes]]:
        """Send one request.

        :param uri: an absolute address.
        :param body: a file; it is read as far as the headers say that there is a body.
        :param headers: field names and values; Content-Length and Transfer-Encoding say where
            the body ends.
        :returns: status, Location, field lines and body, which has a ``close()``.
        :raises ProxyError: there is no answer.
        """
        base, target = split_uri(uri)
        origin = base.origin
        kind = self.HTTPSConnection if origin.scheme == "https" else self.HTTPConnection
        lines, given, length = framed(body, headers)
        chunked = given is not None and length is None
        if kind not in _STANDARD:
            # Ours checks by itself that it sends one request.
            request_head(Request(method, target, lines, length, chunked), Limits())
            fields = dict(lines)
            if length is not None:
                fields["Content-Length"] = str(length)
            return _by_class(kind(origin.authority), self.options, method, target, given, fields)
        if self._transport is None:
            self._transport = PooledTransport(**self.options)
        # RFC 9110, 7.2: Host comes first.
        host = (values(lines, "host") or [origin.authority])[0]
        rest = [field for field in end_to_end(lines) if field[0].lower() != "host"]
        reply = self._transport.send(
            origin,
            Request(method, target, [("Host", host), *rest], length, chunked),
            None if given is None else iter(lambda: given.read(BLOCK) or b"", b""),
            getattr(body, "call", None),
        )
        status, reason, found = reply.head
        location = next(iter(values(found, "location")), None)
        return f"{status} {reason}", location, found, reply

    def close(self) -> None:
        """Close the connections that are kept; the client can still be used."""
        if self._transport is not None:
            self._transport.close()


def _by_class(
    connection: Any,
    options: Mapping[str, Any],
    method: str,
    target: str,
    body: Any,
    headers: dict[str, str],
) -> tuple[str, str | None, Headers, Iterable[bytes]]:
    """One request by a class that somebody has put in the place of http.client's."""
    try:
        connection.request(method, target, body, headers, **options)
        response = connection.getresponse()
    except BaseException:
        if hasattr(connection, "close"):
            connection.close()
        raise
    status = f"{response.status} {response.reason or ''}"
    found = ResponseBody(response.read1, 65536, at_end=response.close, close=connection.close)
    return status, response.getheader("location"), list(response.getheaders()), found
