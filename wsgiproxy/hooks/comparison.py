"""Two answers to one request, compared: what the hook ``mirror`` finds out.

It reads no body and sends nothing; what it keeps of a body is a digest and a length.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.target import under

__all__ = ["Answer", "Comparison", "Difference", "Digest", "compared", "described", "place_of"]

#: Compared always; their values are shown in logs.
SHOWN = ("Content-Type", "Location")


class Answer(NamedTuple):
    """What is compared of one answer.

    :param status: its status.
    :param fields: the fields that are compared, by their names in lower case; several values of
        one are joined by commas.
    :param length: of the body in bytes; None if it is not known, or the body not to be compared.
    :param digest: SHA-256 of the body in hexadecimal; None if it was too large, as above.
    """

    status: int
    fields: Mapping[str, str]
    length: int | None = None
    digest: str | None = None


class Difference(NamedTuple):
    """A request whose two answers are not the same.

    :param method: GET or HEAD.
    :param path: below the mount, encoded and without the query, which may hold secrets.
    :param what: what differs: ``status``, names of fields, ``body``.
    :param upstream: the answer that the client has got.
    :param mirror: the other one.
    """

    method: str
    path: str
    what: tuple[str, ...]
    upstream: Answer
    mirror: Answer


class Digest:
    """The length of a body, and its SHA-256 as long as it is no longer than a limit.

    :param limit: bytes.

    >>> digest = Digest(5)
    >>> digest.add(b"hello"); digest.length, (digest.value or "")[:6]
    (5, '2cf24d')
    >>> digest.add(b"!"); digest.length, digest.value
    (6, None)
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hash = hashlib.sha256()
        self.length = 0

    def add(self, block: bytes) -> None:
        """Take a block."""
        self.length += len(block)
        if self.length <= self._limit:
            self._hash.update(block)

    @property
    def value(self) -> str | None:
        """The digest; None for a body that is longer than the limit."""
        return self._hash.hexdigest() if self.length <= self._limit else None


def compared(upstream: Answer, mirror: Answer, names: Iterable[str] = SHOWN) -> tuple[str, ...]:
    """What differs; the bodies are compared only if the statuses are the same.

    :param names: of fields.

    >>> compared(Answer(200, {}, 5, "a"), Answer(200, {"location": "/x"}, 5, "b"))
    ('Location', 'body')
    """
    found = [] if upstream.status == mirror.status else ["status"]
    found += [each for each in names if _field(upstream, each) != _field(mirror, each)]
    if upstream.status == mirror.status and (
        _differ(upstream.length, mirror.length) or _differ(upstream.digest, mirror.digest)
    ):
        found.append("body")
    return tuple(found)


def _field(answer: Answer, name: str) -> str | None:
    return answer.fields.get(name.lower())


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def described(found: Difference) -> str:
    """A line for the log, with no values of fields but those of Content-Type and Location.

    >>> html, text = Answer(200, {}, 5, "a"), Answer(200, {}, 6, "b")
    >>> described(Difference("GET", "/x", ("body", "X-Key"), html, text))
    'GET /x: body of 5 bytes, mirror 6; X-Key'
    """
    return f"{found.method} {found.path}: " + "; ".join(_shown(each, found) for each in found.what)


def _shown(what: str, found: Difference) -> str:
    ours, theirs = found.upstream, found.mirror
    if what == "status":
        return f"status {ours.status}, mirror {theirs.status}"
    if what == "body":
        if ours.length == theirs.length:
            return f"body of {ours.length} bytes, as long as that of the mirror"
        return f"body of {ours.length} bytes, mirror {theirs.length}"
    if what in SHOWN:
        return f"{what} {_field(ours, what)!r}, mirror {_field(theirs, what)!r}"
    return what


class Comparison:
    """The comparison of two answers, done by the one that is complete last.

    So neither waits for the other; each may come from a thread of its own.

    :param names: of fields.
    :param done: is given both, and what differs; not called if that is nothing.
    """

    def __init__(
        self, names: Iterable[str], done: Callable[[Answer, Answer, tuple[str, ...]], None]
    ) -> None:
        self._names = tuple(names)
        self._done = done
        self._lock = threading.Lock()
        self._found: dict[str, Answer] = {}

    def take(self, which: str, answer: Answer) -> None:
        """Take an answer that is complete.

        :param which: ``upstream`` or ``mirror``.
        """
        with self._lock:
            self._found[which] = answer
            if len(self._found) < 2:
                return
        upstream, mirror = self._found["upstream"], self._found["mirror"]
        what = compared(upstream, mirror, self._names)
        if what:
            self._done(upstream, mirror, what)

    def fields(self, lines: Headers) -> dict[str, str]:
        """The fields that are compared."""
        wanted = {each.lower() for each in self._names}
        found: dict[str, list[str]] = {}
        for name, value in lines:
            if name.lower() in wanted:
                found.setdefault(name.lower(), []).append(value)
        return {name: ", ".join(values) for name, values in found.items()}


def place_of(location: str, hosts: Iterable[str], prefixes: Iterable[str]) -> str:
    """Where a Location leads, as seen by the site itself.

    :param hosts: of the site; addresses of others stay as they are.
    :param prefixes: below which it lives; the first that fits is taken off.

    >>> place_of("http://Old.example/shop/a?b", ["old.example"], ["/shop"])
    '/a?b'
    >>> place_of("https://other.example/shop", ["old.example"], ["/shop"])
    'https://other.example/shop'
    """
    try:
        parts = urlsplit(location)
    except ValueError:
        return location
    if parts.netloc and parts.netloc.lower() not in {each.lower() for each in hosts}:
        return location
    path = parts.path
    for prefix in prefixes:
        if prefix and under(path, prefix):
            path = path[len(prefix) :] or "/"
            break
    if parts.netloc and not path:
        path = "/"
    return urlunsplit(("", "", path, parts.query, parts.fragment))
