"""Applications below prefixes of the path, and at hosts.

The raw target is not changed: it holds the prefix, as ``SCRIPT_NAME`` does. Paths are not
normalised: ``//app`` is not ``/app``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import BadRequest, NotFound
from wsgiproxy.observe.accesslog import ROUTE, Record
from wsgiproxy.routed import Makers, Standing, standing
from wsgiproxy.sansio.environ.asked import asked_by_environ
from wsgiproxy.sansio.mount import is_bare, outside, shifted, slash_location
from wsgiproxy.sansio.places import Place, Target
from wsgiproxy.spawn import SpawningApplication
from wsgiproxy.worlds import wrong_call
from wsgiproxy.wsgi.gateway import error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Self

__all__ = ["Route", "Router", "Routes", "Target", "not_found", "shifted", "with_slash"]

_MAKERS = Makers(
    WSGIProxyApp, SpawningApplication, ("WSGIProxyApp", "SpawningApplication"), is_async=False
)


class Route(NamedTuple):
    """One application and its place.

    :param prefix: a decoded path without a slash at its end; empty for all that is left.
    :param application: a WSGI application.
    :param is_folder: whether a GET of the prefix alone is sent to the prefix with a slash. A
        remote root cannot do that itself: it sees ``/`` both times, and the relative links of
        its page would lead out of the mount.
    :param label: the place, as records name it; the prefix, if not given.
    """

    prefix: str
    application: WSGIApplication
    is_folder: bool = False
    label: str = ""

    def answer(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Serve one request (PEP 3333); None if its path is not below the prefix."""
        script_name, path_info = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
        place = shifted(script_name, path_info, self.prefix)
        if place is None:
            return None
        inner = {
            **environ,
            "SCRIPT_NAME": place[0],
            "PATH_INFO": place[1],
            ROUTE: self.label or self.prefix or "/",
        }
        if self.is_folder and is_bare(environ.get("REQUEST_METHOD", ""), *place):
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

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse | None = None,
        *more: object,
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333).

        :raises TypeError: it was called as an ASGI application.
        """
        if start_response is None or more:
            raise wrong_call(self, environ, start_response, *more)
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


class Router:
    """A WSGI application made of several, by the host of the request and the prefix of its path.

    A place is ``/path``, ``host`` or ``host/path``. ``/`` is the rest, ``.example.com`` is all
    names below it, and ports do not count. The host is that of the request, as the server says
    it; a name such as ``shop.localhost`` reaches this machine without any settings. The host
    decides before the path, the name itself before ``.example.com``, that before every host; of
    the same host, the longest prefix gets the request. All else gets 404.

    What stands there is a WSGI application, an ``href`` for
    :class:`~wsgiproxy.WSGIProxyApp`, a list of words for
    :class:`~wsgiproxy.SpawningApplication`, or a :class:`Target` with options. Where an ``href``
    has no path, or ends in a slash, a GET of the prefix alone is sent to the prefix with a slash.

    :param routes: the place, and what stands there.
    :param options: for every application that is made here and knows them; one of a
        :class:`Target` counts more, but ``hooks`` stand outside of those of a :class:`Target`.
    :raises ConfigurationError: naming the place, and what was expected there.

    >>> router = Router(
    ...     {
    ...         "/grafana": "http://localhost:3000",
    ...         "/shop": ["gunicorn", "-b", "fd://{fd}", "shop:application"],
    ...         "wiki.localhost": Target("http://localhost:4000", preserve_host=True),
    ...     },
    ...     head_timeout=30,
    ... )
    >>> router
    Router('wiki.localhost', '/grafana', '/shop')
    >>> router.close()
    """

    def __init__(self, routes: Mapping[str, object], **options: Any) -> None:
        self._places = standing(routes, options, _MAKERS)

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse | None = None,
        *more: object,
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333).

        :raises TypeError: it was called as an ASGI application.
        """
        if start_response is None or more:
            raise wrong_call(self, environ, start_response, *more)
        found = self._standing(environ)
        if found is not None:
            place, each = found
            route = Route(place.prefix, each.application, each.is_folder, each.label)
            answer = route.answer(environ, start_response)
            assert answer is not None
            return answer
        error = not_found(environ, self._places.prefixes(asked_by_environ(environ)[0]))
        return error_response(error, environ, start_response, Record(environ))

    def _standing(self, environ: WSGIEnvironment) -> tuple[Place, Standing] | None:
        """What a request is for."""
        return self._places.at(*asked_by_environ(environ))

    def close(self) -> None:
        """Close every application that can be closed; commands end."""
        for _, each in self._places.entries:
            getattr(each.application, "close", lambda: None)()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        places = [place.host + place.prefix or "/" for place, _ in self._places.entries]
        return f"{type(self).__name__}({', '.join(map(repr, places))})"


def not_found(environ: WSGIEnvironment, prefixes: Iterable[str]) -> NotFound:
    """The error for a path outside all prefixes.

    :param prefixes: as in :class:`Route`.
    :returns: :class:`~wsgiproxy.errors.LinkedOutside` if a page below one of them links there.
    """
    get = environ.get
    return outside(
        get("PATH_INFO", ""),
        prefixes,
        mount=get("SCRIPT_NAME", ""),
        referer=get("HTTP_REFERER", ""),
        host=get("HTTP_HOST", ""),
    )


def with_slash(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A redirect to the same path with a slash and to its query.

    Location is a path alone: the host is known from the client only. The status is 302, since
    browsers keep 301 and 308, and another application may be served here tomorrow.
    """
    record = Record(environ)
    try:
        location = slash_location(environ["SCRIPT_NAME"], environ.get("QUERY_STRING", ""))
    except BadRequest as error:
        return error_response(error, environ, start_response, record)
    start_response("302 Found", [("Location", location), ("Content-Length", "0")])
    record.end(302)
    return []
