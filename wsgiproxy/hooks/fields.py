"""The fields of a message of hooks, and how they differ from those that were received.

Most hooks touch a field or two, and every request goes through them. So what is not touched is not
made, and what has been checked is not looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from multidict import CIMultiDict, getversion

from wsgiproxy.sansio.grammar import is_field_value, is_token
from wsgiproxy.sansio.message import Headers as Lines

_version: Callable[[Any], int] = getversion

__all__ = ["Difference", "Fields", "Headers", "differs"]


class Headers(CIMultiDict[str]):
    """Fields of a message: names without regard to case, each with one value or several.

    ``headers["X-Name"]`` is the first value, and assigning replaces all; see
    ``multidict.CIMultiDict`` for the rest.

    >>> headers = Headers([("Set-Cookie", "a=b")])
    >>> headers.add("Set-Cookie", "c=d")
    >>> headers.getlist("set-cookie"), headers.getlist("x-name"), "SET-COOKIE" in headers
    (['a=b', 'c=d'], [], True)
    """

    def getlist(self, name: str) -> list[str]:
        """All values of a field, in order; empty if there is none."""
        return self.getall(name, [])


class Difference(NamedTuple):
    """How field lines differ from those that were received.

    :param lines: as they are now, of ``str`` itself, which is all that wsgiref takes.
    :param new: those that were not there before.
    :param gone: those that are no longer there.
    """

    lines: Lines
    new: Lines
    gone: Lines


def differs(received: Lines, found: Lines) -> Difference:
    """The difference of what was received and what is there now.

    >>> differs([("A", "1"), ("B", "2")], [("A", "1"), ("B", "3"), ("C", "4")])[1:]
    ([('B', '3'), ('C', '4')], [('B', '2')])
    """
    count = len(received)
    if found[:count] == received:
        new = [_plain(field) for field in found[count:]]
        return Difference([*received, *new], new, [])
    both = zip(received, found, strict=False)
    pairs = [(old, old if old == field else _plain(field)) for old, field in both]
    rest = [_plain(field) for field in found[count:]]
    new = [field for old, field in pairs if field is not old]
    gone = [old for old, field in pairs if field is not old]
    lines = [field for _, field in pairs]
    return Difference([*lines, *rest], [*new, *rest], [*gone, *received[len(found) :]])


def _plain(field: tuple[str, Any]) -> tuple[str, Any]:
    # multidict has a class of its own for names; what a class makes of str() is not asked.
    name, value = field
    text = str.__str__(value).strip(" \t") if isinstance(value, str) else value
    return str.__str__(name), text


class Fields:
    """The fields of a message.

    :param lines: as they were received; none for a message that a hook has made.
    """

    __slots__ = ("_checked", "_headers", "_lines", "_version", "difference")

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._headers: Headers | None = None
        # The field lines that have been found right last, how they differ, and of which version.
        self._checked = lines
        #: How the checked field lines differ from those received; None if they do not.
        self.difference: Difference | None = None
        self._version = 0

    @property
    def headers(self) -> Headers:
        """The fields, to be read and changed."""
        if self._headers is None:
            self._headers = Headers(self._lines)
            self._version = _version(self._headers)
        return self._headers

    @headers.setter
    def headers(self, headers: Mapping[str, str] | Lines) -> None:
        self._headers, self._version = Headers(headers), 0

    @property
    def lines(self) -> Lines:
        """The field lines as they are now."""
        headers = self._headers
        if headers is None or _version(headers) == self._version:
            return list(self._checked)
        return [_plain(field) for field in headers.items()]

    @property
    def lines_checked(self) -> Lines:
        """The field lines as they were when they were found right last."""
        return self._checked

    @property
    def lines_received(self) -> Lines:
        """The field lines as they were; none for a message that a hook has made."""
        return self._lines

    def wrong_field(self) -> str:
        """What is wrong with the fields; if nothing is, they are those that are sent."""
        headers = self._headers
        if headers is None or _version(headers) == self._version:
            return ""
        version, found = _version(headers), list(headers.items())
        difference = differs(self._lines, found)
        for name, value in difference.new:
            if not is_token(name):
                return f"the field name {name!r}: expected a token"
            if not isinstance(value, str) or not is_field_value(value):
                # It may be a secret with a newline at its end, as files have one.
                return f"the value of the field {name}: expected text of one line, in latin-1"
        self._checked = difference.lines
        self.difference, self._version = difference, version
        return ""
