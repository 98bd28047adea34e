"""A login that another service decides, asked before each request.

The service has the last word: where it cannot be reached, or fails, nothing is sent on. What it
says of the user goes to the backend in fields that clients cannot write.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from wsgiproxy.errors import BadRequest, BadResponse
from wsgiproxy.hooks.checks import field_names, http_url, named, require
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.sansio.fields.names import normalized_name, without
from wsgiproxy.sansio.hooks import Hook

__all__ = ["forward_auth"]

# Of a refusal: what a browser needs to log in.
_OF_REFUSALS = frozenset(
    [
        "location",
        "www-authenticate",
        "set-cookie",
        "content-type",
        "content-encoding",
        "cache-control",
        "retry-after",
    ]
)
_LIMIT = 64 * 1024


def forward_auth(
    url: str,
    request_headers: Iterable[str] = ("Authorization", "Cookie"),
    response_headers: Iterable[str] = (),
    *,
    allow_ambiguous: bool = False,
) -> Hook:
    """Ask a service whether a request may pass.

    It gets a GET with ``X-Forwarded-Method``, ``-Proto``, ``-Host``, ``-Uri`` and ``-For``. If it
    answers with 2xx the request goes on; with 3xx or 4xx the client gets that; else it is an error.

    :param url: of the service.
    :param request_headers: fields of the client that the service gets.
    :param response_headers: fields of the service's answer that the backend gets; those of the
        client with these names are removed.
    :param allow_ambiguous: let paths pass that the service and the backend may read differently.
    :raises ConfigurationError: the address or a name is not right.

    >>> from wsgiproxy import WSGIProxyApp
    >>> login = forward_auth("http://localhost:3000/check", response_headers=["X-User"])
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[login])
    """
    http_url("url", url)
    wanted = frozenset(map(normalized_name, field_names("request_headers", request_headers)))
    require(allow_ambiguous in (True, False), "allow_ambiguous", allow_ambiguous, "true or false")
    given = field_names("response_headers", response_headers, ours=False)

    def hook(request: Request) -> Generator[Any, Any, Response | None]:
        request.headers = without(request.lines, given)
        if not allow_ambiguous and request.is_ambiguous:
            raise BadRequest(f"the path {request.raw_path!r} may be read in two ways")
        answer: Response = yield Request("GET", url, _asked(request, wanted))
        if not 200 <= answer.status < 300:
            return (yield from _refusal(answer, url))
        _take(answer, given, request)
        yield request
        return None

    return named(hook, f"forward_auth({url.partition('?')[0]})")


def _asked(request: Request, wanted: frozenset[str]) -> list[tuple[str, str]]:
    lines = [each for each in request.lines if normalized_name(each[0]) in wanted]
    return [*lines, *_facts(request)]


def _facts(request: Request) -> list[tuple[str, str]]:
    inbound = request.inbound
    assert inbound is not None
    uri = inbound.script_name + request.raw_path + request.mark + request.query
    facts = [
        ("X-Forwarded-Method", request.method),
        ("X-Forwarded-Proto", inbound.scheme),
        ("X-Forwarded-Host", inbound.host),
        ("X-Forwarded-Uri", uri or "/"),
        ("X-Forwarded-For", inbound.peer),
    ]
    return [each for each in facts if each[1]]


def _take(answer: Response, names: Iterable[str], request: Request) -> None:
    for name in names:
        for value in answer.headers.getlist(name):
            request.headers.add(name, value)


def _refusal(answer: Response, url: str) -> Generator[Any, Any, Response]:
    if not 300 <= answer.status < 500:
        shown = url.partition("?")[0]
        raise BadResponse(f"{shown} answers {answer.status} instead of deciding")
    body = yield answer.read(_LIMIT)
    lines = [each for each in answer.lines if each[0].lower() in _OF_REFUSALS]
    if not any(name.lower() == "cache-control" for name, _ in lines):
        lines.append(("Cache-Control", "no-store"))
    return Response(answer.status, lines, body)
