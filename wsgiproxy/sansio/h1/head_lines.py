"""The lines of a head that has been checked, or was written by us."""

from __future__ import annotations

from wsgiproxy.sansio.message import Headers

__all__ = ["head_lines"]


def head_lines(head: bytes) -> tuple[tuple[str, str, str], Headers]:
    """The three parts of the first line, and the field lines (RFC 9112, 2.1).

    :param head: of a request or a response, up to the empty line behind it. Nothing is checked
        once more.

    >>> head_lines(b"HTTP/1.1 404 Not Found\\r\\nA: b\\r\\n\\r\\n")
    (('HTTP/1.1', '404', 'Not Found'), [('A', 'b')])
    """
    first, *lines = head.decode("latin-1").replace("\t", " ").removesuffix("\r\n\r\n").split("\r\n")
    begin, middle, end = (*first.split(" ", 2), "")[:3]
    parts = [line.partition(":") for line in lines]
    fields = [(name.strip(" "), value.strip(" ")) for name, _, value in parts]
    return (begin, middle, end.strip(" ")), fields
