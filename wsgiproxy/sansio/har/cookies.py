"""The cookies of a message as an archive lists them, beside the fields that they are taken from."""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any

from wsgiproxy.sansio.fields.names import values
from wsgiproxy.sansio.har.moment import as_moment
from wsgiproxy.sansio.message import Headers

__all__ = ["cookies_of_answer", "cookies_of_request"]


def cookies_of_request(headers: Headers) -> list[dict[str, str]]:
    """The members of Cookie (RFC 6265, 4.2.1).

    >>> cookies_of_request([("Cookie", "a=b; c=d=e")])
    [{'name': 'a', 'value': 'b'}, {'name': 'c', 'value': 'd=e'}]
    """
    pairs = [each.strip() for line in values(headers, "cookie") for each in line.split(";")]
    return [_pair(each) for each in pairs if "=" in each]


def cookies_of_answer(headers: Headers) -> list[dict[str, Any]]:
    """The cookies that Set-Cookie sets (RFC 6265, 4.1).

    >>> cookies_of_answer([("Set-Cookie", "a=b; Path=/; HttpOnly")])
    [{'name': 'a', 'value': 'b', 'path': '/', 'httpOnly': True}]
    """
    lines = values(headers, "set-cookie")
    return [_set(line) for line in lines if "=" in line.partition(";")[0]]


def _pair(text: str) -> dict[str, str]:
    name, _, value = text.partition("=")
    return {"name": name.strip(), "value": value.strip()}


def _set(line: str) -> dict[str, Any]:
    pair, *attributes = line.split(";")
    cookie: dict[str, Any] = {**_pair(pair)}
    for each in attributes:
        name, _, value = each.partition("=")
        name, value = name.strip().lower(), value.strip()
        if name in ("path", "domain"):
            cookie[name] = value
        elif name == "expires" and (moment := _expires(value)):
            cookie["expires"] = moment
        elif name in ("httponly", "secure"):
            cookie["httpOnly" if name == "httponly" else name] = True
    return cookie


def _expires(value: str) -> str:
    """A date of HTTP as a moment; empty if it is none."""
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return as_moment(moment.timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return ""
