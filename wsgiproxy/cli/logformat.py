"""The two forms of the log: text, with colours on a terminal, and JSON."""

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
    """One line of text; a ``|`` is before the output of a spawned command.

    :param stream: a terminal gets colours, unless ``NO_COLOR`` is set, and the time of the day;
        a file gets the date as well.
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
        if brief:  # the rest of the message is on stderr already, line by line
            record.msg, record.args = "%s", (brief,)
        if self._has_colours:
            _colour(record)
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object in a line: ``time`` (RFC 3339), ``level``, ``logger``, and the rest.

    The rest are the members of an exchange (:mod:`wsgiproxy.observe.accesslog`), or ``message``,
    with ``traceback`` if there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        record = _typed(record)
        when = datetime.fromtimestamp(record.created, timezone.utc)
        members: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        members |= getattr(record, "exchange", None) or {"message": record.getMessage()}
        # Those of exchanges have it among their members.
        if request_id := getattr(record, "request_id", ""):
            members["request_id"] = request_id
        if record.exc_info and record.exc_info[0] is not None:
            members["traceback"] = self.formatException(record.exc_info)
        return json.dumps(members, default=str)


#: By the value of ``--log-format``.
FORMATS: dict[str, Callable[[TextIO], logging.Formatter]] = {
    "text": TextFormatter,
    "json": lambda stream: JsonFormatter(),
}


def _typed(record: logging.LogRecord) -> logging.LogRecord:
    """A copy in which the reason, and nothing else, names settings by their flags."""
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
