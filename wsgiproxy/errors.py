"""Everything that can go wrong, each with its status and a sentence that is safe to show.

An error has two texts. ``str(error)`` is for the log and may name addresses; ``public`` is
for the client and never says anything about the inside.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadRequest",
    "BadResponse",
    "BadSignature",
    "Busy",
    "ClientGone",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectTimeout",
    "ContentTooLarge",
    "DestinationForbidden",
    "ExpectationFailed",
    "Forbidden",
    "HeadTooLarge",
    "LengthRequired",
    "LinkedOutside",
    "LoopDetected",
    "MethodNotAllowed",
    "Misdirected",
    "NotForProxy",
    "NotFound",
    "NotReady",
    "NotRecorded",
    "NotStarted",
    "NotSupported",
    "Pausing",
    "ProxyAuthenticationRequired",
    "ProxyError",
    "RequestTimeout",
    "TargetTooLong",
    "Unavailable",
    "TooManyRequests",
    "UpstreamLost",
    "UpstreamTimeout",
    "WebSocketNotCarried",
]


class ConfigurationError(ValueError):
    """A setting has a bad value; raised when the application is made, never later."""


class ProxyError(Exception):
    """The exchange failed: there is no response of the upstream to relay.

    :cvar status: the status that the client gets (RFC 9110, section 15).
    :cvar public: a sentence for the client.
    :cvar side: the side that failed: ``client``, ``upstream`` or ``proxy``.

    >>> ProxyError("no such luck").status
    500
    """

    status: ClassVar[int] = 500
    public: ClassVar[str] = "The proxy could not serve this request."
    side: ClassVar[str] = "proxy"


class BadRequest(ProxyError):
    """The request cannot be sent on as exactly one well-formed request."""

    status = 400
    public = "The proxy could not make sense of this request."
    side = "client"


class NotForProxy(BadRequest):
    """A browser proxy got a request in origin-form, which is for a server (RFC 9112, 3.2.2)."""

    public = "This is a proxy for browsers: it takes http:// addresses, and CONNECT for https://."


class MethodNotAllowed(BadRequest):
    """The method is refused, such as CONNECT and TRACE at a reverse proxy (RFC 9110, 15.5.6)."""

    status = 405
    public = "This method is not allowed here."
    #: The methods for the field Allow; empty for the usual ones.
    allowed: tuple[str, ...] = ()


class LengthRequired(BadRequest):
    """The server does not say where the request body ends (RFC 9110, 15.5.12)."""

    status = 411
    public = "The length of the request body is needed."


class RequestTimeout(BadRequest):
    """The client has begun a request and takes too long to send it (RFC 9110, 15.5.9)."""

    status = 408
    public = "The request took too long to arrive."


class ContentTooLarge(BadRequest):
    """The request body is larger than a limit, such as ``max_body``."""

    status = 413
    public = "The request body is too large."


class ExpectationFailed(BadRequest):
    """The request has an Expect other than ``100-continue`` (RFC 9110, 10.1.1)."""

    status = 417
    public = "The expectation given in the request cannot be met."


class Misdirected(BadRequest):
    """The Host is no name of this machine, at a loopback address (RFC 9110, 15.5.20)."""

    status = 421
    public = (
        "Only names of this machine are answered here; "
        "the option --allowed-hosts of wsgiproxy adds others."
    )


class HeadTooLarge(BadRequest):
    """The request's head exceeds a limit (RFC 6585, section 5)."""

    status = 431
    public = "The request's header fields are too large."


class TargetTooLong(HeadTooLarge):
    """The request-target exceeds a limit (RFC 9110, 15.5.15)."""

    status = 414
    public = "The address in the request is too long."


class NotSupported(BadRequest):
    """The request has an upgrade or a transfer coding that this proxy cannot carry."""

    status = 501
    public = "This kind of request is not supported here."


class LoopDetected(ProxyError):
    """The proxy has met its own request again."""

    status = 508
    public = "The request came back to the proxy that sent it."


