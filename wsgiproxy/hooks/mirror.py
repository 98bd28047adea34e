"""Copies of requests for a second upstream, whose answers are compared and thrown away.

It is for those who replace a site: the client gets the answers of the old one, and the log says
where the new one differs. Only GET and HEAD are copied.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Generator, Iterable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit

from wsgiproxy.errors import BadResponse, ProxyError
from wsgiproxy.hooks.checks import field_names, http_url, is_number, named, require
from wsgiproxy.hooks.comparison import (
    SHOWN,
    Answer,
    Comparison,
    Difference,
    Digest,
    described,
    place_of,
)
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.representation import is_coded
from wsgiproxy.observe.warn import Seldom
from wsgiproxy.sansio.grammar import NO_CONTENT
from wsgiproxy.sansio.hooks import Beside, Hook
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.target import escapes, under

__all__ = ["Answer", "Difference", "Ignore", "mirror"]

_log = logging.getLogger("wsgiproxy.mirror")

#: A prefix of paths, a pattern that is searched for in the path, or a function.
Ignore = str | re.Pattern[str] | Callable[[Request], bool]

_SAFE = frozenset(["GET", "HEAD"])
# The tags and dates of two sites are not the same, so that one of them would send its body.
_CONDITIONS = frozenset(
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"]
)


def mirror(
    url: str,
    *,
    share: float = 1.0,
    ignore: Iterable[Ignore] = (),
    headers: Iterable[str] = (),
    limit: int = 1024 * 1024,
    on_difference: Callable[[Difference], object] | None = None,
) -> Hook:
    """Send a copy of each GET and HEAD to a second upstream, and log where its answers differ.

    The client never waits for it. Compared are the status, Content-Type and Location, and of two
    answers with one status and no Content-Encoding the body.

    :param url: of the second upstream; the path of the request is put behind it. It gets the
        fields as this hook sees them, Cookie and Authorization included, and also those of
        ``suppress_headers`` and ``suppress_cookies``, unless a hook before this one removes them.
    :param share: of the requests, by chance: 1 is all of them.
    :param ignore: requests that are not copied: prefixes of paths, compiled patterns, which are
        searched for in the encoded path, or functions that are given the request.
    :param headers: names of more fields to compare; the log does not show their values.
    :param limit: bytes of a body that is compared by its digest; the copy's is read into memory.
        Of a larger one the length is compared, if the second upstream announces it.
    :param on_difference: called with each :class:`Difference`. It must not wait for anything;
        what it raises is logged.
    :raises ConfigurationError: naming the setting that is not right.

    >>> from wsgiproxy import WSGIProxyApp
    >>> new = mirror("http://localhost:4000", share=0.1, ignore=["/static"], headers=["ETag"])
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[new])
    """
    _check(url, share, limit, on_difference)
    names = (*SHOWN, *field_names("headers", headers))
    site = _Mirror(url, share, _checked(ignore), names, limit, on_difference)
    return named(site.hook(), f"mirror({url})")


def _check(url: str, share: float, limit: int, on_difference: object) -> None:
    http_url("url", url)
    require("?" not in url, "url", url, "an address without a query")
    require(is_number(share, 1), "share", share, "a number above 0, up to 1")
    right = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
    require(right, "limit", limit, "a number of bytes")
    right = on_difference is None or callable(on_difference)
    right = right and not iscoroutinefunction(on_difference)
    require(right, "on_difference", on_difference, "a function that is not async")


def _checked(ignore: Iterable[Ignore]) -> tuple[Ignore, ...]:
    expected = "a list of prefixes that begin with a slash, compiled patterns or functions"
    is_list = isinstance(ignore, Iterable) and not isinstance(ignore, str)
    require(is_list, "ignore", ignore, expected)
    found = tuple(ignore)
    for each in found:
        right = each.startswith("/") if isinstance(each, str) else True
        if isinstance(each, re.Pattern):
            right = isinstance(each.pattern, str)
        right = right and (isinstance(each, (str, re.Pattern)) or callable(each))
        require(right and not iscoroutinefunction(each), "ignore", each, expected)
    return found


class _Mirror:
    """The second upstream, and what is compared; see :func:`mirror`."""

    def __init__(
        self,
        url: str,
        share: float,
        ignore: tuple[Ignore, ...],
        names: tuple[str, ...],
        limit: int,
        on_difference: Callable[[Difference], object] | None,
    ) -> None:
        parts = urlsplit(url)
        self._base, self._host, self._prefix = url.rstrip("/"), parts.netloc, parts.path.rstrip("/")
        self._share = share
        self._ignore = ignore
        self._names = names
        self._limit = limit
        self._on_difference = on_difference
        self._failures = Seldom(_log)

    def hook(self) -> Hook:
        """The hook, as a function that can be given a name."""

        def hook(request: Request) -> Generator[Any, Any, None]:
            yield from self._serve(request)

        return hook

    def _serve(self, request: Request) -> Generator[Any, Any, None]:
        copy = self._copy(request)
        response: Response = yield request
        if copy is None or response.is_switch:
            return
        path = copy.raw_path[len(self._prefix) :]
        comparison = Comparison(self._names, partial(self._differs, copy.method, path))
        if (yield Beside(self._asked(copy, request, comparison))):
            self._watch(response, request, comparison)
        else:
            self._failures.warn("not copied: too many copies wait for the second upstream")

    def _copy(self, request: Request) -> Request | None:
        """What the second upstream gets; None if the request is not for it."""
        inbound = request.inbound
        assert inbound is not None
        has_body = bool(inbound.content_length) or inbound.chunked or request.body.is_changed
        if request.method not in _SAFE or has_body or inbound.upgrade:
            return None
        if any(name.lower() in _CONDITIONS for name, _ in request.lines):
            return None
        # What leads out of the base is refused where it is sent for the client, too.
        if escapes(request.raw_path) or random.random() >= self._share or self._ignores(request):
            return None
        facts = [
            ("X-Forwarded-For", inbound.peer),
            ("X-Forwarded-Proto", inbound.scheme),
            ("X-Forwarded-Host", inbound.host),
            ("X-Forwarded-Prefix", inbound.script_name),
        ]
        copy = Request(request.method, self._base, [*request.lines, *filter(_has_value, facts)])
        copy.raw_path, copy.query = self._prefix + request.raw_path or "/", request.query
        return copy

    def _ignores(self, request: Request) -> bool:
        path = request.raw_path
        for each in self._ignore:
            if isinstance(each, str):
                found: object = under(path, each)
            elif isinstance(each, re.Pattern):
                found = each.search(path)
            else:
                try:
                    found = each(request)
                except Exception as error:
                    self._failures.warn(f"not copied: ignore= has failed: {error!r}")
                    found = True
            if found:
                return True
        return False

    def _watch(self, response: Response, request: Request, comparison: Comparison) -> None:
        """Note the answer that the client gets, as it passes."""
        lines, body, inbound = response.lines, response.body, request.inbound
        assert inbound is not None
        fields = self._seen(comparison, lines, [inbound.host], [inbound.script_name])
        answer = Answer(response.status, fields)
        if not _has_body(request.method, response):
            comparison.take("upstream", answer)
            return
        digest, has_coding = Digest(self._limit), is_coded(lines)

        def end() -> None:
            found = answer
            if not has_coding:
                found = answer._replace(length=digest.length, digest=digest.value)
            comparison.take("upstream", found)

        body.watch(digest.add, end)

    def _asked(
        self, copy: Request, request: Request, comparison: Comparison
    ) -> Generator[Any, Any, None]:
        """Ask the second upstream, beside the request."""
        inbound = request.inbound
        assert inbound is not None
        try:
            response: Response = yield copy
            hosts = [self._host, inbound.host]
            prefixes = [self._prefix, inbound.script_name]
            fields = self._seen(comparison, response.lines, hosts, prefixes)
            found = Answer(response.status, fields)
            if _has_body(copy.method, response) and not is_coded(response.lines):
                found = found._replace(**(yield from self._body(response)))
        except ProxyError as error:
            self._failures.warn(f"not compared: {type(error).__name__}: {error}")
            return
        comparison.take("mirror", found)

    def _body(self, response: Response) -> Generator[Any, Any, dict[str, Any]]:
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > self._limit:
            return {"length": int(announced)}
        try:
            data = yield response.read(self._limit)
        except BadResponse as error:  # larger than that, or no proper body
            _log.info("the body is not compared: %s", error)
            return {}
        digest = Digest(self._limit)
        digest.add(data)
        return {"length": digest.length, "digest": digest.value}

    def _seen(
        self, comparison: Comparison, lines: Headers, hosts: list[str], prefixes: list[str]
    ) -> dict[str, str]:
        fields = comparison.fields(lines)
        if "location" in fields:
            fields["location"] = place_of(fields["location"], hosts, prefixes)
        return fields

    def _differs(
        self, method: str, path: str, upstream: Answer, other: Answer, what: tuple[str, ...]
    ) -> None:
        found = Difference(method, path, what, upstream, other)
        _log.warning("%s", described(found))
        if self._on_difference is not None:
            try:
                self._on_difference(found)
            except Exception as error:
                _log.warning("on_difference= has failed: %r", error)


def _has_value(field: tuple[str, str]) -> bool:
    return bool(field[1])


def _has_body(method: str, response: Response) -> bool:
    body = response.body
    if method == "HEAD" or response.status in NO_CONTENT:
        return False
    return body.source is not None or body.content is not None
