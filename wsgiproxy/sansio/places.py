"""Where applications stand: prefixes of the path and hosts, and which of them gets a request.

It makes no application, and believes no field but the Host that it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from wsgiproxy.errors import BadRequest, ConfigurationError
from wsgiproxy.sansio.fields.host import is_allowed, is_host, split_host
from wsgiproxy.sansio.target import decoded, escapes, under

__all__ = ["Place", "Places", "Target", "read_place", "repeatable"]

T = TypeVar("T")

_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+")
_EXPECTED = "expected a place: /path, host or host/path, such as /app or app.localhost"


class Place(NamedTuple):
    """A host and a prefix of the path.

    :param host: in lower case; empty for every host, ``.example`` for all names below it.
    :param prefix: as WSGI has it, without a slash at its end; empty for the whole host.
    """

    host: str
    prefix: str

    @property
    def path(self) -> str:
        """The prefix as ASGI has it: text."""
        return self.prefix.encode("latin-1").decode("utf-8", "surrogateescape")

    @property
    def label(self) -> str:
        """The place as text, ``/`` for the rest."""
        return self.host + self.path or "/"

    def has_host(self, host: str) -> bool:
        """Whether a request with this Host, whose port does not count, may be for this place."""
        if not self.host:
            return True
        # A dot at the end says only that a name is complete.
        name = split_host(host)[0].removesuffix(".") if is_host(host) else ""
        return bool(name) and is_allowed(name if ":" not in name else host, [self.host])


def read_place(text: str) -> Place:
    """The place that a text stands for.

    :param text: ``/path``, ``host`` or ``host/path``; ``*.example`` is ``.example``, and the empty
        text is ``/``.
    :raises ConfigurationError: it stands for none.

    >>> read_place("/app/"), read_place("*.Example.com/a%20b")
    (Place(host='', prefix='/app'), Place(host='.example.com', prefix='/a b'))
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"{text!r}: {_EXPECTED}")
    host, slash, path = text.partition("/")
    path = (slash + path).rstrip("/")
    name = host.removeprefix("*").lower().removesuffix(".")
    if path and (not _PATH.fullmatch(path) or escapes(path)):
        raise ConfigurationError(f"{text!r}: {_EXPECTED}")
    if host:
        bare = name.removeprefix(".")
        if not is_host(bare) or (host[0] == "*" and name[:1] != "."):
            raise ConfigurationError(f"{text!r}: {_EXPECTED}")
        if bare.rpartition(":")[1] and not bare.endswith("]"):
            raise ConfigurationError(f"{text!r}: expected no port; ports of requests do not count")
    try:
        return Place(name.strip("[]"), decoded(path))
    except BadRequest as error:  # pragma: no cover - the pattern has no such character
        raise ConfigurationError(f"{text!r}: {_EXPECTED}") from error


class Target:
    """An upstream or a command, with options of its own.

    :param address: an ``href``, or a command as a list of words.
    :param options: those of :class:`~wsgiproxy.WSGIProxyApp` or
        :class:`~wsgiproxy.SpawningApplication`, ``hooks`` among them.

    >>> Target("http://localhost:3000", preserve_host=True)
    Target('http://localhost:3000', preserve_host=True)
    """

    def __init__(self, address: object, **options: Any) -> None:
        self.address = address
        self.options = repeatable(options)

    def __repr__(self) -> str:
        words = [repr(self.address), *(f"{name}={value!r}" for name, value in self.options.items())]
        return f"{type(self).__name__}({', '.join(words)})"


def repeatable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that can be read for each of several routes; an iterator can be read once.

    >>> repeatable({"hooks": iter("ab"), "via": "x"})
    {'hooks': ['a', 'b'], 'via': 'x'}
    """
    return {
        name: list(value) if isinstance(value, Iterator) else value
        for name, value in options.items()
    }


def _rank(place: Place) -> tuple[bool, bool, int, int]:
    # A name before all names below one, these before every host; then the longer one.
    host, prefix = place
    return not host, host[:1] == ".", -len(host), -len(prefix)


class Places(Generic[T]):
    """What stands at several places.

    The host decides before the path: the name itself, then the longest ``.example``, then places
    for every host. Of those with that host, the longest prefix gets the request; where none has
    the path, the next wider host is asked.

    :param entries: the place as a text, and what stands there.
    :raises ConfigurationError: a text that stands for no place, or two that stand for one.

    >>> places = Places([("/", "rest"), ("/a", "a"), ("app.localhost", "app")])
    >>> [places.at(host, "/a/x")[1] for host in ("localhost:80", "App.localhost:8080")]
    ['a', 'app']
    >>> Places([("/a", 1), ("/a/", 2)])
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: '/a/': a second route for the place of '/a': expected one
    """

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        texts: dict[Place, str] = {}
        found: list[tuple[Place, T]] = []
        for text, what in entries:
            place = read_place(text)
            if place in texts:
                raise ConfigurationError(
                    f"{text!r}: a second route for the place of {texts[place]!r}: expected one"
                )
            texts[place] = text
            found.append((place, what))
        if not found:
            raise ConfigurationError(f"no route: {_EXPECTED}, with what stands there")
        self.entries = sorted(found, key=lambda entry: _rank(entry[0]))

    def at(self, host: str, path: str, *, is_text: bool = False) -> tuple[Place, T] | None:
        """The place that a request is for, and what stands there; None if there is none.

        :param host: value of the Host field.
        :param path: as WSGI has it.
        :param is_text: it is as ASGI has it.
        """
        for place, what in self.entries:
            if under(path, place.path if is_text else place.prefix) and place.has_host(host):
                return place, what
        return None

    def prefixes(self, host: str) -> list[str]:
        """The prefixes of all places with this host."""
        return [place.prefix for place, _ in self.entries if place.has_host(host)]
