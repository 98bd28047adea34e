"""Applications below prefixes of the path.

The raw target is not changed: it holds the prefix, as ``SCRIPT_NAME`` does. Paths are not
normalised: ``//app`` is not ``/app``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from wsgiproxy.errors import BadRequest, LinkedOutside, NotFound
from wsgiproxy.observe.accesslog import Record
from wsgiproxy.sansio.reference import page_below
from wsgiproxy.sansio.target import rebuilt_target, under
from wsgiproxy.wsgi.gateway import error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Route", "Routes", "is_bare", "not_found", "shifted", "with_slash"]


def shifted(script_name: str, path_info: str, prefix: str) -> tuple[str, str] | None:
    """``SCRIPT_NAME`` and ``PATH_INFO`` below *prefix*; None if the path is not there.

    >>> shifted("", "/app/x", "/app"), shifted("", "/application", "/app")
    (('/app', '/x'), None)
    """
    if not under(path_info, prefix):
        return None
    return script_name + prefix, path_info[len(prefix) :]


# Paths that browsers ask for without a link.
_WITHOUT_LINK = ("/favicon.ico", "/apple-touch-icon", "/robots.txt", "/.well-known/")


class Route(NamedTuple):
    """One application and its place.

    :param prefix: a decoded path without a slash at its end; empty for all that is left.
    :param application: a WSGI application.
    :param is_folder: whether a GET of the prefix alone is sent to the prefix with a slash. A
        remote root cannot do that itself: it sees ``/`` both times, and the relative links of
        its page would lead out of the mount.
    """

    prefix: str
    application: WSGIApplication
    is_folder: bool = False

    def answer(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Serve one request (PEP 3333); None if its path is not below the prefix."""
        script_name, path_info = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
        place = shifted(script_name, path_info, self.prefix)
        if place is None:
            return None
        inner = {**environ, "SCRIPT_NAME": place[0], "PATH_INFO": place[1]}
        if self.is_folder and is_bare(inner):
            return with_slash(inner, start_response)
        return self.application(inner, start_response)


class Routes:
    """A WSGI application made of several: the longest prefix gets the request, 404 beside all.

    :param routes: in any order.

    >>> from webob import Request
    >>> def app(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]
    >>> routes = Routes([Route("/a", app), Route("/a/b", app)])
    >>> [Request.blank(path).get_response(routes).text for path in ("/a/x", "/a/b/x")]
    ['/a /x', '/a/b /x']
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = sorted(routes, key=lambda route: len(route.prefix), reverse=True)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        for route in self._routes:
            answer = route.answer(environ, start_response)
            if answer is not None:
                return answer
        error = not_found(environ, [route.prefix for route in self._routes])
        return error_response(error, environ, start_response, Record(environ))

    def close(self) -> None:
        """Close every application that can be closed."""
        for route in self._routes:
            close = getattr(route.application, "close", None)
            if close is not None:
                close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._routes!r})"


def not_found(environ: WSGIEnvironment, prefixes: Iterable[str]) -> NotFound:
    """The error for a path outside all prefixes.

    :param prefixes: as in :class:`Route`.
    :returns: :class:`~wsgiproxy.errors.LinkedOutside` if a page below one of them links there.
    """
    referer, host = environ.get("HTTP_REFERER", ""), environ.get("HTTP_HOST", "")
    mount = environ.get("SCRIPT_NAME", "")
    path = environ.get("PATH_INFO", "")
    for prefix in prefixes if referer and not path.startswith(_WITHOUT_LINK) else ():
        page = page_below(referer, host, mount + prefix) if prefix else ""
        if page:
            return LinkedOutside(
                f"a link of {page!r} leads past the prefix {prefix}; its application has to be"
                " told the prefix, by a setting of its own, or to stand at the root"
            )
    return NotFound("it is outside every prefix")


def is_bare(environ: WSGIEnvironment) -> bool:
    """Whether a request is a GET or HEAD of a mount without its last slash.

    :param environ: as the mounted application gets it.
    """
    # The root of a server has its slash in every request (RFC 9112, 3.2.1).
    is_safe = environ.get("REQUEST_METHOD") in ("GET", "HEAD")
    return is_safe and not environ["PATH_INFO"] and bool(environ["SCRIPT_NAME"])


def with_slash(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A redirect to the same path with a slash and to its query.

    Location is a path alone: the host is known from the client only. The status is 302, since
    browsers keep 301 and 308, and another application may be served here tomorrow.
    """
    record = Record(environ)
    try:
        target = rebuilt_target(environ["SCRIPT_NAME"], "/", environ.get("QUERY_STRING", ""))
    except BadRequest as error:
        return error_response(error, environ, start_response, record)
    # Two slashes at the beginning would be a host (RFC 3986, 4.2).
    location = "".join(target)
    if location.startswith("//"):
        location = "/." + location
    start_response("302 Found", [("Location", location), ("Content-Length", "0")])
    record.end(302)
    return []
