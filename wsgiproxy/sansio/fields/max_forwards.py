"""Max-Forwards (RFC 9110, 7.6.2)."""

from __future__ import annotations

from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.message import Headers, Inbound

__all__ = ["is_final_recipient", "with_one_forward_less"]


def is_final_recipient(inbound: Inbound) -> bool:
    """Whether Max-Forwards ends here (RFC 9110, 7.6.2; TRACE is refused before).

    >>> from wsgiproxy.sansio.environ.inbound import read
    >>> is_final_recipient(read({"REQUEST_METHOD": "OPTIONS", "PATH_INFO": "/",
    ...     "HTTP_HOST": "a", "HTTP_MAX_FORWARDS": "0"}))
    True
    """
    found = values(inbound.headers, "Max-Forwards")
    return inbound.method == "OPTIONS" and len(found) == 1 and set(found[0]) == {"0"}


def with_one_forward_less(headers: Headers) -> Headers:
    """The field lines with Max-Forwards decremented, where it is a number (RFC 9110, 7.6.2)."""
    return [
        (name, str(max(int(value) - 1, 0)))
        if name == "Max-Forwards" and value.isascii() and value.isdigit() and len(value) < 10
        else (name, value)
        for name, value in headers
    ]
