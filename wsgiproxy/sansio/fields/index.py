"""Where the rule for a header field is: one file for each family of fields.

``docs/http.rst`` has the same table for users, made of this one by ``python -m
tests.support.fields``.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["INDEX", "Row"]


class Row(NamedTuple):
    """One field, or several that one rule is for.

    :param fields: their names; ``*`` stands for the rest of one.
    :param file: the module with the rule, below ``wsgiproxy.sansio``.
    :param rule: what becomes of them.
    """

    fields: str
    file: str
    rule: str


INDEX = (
    Row("Authorization, Proxy-Authorization", "fields.authorization",
        "whether a login holds for a connection, which then is never shared"),
    Row("Connection, Keep-Alive, TE, Trailer, Upgrade, Proxy-Connection", "fields.connection",
        "removed on each hop, with what Connection lists"),
    Row("HTTP2-Settings, ALPN, Close, Security-Scheme, Trailers, Proxy-Authenticate,"
        " Proxy-Authentication-Info, Proxy-Features, Proxy-Instruction, Proxy, Alt-Svc, Status",
        "fields.connection", "for one hop alone, or never passed on"),
    Row("Content-Digest", "fields.content_digest",
        "the digest of a body that a signature covers (RFC 9530)"),
    Row("Content-Length, Transfer-Encoding", "fields.framing",
        "where a body ends (RFC 9112, 6.3); computed, never copied"),
    Row("Cookie, Set-Cookie", "fields.cookies",
        "cookies that are kept from the upstream, and the path and domain of others"),
    Row("Cookie, Set-Cookie", "fields.sticky",
        "our cookie that names the upstream of a client; the upstream never gets it"),
    Row("Destination, If", "fields.destination", "addresses in a WebDAV request"),
    Row("Expect", "fields.expect", "100-continue is the server's to answer; others get 417"),
    Row("Forwarded, X-Forwarded-*", "fields.forwarded.incoming",
        "what is believed of a trusted peer, by WSGIProxyMiddleware"),
    Row("Forwarded, X-Forwarded-*", "fields.forwarded.outgoing",
        "what is announced to the upstream, by WSGIProxyApp"),
    Row("Forwarded, Forwarded-*, X-Forwarded-*, X-Real-IP, X-Script-Name, Remote-User,"
        " X-WSGIProxy-*, X-Traversal-*",
        "fields.namespace", "removed, since clients must not write them"),
    Row("X-Accel-*, X-Archive-*, X-Sendfile*, X-Lighttpd-*, X-LiteSpeed-*, X-Reproxy-*",
        "fields.namespace", "removed, since upstreams must not command the server in front"),
    Row("Retry-After", "fields.retry_after",
        "how long one of several upstreams is left alone; the field itself passes"),
    Row("Trailer", "fields.trailers",
        "which fields behind a body go to the client, where the server can send them"),
    Row("X-Traversal-Path", "fields.forwarded.incoming",
        "the path that a proxy has put before the client's"),
    Row("Host", "fields.host", "host and port, their spellings, and lists of allowed hosts"),
    Row("Location, Content-Location, Refresh", "fields.location",
        "addresses of the upstream become public ones"),
    Row("Max-Forwards", "fields.max_forwards", "one less for OPTIONS, which ends at 0"),
    Row("X-Request-Id", "fields.request_id",
        "with request_id: kept of a trusted proxy, replaced otherwise"),
    Row("Referer", "reference", "whether a page below a prefix has a link past it"),
    Row("Sec-WebSocket-Key, Sec-WebSocket-Accept, Sec-WebSocket-Version, Sec-WebSocket-Protocol,"
        " Sec-WebSocket-Extensions", "websocket",
        "the handshake of WebSocket, and whether its answer is the right one (RFC 6455)"),
    Row("Signature, Signature-Input", "fields.signature",
        "what is signed and verified (RFC 9421)"),
    Row("Signature, Signature-Input", "fields.signature_members",
        "our member, and those of others"),
    Row("Via", "fields.via", "appended to, and loops that it shows"),
    Row("WSGIProxy", "fields.envelope.schema", "the envelope: what the backend restores"),
    Row("WWW-Authenticate", "fields.challenge", "addresses in a challenge (RFC 9728)"),
)  # fmt: skip
