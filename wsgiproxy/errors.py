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
    "ClientGone",
    "ConfigurationError",
    "ConnectFailed",
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
    "NotStarted",
    "NotSupported",
    "Pausing",
    "ProxyAuthenticationRequired",
    "ProxyError",
    "RequestTimeout",
    "TargetTooLong",
    "Unavailable",
    "UpstreamLost",
    "UpstreamTimeout",
    "WebSocketNotCarried",
]


class ConfigurationError(ValueError):
    """A setting that cannot be meant; raised when the application is made, never later."""


class ProxyError(Exception):
    """The exchange failed; there is no answer of the upstream to relay.

    :cvar status: the status that the client gets (RFC 9110, section 15).
    :cvar public: a sentence for the client.
    :cvar side: who is to blame: ``client``, ``upstream`` or ``proxy``.

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
    """A request as a server gets it, at a browser proxy (RFC 9112, 3.2.2)."""

    public = "This is a proxy for browsers: it takes http:// addresses, and CONNECT for https://."


class MethodNotAllowed(BadRequest):
    """CONNECT and TRACE are not for a reverse proxy (RFC 9110, 9.3.6 and 9.3.8)."""

    status = 405
    public = "This method is not allowed here."
    #: Those that are, if they are not the usual ones.
    allowed: tuple[str, ...] = ()


class LengthRequired(BadRequest):
    """A body of which the server does not say where it ends."""

    status = 411
    public = "The length of the request body is needed."


class RequestTimeout(BadRequest):
    """The client has begun a request and takes too long with it (RFC 9110, 15.5.9)."""

    status = 408
    public = "The request took too long to arrive."


class ContentTooLarge(BadRequest):
    """The request body is larger than ``max_body``."""

    status = 413
    public = "The request body is too large."


class ExpectationFailed(BadRequest):
    """An Expect other than ``100-continue`` (RFC 9110, 10.1.1)."""

    status = 417
    public = "The expectation given in the request cannot be met."


class Misdirected(BadRequest):
    """A Host that a listener on a loopback address does not answer (RFC 9110, 15.5.20)."""

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
    """An upgrade or a transfer coding that this proxy cannot carry."""

    status = 501
    public = "This kind of request is not supported here."


class LoopDetected(ProxyError):
    """The proxy has met its own request again."""

    status = 508
    public = "The request came back to the proxy that sent it."


class ClientGone(ProxyError):
    """The client left before its answer was complete; only the log ever sees the status."""

    status = 499
    public = "The client has closed the connection."
    side = "client"


class ConnectFailed(ProxyError):
    """No connection to the upstream: name, network, TLS. Nothing was sent."""

    status = 502
    public = "The upstream server could not be reached."
    side = "upstream"


class BadResponse(ProxyError):
    """The upstream's answer is not one legal response."""

    status = 502
    public = "The upstream server gave an answer that cannot be passed on."
    side = "upstream"


class UpstreamLost(ProxyError):
    """The upstream closed the connection before its answer was complete."""

    status = 502
    public = "The upstream server closed the connection early."
    side = "upstream"


class UpstreamTimeout(ProxyError):
    """The upstream took longer than a limit allows."""

    status = 504
    public = "The upstream server took too long to answer."
    side = "upstream"


class Forbidden(ProxyError):
    """The request is understood and refused (RFC 9110, 15.5.4)."""

    status = 403
    public = "This request is not allowed here."
    side = "client"


class DestinationForbidden(Forbidden):
    """The guard does not let us connect there; why is for the log alone."""

    public = "The proxy does not connect to this destination."


class ProxyAuthenticationRequired(ProxyError):
    """The proxy is for those who have a password (RFC 9110, 15.5.8)."""

    status = 407
    public = "This proxy wants a user name and a password."
    side = "client"


class BadSignature(Forbidden, ValueError):
    """The request is not signed as it must be; why is for the log alone."""


class WebSocketNotCarried(NotSupported):
    """A WebSocket handshake (RFC 6455, 4.1), which this proxy cannot carry yet."""

    public = "WebSocket connections are not carried by this proxy yet."


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
    """Something that every request needs cannot be had just now."""

    status = 503
    public = "The service is not available at the moment."


class NotReady(Unavailable):
    """The process behind this address is not there yet, or not again.

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
