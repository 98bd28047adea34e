"""Credentials for the backend, which its clients neither see nor need.

A field of that name from the client is removed first, whatever its spelling. No name of a hook
and no message shows what is secret.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable, Generator
from types import SimpleNamespace
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.checks import field_names, http_url, named, require, secret_value
from wsgiproxy.hooks.messages import Headers, Request, Response
from wsgiproxy.sansio.fields.names import without
from wsgiproxy.sansio.hooks import Hook
from wsgiproxy.sansio.message import Headers as Lines

__all__ = ["basic", "bearer", "credentials", "header"]

_LIMIT = 1024 * 1024


def basic(user: str, password: str) -> Hook:
    """A user name and a password (RFC 7617).

    :raises ConfigurationError: one is no text, or the name has a colon.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[basic("shop", "secret")])
    """
    right = isinstance(user, str) and user.isprintable() and ":" not in user
    require(right, "user", user, "text without a colon")
    if not isinstance(password, str) or not password.isprintable():
        raise ConfigurationError("password: expected printable text (the value is not shown)")
    pair = f"{user}:{password}".encode()
    return _setting("Authorization", "Basic " + b64encode(pair).decode(), "basic")


def bearer(token: str) -> Hook:
    """A token (RFC 6750).

    :raises ConfigurationError: it cannot stand in a field.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[bearer("s3cr3t")])
    """
    return _setting("Authorization", "Bearer " + secret_value("token", token), "bearer")


def header(name: str, value: str | Callable[[Request], str | None]) -> Hook:
    """A field of any name, which is ours alone: that of a client is removed in every spelling.

    :param value: text, or a function that gets the request and returns text; None for no field.
    :raises ConfigurationError: it is no field, or one that is the proxy's own.

    >>> from wsgiproxy import WSGIProxyApp
    >>> key = header("X-API-Key", "s3cr3t")
    >>> user = header("X-User", lambda request: request.state.get("user"))
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[key, user])
    """
    field_names("name", [name], ours=False)
    found = value if callable(value) else secret_value("value", value)
    return _setting(name, found, f"header({name})")


def _setting(name: str, value: str | Callable[[Request], str | None], called: str) -> Hook:
    def hook(request: Request) -> Generator[Any, Any, None]:
        request.headers = without(request.lines, [name])
        found = value(request) if callable(value) else value
        if found:
            request.headers[name] = secret_value(name, found)
        yield request

    return named(hook, f"credentials.{called}")


def credentials(auth: Any, href: str = "") -> Hook:
    """An object of ``requests.auth`` or ``httpx.Auth``, as it is.

    One of requests that waits for the challenge, as ``HTTPDigestAuth``, cannot be used; that of
    httpx can. A request with a body is then sent once, unless ``requires_request_body`` is set.

    :param auth: a ``httpx.Auth``, or a function that gets a request and sets its fields.
    :param href: that of the application, for objects that read the address.
    :raises ConfigurationError: it is neither.

    >>> import requests.auth
    >>> credentials(requests.auth.HTTPBasicAuth("shop", "secret")).__qualname__
    'credentials(HTTPBasicAuth)'
    """
    if href:
        http_url("href", href)
    httpx = sys.modules.get("httpx")
    called = f"credentials({type(auth).__name__})"
    if httpx is not None and isinstance(auth, httpx.Auth):
        right = type(auth).auth_flow is not httpx.Auth.auth_flow or type(auth) is httpx.Auth
        require(right, "auth", called, "an httpx.Auth with auth_flow, which does no I/O")
        return named(_of_httpx(auth, href, httpx), called)
    if not callable(auth) or hasattr(auth, "handle_401") or isinstance(auth, type):
        raise ConfigurationError(
            f"auth of type {type(auth).__name__}: expected an object of requests.auth that sets"
            " fields without waiting for a challenge, or of httpx.Auth"
        )
    return named(_of_requests(auth, href), called)


def _of_requests(auth: Any, href: str) -> Hook:
    def hook(request: Request) -> Generator[Any, Any, None]:
        lines = without(request.lines, ["Authorization"])
        headers = Headers(lines)
        found = SimpleNamespace(method=request.method, headers=headers, body=None)
        if href:
            found.url = _url(request, href)
        auth(found)
        # It may have put a mapping of its own there.
        made = [(str(name), _text(value)) for name, value in Headers(found.headers).items()]
        ours = [each for each in made if each not in lines]
        request.headers = [*without(made, [name for name, _ in ours]), *ours]
        yield request

    return hook


def _of_httpx(auth: Any, href: str, httpx: Any) -> Hook:
    def hook(request: Request) -> Generator[Any, Any, Response]:
        request.headers = without(request.lines, ["Authorization"])
        content = (yield request.read(_LIMIT)) if auth.requires_request_body else b""
        asked = httpx.Request(
            request.method,
            _url(request, href or "http://upstream"),
            headers=_encoded(request.lines),
            content=content,
        )
        again = auth.requires_request_body or not _has_body(request)
        flow = auth.auth_flow(asked)
        try:
            asked = next(flow)
            while True:
                _take(asked, request)
                response: Response = yield request
                if not again:
                    return response
                answer = yield from _answer(auth, asked, response, httpx)
                asked = flow.send(answer)
                if not auth.requires_request_body and not _is_handshake(request):
                    request.body = b""  # it had none, and none is to be waited for again
        except StopIteration:
            return response
        finally:
            flow.close()

    return hook


def _answer(auth: Any, asked: Any, response: Response, httpx: Any) -> Generator[Any, Any, Any]:
    content = (yield response.read(_LIMIT)) if auth.requires_response_body else b""
    # It has no body that httpx would decode.
    lines = without(response.lines, ["Content-Encoding"])
    return httpx.Response(response.status, headers=_encoded(lines), content=content, request=asked)


def _encoded(lines: Lines) -> list[tuple[bytes, bytes]]:
    # As text, it would have to be ASCII.
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in lines]


def _text(value: str | bytes) -> str:
    # Objects for signatures of AWS set bytes, as requests allows.
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _take(asked: Any, request: Request) -> None:
    """Set what the object has set; Host and the length are not its matter."""
    names = {name.lower() for name in asked.headers} - {"host", "content-length"}
    own = request.headers
    names = {each for each in names if asked.headers.get_list(each) != own.getlist(each)}
    lines = without(request.lines, names)
    raw = [(name.decode("ascii"), value.decode("latin-1")) for name, value in asked.headers.raw]
    request.headers = [*lines, *(each for each in raw if each[0].lower() in names)]


def _has_body(request: Request) -> bool:
    inbound = request.inbound
    return inbound is not None and bool(inbound.chunked or inbound.content_length)


def _is_handshake(request: Request) -> bool:
    # It has no body, and none may be set.
    return request.inbound is not None and bool(request.inbound.upgrade)


def _url(request: Request, href: str) -> str:
    return href.partition("?")[0].rstrip("/") + request.raw_path + request.mark + request.query
