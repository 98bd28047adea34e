"""What a section of Paste Deploy says: its strings, and what counts of ``[DEFAULT]``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.settings.convert import boolean, path, seconds, size, text, words
from wsgiproxy.settings.rows import BOOLEAN, SECONDS, TRANSPORT
from wsgiproxy.settings.setting import Setting, resolve

__all__ = ["HREF", "LOGGER", "check", "fallback", "given_of", "host_options", "naming"]


def _href(value: object) -> str:
    """The address of an upstream, as it was written."""
    href = text(value)
    parse_href(href)
    return href


HREF = Setting(
    "href",
    _href,
    None,
    "http://host[:port][/path][?query], https://... or unix:/path[:/base]",
    "the upstream",
)
LOGGER = Setting("logger", text, None, "the name of a logger", "where the spawner writes")


def _verify(value: object) -> bool | str:
    """Whether to verify, or the file of the authorities to believe, as requests has it."""
    try:
        return boolean(value)
    except ValueError:
        return path(value)


_HOST = (
    replace(HREF, name="uri"),
    HREF,
    Setting("client", text, None, "httplib, urllib3, requests or another client", "what sends"),
    Setting("allowed_methods", words, None, "methods such as GET POST", "all others get 405"),
    Setting("strip_script_name", boolean, True, BOOLEAN, "leave the mount out of what is sent"),
)
# Of both clients that WSGIProxy2 had beside its own.
_OTHERS = (
    Setting("timeout", seconds, None, SECONDS, "seconds to connect, and between two reads"),
    Setting("chunk_size", size, None, "a number of bytes, such as 24576 or 24k", "of one read"),
)
_VERIFY = Setting(
    "verify", _verify, True, f"{BOOLEAN}, or the path of a file", "check certificates"
)
#: Client -> its options; who brings a client of his own knows those of that.
_CLIENTS = {
    None: TRANSPORT,
    "httplib": TRANSPORT,
    "urllib3": _OTHERS,
    "requests": (*_OTHERS, _VERIFY),
}


def given_of(options: Mapping[str, str | None]) -> dict[str, str]:
    """The options that were given.

    >>> given_of({"href": "http://127.0.0.1/", "secret_file": None})
    {'href': 'http://127.0.0.1/'}
    """
    return {name: value for name, value in options.items() if value is not None}


def fallback(
    global_conf: Mapping[str, str] | None,
    given: Collection[str],
    name: str,
    *,
    unless: Collection[str] = (),
) -> dict[str, str]:
    """What ``[DEFAULT]`` says of *name*, where the section says nothing of it.

    An empty value is none: with ``set secret_file =`` a section takes it back.

    :param given: the options of the section.
    :param unless: options that would contradict it.

    >>> fallback({"secret_file": "s.txt", "here": "/srv"}, ["href"], "secret_file")
    {'secret_file': 's.txt'}
    """
    value = (global_conf or {}).get(name)
    return {name: value} if value and not {name, *unless} & set(given) else {}


def check(rows: Collection[Setting], given: Mapping[str, str], *required: str) -> None:
    """Whether a factory with these *rows* can take what was *given*.

    :raises ConfigurationError: an unknown option, a bad value, or a *required* one is missing.
    """
    resolve(rows, given)
    for row in rows:
        if row.name in required and row.name not in given:
            raise ConfigurationError(f"{row.name} is missing: expected {row.expected}")


def host_options(options: Mapping[str, str]) -> dict[str, Any]:
    """The keywords of :class:`wsgiproxy.proxies.HostProxy`, whose clients take no strings.

    :raises ConfigurationError: an unknown option, a bad value, or no address.

    >>> host_options({"href": "http://127.0.0.1:1", "strip_script_name": "no"})
    {'uri': 'http://127.0.0.1:1', 'strip_script_name': False}
    """
    rows = _CLIENTS.get(options.get("client"))
    known = {row.name for row in _HOST}
    own = {name: value for name, value in options.items() if rows is None and name not in known}
    given = {name: value for name, value in options.items() if name not in own}
    if "uri" in given and "href" in given:
        raise ConfigurationError(f"uri={given['uri']!r}: expected no href beside it")
    settled = resolve((*_HOST, *(rows or ())), given)
    found = {name: settled[name] for name in given}
    if "href" in found:
        found = {"uri": found.pop("href"), **found}
    if "uri" not in found:
        raise ConfigurationError(f"href is missing: expected {HREF.expected}")
    return {**found, **own}


@contextmanager
def naming(factory: str) -> Iterator[None]:
    """Put the factory before the message of an error: an ini file has many sections."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{factory}: {error}") from error
