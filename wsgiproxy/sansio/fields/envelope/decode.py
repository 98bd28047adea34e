"""Reading an envelope of which the signature has been verified."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from wsgiproxy.errors import BadSignature
from wsgiproxy.sansio.fields.envelope.schema import (
    TYPES,
    VERSION,
    WHOLE_LIMIT,
    Carried,
    fault,
    is_latin1,
)
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.grammar import is_port_text
from wsgiproxy.sansio.keys import unbase64url
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import DEFAULT_PORTS

__all__ = ["Envelope", "open_envelope"]


class Envelope(NamedTuple):
    """What an envelope says.

    :param target: the raw path as sent, and the ``?`` if there is one; the query itself is
        covered by the signature beside it.
    :param client: address of the client.
    :param host: ``host[:port]`` that the client asked for.
    :param scheme: ``http`` or ``https``.
    :param port: port number.
    :param script_name: raw path prefix of the application.
    :param traversal_path: raw path that was put before the client's.
    :param traversal_query: raw query that was put before the client's.
    :param path_info: ``PATH_INFO``, where it does not follow from the target; else None.
    :param query: ``QUERY_STRING``, where it does not follow from the one sent; else None.
    :param carried: environ keys and values by their declared type.
    """

    target: str
    client: str
    host: str
    scheme: str
    port: str
    script_name: str
    traversal_path: str
    traversal_query: str
    path_info: str | None
    query: str | None
    carried: Carried


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is larger than any float")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
)

_PATH = re.compile("(?:/[!-~]*)?")
_TARGET = re.compile("/[!-~]*")
# Addresses, and the paths of Unix sockets, which some servers give in their place.
_VISIBLE = re.compile("[ -~]{0,128}")
_ANY_QUERY = re.compile("[!-~]*")
# name in the header -> what it must look like
_FACTS: dict[str, Callable[[str], object]] = {
    "for": _VISIBLE.fullmatch,
    "host": is_host,
    "scheme": DEFAULT_PORTS.__contains__,
    "port": is_port_text,
    "script_name": _PATH.fullmatch,
    "traversal_path": _PATH.fullmatch,
    "traversal_query": _ANY_QUERY.fullmatch,
}


def open_envelope(text: str) -> Envelope:
    """Read a header of which the signature has been verified.

    :param text: the value of ``WSGIProxy``.
    :raises BadSignature: it is not what :func:`seal` writes.
    """
    if len(text) > WHOLE_LIMIT:
        raise BadSignature(f"an envelope of more than {WHOLE_LIMIT} characters")
    try:
        json_text = unbase64url(text).decode("ascii")
        found, end = _decoder.raw_decode(json_text)
    except (ValueError, RecursionError) as error:
        raise BadSignature(f"the envelope is no JSON in base64url: {error}") from error
    if end != len(json_text) or not isinstance(found, dict) or found.pop("v", None) != VERSION:
        raise BadSignature(f"the envelope is not of version {VERSION}")
    pop = found.pop
    try:
        client_facts = _checked_facts(tuple([pop(name, "") for name in _FACTS]))
    except TypeError as error:
        raise BadSignature("a fact in the envelope is a list or an object") from error
    target, path_info, query = pop("target", ""), pop("path_info", None), pop("query", None)
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise BadSignature(f"target in the envelope is {target!r}")
    for value in (path_info, query):
        # NUL and line ends are legal in a decoded path: "%0A" is one character of PATH_INFO.
        if value is not None and not (isinstance(value, str) and is_latin1(value)):
            raise BadSignature(f"path_info or query in the envelope is {value!r}")
    carried = pop("env", None)
    if found:
        raise BadSignature(f"unknown in the envelope: {sorted(found)}")
    keys = {} if carried is None else _checked_keys(carried)
    return Envelope(target, *client_facts, path_info, query, keys)


# A client comes back, and its facts stay the same.
@remembered
def _checked_facts(client_facts: tuple[object, ...]) -> tuple[str, str, str, str, str, str, str]:
    for (name, is_valid), value in zip(_FACTS.items(), client_facts, strict=True):
        if not isinstance(value, str) or not is_valid(value):
            raise BadSignature(f"{name} in the envelope is {value!r}")
    return client_facts  # type: ignore[return-value]  # seven texts, as the loop has found


def _checked_keys(carried: object) -> Carried:
    if not isinstance(carried, dict) or not set(carried) <= set(TYPES):
        raise BadSignature("carried keys of an unknown type")
    names: set[str] = set()
    for kind, members in carried.items():
        if not isinstance(members, dict) or not names.isdisjoint(members):
            raise BadSignature("carried keys are not one object for each type")
        names.update(members)
        for name, value in members.items():
            wrong = fault(kind, value)
            if wrong:
                raise BadSignature(f"the carried key {name!r} {wrong}")
    return carried
