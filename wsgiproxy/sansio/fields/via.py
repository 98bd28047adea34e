"""Via (RFC 9110, 7.6.3): what is appended, and loops that it shows."""

from __future__ import annotations

from wsgiproxy.errors import LoopDetected
from wsgiproxy.sansio.message import Headers

__all__ = ["with_response_via", "with_via"]


def with_via(headers: Headers, protocol: str, pseudonym: str) -> Headers:
    """The field lines of a request with Via at their end; earlier members keep their order.

    :param protocol: version of the protocol by which the request has come, such as ``1.1``.
    :param pseudonym: our name.
    :raises LoopDetected: it is in Via already.

    >>> with_via([("Via", "1.0 a"), ("Accept", "*/*")], "1.1", "b")
    [('Accept', '*/*'), ('Via', '1.0 a, 1.1 b')]
    """
    ours = f"{protocol} {pseudonym}"
    found = [value for name, value in headers if name == "Via"]
    if not found:
        return [*headers, ("Via", ours)]
    if pseudonym in ",".join(found).replace(",", " ").split():
        raise LoopDetected(f"our own name {pseudonym!r} is in Via")
    rest = [field for field in headers if field[0] != "Via"]
    return [*rest, ("Via", ", ".join([*found, ours]))]


def with_response_via(headers: Headers, pseudonym: str) -> Headers:
    """The same for a response: of its version it is only known that 1.0 is taken for 1.1."""
    found = [value for name, value in headers if name.lower() == "via"]
    rest = [field for field in headers if field[0].lower() != "via"]
    return [*rest, ("Via", ", ".join([*found, f"1.1 {pseudonym}"]))]
