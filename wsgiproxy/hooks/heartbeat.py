"""Comments in idle event streams, so that nothing on the way takes a silent connection for dead.

A comment is sent between two lines of the stream only; a line that has begun is never changed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from wsgiproxy.hooks.checks import is_number, named, require
from wsgiproxy.hooks.messages import Request, Response
from wsgiproxy.hooks.representation import is_coded
from wsgiproxy.sansio.grammar import NO_CONTENT
from wsgiproxy.sansio.hooks import Hook

__all__ = ["heartbeat"]

# A byte order mark may stand at the very beginning of a stream, and only there.
_MARK = b"\xef\xbb\xbf"


def heartbeat(seconds: float = 15) -> Hook:
    """Send a comment to the client while an event stream is silent.

    It is an empty comment line of the format of event streams, which clients ignore (HTML,
    section 9.2.6, "Interpreting an event stream"). Other types, compressed streams, ranges and
    answers to HEAD stay as they are. ``Cache-Control: no-transform`` forbids changes that mean
    something to the client (RFC 9110, 7.7), and a comment means nothing. The limits in time of
    the upstream stay: one that is silent for ``idle_timeout`` has failed, whatever the client
    has got meanwhile.

    Under WSGI a comment comes up to half a second late, and none comes where another client than
    the proxy's own reads from the upstream (``client=``).

    :param seconds: of silence of the upstream before a comment, and between two comments. The
        default is what HTML recommends to servers (section 9.2.7, "Authoring notes").
    :raises ConfigurationError: it is no number above 0.

    >>> from wsgiproxy import WSGIProxyApp
    >>> app = WSGIProxyApp("http://localhost:3000", hooks=[heartbeat(15)])
    """
    require(is_number(seconds), "seconds", seconds, "a number above 0")

    def hook(request: Request) -> Generator[Any, Any, None]:
        is_head = request.method == "HEAD"
        response: Response = yield request
        if not is_head and _is_event_stream(response):
            lines = _Lines()
            response.body.map(lines.block, idle=(seconds, lines.comment))

    return named(hook, f"heartbeat({seconds:g})")


def _is_event_stream(response: Response) -> bool:
    headers = response.headers
    return (
        headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/event-stream"
        and not is_coded(response.lines)
        and response.status not in (101, 205, 206, *NO_CONTENT)
    )


class _Lines:
    """Where a stream is: at the beginning of a line, or within one."""

    def __init__(self) -> None:
        self._last = b""
        self._has_begun = False

    def block(self, data: bytes) -> bytes:
        """The block, as it is."""
        if self._last and not self._has_begun:  # behind a comment, a mark would be of a name
            data = data.removeprefix(_MARK)
        self._has_begun = True
        self._last = data[-1:] or self._last
        return data

    def comment(self) -> bytes:
        """A comment line, or nothing within a line.

        A line ends with LF, CR or CRLF. Behind a CR that may be the first half of a CRLF, the
        comment ends with CR: whatever comes then, LF or not, is right behind that, too.
        """
        if self._last == b"\r":
            return b":\r"
        if self._last in (b"", b"\n"):
            self._last = b"\n"
            return b":\n"
        return b""
