"""Messages of hooks as what is sent: their fields, their framing, and what no longer holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from wsgiproxy.hooks.body import Changes
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.sansio.fields.connection import end_to_end, for_client
from wsgiproxy.sansio.fields.names import normalized_name, without, words
from wsgiproxy.sansio.fields.signature_members import is_removed, spelled
from wsgiproxy.sansio.grammar import NO_CONTENT, NO_LENGTH
from wsgiproxy.sansio.hooks import HookFailed
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.sansio.message import Headers, Inbound, Moved, Origin, ResponseHead
from wsgiproxy.sansio.message import Request as Outgoing
from wsgiproxy.sansio.websocket import SWITCHING

__all__ = ["Sent", "fetched", "head_of", "sent", "still_true"]

_LENGTH = ("Content-Length",)
_LENGTHS = frozenset(["content-length"])
# Fields that are made from other facts, under any spelling that a backend may take for them.
_COMPUTED = words("host content-length")
# They say that their body is empty, if it is (RFC 9110, 8.6).
_WITH_BODY = frozenset(["POST", "PUT", "PATCH"])
_RANGES = words("accept-ranges content-range")
_DIGESTS = words("content-md5 digest content-digest repr-digest")


class Sent(NamedTuple):
    """A request as hooks have left it.

    :param inbound: with its method, target and framing; its fields are those of the client, by
        which trust is decided.
    :param lines: the fields to send.
    :param content: the blocks of a body that was set, none if it is empty; None for the client's.
    :param changes: what the client's own goes through; None if it stays as it is.
    :param is_clean: the fields have passed stages 1 and 2, and none that these remove is new.
    """

    inbound: Inbound
    lines: Headers
    content: Iterator[bytes] | None
    changes: Changes | None
    is_clean: bool = False


def sent(request: Request, inbound: Inbound) -> Sent:
    """What is to be sent for the request that is served.

    :param inbound: as the server has handed it over.
    :raises HookFailed: hooks have made something of it that cannot be sent.
    """
    if request.seen_body is None and request.has_own_target:
        quick = _barely_changed(request, inbound)
        if quick is not None:
            return quick
    body, lines = request.body, request.lines_checked
    if inbound.upgrade and (request.method != inbound.method or body.is_changed):
        raise HookFailed("a handshake keeps its method, and has no body", body.owner)
    length, chunked = inbound.content_length, inbound.chunked
    if body.is_changed:
        lines = still_true(lines, request.lines_received, is_request=True)
    whole = body.whole()
    if whole is not None:
        # A request without a body stays one when that is read.
        length = len(whole) if whole or length is not None or chunked else None
        chunked = False
    elif body.content is not None or (body.is_mapped and (length or chunked)):
        length, chunked = None, True
    lines = spelled(_not_computed(lines))
    inbound = inbound._replace(
        method=request.method,
        path=request.raw_path,
        query=request.mark + request.query,
        content_length=length,
        chunked=chunked,
        login=_has_login(lines),
        moved=_moved(request, inbound.path),
    )
    content = None if body.content is None else body.blocks()
    changes = Changes(body.changes, body.owner) if body.changes and content is None else None
    return Sent(inbound, lines, content, changes)


def _moved(request: Request, asked: str) -> Moved | None:
    """How its path was moved; None if hooks have changed it otherwise, too.

    :param asked: the client's path.
    """
    old, new = request.moved or ("", "")
    path = request.raw_path
    if old == new or not path.startswith(new):
        return None
    return Moved(old, new, asked) if old + path[len(new) :] in (asked, asked + "/") else None


def _barely_changed(request: Request, inbound: Inbound) -> Sent | None:
    """As :func:`sent`, of a request with other fields at most; None if it is not as simple."""
    may_login = inbound.login
    if request.difference is not None:
        for name, _ in request.difference.new:
            normalized = normalized_name(name)
            if normalized in _COMPUTED or is_removed(name):
                return None
            may_login = may_login or normalized == "authorization"
    lines = request.lines_checked
    if may_login:
        inbound = inbound._replace(login=_has_login(lines))
    return Sent(inbound, lines, None, None, True)


def _not_computed(lines: Headers) -> Headers:
    return [field for field in lines if normalized_name(field[0]) not in _COMPUTED]


def _has_login(lines: Headers) -> bool:
    return any(name.lower() == "authorization" for name, _ in lines)


def still_true(lines: Headers, received: Headers, *, is_request: bool = False) -> Headers:
    """The fields of a message whose body is not what it was.

    Digests of the body that was are left out, and its ETag becomes a weak one (RFC 9110, 8.8.1);
    those that a hook has set stay.

    :param received: the fields as they were.

    >>> still_true([("ETag", '"a"'), ("Digest", "x")], [("ETag", '"a"'), ("Digest", "y")])
    [('ETag', 'W/"a"'), ('Digest', 'x')]
    """
    kept: Headers = []
    for field in lines:
        name = field[0].lower()
        if field not in received:
            kept.append(field)
        elif name == "etag" and not is_request and not field[1].startswith("W/"):
            kept.append((field[0], "W/" + field[1]))
        elif name not in _DIGESTS and (is_request or name not in _RANGES):
            kept.append(field)
    return kept


def fetched(request: Request) -> tuple[Origin, Outgoing, Iterator[bytes] | None]:
    """Where a request of a hook's own goes, what is sent there, and its body, if it has one.

    :raises HookFailed: it has a body that cannot be sent, or no host.
    """
    try:
        base = parse_href(urlsplit(request.url)._replace(path="", query="", fragment="").geturl())
    except ValueError as error:
        raise HookFailed(f"asks for {request.url!r}: {error}") from error
    target = request.raw_path + ("?" + request.query if request.query else "")
    lines = [
        ("Host", base.origin.authority),
        *_not_computed(end_to_end(request.lines_checked)),
    ]
    whole = request.body.whole()
    blocks = None if whole == b"" else request.body.blocks()
    length = None
    if whole is not None and (whole or request.method in _WITH_BODY):
        length = len(whole)
    return base.origin, Outgoing(request.method, target, lines, length, whole is None), blocks


def head_of(response: Response, method: str, *, commands: bool) -> tuple[ResponseHead, bool]:
    """The head of a response that hooks have made or changed, and whether a body follows.

    :param method: of the client's request.
    :param commands: as of :func:`~wsgiproxy.sansio.fields.connection.for_client`.
    """
    if response.head is not None and response.seen_body is None:
        quick = _barely_other(response, response.head, method, commands=commands)
        if quick is not None:
            return quick
    status, body = response.status, response.body
    lines = for_client(response.lines_checked, commands=commands)
    if status == SWITCHING:
        return ResponseHead(status, response.reason, lines), True
    has_body = method != "HEAD" and status not in NO_CONTENT
    if body.is_changed:
        lines = still_true(lines, response.lines_received)
    whole = body.whole()
    length: Headers = []
    if status in NO_LENGTH:
        length = [("Content-Length", "0")] if status == 205 else []
    elif whole is not None:
        length = [("Content-Length", str(len(whole)))] if status not in NO_CONTENT else []
    elif body.content is None and not body.is_mapped:
        if body.source is None and has_body:  # the upstream had none
            length = [("Content-Length", "0")]
        else:
            length = [each for each in response.lines_received if each[0].lower() in _LENGTHS]
    if [each for each in lines if each[0].lower() in _LENGTHS] != length:
        lines = [*without(lines, _LENGTH), *length]
    return ResponseHead(status, response.reason, lines), has_body


def _barely_other(
    response: Response, head: ResponseHead, method: str, *, commands: bool
) -> tuple[ResponseHead, bool] | None:
    """As :func:`head_of`, of a response with other fields at most; else None."""
    status, difference = head.status, response.difference
    has_body = method != "HEAD" and status not in NO_CONTENT
    if response.status is not status or (has_body and response.reply is None):
        return None
    if difference is None:
        same = response.reason is head.reason
        return head if same else head._replace(reason=response.reason), has_body
    lines, new, gone = difference
    if gone or len(for_client(new, commands=commands)) < len(new):
        return None
    if any(name.lower() in _LENGTHS for name, _ in new):
        return None
    return ResponseHead(status, response.reason, lines), has_body
