"""The two forms of the log: lines for people, with colours on a terminal, and JSON."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from copy import copy
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TextIO

from wsgiproxy.cli.spelling import as_typed
from wsgiproxy.cli.terminal import is_terminal

__all__ = ["FORMATS", "JsonFormatter", "TextFormatter"]

if TYPE_CHECKING:
    Exchange = dict[str, Any]

# ECMA-48, select graphic rendition.
_RED, _GREEN, _YELLOW, _CYAN, _PLAIN = (f"\x1b[{number}m" for number in (31, 32, 33, 36, 0))
#: By the first digit of a status.
_OF_STATUS = {2: _GREEN, 3: _CYAN, 4: _YELLOW, 5: _RED}


class TextFormatter(logging.Formatter):
    """One line for people; what a spawned command says is marked, so that it is not taken for ours.

    :param stream: where the lines go. A terminal gets colours, unless ``NO_COLOR`` is set, and
        the time of the day; all else, which may be kept, the date as well.
    """

    def __init__(self, stream: TextIO) -> None:
        on_terminal = is_terminal(stream)
        when = "%H:%M:%S" if on_terminal else "%Y-%m-%d %H:%M:%S"
        super().__init__("%(asctime)s %(mark)s%(message)s", when, defaults={"mark": ""})
        self._has_colours = on_terminal and not os.environ.get("NO_COLOR")

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        record = _typed(record)
        if record.name.endswith(".output"):
            record.mark = "| "
        brief = getattr(record, "brief", "")
        if brief:  # what follows in the message stands on stderr already, line by line
            record.msg, record.args = "%s", (brief,)
        if self._has_colours:
            _colour(record)
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object in a line: ``time`` (RFC 3339), ``level``, ``logger``, and the rest.

    The rest is what :mod:`wsgiproxy.observe.accesslog` notes of an exchange, or a ``message``,
    with a ``traceback`` if there is one.

    :param stream: where the lines go, which makes no difference.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        record = _typed(record)
        when = datetime.fromtimestamp(record.created, timezone.utc)
        found: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        found |= getattr(record, "exchange", None) or {"message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found, default=str)


#: By the value of ``--log-format``.
FORMATS: dict[str, Callable[[TextIO], logging.Formatter]] = {
    "text": TextFormatter,
    "json": JsonFormatter,
}


def _typed(record: logging.LogRecord) -> logging.LogRecord:
    """A copy in which the reason names settings by their flags; a path may look like one."""
    record = copy(record)
    exchange: Exchange | None = getattr(record, "exchange", None)
    if exchange is not None and isinstance(record.args, dict) and exchange["reason"]:
        record.exchange = {**exchange, "reason": as_typed(exchange["reason"])}
        record.args = {**record.args, "reason": as_typed(str(record.args["reason"]))}
    reason = getattr(record, "exchange_failed", "")
    if reason:
        message = record.getMessage()
        record.msg, record.args = "%s", (message.removesuffix(reason) + as_typed(reason),)
    return record


def _colour(record: logging.LogRecord) -> None:
    exchange: Exchange | None = getattr(record, "exchange", None)
    if exchange is not None and isinstance(record.args, dict):
        colour = _OF_STATUS.get(exchange["status"] // 100, "")
        if colour:
            record.args = {**record.args, "status": f"{colour}{exchange['status']}{_PLAIN}"}
    elif record.levelno >= logging.WARNING:
        colour = _RED if record.levelno >= logging.ERROR else _YELLOW
        record.msg, record.args = "%s", (f"{colour}{record.getMessage()}{_PLAIN}",)
