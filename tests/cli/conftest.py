"""A socket for commands, and what they leave behind in a process that goes on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.loggers import kept_loggers
from wsgiproxy.observe.accesslog import send_to


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket that is not the command's own: what systemd holds."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as made:
        yield made


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """A command logs to the stderr of its test, which is gone afterwards."""
    with kept_loggers():
        yield
    send_to(None)
