"""The lines of the access log, many of them in one write.

What another logger writes stands behind the exchanges that ended before it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quoted
from time import gmtime, localtime, strftime
from typing import TextIO

from wsgiproxy.cli.spelling import as_typed
from wsgiproxy.observe.accesslog import Ended, plain, send_to, shown_path
from wsgiproxy.sansio.memo import remembered
from wsgiproxy.sansio.message import Origin

__all__ = ["INTERVAL", "LINES", "AccessLines", "JsonLines", "TextLines"]

#: Seconds between two writes.
INTERVAL = 0.1


def _shown(text: str) -> str:
    """The inside of ``repr(text)``, for what is plain in nearly every case."""
    return text if text.isprintable() and "\\" not in text and "'" not in text else plain(text)


def _quoted(text: str) -> str:
    """``repr(text)``, in the same way."""
    if text.isprintable() and "\\" not in text and "'" not in text:
        return f"'{text}'"
    return repr(text)


@remembered
def _upstream(origin: Origin) -> str:
    return origin.unix or origin.authority


class TextLines:
    """The line that :class:`~wsgiproxy.cli.logformat.TextFormatter` makes for a file."""

    def __init__(self) -> None:
        self._second, self._when = -1, ""

    def __call__(self, ended: Ended) -> str:
        """The line of one exchange, with its end."""
        asked, origin, failed, _, at, seconds, status, _, sent, request_id = ended
        client, method, path, query = asked
        second = int(at)
        if second != self._second:
            self._second, self._when = second, strftime("%Y-%m-%d %H:%M:%S", localtime(second))
        path = shown_path(path, query)
        why = f" {failed[0]}: {_shown(as_typed(failed[2]))}" if failed else ""
        name = f" [{request_id}]" if request_id else ""  # visible ASCII
        return (
            f"{self._when} {_shown(client)} {_shown(method)} {_quoted(path)} {status} {sent} bytes"
            f" {seconds:.3f} s -> {_shown(_upstream(origin)) if origin else '-'}{name}{why}\n"
        )


class JsonLines:
    """The line that :class:`~wsgiproxy.cli.logformat.JsonFormatter` makes."""

    def __init__(self) -> None:
        self._second, self._when = -1, ""

    def __call__(self, ended: Ended) -> str:
        """The line of one exchange, with its end."""
        asked, origin, failed, reused, at, seconds, status, received, sent, request_id = ended
        client, method, path, query = asked
        second = int(at)
        if second != self._second:
            self._second, self._when = second, strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
        error, side, reason = map(quoted, failed) if failed else ("null", "null", "null")
        if failed:
            reason = quoted(as_typed(failed[2]))
        name = f', "request_id": {quoted(request_id)}' if request_id else ""
        return (
            f'{{"time": "{self._when}.{int(at % 1 * 1000):03d}Z", "level": "info",'
            f' "logger": "wsgiproxy.access", "client": {quoted(client)},'
            f' "method": {quoted(method)}, "path": {quoted(shown_path(path, query))},'
            f' "upstream": {quoted(_upstream(origin)) if origin else "null"},'
            f' "status": {status}, "received": {received}, "sent": {sent},'
            f' "seconds": {round(seconds, 6)}, "reused": {"true" if reused else "false"},'
            f' "error": {error}, "side": {side}, "reason": {reason}{name}}}\n'
        )


#: By the value of ``--log-format``.
LINES: dict[str, Callable[[], Callable[[Ended], str]]] = {"text": TextLines, "json": JsonLines}


class AccessLines:
    """Exchanges that have ended, until they are written; :meth:`flush` is to be called often.

    :param stream: a file, and no terminal.
    :param line: the line of one exchange.
    """

    def __init__(self, stream: TextIO, line: Callable[[Ended], str]) -> None:
        self._stream = stream
        self._line = line
        self._waiting: list[Ended] = []
        # A signal may come in the middle of a write.
        self._lock = threading.RLock()

    def begin(self, handler: logging.Handler) -> None:
        """Take the exchanges.

        :param handler: of the other loggers, for the same stream.
        """
        send_to(self._waiting.append)
        handler.addFilter(self._is_next)
        atexit.register(self.flush)

    def flush(self) -> None:
        """Write what has ended so far, as one text."""
        with self._lock:
            # Another thread may add to the list at any time.
            count = len(self._waiting)
            if not count:
                return
            try:
                # As the handlers of logging, it must not end what is logged.
                with contextlib.suppress(OSError, ValueError):
                    self._stream.write("".join(map(self._line, self._waiting[:count])))
                    self._stream.flush()
            finally:
                del self._waiting[:count]

    def _is_next(self, record: logging.LogRecord) -> bool:
        self.flush()
        return True
