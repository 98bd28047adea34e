"""What the command writes on stderr."""

from __future__ import annotations

import argparse
import logging
import sys
from copy import copy

__all__ = ["log_to_stderr", "wants_access_log"]


def wants_access_log(arguments: argparse.Namespace) -> bool:
    """What ``--access-log`` says, or whether somebody is looking."""
    said: bool | None = arguments.access_log
    return sys.stderr.isatty() if said is None else said


class _Formatter(logging.Formatter):
    """Marks what a spawned command says, so that nobody takes its words for ours."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(mark)s%(message)s", "%H:%M:%S", defaults={"mark": ""})

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        if record.name.endswith(".output"):
            record.mark = "| "
        brief = getattr(record, "brief", "")
        if brief:  # what follows in the message stands on stderr already, line by line
            record = copy(record)
            record.msg, record.args = "%s", (brief,)
        return super().format(record)


def log_to_stderr(access_log: bool) -> None:
    """Write what goes wrong, and the access log if wanted; a second call changes nothing."""
    logger = logging.getLogger("wsgiproxy")
    if logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter())
    logger.addHandler(handler)
    logger.propagate = False
    # It speaks of a queue when a thread has not woken up yet.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    for name in ("wsgiproxy.access", "wsgiproxy.forward"):
        logging.getLogger(name).setLevel(logging.INFO if access_log else logging.ERROR)
