"""JSON with line breaks, its numbers, its order and its doubled names left as they came."""

from __future__ import annotations

import json
import re

__all__ = ["pretty_json"]

# Characters of the result; behind them lies a document that is mostly indentation.
_LONGEST = 4 << 20
# Levels that are indented; deeper ones stand below each other.
_LEVELS = 32
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_OPEN, _CLOSED = ("{", "["), ("}", "]")


def _refuse(text: str) -> None:
    raise ValueError(text)  # NaN and Infinity, which are not JSON (RFC 8259, 6)


def pretty_json(text: str) -> str | None:
    r"""A JSON document, indented; None if it is none, is too deep, or would get too long.

    >>> print(pretty_json('{"a":[1.00,{}],"b":"\\u00e9"}'))
    {
      "a": [
        1.00,
        {}
      ],
      "b": "é"
    }
    >>> pretty_json("[NaN]"), pretty_json("[" * 100_000)
    (None, None)
    """
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return _indented(text)


def _indented(text: str) -> str | None:
    parts: list[str] = []
    level = size = 0
    before = ""
    for match in _TOKEN.finditer(text):
        token = match[0]
        level += (token in _OPEN) - (token in _CLOSED)
        parts.append(_spaced(token, before, level))
        size += len(parts[-1])
        before = token
        if size > _LONGEST:
            return None
    return "".join(parts)


def _spaced(token: str, before: str, level: int) -> str:
    """A token and the white space in front of it."""
    if token in _CLOSED:
        return token if before in _OPEN else _break(level) + token
    if before in _OPEN or before == ",":
        return _break(level if token not in _OPEN else level - 1) + _readable(token)
    return f" {_readable(token)}" if before == ":" else _readable(token)


def _break(level: int) -> str:
    return "\n" + "  " * min(level, _LEVELS)


def _readable(token: str) -> str:
    """A string whose letters are escaped, if they can be seen."""
    if "\\u" not in token:
        return token
    text = json.dumps(json.loads(token), ensure_ascii=False)
    return text if text.isprintable() else token
