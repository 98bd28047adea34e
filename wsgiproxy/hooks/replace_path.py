"""Another path for the backend than the client has asked for.

It works on the encoded path, so that nothing is decoded or encoded on the way, and it is
anchored: what is replaced stands at the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.checks import named, require
from wsgiproxy.hooks.messages import Request
from wsgiproxy.sansio.hooks import Hook
from wsgiproxy.sansio.target import PRINTABLE, under

__all__ = ["replace_path"]


def replace_path(old: str | re.Pattern[str], new: str) -> Hook:
    r"""Replace the beginning of the path, where it is *old*; other paths stay as they are.

    In ``Location``, ``Content-Location`` and ``Refresh`` of an answer, a prefix is put back where
    the path begins with *new*; a pattern is not, since many paths may have become one.

    :param old: a prefix, which ends where a segment ends; or a compiled pattern.
    :param new: what stands there instead, encoded; with ``\1`` for groups of a pattern. A path that
        would then have no slash in front gets one.
    :raises ConfigurationError: *old* does not begin with a slash, or *new* does not fit it.

    >>> from wsgiproxy import WSGIProxyApp
    >>> hooks = [replace_path("/api", "/v2"), replace_path(re.compile(r"/u/(\d+)"), r"/users/\1")]
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=hooks)
    """
    require(
        _is_path(new) and new[:1] in ("", "/"),
        "new",
        new,
        "an encoded path that begins with a slash",
    )
    if isinstance(old, re.Pattern):
        return named(_by_pattern(old, new), f"replace_path({old.pattern})")
    right = _is_path(old) and old.startswith("/")
    require(right, "old", old, "an encoded path that begins with a slash, or a compiled pattern")
    return named(_by_prefix(old.rstrip("/"), new.rstrip("/")), f"replace_path({old})")


def _is_path(text: object) -> bool:
    right = isinstance(text, str) and PRINTABLE.fullmatch(text) and not set(text) & {"?", "#"}
    return bool(right)


def _by_prefix(old: str, new: str) -> Hook:
    def hook(request: Request) -> Generator[Any, Any, None]:
        path, inbound = request.raw_path, request.inbound
        if under(path, old):
            is_own = inbound is not None and path == inbound.path
            request.raw_path = new + path[len(old) :] or "/"
            request.moved = _both(None if is_own else request.moved, (old, new))
        yield request

    return hook


def _both(first: tuple[str, str] | None, then: tuple[str, str]) -> tuple[str, str]:
    """Two replacements as one.

    >>> _both(("/api", "/v1/shop"), ("/v1", "/v2"))
    ('/api', '/v2/shop')
    >>> _both(("/api", ""), ("/shop", "/v2"))
    ('/api/shop', '/v2')
    """
    old, new = first or ("", "")
    if under(new, then[0]):
        return old, then[1] + new[len(then[0]) :]
    return old + then[0][len(new) :], then[1]


def _by_pattern(old: re.Pattern[str], new: str) -> Hook:
    try:
        old.sub(new, "")
    except (re.error, IndexError, TypeError) as error:
        raise ConfigurationError(
            f"new={new!r}: expected a replacement for {old.pattern!r}: {error}"
        ) from error

    def hook(request: Request) -> Generator[Any, Any, None]:
        match = old.match(request.raw_path)
        if match is not None:
            path = match.expand(new) + request.raw_path[match.end() :]
            request.raw_path = path if path.startswith("/") else "/" + path
        yield request

    return hook
