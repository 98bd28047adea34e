"""One request of a proxy of WSGIProxy2: its policy, and its client as the transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wsgiproxy.compat.request_body import Input
from wsgiproxy.compat.response_body import CompatReply, close, name_of, reason_of
from wsgiproxy.errors import BadResponse, ConnectFailed, ProxyError, UpstreamTimeout
from wsgiproxy.sansio.h1 import Limits, request_head
from wsgiproxy.sansio.message import Headers, Inbound, Origin, Request
from wsgiproxy.sansio.pipeline import Outgoing
from wsgiproxy.sansio.policy import wsgiproxy2

if TYPE_CHECKING:
    import logging

    from _typeshed.wsgi import WSGIEnvironment

    from wsgiproxy.transport import Call

__all__ = ["ClientTransport"]


class ClientTransport:
    """One request of a proxy: its policy, and its transport at the same time.

    :param proxied: the target, and the fields that announce the original request.
    :param uri: what ``extract_uri`` returned.
    :param environ: the proxy's own copy.
    :param process: ``process_request`` of the proxy.
    :param client: the client of the proxy, for messages.
    :param log: the logger for its failures.
    """

    is_known_by_port = False
    has_own_upstreams = False
    trusts_ids = None
    passes_commands = False

    def __init__(
        self,
        proxied: wsgiproxy2.Proxied,
        uri: str,
        environ: WSGIEnvironment,
        process: Callable[[str, str, dict[str, str], WSGIEnvironment], object],
        *,
        client: object,
        log: logging.Logger,
    ) -> None:
        #: The forwarding fields of the program itself are part of its request.
        self.keeps_namespace = not proxied.pseudonym
        self._proxied = proxied
        self._uri = uri
        scheme, mark, rest = uri.partition("://")
        self._server = scheme + mark + rest.partition("/")[0]
        self._environ = environ
        self._process = process
        self._client = client
        self._log = log
        self._location: str | None = None
        self._prefix: str | None = None

    def visible(self, headers: Headers) -> Headers:
        """As of :meth:`.Policy.visible`."""
        return headers

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """Stage 3, as :func:`wsgiproxy.sansio.policy.wsgiproxy2.outgoing`."""
        self._prefix = inbound.script_name if self._proxied.strips else None
        return wsgiproxy2.outgoing(self._proxied, inbound, headers)

    def response(self, headers: Headers, context: object) -> Headers:
        """Stage 6: Location, if the client returned one."""
        if self._location is None:
            return headers
        where = self._uri, str(context), self._prefix
        return wsgiproxy2.with_location(headers, self._location, *where)

    def send(
        self,
        origin: Origin,
        request: Request,
        body: Iterable[bytes] | None = None,
        call: Call | None = None,
    ) -> Any:
        """Have the client send it; see :class:`wsgiproxy.transport.Transport`.

        :returns: a :class:`CompatReply`, which has the methods of :class:`.Reply`.
        :raises ProxyError: there is no response.
        """
        request_head(request, Limits())  # a client from outside may check nothing
        body_file = Input(body or (), request.content_length, call)
        # A target begins with a slash, and so cannot add to the authority.
        uri = self._server + request.target
        environ = {**self._environ, "wsgi.input": body_file}
        result: object = None
        try:
            result = self._process(uri, request.method, _fields(request), environ)
            answer = wsgiproxy2.check_answer(result)
            self._location = answer.location
            return CompatReply(answer, request.method, self._client)
        except Exception as error:
            if isinstance(result, (tuple, list)) and len(result) == 4:
                close(result[3])
            failure = self._failure(body_file.error or error)
            if failure is error:
                raise
            raise failure from error

    def _failure(self, error: BaseException) -> ProxyError:
        """The error of ours for a failure of the client."""
        if isinstance(error, BadResponse):
            return BadResponse(f"client {name_of(self._client)}: {error}")
        if isinstance(error, ProxyError):
            return error
        if isinstance(error, TimeoutError):
            return UpstreamTimeout(f"client {name_of(self._client)}: {reason_of(error)}")
        if isinstance(error, OSError):
            return ConnectFailed(f"client {name_of(self._client)}: {reason_of(error)}")
        self._log.error("client %s has failed", name_of(self._client), exc_info=error)
        return ProxyError(f"client {name_of(self._client)}: {reason_of(error)}")


def _fields(request: Request) -> dict[str, str]:
    """The headers for the client; an environ has no two of one name."""
    headers = dict(request.headers)
    if request.chunked:
        headers["Transfer-Encoding"] = "chunked"
    elif request.content_length is not None:
        headers["Content-Length"] = str(request.content_length)
    return headers
