"""The loggers of the package, as they were."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from wsgiproxy.cli.log import HANDLED

__all__ = ["kept_loggers"]

_NAMES = (*HANDLED, "wsgiproxy.access", "wsgiproxy.error", "wsgiproxy.forward")


@contextlib.contextmanager
def kept_loggers() -> Iterator[None]:
    """What a block changes of them is undone: handlers, levels, and whether records go up."""
    loggers = [logging.getLogger(name) for name in _NAMES]
    before = [(list(each.handlers), each.propagate, each.level) for each in loggers]
    try:
        yield
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
            logger.propagate = propagate
            logger.setLevel(level)
