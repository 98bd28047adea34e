"""The page of the inspector, as a WSGI application: who may see it, and where its parts are.

A page of another site in the same browser sees nothing of it: the address has a token that only
the start-up line tells, the Host is looked at (DNS rebinding), and so is what a browser says of
the page that asks.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from wsgiproxy.observe.inspector.answers import Answer, Refusal, json_answer
from wsgiproxy.observe.inspector.api import Api, Asked, FromHar, Replay, ToHar
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.grammar import is_length
from wsgiproxy.sansio.message import bracketed
from wsgiproxy.sansio.secrets import Secrets

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Page"]

_log = logging.getLogger("wsgiproxy.inspector")

_ASSET = re.compile(r"[A-Za-z0-9_-]+\.(html|js|css|svg)")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
# Bytes of what is posted: a file, and a request with a body in base64.
_LARGEST: dict[tuple[str, ...], int] = {("har",): 64 << 20}
_LARGE = 32 << 20
# No hint, not even by the words.
_NOTHING = "There is nothing here."


class Page:
    """The page and its API, below ``/TOKEN/``; it has to be served at a loopback address.

    ``SERVER_NAME`` and ``SERVER_PORT`` of the environ have to be those of the listening socket, as
    :class:`~wsgiproxy.observe.inspector.page_server.PageServer` sets them.

    :param ring: the exchanges.
    :param token: what its address begins with: at least 32 random characters that a URL may have.
    :param secrets: what is masked, in all that it shows.
    :param title: what is inspected, for people.
    :param replay: sends a request again, gives its number, and raises ValueError or a
        :class:`~wsgiproxy.ProxyError` if it cannot; None if nothing can.
    :param to_har: makes a HAR file of exchanges; None for none.
    :param from_har: adds those of a file, with its name, and says how many they are; it raises
        ValueError for what is no such file. None for none.

    >>> from webob import Request
    >>> page = Page(Ring(), "t" * 32, Secrets())
    >>> request = Request.blank(f"http://127.0.0.1:4040/{'t' * 32}/api/state")
    >>> request.get_response(page).json["kept"]
    0
    >>> request.host = "rebound.example:4040"
    >>> request.get_response(page).status
    '421 Misdirected Request'
    """

    def __init__(
        self,
        ring: Ring,
        token: str,
        secrets: Secrets,
        *,
        title: str = "",
        replay: Replay | None = None,
        to_har: ToHar | None = None,
        from_har: FromHar | None = None,
    ) -> None:
        self._token = token.encode("ascii")
        self._api = Api(ring, secrets, title, replay, to_har, from_har)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        method = environ["REQUEST_METHOD"]
        try:
            answer = self._answer(environ, method)
        except Refusal as refusal:
            answer = refusal.answer
        except Exception:  # no other answer would have the fields that guard it
            _log.exception("the page of the inspector failed")
            answer = json_answer({"error": "This failed; the log says why."}, 500)
        start_response(answer.status_line, answer.headers)
        if method != "HEAD":
            return answer.body
        if hasattr(answer.body, "close"):
            answer.body.close()
        return []

    def close(self) -> None:
        """End its streams; it can still be asked, but for them."""
        self._api.streams.close()

    def _answer(self, environ: WSGIEnvironment, method: str) -> Answer:
        path = self._path(environ)
        if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
            raise Refusal(403, "Another page may not ask for this.")
        if method not in ("GET", "HEAD", "POST"):
            raise Refusal(405, "Expected GET, HEAD or POST.", ("Allow", "GET, HEAD, POST"))
        is_api = path[:4] == "api/"
        segments = tuple(path[4:].split("/"))
        query = environ.get("QUERY_STRING", "")
        if method == "POST":
            if environ.get("HTTP_ORIGIN") != f"http://{environ['HTTP_HOST']}":
                raise Refusal(403, "Only the page itself may do this.")
            if not is_api:
                raise Refusal(405, "Expected GET or HEAD.", ("Allow", "GET, HEAD"))
            body = _posted(environ, _LARGEST.get(segments, _LARGE))
            return self._api.post(Asked(segments, query, body))
        return self._api.get(Asked(segments, query)) if is_api else _asset(path)

    def _path(self, environ: WSGIEnvironment) -> str:
        """The path below the token.

        :raises Refusal: the Host is none of ours, or the token is not there.
        """
        if environ.get("HTTP_HOST", "").lower() not in _authorities(environ):
            raise Refusal(421, "The host of this address is none of this server.")
        rest: str = environ.get("PATH_INFO", "").removeprefix("/")
        token, slash, path = rest.partition("/")
        if not hmac.compare_digest(token.encode("latin-1", "replace"), self._token):
            raise Refusal(404, _NOTHING)
        if not slash:
            raise Refusal(308, "The page is below a slash.", ("Location", f"/{token}/"))
        return path


def _authorities(environ: WSGIEnvironment) -> set[str]:
    """The values for Host, of which no other site can have one."""
    port = environ["SERVER_PORT"]
    names = ["127.0.0.1", "localhost", "[::1]", bracketed(environ["SERVER_NAME"])]
    return {f"{name}:{port}" for name in names} | (set(names) if port == "80" else set())


def _posted(environ: WSGIEnvironment, limit: int) -> bytes:
    """The body of a POST of our page.

    :raises Refusal: it is none.
    """
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "Expected application/json.")
    length: Any = environ.get("CONTENT_LENGTH", "")
    if not is_length(length):
        raise Refusal(411, "The length of the body is needed.")
    if int(length) > limit:
        raise Refusal(413, f"Expected at most {limit >> 20} MiB.")
    body: bytes = environ["wsgi.input"].read(int(length))
    if len(body) < int(length):
        raise Refusal(400, "The body is cut.")
    return body


def _asset(path: str) -> Answer:
    """A file of the page."""
    name = path or "index.html"
    match = _ASSET.fullmatch(name)
    file = files("wsgiproxy.observe.inspector").joinpath("assets").joinpath(name)
    if match is None or not file.is_file():
        raise Refusal(404, _NOTHING)
    return Answer(200, _TYPES[match[1]], [file.read_bytes()])
