"""Writing an envelope."""

from __future__ import annotations

import json
from typing import NamedTuple

from wsgiproxy.errors import HeadTooLarge, ProxyError
from wsgiproxy.sansio.fields.envelope.schema import LIMIT, VERSION, WHOLE_LIMIT, Carried, fault
from wsgiproxy.sansio.fields.forwarded import Public
from wsgiproxy.sansio.keys import base64url

__all__ = ["Facts", "facts", "seal"]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Facts(NamedTuple):
    """What is the same for every request of a client.

    :param json: their part of the envelope.
    :param traversal_path: raw path that is put before the client's.
    :param traversal_query: raw query that is put before the client's.
    """

    json: str
    traversal_path: str
    traversal_query: str


def facts(known: Public, traversal_path: str, traversal_query: str) -> Facts:
    """What an envelope says of a client.

    :param known: what it asked for.
    :param traversal_path: raw path that is put before its own.
    :param traversal_query: raw query that is put before its own.
    """
    facts_json = {
        "for": known.client,
        "host": known.host,
        "scheme": known.scheme,
        "port": known.server_port,
        "script_name": known.prefix,
        "traversal_path": traversal_path,
        "traversal_query": traversal_query,
    }
    json = _encode({name: value for name, value in facts_json.items() if value})[1:-1]
    return Facts(json, traversal_path, traversal_query)


def _carried_json(carried: Carried) -> str:
    """The JSON of the carried keys, empty if there are none.

    :raises ProxyError: naming the key that cannot be carried.
    """
    for kind, members in carried.items():
        for name, value in members.items():
            wrong = fault(kind, value)
            if wrong:
                raise ProxyError(f"the carried key {name!r} {wrong}")
    if not any(carried.values()):
        return ""
    try:
        return _encode(carried)
    except (TypeError, ValueError, RecursionError) as error:
        values = carried["json"]
        name = max(values, key=lambda name: _is_no_json(values[name]))
        raise ProxyError(f"the carried key {name!r} is not JSON: {error}") from error


def _is_no_json(value: object) -> bool:
    try:
        _encode(value)
    except (TypeError, ValueError, RecursionError):
        return True
    return False


def seal(
    facts_json: str,
    target: str,
    *,
    path_info: str | None = None,
    query: str | None = None,
    carried: Carried | None = None,
) -> str:
    """The value of ``WSGIProxy``.

    :param facts_json: :attr:`Facts.json`.
    :param target: the path as sent, with ``?`` if there is one.
    :param path_info: ``PATH_INFO``, if it does not follow from the target.
    :param query: ``QUERY_STRING``, if it does not follow from the one sent.
    :param carried: values by declared type.
    :raises ProxyError: the carried keys are too large; naming the largest.
    :raises HeadTooLarge: the client's own part is.
    """
    parts = [f'{{"v":{VERSION},"target":{_encode(target)}', facts_json]
    if path_info is not None:
        parts.append(f'"path_info":{_encode(path_info)}')
    if query is not None:
        parts.append(f'"query":{_encode(query)}')
    keys = _carried_json(carried) if carried else ""
    if keys:
        # Base64 makes four characters of three.
        if len(keys) * 4 > LIMIT * 3:
            raise ProxyError(_too_large(carried or {}))
        parts.append(f'"env":{keys}')
    text = base64url((",".join(parts) + "}").encode("ascii"))
    if len(text) > WHOLE_LIMIT:
        raise HeadTooLarge(
            f"an envelope of {len(text)} characters, over {WHOLE_LIMIT}: path or host are too long"
        )
    return text


def _too_large(carried: Carried) -> str:
    sizes = {
        name: len(_encode(value)) for members in carried.values() for name, value in members.items()
    }
    name = max(sizes, key=sizes.__getitem__)
    return (
        f"the carried key {name!r} of {sizes[name]} bytes makes the keys in the envelope larger"
        f" than {LIMIT} bytes"
    )
