"""The default client of a proxy: our own transport."""

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
    """The default client of a proxy: our own transport.

    :cvar HTTPConnection: replace it, or ``HTTPSConnection``, by a class with the interface of
        :class:`http.client.HTTPConnection`, to send requests by it.
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
        :raises ProxyError: there is no response.
        """
        base, target = split_uri(uri)
        origin = base.origin
        kind = self.HTTPSConnection if origin.scheme == "https" else self.HTTPConnection
        lines, file, length = framed(body, headers)
        chunked = file is not None and length is None
        if kind not in _STANDARD:
            # Our transport makes the same check by itself.
            request_head(Request(method, target, lines, length, chunked), Limits())
            fields = dict(lines)
            if length is not None:
                fields["Content-Length"] = str(length)
            return _by_class(kind(origin.authority), self.options, method, target, file, fields)
        if self._transport is None:
            self._transport = PooledTransport(**self.options)
        # RFC 9110, 7.2: Host comes first.
        host = (values(lines, "host") or [origin.authority])[0]
        rest = [field for field in end_to_end(lines) if field[0].lower() != "host"]
        reply = self._transport.send(
            origin,
            Request(method, target, [("Host", host), *rest], length, chunked),
            None if file is None else iter(lambda: file.read(BLOCK) or b"", b""),
            call=getattr(body, "call", None),
        )
        status, reason, response_fields = reply.head
        location = next(iter(values(response_fields, "location")), None)
        return f"{status} {reason}", location, response_fields, reply

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
    """Send one request by a class that has replaced one of http.client."""
    try:
        connection.request(method, target, body, headers, **options)
        response = connection.getresponse()
    except BaseException:
        if hasattr(connection, "close"):
            connection.close()
        raise
    status = f"{response.status} {response.reason or ''}"
    blocks = ResponseBody(response.read1, 65536, at_end=response.close, close=connection.close)
    return status, response.getheader("location"), list(response.getheaders()), blocks
