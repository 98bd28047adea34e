"""A request as it is compared with recorded ones, and what differs between two."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes, urlsplit

from wsgiproxy.sansio.fields.names import value_of, values
from wsgiproxy.sansio.har.entry import Body
from wsgiproxy.sansio.message import Headers, default_port
from wsgiproxy.sansio.secrets import MASK, Secrets

__all__ = ["Asked", "asked_of", "differences"]

_BOUNDARY = re.compile(r'boundary="?([^\s";,]{1,70})', re.IGNORECASE)
# Characters of a value in a message.
_SHOWN = 200


class Asked(NamedTuple):
    """What is compared.

    :param host: with a port that is not the scheme's.
    :param path: without percent-encoding, which servers undo before an application sees it.
    :param query: as it was sent.
    :param parts: the parameters of the query, decoded, in order.
    """

    method: str
    host: str
    path: str
    query: str
    parts: tuple[str, ...]
    headers: Headers
    body: Body


def asked_of(
    method: str, url: str, headers: Headers | None = None, body: Body | None = None
) -> Asked:
    """A request as it is compared.

    :param url: absolute.

    >>> asked_of("GET", "http://A.example:80/b%63?d=e").host
    'a.example'
    """
    parts = urlsplit(url)
    host = (parts.netloc.rpartition("@")[2]).lower()
    host = host.removesuffix(f":{default_port(parts.scheme)}")
    path = unquote_to_bytes(parts.path or "/").decode("latin-1")
    query = parts.query
    named = tuple(unquote_plus(each) for each in query.split("&")) if query else ()
    return Asked(method, host, path, query, named, headers or [], body or Body())


def differences(recorded: Asked, asked: Asked, match: Sequence[str], mask: Secrets) -> list[str]:
    """What differs, in words that show no credential; empty if the one answers the other.

    :param match: as :class:`~wsgiproxy.sansio.har.match.Matcher` takes it, checked.
    """
    found = []
    for key in match:
        if key.startswith("header:"):
            found += _header(recorded, asked, key[7:])
        elif key == "target":
            found += _path(recorded, asked, mask)
            found += (
                [] if _same_query(recorded.parts, asked.parts) else _query(recorded, asked, mask)
            )
        else:
            found += _COMPARE[key](recorded, asked, mask)
    return found


def _differ(what: str, recorded: str, asked: str) -> list[str]:
    if recorded == asked:
        return []
    return [f"{what}: {recorded[:_SHOWN]!r}, not {asked[:_SHOWN]!r}"]


def _method(recorded: Asked, asked: Asked, mask: Secrets) -> list[str]:
    return _differ("method", recorded.method, asked.method)


def _host(recorded: Asked, asked: Asked, mask: Secrets) -> list[str]:
    return _differ("host", recorded.host, asked.host)


def _path(recorded: Asked, asked: Asked, mask: Secrets) -> list[str]:
    return _differ("path", recorded.path, asked.path)


def _query(recorded: Asked, asked: Asked, mask: Secrets) -> list[str]:
    shown = [mask.target(f"?{each.query}")[1:] for each in (recorded, asked)]
    found = _differ("query", *shown)
    return found or [f"query: another value in place of {MASK} than in {shown[0][:_SHOWN]!r}"]


def _any_order(recorded: Asked, asked: Asked, mask: Secrets) -> list[str]:
    if _same_query(tuple(sorted(recorded.parts)), tuple(sorted(asked.parts))):
        return []
    return _query(recorded, asked, mask)


def _same_query(recorded: tuple[str, ...], asked: tuple[str, ...]) -> bool:
    """Whether two queries are equal; a masked value is equal to every value."""
    if recorded == asked:
        return True
    if len(recorded) != len(asked):
        return False
    return all(map(_same_part, recorded, asked))


def _same_part(recorded: str, asked: str) -> bool:
    if recorded == asked:
        return True
    name, mark, value = recorded.partition("=")
    return value == MASK and asked.startswith(name + mark)


def _header(recorded: Asked, asked: Asked, name: str) -> list[str]:
    """Their values are not shown: what is compared may be a credential."""
    ours, theirs = values(recorded.headers, name), values(asked.headers, name)
    # A server may have joined lines.
    if any(MASK in each for each in ours):
        return [] if theirs else [f"header {name}: there, not left out"]
    if ", ".join(ours) == ", ".join(theirs):
        return []
    return [f"header {name}: {_there(ours)}, not {_there(theirs, ours)}"]


def _there(here: list[str], other: list[str] | None = None) -> str:
    if not here:
        return "left out"
    return "another value" if other else "there"


def _body(recorded: Asked, asked: Asked, mask: Secrets) -> list[str]:
    """Bodies; one that the archive has not kept is equal to every one."""
    data, theirs = _data(recorded), _data(asked)
    if data is None or theirs is None or data == theirs or _is_same_form(recorded, asked):
        return []
    if recorded.body.is_cut:
        size = recorded.body.size
        if theirs.startswith(data) and size in (None, len(theirs)):
            return []
    at = next((n for n, (a, b) in enumerate(zip(data, theirs, strict=False)) if a != b), None)
    where = f"from byte {min(len(data), len(theirs)) if at is None else at} on"
    sizes = f"{recorded.body.whole_size} bytes, not {len(theirs)} bytes"
    return [f"body: {sizes}, {where}"]


def _is_same_form(recorded: Asked, asked: Asked) -> bool:
    """Whether two forms differ in nothing but masked values."""
    mime = value_of(recorded.headers, "content-type")
    if mime.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return False
    ours, theirs = (
        tuple((each.body.data or b"").decode("latin-1").split("&")) for each in (recorded, asked)
    )
    return _same_query(ours, theirs)


def _data(asked: Asked) -> bytes | None:
    """The bytes of a body, with one and the same boundary for all multipart forms: it is random."""
    data = asked.body.data
    if not data:
        return data
    mime = value_of(asked.headers, "content-type")
    found = _BOUNDARY.search(mime) if mime.lower().startswith("multipart/") else None
    if found is None:
        return data
    return data.replace(b"--" + found[1].encode("latin-1"), b"--boundary")


_COMPARE: dict[str, Callable[[Asked, Asked, Secrets], list[str]]] = {
    "method": _method,
    "host": _host,
    "path": _path,
    "query": _any_order,
    "body": _body,
}
