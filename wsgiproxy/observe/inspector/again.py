"""A request that is sent again: what a server would make of it.

It goes to the application itself, and not through a socket: the same client, the same mount.
"""

from __future__ import annotations

import io
import re
import sys
from typing import Any
from urllib.parse import unquote

from wsgiproxy.errors import BadRequest
from wsgiproxy.observe.inspector.edited import Replayed
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.sansio.environ.inbound import checked_host
from wsgiproxy.sansio.environ.server import variables
from wsgiproxy.sansio.fields.connection import end_to_end
from wsgiproxy.sansio.fields.host import split_host
from wsgiproxy.sansio.fields.names import value_of, without
from wsgiproxy.sansio.h1 import ArrivingHead
from wsgiproxy.sansio.message import default_port
from wsgiproxy.sansio.mount import shifted

__all__ = ["checked", "environ_of", "scope_of"]

# A server takes no other one; a file may have it.
_TARGET = re.compile('/[!"$-~]*')
# Of the framing, which is a new one; nothing waits for 100 Continue.
_NOT_SENT = ("content-length", "transfer-encoding", "expect")


def checked(again: Replayed) -> Replayed:
    """The request without the fields of its old connection.

    :raises BadRequest: no client could send it, or it is a handshake.
    """
    if again.method == "CONNECT" or not _TARGET.fullmatch(again.target):
        raise BadRequest("Expected a method other than CONNECT, and a target such as /a?b=c.")
    if value_of(again.headers, "upgrade"):
        raise BadRequest("The handshake of a WebSocket cannot be sent again.")
    checked_host(value_of(again.headers, "host"))
    headers = without(end_to_end(again.headers), _NOT_SENT)
    if again.body:
        headers.append(("Content-Length", str(len(again.body))))
    return again._replace(headers=headers)


def environ_of(again: Replayed, before: Exchange) -> dict[str, Any]:
    """The environ of a request that is sent again (PEP 3333).

    :param again: checked.
    :param before: the exchange that it is of.
    :raises BadRequest: its target is none.
    """
    head = ArrivingHead(again.method, again.target, "1.1", again.headers)
    found: dict[str, Any] = dict(variables(head))
    path = found["PATH_INFO"]
    found["SCRIPT_NAME"], found["PATH_INFO"] = shifted("", path, before.mount) or ("", path)
    name, port = _server(again, before.scheme)
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


def scope_of(again: Replayed, before: Exchange) -> dict[str, Any]:
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
        "server": _server(again, before.scheme),
    }


def _server(again: Replayed, scheme: str) -> tuple[str, int]:
    """The name and the port that a request is for."""
    host, port = split_host(value_of(again.headers, "host"))
    return host, port or default_port(scheme)
