"""A socket for commands, and what they leave behind in a process that goes on."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from wsgiproxy.cli.log import HANDLED
from wsgiproxy.observe.accesslog import send_to


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket that is not the command's own: what systemd holds."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as made:
        yield made


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """A command logs to the stderr of its test, which is gone afterwards."""
    names = (*HANDLED, "wsgiproxy.access", "wsgiproxy.error", "wsgiproxy.forward")
    loggers = [logging.getLogger(name) for name in names]
    before = [(list(each.handlers), each.propagate, each.level) for each in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.propagate = propagate
        logger.setLevel(level)
    send_to(None)
