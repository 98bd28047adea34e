"""The options of a section of Paste Deploy, which are strings, and those of ``[DEFAULT]``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.upstreams import read_href
from wsgiproxy.settings.convert import boolean, path, seconds, size, text, words
from wsgiproxy.settings.rows import BOOLEAN, SECONDS, TRANSPORT
from wsgiproxy.settings.setting import Setting, resolve

__all__ = ["HREF", "LOGGER", "check", "fallback", "without_none", "host_options", "naming"]


def _href(value: object) -> str:
    """The address of an upstream, or of several, as it was written."""
    href = text(value)
    read_href(href)
    return href


HREF = Setting(
    "href",
    _href,
    "",
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
#: Name of a client -> its options; those of other clients are not known here.
_CLIENTS = {
    None: TRANSPORT,
    "httplib": TRANSPORT,
    "urllib3": _OTHERS,
    "requests": (*_OTHERS, _VERIFY),
}


def without_none(options: Mapping[str, str | None]) -> dict[str, str]:
    """The options that have a value.

    >>> without_none({"href": "http://127.0.0.1/", "secret_file": None})
    {'href': 'http://127.0.0.1/'}
    """
    return {name: value for name, value in options.items() if value is not None}


def fallback(
    global_conf: Mapping[str, str] | None,
    section: Collection[str],
    name: str,
    *,
    unless: Collection[str] = (),
) -> dict[str, str]:
    """The option *name* of ``[DEFAULT]``, where the section has none.

    An empty value is none: with ``set secret_file =`` a section takes it back.

    :param section: the options of the section.
    :param unless: options that would contradict it.

    >>> fallback({"secret_file": "s.txt", "here": "/srv"}, ["href"], "secret_file")
    {'secret_file': 's.txt'}
    """
    value = (global_conf or {}).get(name)
    return {name: value} if value and not {name, *unless} & set(section) else {}


def check(rows: Collection[Setting], options: Mapping[str, str], *required: str) -> None:
    """Check the options of a factory that has these *rows*.

    :raises ConfigurationError: an unknown option, a bad value, or a *required* one is missing.
    """
    resolve(rows, options)
    for row in rows:
        if row.name in required and row.name not in options:
            raise ConfigurationError(f"{row.name} is missing: expected {row.expected}")


def host_options(options: Mapping[str, str]) -> dict[str, Any]:
    """The keywords of :class:`wsgiproxy.proxies.HostProxy`, whose clients take no strings.

    :raises ConfigurationError: an unknown option, a bad value, or no address.

    >>> host_options({"href": "http://127.0.0.1:1", "strip_script_name": "no"})
    {'uri': 'http://127.0.0.1:1', 'strip_script_name': False}
    """
    rows = _CLIENTS.get(options.get("client"))
    known = {row.name for row in _HOST}
    others = {name: value for name, value in options.items() if rows is None and name not in known}
    ours = {name: value for name, value in options.items() if name not in others}
    if "uri" in ours and "href" in ours:
        raise ConfigurationError(f"uri={ours['uri']!r}: expected no href beside it")
    values = resolve((*_HOST, *(rows or ())), ours)
    keywords = {name: values[name] for name in ours}
    if "href" in keywords:
        keywords = {"uri": keywords.pop("href"), **keywords}
    if "uri" not in keywords:
        raise ConfigurationError(f"href is missing: expected {HREF.expected}")
    return {**keywords, **others}


@contextmanager
def naming(factory: str) -> Iterator[None]:
    """Put the factory before the message of an error: an ini file has many sections."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{factory}: {error}") from error