class ClientGone(ProxyError):
    """The client left before its response was complete; the status is for the log alone."""

    status = 499
    public = "The client has closed the connection."
    side = "client"


class ConnectFailed(ProxyError):
    """There is no connection to the upstream (name, network, TLS); nothing was sent."""

    status = 502
    public = "The upstream server could not be reached."
    side = "upstream"


class BadResponse(ProxyError):
    """The upstream did not send exactly one legal response."""

    status = 502
    public = "The upstream server gave an answer that cannot be passed on."
    side = "upstream"


class UpstreamLost(ProxyError):
    """The upstream closed the connection before its response was complete."""

    status = 502
    public = "The upstream server closed the connection early."
    side = "upstream"


class UpstreamTimeout(ProxyError):
    """The upstream took longer than a limit allows."""

    status = 504
    public = "The upstream server took too long to answer."
    side = "upstream"


class ConnectTimeout(UpstreamTimeout):
    """There was no connection to the upstream in time; nothing was sent."""


class Forbidden(ProxyError):
    """The request is understood and refused (RFC 9110, 15.5.4)."""

    status = 403
    public = "This request is not allowed here."
    side = "client"


class DestinationForbidden(Forbidden):
    """The guard refuses the destination; the reason is for the log alone."""

    public = "The proxy does not connect to this destination."


class ProxyAuthenticationRequired(ProxyError):
    """The client has not sent the right user name and password (RFC 9110, 15.5.8)."""

    status = 407
    public = "This proxy wants a user name and a password."
    side = "client"


class BadSignature(Forbidden, ValueError):
    """The request has no valid signature; the reason is for the log alone."""


class WebSocketNotCarried(NotSupported):
    """The request is a WebSocket handshake (RFC 6455, 4.1) that cannot be carried here."""

    public = (
        "WebSocket is not carried here. Of servers for WSGI, gunicorn, Werkzeug, gevent.pywsgi and"
        " paste.httpserver with the handler of wsgiproxy can do it; so can all servers for ASGI,"
        " such as uvicorn, which the extra asgi installs."
    )


class NotFound(ProxyError):
    """There is nothing under this path (RFC 9110, 15.5.5)."""

    status = 404
    public = "There is nothing here."
    side = "client"


class LinkedOutside(NotFound):
    """A page below a prefix has a link past it: its application does not know the prefix."""

    public = (
        "There is nothing here. The page that links here is below a prefix, and its link leads "
        "past it: the application has to be told its prefix, by a setting of its own."
    )


class Unavailable(ProxyError):
    """Something that every request needs is missing at the moment, such as a free place."""

    status = 503
    public = "The service is not available at the moment."


class Busy(Unavailable):
    """All that may serve the request has as many requests as it takes, or has failed just now.

    :ivar retry_after: seconds after which another attempt makes sense.
    """

    public = "The service is busy at the moment. Please try again."
    retry_after = 1


class TooManyRequests(ProxyError):
    """The client has as many requests in progress as one may have (RFC 6585, section 4).

    :ivar retry_after: seconds after which another attempt makes sense.
    """

    status = 429
    public = "You have too many requests in progress. Please wait for some of them."
    side = "client"
    retry_after = 1


class NotReady(Unavailable):
    """The process behind this address is still starting.

    :ivar retry_after: seconds after which another attempt makes sense.
    """

    public = "The application is starting. Please try again in a moment."
    retry_after = 1


class Pausing(NotReady):
    """The process behind this address has failed, and it is too early to try again."""

    public = "The application is not available, and will be started again. Please try again later."


class NotStarted(ProxyError):
    """The process behind this address could not be started.

    :ivar detail: its last lines of output, where the client may see them.
    """

    status = 502
    public = "The application could not be started."
    side = "upstream"
    detail = ""


class NotRecorded(ProxyError):
    """An archive that is served has no answer for the request."""

    status = 502
    public = "There is no recorded answer for this request."
