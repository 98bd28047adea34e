"""Via (RFC 9110, 7.6.3): what is appended, and loops that it shows."""

from __future__ import annotations

from wsgiproxy.errors import LoopDetected
from wsgiproxy.sansio.message import Headers

__all__ = ["extend_via"]


def extend_via(headers: Headers, protocol: str, pseudonym: str) -> tuple[Headers, str]:
    """Append to Via (RFC 9110, 7.6.3); existing members keep their order.

    :returns: the headers without Via, and the new value for it.
    :raises LoopDetected: we are in it already.
    """
    ours = f"{protocol} {pseudonym}"
    found = [value for name, value in headers if name == "Via"]
    if not found:
        return headers, ours
    if pseudonym in ",".join(found).replace(",", " ").split():
        raise LoopDetected(f"our own name {pseudonym!r} is in Via")
    return [field for field in headers if field[0] != "Via"], ", ".join([*found, ours])
