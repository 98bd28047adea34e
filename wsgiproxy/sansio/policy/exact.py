"""The rules of the exact proxy: what the environ describes, to where it says."""

from __future__ import annotations

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.fields.via import with_via
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Headers, Inbound, Origin, bracketed
from wsgiproxy.sansio.pipeline import Outgoing, request_for, whole_target

__all__ = ["ExactPolicy"]


@remembered
def _origin(place: tuple[str, str, int]) -> Origin:
    scheme, name, port = place
    name = name.strip("[]")
    if not is_host(bracketed(name)):
        raise BadRequest(f"SERVER_NAME {name!r} is not a host to connect to")
    return Origin(scheme, name, port)


class ExactPolicy:
    """Send the request that the environ describes to ``SERVER_NAME:SERVER_PORT``.

    :param pseudonym: our name in Via, where there must be one.
    """

    keeps_namespace = True
    is_known_by_port = True
    has_own_upstreams = False
    trusts_ids = None
    passes_commands = True

    def __init__(self, pseudonym: str = "") -> None:
        self._pseudonym = pseudonym

    def visible(self, headers: Headers) -> Headers:
        """As of :meth:`.Policy.visible`."""
        return headers

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """Nothing is added; the connect address and the target stay two values.

        But for a loop mark: directly under its own server the proxy would call itself for
        ever. It knows its own connections by their ports; a server that names its peer but
        not the port (wsgiref, granian) leaves only Via (RFC 9110, 7.6.3).
        """
        if self._pseudonym and inbound.peer and not inbound.peer_port:
            headers = with_via(headers, inbound.protocol, self._pseudonym)
        origin = _origin((inbound.scheme, inbound.server_name, inbound.server_port))
        lines = [("Host", inbound.host), *headers]
        return Outgoing(origin, request_for(inbound, whole_target(inbound), lines))

    def response(self, headers: Headers, context: object) -> Headers:
        """Addresses in the answer are the client's already."""
        return headers
