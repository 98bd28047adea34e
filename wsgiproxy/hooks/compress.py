"""Compressed responses for clients that take them, where the backend does not compress.

What must not be changed is left alone: ranges, event streams, what has a coding already, and what
says ``no-transform``. Nothing is held back: each block is flushed, so that streams stay streams.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterable
from importlib import import_module
from typing import Any, NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.checks import named, require
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.representation import is_coded, weaken_known
from wsgiproxy.sansio.fields.names import list_members, words
from wsgiproxy.sansio.grammar import NO_CONTENT, is_length, is_token
from wsgiproxy.sansio.hooks import Hook

__all__ = ["accepted_coding", "compress"]

#: Types that become smaller; pictures and films have been compressed already.
TYPES = sorted(
    words(
        "text/html text/css text/plain text/xml text/csv text/javascript application/javascript"
        " application/json application/ld+json application/problem+json application/wasm"
        " application/manifest+json application/xml application/atom+xml application/rss+xml"
        " application/xhtml+xml image/svg+xml"
    )
)
# They are about bytes that are no longer sent (RFC 9110, 14.3; RFC 9530, 2 and 3).
_UNTRUE = words("content-length accept-ranges content-md5 digest content-digest repr-digest")


class _Coder(NamedTuple):
    block: Callable[[bytes], bytes]
    end: Callable[[], bytes]


def _gzip() -> _Coder:
    coder = zlib.compressobj(6, zlib.DEFLATED, 31)
    return _Coder(lambda data: coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH), coder.flush)


def _brotli() -> _Coder:
    coder = import_module("brotli").Compressor(quality=4)
    return _Coder(lambda data: coder.process(data) + coder.flush(), coder.finish)


def _zstd() -> _Coder:
    zstandard = import_module("zstandard")
    coder = zstandard.ZstdCompressor(level=3).compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return _Coder(lambda data: coder.compress(data) + coder.flush(block), coder.flush)


#: Codings -> what makes a coder, and the module that it needs.
_CODINGS = {
    "gzip": (_gzip, "zlib"),
    "br": (_brotli, "brotli"),
    "zstd": (_zstd, "zstandard"),
}


def compress(
    codings: Iterable[str] = ("gzip",), types: Iterable[str] = TYPES, minimum: int = 1024
) -> Hook:
    """Compress responses.

    A page with a secret that also shows text of other sites must not be compressed (BREACH): a
    request that another site has caused, and that has a cookie or credentials, is not; nor is any
    whose browser does not say who has caused it, if its Referer or Origin is of another host.

    :param codings: ``gzip``, ``br`` (extra ``brotli``) and ``zstd`` (extra ``zstd``), the
        preferred one first.
    :param types: those that are compressed.
    :param minimum: bytes; a response that is known to be shorter stays as it is.
    :raises ConfigurationError: a coding is unknown, or its package is not installed.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[compress()])
    """
    offered = _checked_codings(codings)
    kinds = _checked_types(types)
    right = isinstance(minimum, int) and not isinstance(minimum, bool) and minimum >= 0
    require(right, "minimum", minimum, "a number of bytes")

    def hook(request: Request) -> Generator[Any, Any, None]:
        accepted = ",".join(request.headers.getlist("Accept-Encoding"))
        chosen = accepted_coding(accepted, offered)
        is_safe = not _is_of_another_site(request)
        is_untouchable = "no-transform" in _directives(request)
        known = ",".join(request.headers.getlist("If-None-Match"))
        response: Response = yield request
        if chosen and weaken_known(response, known):
            _vary(response)
        if is_untouchable or not _is_eligible(response, kinds, minimum):
            return
        _vary(response)
        if chosen and is_safe:
            _apply(response, chosen)

    return named(hook, f"compress({', '.join(offered)})")


def _checked_codings(codings: Iterable[str]) -> tuple[str, ...]:
    right = not isinstance(codings, str) and isinstance(codings, Iterable)
    offered = tuple(codings) if right else ()
    require(offered, "codings", codings, "a list of gzip, br and zstd, with one at least")
    for coding in offered:
        right = isinstance(coding, str) and coding in _CODINGS
        require(right, "codings", coding, "gzip, br or zstd")
        _check_installed(coding)
    return offered


def _checked_types(types: Iterable[str]) -> frozenset[str]:
    expected = "a list of types such as text/html"
    require(isinstance(types, Iterable) and not isinstance(types, str), "types", types, expected)
    found = tuple(types)
    for each in found:
        right = isinstance(each, str) and all(map(is_token, each.split("/"))) and "/" in each
        require(right, "types", each, expected)
    return frozenset(map(str.lower, found))


def _check_installed(coding: str) -> None:
    module = _CODINGS[coding][1]
    try:
        import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"codings={coding!r}: expected {module} to be installed"
        ) from error


def accepted_coding(accepted: str, offered: Iterable[str]) -> str:
    """The coding to use by Accept-Encoding (RFC 9110, 12.5.3); empty for none.

    :param offered: the preferred one first.

    >>> accepted_coding("gzip, br;q=0.5", ["br", "gzip"]), accepted_coding("gzip;q=0", ["gzip"])
    ('gzip', '')
    """
    weights: dict[str, float] = {}
    for member in list_members(accepted):
        coding, *parameters = (part.strip() for part in member.split(";"))
        coding = "gzip" if coding == "x-gzip" else coding
        weights[coding] = _weight(parameters)
    rest = weights.get("*", 0.0)
    best, weight = "", weights.get("identity", 0.0)
    for coding in offered:
        its = weights.get(coding, rest)
        if its > weight or (its == weight and its > 0 and not best):
            best, weight = coding, its
    return best


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _directives(message: Request | Response) -> list[str]:
    return list_members(",".join(message.headers.getlist("Cache-Control")))


def _is_of_another_site(request: Request) -> bool:
    """Whether another site may have caused a request that has the user's credentials."""
    headers, inbound = request.headers, request.inbound
    # Those of the client, too: a login before this hook may have taken them away.
    lines = [*request.lines, *(inbound.headers if inbound is not None else ())]
    if not any(name.lower() in ("cookie", "authorization") for name, _ in lines):
        return False
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "same-site", "none")
    source = headers.get("Origin") or headers.get("Referer")
    host = inbound.host.lower() if inbound is not None else ""
    return source is not None and source.lower().partition("//")[2].partition("/")[0] != host


def _is_eligible(response: Response, kinds: frozenset[str], minimum: int) -> bool:
    headers = response.headers
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return (
        kind in kinds
        and kind != "text/event-stream"
        and response.status not in (101, 205, 206, *NO_CONTENT)
        and "Content-Range" not in headers
        and not is_coded(response.lines)
        and "no-transform" not in _directives(response)
        and not _is_short(response, minimum)
    )


def _is_short(response: Response, minimum: int) -> bool:
    content = response.body.content
    if isinstance(content, bytes):  # a hook behind this one has made or read it
        return len(content) < minimum
    length = response.headers.get("Content-Length", "")
    return is_length(length) and int(length) < minimum


def _vary(response: Response) -> None:
    varies = list_members(",".join(response.headers.getlist("Vary")))
    if "*" not in varies and "accept-encoding" not in varies:
        response.headers.add("Vary", "Accept-Encoding")


def _apply(response: Response, coding: str) -> None:
    headers = response.headers
    for name in _UNTRUE:
        headers.popall(name, None)
    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        headers["ETag"] = "W/" + tag
    headers["Content-Encoding"] = coding
    coder = _CODINGS[coding][0]()
    response.body.map(coder.block, coder.end)
