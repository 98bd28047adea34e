"""Which exchange of an archive answers a request, and what is different where none does.

It holds what has been served, and belongs to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.har.asked import Asked, asked_of, differences
from wsgiproxy.sansio.har.entry import Entry
from wsgiproxy.sansio.secrets import Secrets

__all__ = ["KEYS", "MATCH", "REPEAT", "Found", "Matcher", "Miss", "checked_match"]

#: What requests may be compared by; ``header:NAME`` as well.
KEYS = ("method", "host", "target", "path", "query", "body")
#: What they are compared by where nothing else is wanted.
MATCH = ("method", "target", "body")
#: What follows when all that was recorded for a request has been served.
REPEAT = ("last", "none")

_SECRETS = Secrets()


class Found(NamedTuple):
    """An exchange that answers a request.

    :param number: of the entry, from 0.
    """

    number: int
    entry: Entry


class Miss(NamedTuple):
    """There is none.

    :param number: of the nearest entry, from 0; -1 if there is no entry at all.
    :param nearest: method and URL of that entry, credentials masked.
    :param differences: what differs, in words.
    """

    number: int
    nearest: str
    differences: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What is missing, for a person.

        >>> Miss(2, "GET http://a.example/b", ("method: GET, not POST",)).sentence
        'the nearest is entry 2, GET http://a.example/b, which differs in method: GET, not POST'
        """
        if self.number < 0:
            return "the archive has no answer at all"
        what = "; ".join(self.differences)
        return f"the nearest is entry {self.number}, {self.nearest}, which differs in {what}"


def checked_match(match: str | Iterable[str]) -> tuple[str, ...]:
    """What to compare by, from a setting.

    :raises ConfigurationError: a word that is none.

    >>> checked_match("method path header:Accept")
    ('method', 'path', 'header:accept')
    """
    words = match.replace(",", " ").split() if isinstance(match, str) else list(match)
    for word in words:
        kind, mark, name = word.partition(":")
        if word not in KEYS and not (kind == "header" and mark and is_token(name)):
            raise ConfigurationError(
                f"match={word!r}: expected some of {', '.join(KEYS)} and header:NAME"
            )
    if not words:
        raise ConfigurationError("match is empty; expected at least one of " + ", ".join(KEYS))
    return tuple(dict.fromkeys(word.lower() for word in words))


class Matcher:
    """The exchanges of an archive as answers, each in its turn.

    Exchanges with the same request are served in the order in which they were recorded. A WebSocket
    is no answer to a request.

    :param entries: the exchanges.
    :param match: some of :data:`KEYS`, and ``header:NAME``.
    :param repeat: ``last`` serves the last one again and again, ``none`` each one once.
    :raises ConfigurationError: another word.

    >>> one = Entry(0.0, "GET", "http://a.example/b?c=1", "HTTP/1.1", [], error="refused")
    >>> matcher = Matcher([one])
    >>> matcher.answer(asked_of("GET", "http://127.0.0.1/b?c=1")).number
    0
    >>> matcher.answer(asked_of("GET", "http://127.0.0.1/b?c=2")).differences
    ("query: 'c=1', not 'c=2'",)
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        match: str | Iterable[str] = MATCH,
        repeat: str = "last",
        mask: Secrets = _SECRETS,
    ) -> None:
        if repeat not in REPEAT:
            raise ConfigurationError(f"repeat={repeat!r}: expected {' or '.join(REPEAT)}")
        self.match = checked_match(match)
        self._repeats = repeat == "last"
        self._mask = mask
        self._entries = entries
        self._recorded = [(n, self._of(e)) for n, e in enumerate(entries) if _is_answer(e)]
        self._places: dict[tuple[str, str], list[tuple[int, Asked]]] = {}
        for each in self._recorded:
            self._places.setdefault(self._place(each[1]), []).append(each)
        self._served: set[int] = set()

    def _of(self, entry: Entry) -> Asked:
        return asked_of(entry.method, entry.url, entry.headers, entry.body)

    def _place(self, asked: Asked) -> tuple[str, str]:
        """What is looked up, so that a large archive is not searched for each request."""
        has_path = "path" in self.match or "target" in self.match
        return (asked.method if "method" in self.match else "", asked.path if has_path else "")

    def answer(self, asked: Asked) -> Found | Miss:
        """The exchange that answers a request, which then counts as served."""
        last = None
        for number, recorded in self._places.get(self._place(asked), ()):
            if differences(recorded, asked, self.match, self._mask):
                continue
            last = number
            if number not in self._served:
                break
        if last is None:
            return self._miss(asked)
        if last in self._served and not self._repeats:
            nearest = self._named(last)
            return Miss(last, nearest, ("nothing; it was served as often as it was recorded",))
        self._served.add(last)
        return Found(last, self._entries[last])

    def unserved(self) -> list[int]:
        """The numbers of entries that have not been served."""
        return [number for number, _ in self._recorded if number not in self._served]

    def _named(self, number: int) -> str:
        entry = self._entries[number]
        return f"{entry.method} {self._mask.target(entry.url)}"

    def _miss(self, asked: Asked) -> Miss:
        """The entry that differs least; of several the one whose path begins alike longest."""
        best: tuple[tuple[int, int, int], int, list[str]] | None = None
        for number, recorded in self._recorded:
            found = differences(recorded, asked, self.match, self._mask)
            rank = (len(found), -_common(recorded.path, asked.path), number)
            if best is None or rank < best[0]:
                best = rank, number, found
        if best is None:
            return Miss(-1, "", ())
        return Miss(best[1], self._named(best[1]), tuple(best[2]))


def _is_answer(entry: Entry) -> bool:
    return entry.answer is None or entry.answer.status >= 200


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length
