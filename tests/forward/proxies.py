"""The browser proxy, started: by its command, or in one of the servers."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.cli.command import running
from tests.support.fronts import front

__all__ = ["TUNNELLING", "Proxy", "started"]

#: What gives the client's socket, and so makes tunnels.
TUNNELLING = ("command", "gunicorn", "werkzeug")
# A browser asks its maker for news. With no usual port there is nothing public that it reaches,
# and no name is looked up: nothing of a test leaves this machine.
_NONE = (1,)


class Proxy(NamedTuple):
    """A running one."""

    kind: str
    port: int
    log: Callable[[], str]

    def url(self, user: str = "") -> str:
        return f"http://{user and user + '@'}127.0.0.1:{self.port}"


@contextlib.contextmanager
def started(
    kind: str, *allow: str, ports: Sequence[int] = _NONE, credentials: str | None = None
) -> Iterator[Proxy]:
    """A proxy that may go where *allow* says, and to *ports* of public addresses."""
    if kind == "command":
        with _command(allow, ports, credentials) as proxy:
            yield proxy
        return
    options = {"allow": allow, "credentials": credentials, "ports": ports}
    with front(kind, "tests.forward.apps:forward", {"OPTIONS": json.dumps(options)}) as server:
        yield Proxy(kind, server.port, lambda: server.log)
        assert "Traceback" not in server.log, server.log


@contextlib.contextmanager
def _command(
    allow: Sequence[str], ports: Sequence[int], credentials: str | None
) -> Iterator[Proxy]:
    arguments = [word for each in allow for word in ("--allow", each)]
    arguments += ["--ports", " ".join(map(str, ports))]
    if credentials is not None:
        arguments += ["--credentials", credentials]
    with running("forward", "--listen", "127.0.0.1:0", "--access-log", *arguments) as command:
        line = command.line()
        found = re.search(r"at 127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield Proxy("command", int(found[1]), lambda: command.stderr)
        assert command.end() == 0, command.stderr
