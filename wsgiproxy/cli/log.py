"""The log of the command on stderr: its level and its form, and one line for each failure."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass

from wsgiproxy import errors
from wsgiproxy.cli.accesslines import LINES, AccessLines
from wsgiproxy.cli.logformat import FORMATS
from wsgiproxy.cli.terminal import is_terminal
from wsgiproxy.errors import ProxyError

__all__ = ["HANDLED", "LogStyle", "add_log", "log_to_stderr", "read_log", "write_in_batches"]

_LEVELS = ("debug", "info", "warning", "error")
#: Loggers of single exchanges.
_OF_EXCHANGES = ("wsgiproxy.access", "wsgiproxy.forward")
#: Loggers of servers that log the traceback of a ProxyError when an answer breaks off.
_OF_SERVERS = ("waitress", "gunicorn.error", "_granian", "uvicorn.error")
#: Loggers without a handler of their own.
HANDLED = ("wsgiproxy", "waitress", "uvicorn", "asyncio")
#: What uvicorn says of a handshake, which has a line already, and of what it has cancelled.
_OF_UVICORN = (
    "Unsupported upgrade",
    "No supported WebSocket",
    "Cancel %s running task(s)",
    '%s - "WebSocket %s"',
    "connection ",
)


@dataclass(frozen=True)
class LogStyle:
    """What is logged, in values that can be pickled.

    :param level: the least level, a name of :mod:`logging` in lower case.
    :param access: log each exchange.
    """

    level: str = "info"
    format: str = "text"
    access: bool = True


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add ``--access-log``, ``--log-level`` and ``--log-format``."""
    group = parser.add_argument_group("log")
    group.add_argument(
        "--access-log",
        action=argparse.BooleanOptionalAction,
        help="one line on stderr for each exchange (default: on, unless --log-level leaves out"
        " what is only information)",
    )
    group.add_argument(
        "--log-level",
        metavar="{" + ",".join(_LEVELS) + "}",
        type=str.lower,
        choices=_LEVELS,
        help=f"the least that is written on stderr (default: {LogStyle.level})",
    )
    group.add_argument(
        "--log-format",
        choices=tuple(FORMATS),
        help=f"text, or one JSON object for each line (default: {LogStyle.format})",
    )


def read_log(arguments: argparse.Namespace) -> LogStyle:
    """The log that the command line wants."""
    level, access = arguments.log_level or LogStyle.level, arguments.access_log
    if access is None:
        access = level in ("debug", "info")
    return LogStyle(level, arguments.log_format or LogStyle.format, access)


def log_to_stderr(style: LogStyle) -> None:
    """Log failures on stderr, and exchanges if wanted; a second call changes nothing."""
    logger = logging.getLogger("wsgiproxy")
    if logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATS[style.format](handler.stream))
    if style.access:
        handler.addFilter(_is_no_second_line)
    for name in HANDLED:
        logging.getLogger(name).addHandler(handler)
    logger.propagate = False
    logger.setLevel(style.level.upper())
    for name in _OF_EXCHANGES:
        logging.getLogger(name).setLevel(logging.INFO if style.access else logging.ERROR)
    for server in map(logging.getLogger, _OF_SERVERS):
        server.addFilter(_is_no_error_of_ours)
        # Of granian's loggers below this one, its handlers alone see the records.
        for theirs in server.handlers:
            theirs.addFilter(_is_no_error_of_ours)
            theirs.setFormatter(handler.formatter)
            if isinstance(theirs, logging.StreamHandler):
                theirs.setStream(handler.stream)  # granian writes on stdout
    # It logs a queue before a thread has had the time to take the request.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def write_in_batches(style: LogStyle | None) -> Callable[[], None]:
    """Log on stderr, and many exchanges in one write, where no person looks on.

    :param style: None for what is set up already, without exchanges.
    :returns: writes what has to be written; to be called often, and at the end.
    """
    if style is not None:
        log_to_stderr(style)
        (handler,) = logging.getLogger("wsgiproxy").handlers
        assert isinstance(handler, logging.StreamHandler)
        if style.access and not is_terminal(handler.stream):
            lines = AccessLines(handler.stream, LINES[style.format]())
            lines.begin(handler)
            return lines.flush
    return lambda: None


def _is_no_second_line(record: logging.LogRecord) -> bool:
    """Whether a record is not about an exchange, which has a line in the access log."""
    return not hasattr(record, "exchange_failed")


def _is_no_error_of_ours(record: logging.LogRecord) -> bool:
    """Whether a record of a server is not about an exchange that has a line already."""
    if record.exc_info:
        error = record.exc_info[1]
        # The name alone: waitress needs no asyncio.
        return not isinstance(error, ProxyError) and type(error).__name__ != "CancelledError"
    if str(record.msg).startswith(_OF_UVICORN):
        return False
    # granian's message is a traceback itself.
    lines = record.getMessage().splitlines()
    name = lines[-1].partition(":")[0] if lines else ""
    return not (len(lines) > 1 and lines[1].startswith("Traceback ") and name in errors.__all__)
