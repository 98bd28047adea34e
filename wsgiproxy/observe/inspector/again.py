"""A request that is sent again, as it was or changed: what a server would make of it.

It goes to the application itself, and not through a socket: the same client, the same mount.
"""

from __future__ import annotations

import io
import sys
from typing import Any, NamedTuple
from urllib.parse import unquote

from wsgiproxy.errors import BadRequest
from wsgiproxy.observe.inspector.exchange import Exchange, RequestHead
from wsgiproxy.sansio.environ.inbound import checked_host
from wsgiproxy.sansio.environ.server import variables
from wsgiproxy.sansio.fields.connection import end_to_end
from wsgiproxy.sansio.fields.host import split_host
from wsgiproxy.sansio.fields.names import value_of
from wsgiproxy.sansio.grammar import is_field_value, is_token
from wsgiproxy.sansio.h1 import ArrivingHead
from wsgiproxy.sansio.message import Headers, default_port
from wsgiproxy.sansio.mount import shifted
from wsgiproxy.sansio.target import PRINTABLE

__all__ = ["Again", "environ_of", "scope_of"]

# Of the connection and the framing, which are new ones; nothing waits for 100 Continue.
_NOT_SENT = frozenset(["content-length", "transfer-encoding", "expect"])


class Again(NamedTuple):
    """A request that is sent again.

    :param method: token.
    :param target: in origin-form (RFC 9112, 3.2.1).
    :param headers: field lines, Host included.
    :param body: all of it.
    """

    method: str
    target: str
    headers: Headers
    body: bytes = b""

    @classmethod
    def of(cls, exchange: Exchange) -> Again:
        """The request of an exchange, unchanged.

        :raises BadRequest: its body is not kept as a whole.
        """
        body = exchange.body
        if body is not None and body.is_cut:
            raise BadRequest(f"only {body.kept} of {body.size} bytes of the body are kept")
        request = exchange.request
        return cls(request.method, request.target, request.headers, body.read() if body else b"")

    def checked(self) -> Again:
        """The request without the fields of its old connection and framing.

        :raises BadRequest: it is none that a client could send.
        """
        if not is_token(self.method) or self.method == "CONNECT":
            raise BadRequest(f"method {self.method[:40]!r}: expected a token such as GET")
        if self.target[:1] != "/" or not PRINTABLE.fullmatch(self.target) or "#" in self.target:
            raise BadRequest(f"target {self.target[:200]!r}: expected a path such as /a?b=c")
        for name, value in self.headers:
            if not is_token(name):
                raise BadRequest(f"header name {name[:40]!r}: expected a token")
            if not is_field_value(value):
                raise BadRequest(f"value of {name}: expected no control characters")
        if value_of(self.headers, "upgrade"):
            raise BadRequest("a handshake cannot be sent again")
        checked_host(value_of(self.headers, "host") or "")
        headers = [field for field in end_to_end(self.headers) if field[0].lower() not in _NOT_SENT]
        if self.body:
            headers.append(("Content-Length", str(len(self.body))))
        return self._replace(headers=headers)

    @property
    def head(self) -> RequestHead:
        """Its head, as a new exchange has it."""
        return RequestHead(self.method, self.target, "HTTP/1.1", self.headers)

    def server(self, scheme: str) -> tuple[str, int]:
        """The name and the port that it is for."""
        host, port = split_host(value_of(self.headers, "host") or "")
        return host, port or default_port(scheme)


def environ_of(again: Again, before: Exchange) -> dict[str, Any]:
    """The environ of a request that is sent again (PEP 3333).

    :param again: checked.
    :param before: the exchange that it is of.
    :raises BadRequest: its target is none.
    """
    found: dict[str, Any] = dict(
        variables(ArrivingHead(again.method, again.target, "1.1", again.headers))
    )
    found["SCRIPT_NAME"], found["PATH_INFO"] = shifted("", found["PATH_INFO"], before.mount) or (
        "",
        found["PATH_INFO"],
    )
    name, port = again.server(before.scheme)
    return {
        **found,
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": before.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": before.scheme,
        "wsgi.input": io.BytesIO(again.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def scope_of(again: Again, before: Exchange) -> dict[str, Any]:
    """The scope of a request that is sent again; parameters as for :func:`environ_of`."""
    path, _, query = again.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": again.method,
        "scheme": before.scheme,
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": before.mount,
        "headers": [
            (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in again.headers
        ],
        "client": (before.client, 0) if before.client else None,
        "server": again.server(before.scheme),
    }
