"""The web application of the demo: it shows the requests that it gets through the proxy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from webob import Request, Response

from wsgiproxy.cli.demo import pages
from wsgiproxy.cli.demo.facts import CARRIED, Received, Shown, facts, received_in
from wsgiproxy.middleware import WSGIProxyMiddleware

if TYPE_CHECKING:
    from _typeshed import SupportsRead
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["EVENTS", "RECEIVED", "DemoBackend", "verified"]

#: How many events a stream has.
EVENTS = 10

#: The key of an environ, or of a scope, with the request before the middleware.
RECEIVED = "demo.received"
_BLOCK = 65536
_JSON, _HTML, _STREAM = "application/json", "text/html", "text/event-stream"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_STATIC = {
    "style.css": "text/css",
    "script.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def verified(backend: DemoBackend, secret_file: str) -> WSGIApplication:
    """The backend behind its middleware, with the request as it was before that."""
    middleware = WSGIProxyMiddleware(backend, secret_file, accept_keys=[CARRIED], replay="memory")

    def remember(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return middleware({**environ, RECEIVED: received_in(environ)}, start_response)

    return remember


class DemoBackend:
    """The web application.

    :param pause: waits between two events.
    """

    def __init__(self, pause: Callable[[], object]) -> None:
        self._pause = pause
        self._views: dict[str, Callable[[Request, Shown], Response]] = {
            "/redirect": self._redirect,
            "/landed": self._landed,
            "/events": self._events,
            "/upload": self._upload,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        request, received = Request(environ), environ.get(RECEIVED) or received_in(environ)
        path = environ.get("PATH_INFO", "")
        if path.startswith("/static/"):
            response = _static(path.removeprefix("/static/"))
        else:
            known, view = facts(environ, received), self._views.get(path)
            response = view(request, known) if view else _show(request, received, known)
            response.cache_control = "no-store"
            response.vary = ("Accept",)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response(environ, start_response)

    def _redirect(self, request: Request, known: Shown) -> Response:
        said = _own_address(known)
        response = _json({"said": said})
        response.status = 302
        response.location = said
        return response

    def _landed(self, request: Request, known: Shown) -> Response:
        said = _own_address(known)
        if _wanted(request, _JSON, _HTML) == _JSON:
            return _json({"backend_said": said, "client_got": known.public})
        return _html(pages.landed_page(said, known))

    def _events(self, request: Request, known: Shown) -> Response:
        kind = _wanted(request, _STREAM, _HTML, _JSON)
        if kind == _HTML:
            return _html(pages.events_page(known))
        frame = "data: %s\n\n" if kind == _STREAM else "%s\n"
        blocks = self._event_blocks(frame)
        return Response(app_iter=blocks, content_type=kind, charset="utf-8")

    def _event_blocks(self, frame: str) -> Iterator[bytes]:
        for number in range(1, EVENTS + 1):
            if number > 1:
                self._pause()
            yield (frame % json.dumps({"event": number, "of": EVENTS})).encode()

    def _upload(self, request: Request, known: Shown) -> Response:
        arrived = list(_arrived(request)) if request.method in ("POST", "PUT") else []
        if _wanted(request, _JSON, _HTML) == _JSON:
            return _json({"arrived": arrived})
        return _html(pages.upload_page(known, arrived))


def _show(request: Request, received: Received, known: Shown) -> Response:
    if _wanted(request, _JSON, _HTML) == _JSON:
        return _json(_report(received, known))
    index = received.target.partition("?")[0] == "/"
    return _html(pages.request_page(received, known, index=index))


def _own_address(known: Shown) -> str:
    """The target of a redirect by an application that does not know the proxy."""
    return f"http://{urlsplit(known.own).netloc}/landed"


def _wanted(request: Request, *kinds: str) -> str:
    """The kind that the client prefers; the first one for curl, which takes everything."""
    offers = request.accept.acceptable_offers(list(kinds))
    return str(offers[0][0]) if offers else kinds[0]


def _html(page: pages.Html) -> Response:
    return Response(page, content_type=_HTML, charset="utf-8")


def _json(value: object) -> Response:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # Field values are latin-1 text; a lone surrogate cannot be among them.
    return Response(text.encode(), content_type=_JSON)


def _static(name: str) -> Response:
    kind = _STATIC.get(name)
    if kind is None:
        return Response("There is no such file.\n", status=404, content_type="text/plain")
    return Response(pages.resource(name), content_type=kind, charset="utf-8")


def _report(received: Received, known: Shown) -> dict[str, Any]:
    return {
        "backend_received": {**received._asdict(), "headers": dict(received.headers)},
        "backend_knows": {
            "public_url": known.public,
            "prefix": known.prefix,
            "client_address": known.client,
            "key": known.key,
            "carried": json.loads(known.carried or "null"),
        },
        "backend_would_know": {
            "public_url": known.own,
            "prefix": "",
            "client_address": known.peer,
        },
    }


def _arrived(request: Request) -> Iterator[dict[str, object]]:
    """Name, size and digest of each file of a form, or of the whole body."""
    if request.content_type != "multipart/form-data":
        yield _digest("", request.body_file)
        return
    for field in request.POST.values():
        if not isinstance(field, str) and field.filename:
            yield _digest(field.filename, field.file)


def _digest(name: str, file: SupportsRead[bytes]) -> dict[str, object]:
    size, digest = 0, hashlib.sha256()
    while block := file.read(_BLOCK):
        size += len(block)
        digest.update(block)
    return {"name": name, "size": size, "sha256": digest.hexdigest()}
