"""Event streams: the events in the body of a ``text/event-stream`` (HTML, section 9.2.6).

It reads what is there, and knows nothing of reconnecting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Event", "events"]

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n)")
_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event as a browser gets it.

    :param event: its type; ``message`` if the stream names none.
    :param id: the last event id, which may be that of an earlier event.
    :param data: its lines, joined.
    :param end: the offset in the body of the byte behind it.
    """

    event: str
    id: str
    data: str
    end: int


def events(body: bytes) -> Iterator[Event]:
    r"""The events of a body, or of its beginning; one that has no end yet is left out.

    >>> [tuple(event) for event in events(b"id: 7\ndata: a\ndata:b\n\nevent: end\ndata\n\nda")]
    [('message', '7', 'a\nb', 22), ('end', '7', '', 39)]
    """
    last, name = "", ""
    data: list[str] = []
    start = len(_MARK) if body.startswith(_MARK) else 0
    for match in _LINE.finditer(body, start):
        line = match[1].decode("utf-8", "replace")
        if not line:
            if data:
                yield Event(name or "message", last, "\n".join(data), match.end())
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last = value
