"""Expect (RFC 9110, 10.1.1): the proxy and our own server answer it by one rule."""

from __future__ import annotations

from wsgiproxy.errors import ExpectationFailed
from wsgiproxy.sansio.fields.names import list_members

__all__ = ["check_expect", "expects_continue"]


def expects_continue(value: str) -> bool:
    """Whether Expect asks for 100 (Continue) before the body, and for nothing else.

    >>> expects_continue("100-Continue"), expects_continue("100-continue, x"), expects_continue("")
    (True, False, False)
    """
    return list_members(value) == ["100-continue"]


def check_expect(value: str) -> None:
    """Refuse an expectation that cannot be met; an empty list is none.

    :raises ExpectationFailed: there is another one than ``100-continue``, which is the server's
        to answer.
    """
    if list_members(value) and not expects_continue(value):
        raise ExpectationFailed(f"Expect: {value!r}")
