"""The grammar of RFC 9110 and 9112, each rule once: tokens, values, numbers, ports, statuses."""

from __future__ import annotations

import re

__all__ = [
    "FIELD_VALUE",
    "LENGTH_DIGITS",
    "NO_BODY",
    "NO_CONTENT",
    "NO_LENGTH",
    "TOKEN",
    "is_field_value",
    "is_length",
    "is_port_text",
    "is_token",
    "port_number",
    "status_line",
]

#: A token (RFC 9110, 5.6.2), as part of other expressions.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#: The characters of a field value (RFC 9110, 5.5), bytes of obsolete texts included.
FIELD_VALUE = r"[\t -~\x80-\xff]*"

_TOKEN = re.compile(TOKEN)
_FIELD_VALUE = re.compile(FIELD_VALUE)
#: Digits of a length: one less than a signed number of 64 bits may have.
LENGTH_DIGITS = 18
_LENGTH = re.compile(f"[0-9]{{1,{LENGTH_DIGITS}}}")
_PORT = re.compile("[0-9]{1,5}")
_STATUS = re.compile(rf"([2-9][0-9]{{2}})(?: ({FIELD_VALUE}))?")

#: Statuses behind whose head no body follows, whatever it says (RFC 9112, 6.3, rule 1).
NO_BODY = frozenset([204, 304])
#: Statuses of a response without content (RFC 9110, 6.4.1 and 15.3.6).
NO_CONTENT = NO_BODY | {205}
#: Statuses that have no length of their own: none may be said, or it is 0 (RFC 9110, 8.6, 15.3.6).
NO_LENGTH = frozenset([204, 205])


def is_port_text(text: str) -> bool:
    """Whether *text* is a port number or 0, which a socket without ports has."""
    return _PORT.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether *text* is a token (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def is_field_value(text: str) -> bool:
    """Whether *text* can be the value of a field (RFC 9110, 5.5), blanks at its ends included."""
    return _FIELD_VALUE.fullmatch(text) is not None


def is_length(text: str) -> bool:
    """Whether *text* is a Content-Length that every number of 64 bits can hold (RFC 9110, 8.6).

    >>> is_length("0018"), is_length("+1"), is_length("1" * 19), is_length("\\u0661")
    (True, False, False, False)
    """
    return _LENGTH.fullmatch(text) is not None


def port_number(text: str) -> str:
    """A port (RFC 3986, 3.2.3) as ``SERVER_PORT`` has it; empty if the text is none.

    >>> port_number("00080"), port_number("0"), port_number("65536"), port_number("http")
    ('80', '', '', '')
    """
    number = int(text) if _PORT.fullmatch(text) else 0
    return str(number) if 0 < number <= 65535 else ""


def status_line(text: str) -> tuple[int, str] | None:
    """The status and the reason phrase of a final response (PEP 3333); None if it is none.

    >>> status_line("404 Not Found"), status_line("200"), status_line("103 Early Hints")
    ((404, 'Not Found'), (200, ''), None)
    """
    match = _STATUS.fullmatch(text)
    return (int(match[1]), match[2] or "") if match else None
