"""The order of stages. The order is a security property: see the numbers.

1. remove hop-by-hop fields and those that Connection lists, or a client deletes what we
   are about to add;
2. remove the forwarding namespace, or a client writes it for us;
3. the policy: where to, which Host, what to announce;
4. envelope and signature come last, over what will be sent;

then the one I/O point, and after it

5. remove the upstream's hop-by-hop fields and check the head;
6. addresses and cookies, by the policy;
7. whether a body follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from wsgiproxy.errors import BadResponse
from wsgiproxy.sansio.fields.connection import end_to_end, for_client
from wsgiproxy.sansio.fields.envelope import Facts
from wsgiproxy.sansio.fields.max_forwards import with_one_forward_less
from wsgiproxy.sansio.fields.signature_members import cleaned
from wsgiproxy.sansio.grammar import NO_CONTENT, NO_LENGTH
from wsgiproxy.sansio.message import Headers, Inbound, Origin, Request, ResponseHead
from wsgiproxy.sansio.websocket import SWITCHING, check_switch

__all__ = ["Outgoing", "Policy", "cleaned_lines", "client_response", "outgoing", "whole_target"]


class Outgoing(NamedTuple):
    """A request on its way, and what its answer will need.

    :param origin: where to connect to.
    :param request: what to send there.
    :param context: whatever the policy wants back in :meth:`Policy.response`.
    :param facts: what an envelope says of the original request, where there is to be one.
    """

    origin: Origin
    request: Request
    context: object = None
    facts: Facts | None = None


class Policy(Protocol):
    """What one kind of proxy decides between the fixed stages; pure functions."""

    #: Whether the client's forwarding fields are part of the request that is sent (exact).
    keeps_namespace: bool
    #: Whether a loop is known by the port of a connection, since there may be no Via. Another
    #: client may have that port, too: the kernel gives it again for another destination.
    is_known_by_port: bool
    #: Whether an upstream may command the server in front of us, as by X-Accel-Redirect.
    passes_commands: bool
    #: Whether the upstreams are those of the configuration: neither a client chooses them, nor are
    #: they a process of our own, whose address is another one after each start.
    has_own_upstreams: bool

    @property
    def trusts_ids(self) -> Callable[[str], bool] | None:
        """Which peers' X-Request-Id is kept; None where requests get no id."""

    def visible(self, headers: Headers) -> Headers:
        """The cleaned field lines that hooks may see: those that may be sent to the upstream."""

    def request(self, inbound: Inbound, headers: Headers) -> Outgoing:
        """Stage 3: the outgoing request from the inbound one and its cleaned headers."""

    def response(self, headers: Headers, context: object) -> Headers:
        """Stage 6: the field lines for the client."""


def whole_target(inbound: Inbound) -> str:
    """The target as the client sent it, mount included."""
    return (inbound.script_name + inbound.path or "/") + inbound.query


def request_for(inbound: Inbound, target: str, headers: Headers) -> Request:
    """A request with the method and framing of *inbound*, and the one protocol it may go over to.

    :param headers: the field lines; Host comes first (RFC 9110, 7.2).
    """
    length, chunked = inbound.content_length, inbound.chunked
    upgrade = inbound.upgrade[0] if inbound.upgrade else ""
    return Request(inbound.method, target, headers, length, chunked, inbound.login, upgrade)


def cleaned_lines(headers: Headers, policy: Policy) -> Headers:
    """Stages 1 and 2: the field lines as far as they may go on."""
    return end_to_end(headers) if policy.keeps_namespace else cleaned(headers)


def outgoing(
    inbound: Inbound, policy: Policy, lines: Headers | None = None, *, is_clean: bool = False
) -> Outgoing:
    """Stages 1 to 3.

    :param lines: what hooks have made of the client's field lines; None for those themselves.
    :param is_clean: *lines* have passed stages 1 and 2, and none that these remove is new.
    :raises BadRequest: the policy cannot make a request of it.
    """
    headers = inbound.headers if lines is None else lines
    if not is_clean:
        headers = cleaned_lines(headers, policy)
    if inbound.method == "OPTIONS":
        headers = with_one_forward_less(headers)
    return policy.request(inbound, headers)


def client_response(
    request: Request, head: ResponseHead, policy: Policy, context: object
) -> tuple[ResponseHead, bool]:
    """Stages 5 to 7: the head for the client, and whether a body follows.

    :param request: as it was sent.
    :param head: of the answer.
    :raises BadResponse: an answer that cannot be passed on.
    """
    status, reason, headers = head
    if request.upgrade:
        check_switch(request, head)
    elif status == 426:
        # It has to name a protocol in Upgrade, which an application may not send (RFC 9110,
        # 15.5.22; PEP 3333).
        raise BadResponse("the upstream answers 426: it wants another protocol than HTTP/1.1")
    headers = policy.response(for_client(headers, commands=policy.passes_commands), context)
    if status in NO_LENGTH:
        # RFC 9110, 8.6 and 15.3.6: no length with the one, and none but 0 with the other.
        headers = [field for field in headers if field[0].lower() != "content-length"]
        if status == 205:
            headers.append(("Content-Length", "0"))
    # Bytes of the other protocol follow a 101, whatever the method was.
    body = status == SWITCHING or (request.method != "HEAD" and status not in NO_CONTENT)
    return ResponseHead(status, reason, headers), body
