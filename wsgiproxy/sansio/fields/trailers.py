"""Trailer, and the fields behind a body (RFC 9110, 6.5): for servers that can send them."""

from __future__ import annotations

from wsgiproxy.sansio.fields.connection import for_client
from wsgiproxy.sansio.fields.names import list_members, normalized_name, values, words
from wsgiproxy.sansio.message import Headers

__all__ = ["announced_trailers", "trailers_for_client"]

# RFC 9110, 6.5.1: fields for framing, routing, authentication, control of the response, the format
# of the content, and cookies. A client that merges trailers into the head would obey them too late.
_NEVER = words(
    "age authorization cache-control content-encoding content-length content-range content-type "
    "cookie date expires host location retry-after set-cookie trailer transfer-encoding vary "
    "warning www-authenticate"
)


def announced_trailers(headers: Headers) -> frozenset[str]:
    """The names that Trailer lists, of those that may stand behind a body.

    >>> sorted(announced_trailers([("Trailer", "X-Checksum, Set-Cookie"), ("Trailer", "Etag")]))
    ['etag', 'x-checksum']
    """
    lines = values(headers, "Trailer")
    names = map(normalized_name, list_members(",".join(lines))) if lines else ()
    return frozenset(names) - _NEVER


def trailers_for_client(trailers: Headers, announced: frozenset[str]) -> Headers:
    """The fields behind a body that go to the client: those that were announced.

    >>> trailers_for_client([("X-A", "1"), ("X-B", "2"), ("Connection", "x")], frozenset(["x-a"]))
    [('X-A', '1')]
    """
    return [line for line in for_client(trailers) if normalized_name(line[0]) in announced]
