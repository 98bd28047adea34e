"""Calling an ASGI application without a server, and a strict judge of what it sends.

The judge knows the specification (HTTP & WebSocket ASGI Message Format 2.4) and nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

__all__ = ["LAST", "Caller", "http_scope", "judged"]

Message = dict[str, Any]

#: The event of a request without (more) body.
LAST: Message = {"type": "http.request", "body": b"", "more_body": False}
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")
# Of one hop, which is the server's; in HTTP/2 they are errors (RFC 9113, 8.2.2).
_HOP = {b"connection", b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"}
_ALLOWED = {
    "http.response.start": {"type", "status", "headers", "trailers"},
    "http.response.body": {"type", "body", "more_body"},
    "http.response.early_hint": {"type", "links"},
}


def http_scope(*headers: tuple[bytes, bytes], **changes: Any) -> Message:
    """The scope of a request to ``/x``."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/x",
        "raw_path": b"/x",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"front.example"), *headers],
        "client": ("192.0.2.1", 40000),
        "server": ("127.0.0.1", 80),
        **changes,
    }


class Caller:
    """Calls an application once; see `__call__`.

    :param events: what ``receive`` gives in turn: messages, or exceptions to raise. After the
        last one it waits.
    :param fails_at: number of the message with which ``send`` raises.
    :param error: what it raises.
    :ivar sent: the messages so far.
    """

    def __init__(
        self,
        events: Iterable[Message | Exception] = (LAST,),
        fails_at: int | None = None,
        error: Exception | None = None,
    ) -> None:
        self._events = list(events)
        self._fails_at = fails_at
        self._error = error or OSError("the client has gone")
        self.sent: list[Message] = []
        self.on_send: Callable[[Message], Awaitable[None]] | None = None

    async def __call__(self, app: Any, scope: Message) -> BaseException | None:
        """Call *app*; what it raises, if it does."""
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:
            return error
        return None

    async def receive(self) -> Message:
        import asyncio

        if not self._events:
            await asyncio.Event().wait()
        event = self._events.pop(0)
        if isinstance(event, Exception):
            raise event
        return event

    async def send(self, message: Message) -> None:
        if self._fails_at == len(self.sent):
            raise self._error
        self.sent.append(message)
        if self.on_send is not None:
            await self.on_send(message)


def judged(messages: list[Message], scope: Message) -> bool:
    """Whether the answer is whole; an AssertionError where a message is not legal."""
    rest = list(messages)
    while rest and rest[0]["type"] == "http.response.early_hint":
        assert "http.response.early_hint" in scope.get("extensions", {})
        _check_members(hint := rest.pop(0))
        assert all(isinstance(link, bytes) and _VALUE.fullmatch(link) for link in hint["links"])
    if not rest:
        return False
    length = _checked_start(start := rest.pop(0))
    is_ended, total = False, 0
    for message in rest:
        if message["type"] == "http.response.pathsend" and message is rest[-1]:
            break  # servers refuse it here: the answer has broken off
        assert message["type"] == "http.response.body", f"{message} where a body should be"
        assert not is_ended, f"{message} behind the last one"
        _check_members(message)
        body, more = message.get("body", b""), message.get("more_body", False)
        assert isinstance(body, bytes) and isinstance(more, bool)
        is_ended, total = not more, total + len(body)
    if scope["method"] == "HEAD" or start["status"] in (204, 304):
        assert not total, "a body that must not be there"
    elif length is not None:
        assert total <= length and (not is_ended or total == length), f"{total} of {length}"
    return is_ended


def _check_members(message: Message) -> None:
    unknown = set(message) - _ALLOWED[message["type"]]
    assert not unknown, f"{unknown} in {message['type']}"


def _checked_start(message: Message) -> int | None:
    """The length that it announces."""
    assert message["type"] == "http.response.start", f"{message} where the answer should begin"
    _check_members(message)
    status = message["status"]
    assert type(status) is int and 200 <= status <= 999
    names = []
    for name, value in message["headers"]:
        assert type(name) is bytes and _NAME.fullmatch(name), f"the name {name!r}"
        assert type(value) is bytes and _VALUE.fullmatch(value), f"the value {value!r}"
        assert name not in _HOP, f"{name!r} is the server's"
        names.append(name)
    assert names.count(b"content-length") <= 1
    lengths = [int(value) for name, value in message["headers"] if name == b"content-length"]
    assert not (lengths and status == 204)
    return lengths[0] if lengths else None
