"""Calls of ASGI applications without a server, from requests that WSGI servers could get, too."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from tests.support.in_process import front_environ
from wsgiproxy.sansio.message import Headers, Request

__all__ = ["Asked", "call", "environ_of_request", "messages", "scope_of_request", "status_of"]

PEER = "10.0.0.2"


class Asked(NamedTuple):
    """A request as it comes over a connection."""

    target: str = "/"
    headers: Headers = []
    method: str = "GET"
    peer: str = PEER
    scheme: str = "http"
    body: bytes = b""

    @classmethod
    def sent(cls, request: Request, body: bytes = b"") -> Asked:
        """What a proxy has sent."""
        headers = list(request.headers)
        if request.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        if request.content_length is not None:
            headers.append(("Content-Length", str(request.content_length)))
        return cls(request.target, headers, request.method, body=body)


def scope_of_request(asked: Asked, **members: Any) -> dict[str, Any]:
    """The scope, as uvicorn makes it; with *members* in place of others."""
    raw_path, _, query = asked.target.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": asked.method,
        "scheme": asked.scheme,
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("latin-1"),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in asked.headers
        ],
        "client": (asked.peer, 40000) if asked.peer else None,
        "server": ("front", 80),
        **members,
    }


def environ_of_request(asked: Asked) -> dict[str, Any]:
    """The environ, as a WSGI server makes it."""
    raw_path, _, query = asked.target.partition("?")
    environ = front_environ(
        asked.body,
        REQUEST_METHOD=asked.method,
        REQUEST_URI=asked.target,
        PATH_INFO=unquote_to_bytes(raw_path).decode("latin-1"),
        QUERY_STRING=query,
        REMOTE_ADDR=asked.peer,
        REMOTE_PORT="40000",
        **{"wsgi.url_scheme": asked.scheme, "wsgi.input_terminated": True},
    )
    del environ["HTTP_HOST"]
    environ.pop("CONTENT_LENGTH", None)
    for name, value in asked.headers:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] = environ[key] + separator + value if key in environ else value
    return environ


def messages(body: bytes = b"", size: int = 0) -> list[dict[str, Any]]:
    """The messages of a request body, in blocks of *size* bytes, and the end."""
    blocks = [body[at : at + size] for at in range(0, max(len(body), 1), size)] if size else [body]
    found = [{"type": "http.request", "body": block, "more_body": True} for block in blocks]
    found[-1]["more_body"] = False
    return [*found, {"type": "http.disconnect"}]


def call(app: Any, scope: dict[str, Any], received: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that an application sends; those that it received are taken from the list.

    Behind the last one nothing comes any more.
    """
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not received:
            await asyncio.Event().wait()
        return received.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def status_of(sent: list[dict[str, Any]]) -> int:
    """The status of what was sent."""
    return int(sent[0]["status"])
