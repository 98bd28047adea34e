"""The grammar of RFC 9110 and 9112, each rule once: tokens, field values, numbers, status lines."""

from __future__ import annotations

import re

__all__ = ["TOKEN", "is_token"]

#: A token (RFC 9110, 5.6.2), as part of other expressions.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


_TOKEN = re.compile(TOKEN)


def is_token(text: str) -> bool:
    """Whether *text* is a token (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None
