"""requests as the client of :mod:`wsgiproxy.proxies`: an adapter around a session of the user's.

It decodes nothing, follows nothing unless an option says so, and has no cookies but the session's.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any, ClassVar

import requests
from urllib3 import BaseHTTPResponse, exceptions
from urllib3.util import SKIP_HEADER

from wsgiproxy.compat import CHUNK_SIZE, ResponseBody, fields_of, framed, unshare
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.warn import warn_once
from wsgiproxy.sansio.message import Headers

__all__ = ["HttpClient", "TimedOut"]

# Seconds to connect and between two reads: every wait has a limit.
_LIMITS = (10.0, 60.0)
_UNVERIFIED = (
    "verify=False: any machine between here and there can read and change everything;"
    " pass verify='/path/of/authority.pem' for a server with a certificate of your own"
)
_KNOWN = frozenset(inspect.signature(requests.Session.request).parameters)
# Where a Location waits; no field of a message can have this name.
_KEPT = "Location (kept)"
_OURS = frozenset(["self", "method", "url", "data", "headers", "stream"])


class TimedOut(requests.Timeout, TimeoutError):
    """A timeout of requests, which has not made it one of Python's."""


class HttpClient:
    """A client of a proxy, on requests.

    :param chunk_size: largest block of a response body, in bytes. Less is passed on as soon as
        it arrives.
    :param session: a :class:`requests.Session`, with its own cookies, certificates and
        headers; for each request a new one without any, and without the settings of the
        environment, if not given. The session sends the cookies of one client with
        the requests of the next, too: it is for programs that serve one person.
    :param requests_options: further arguments of its ``request``, such as ``timeout``, or
        ``verify`` (true unless told otherwise; WSGIProxy2 verified nothing).
    :raises ConfigurationError: requests has no such argument.

    >>> HttpClient(timeout=5).options
    {'verify': True, 'allow_redirects': False, 'timeout': 5}
    """

    default_options: ClassVar[dict[str, Any]] = {"verify": True, "allow_redirects": False}

    def __init__(
        self,
        chunk_size: int = 1024 * 24,
        session: requests.Session | None = None,
        **requests_options: Any,
    ) -> None:
        for name, value in requests_options.items():
            if name not in _KNOWN - _OURS:
                raise ConfigurationError(
                    f"{name}={value!r}: expected an argument of requests.Session.request"
                )
        self.options = {**self.default_options, **requests_options}
        self.chunk_size: int = CHUNK_SIZE.convert_value(chunk_size)
        self.session = session
        self._has_verify = "verify" in requests_options
        if self.options.get("verify") is False:
            warnings.warn(_UNVERIFIED, DeprecationWarning, stacklevel=2)
            warn_once(_UNVERIFIED)

    def __call__(
        self, uri: str, method: str, body: Any, headers: dict[str, str]
    ) -> tuple[str, str | None, Headers, ResponseBody]:
        """Send one request.

        :returns: status, Location, field lines and body.
        :raises TimeoutError: it took too long.
        :raises OSError: there is no response for another reason.
        """
        lines, body_file, length = framed(body, headers)
        fields: dict[str, Any] = {**fields_of(lines)}
        if body_file is None and length is not None:
            fields["Content-Length"] = str(length)
        options = {"timeout": _LIMITS, **self.options}
        limits = getattr(getattr(body, "call", None), "timeouts", None)
        if limits is not None:
            options["timeout"] = (limits.connect, limits.idle)
        session = self.session
        if session is None:
            session = requests.Session()
            session.trust_env = False  # no proxies, passwords or cookies but the client's
        elif not self._has_verify and options.get("verify") is True:
            del options["verify"]  # the session's own
        _add_nothing(fields, session)
        close = session.close if self.session is None else _nothing
        if not options.get("allow_redirects"):
            options["hooks"] = _with_body_kept(options.get("hooks") or {}, session)
        try:
            response = session.request(
                method, uri, **{**options, "data": body_file, "headers": fields, "stream": True}
            )
        except BaseException as error:
            close()
            if isinstance(error, requests.Timeout):
                raise TimedOut(str(error)) from error
            raise
        if isinstance(response.raw, BaseHTTPResponse):
            unshare(response.raw, lines)
        return _response(response, self.chunk_size, close)


def _with_body_kept(hooks: dict[str, Any], session: requests.Session) -> dict[str, Any]:
    """The hooks, and one of ours behind them.

    Where redirects are not followed, requests still reads and decodes the whole body of one, to
    find the next request. Without a Location the response is no redirect to it.
    """
    configured = hooks.get("response") or session.hooks.get("response") or []
    theirs = [configured] if callable(configured) else list(configured)

    def keep(response: requests.Response, *_: object, **__: object) -> None:
        location = response.headers.pop("location", None)
        if location is not None:
            response.headers[_KEPT] = location

    return {**hooks, "response": [*theirs, keep]}


def _nothing() -> None:
    """A session that was given to us stays open."""


def _add_nothing(fields: dict[str, Any], session: requests.Session) -> None:
    """Keep off what requests and urllib3 would add by themselves (User-Agent and its kind)."""
    here = {name.lower() for name in fields}
    for name, value in requests.utils.default_headers().items():
        # What the owner of the session has set is to be sent.
        if name.lower() not in here and session.headers.get(name) in (value, None):
            can_skip = name.lower() in ("user-agent", "accept-encoding")
            fields[name] = SKIP_HEADER if can_skip else None


def _response(
    response: requests.Response, size: int, close: Any
) -> tuple[str, str | None, Headers, ResponseBody]:
    raw = response.raw
    is_usual = isinstance(raw, BaseHTTPResponse)  # adapters of sessions may have others
    location = response.headers.pop(_KEPT, None) or response.headers.get("location")
    if is_usual:
        headers: Headers = list(raw.headers.items())
    else:
        response.headers.update({} if location is None else {"Location": location})
        headers = list(response.headers.items())

    def read(limit: int) -> bytes:
        try:
            return bytes(raw.read1(limit, decode_content=False) if is_usual else raw.read(limit))
        except exceptions.TimeoutError as error:
            raise TimedOut(str(error)) from error

    def end() -> None:
        response.close()
        close()

    at_end = raw.release_conn if is_usual else _nothing
    # A response without a reason phrase has None here.
    status = f"{response.status_code} {response.reason or ''}"
    blocks = ResponseBody(read, size, at_end=at_end, close=end)
    return status, location, headers, blocks
