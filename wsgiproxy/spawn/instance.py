"""One run of the command: its folder, keys and socket, its process, and what it says."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import tempfile
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from socket import socket as Connection
from typing import Any, NamedTuple

from wsgiproxy.sansio.process.command import fill
from wsgiproxy.secretloader import SECRET_FILE, new_key
from wsgiproxy.spawn.environment import environment, withheld
from wsgiproxy.spawn.sockets import Port, Socket, Unix, open_socket
from wsgiproxy.spawn.supervised import SupervisedProcess

__all__ = ["ALIVE", "DOOR", "Plan", "Instance"]

#: In the folder of a run: where its warden accepts further lifelines.
DOOR = "door"
#: The same: it is there as long as the run may be used.
ALIVE = "alive"

_LAST_LINES = 20


class Plan(NamedTuple):
    """What to run, and how.

    :param command: words, with placeholders.
    :param cwd: its working directory; None for ours.
    :param variables: what its environment has besides, with placeholders.
    :param inherit_env: names of further variables to take from ours.
    :param kind: how it gets its socket.
    :param port: the port to take; None for any free one.
    :param names_fd: whether a placeholder says which descriptor it is.
    :param secret_file: keys to share with it; a fresh one if empty, none if None.
    """

    command: tuple[str, ...]
    cwd: str | None
    variables: Mapping[str, str]
    inherit_env: tuple[str, ...]
    kind: str
    port: int | None
    names_fd: bool
    secret_file: str | None


class Instance:
    """A child from its start to its end.

    :param socket: where it listens.
    :param child: the line to its warden.
    :param secret_file: path of the keys that it shares with us; None for none.
    :param folder: what is removed at the end.
    :ivar withheld: names of variables that are set here and were not passed on.
    :ivar has_ended: the warden has seen its end, and ends what is left of it.
    """

    def __init__(
        self, socket: Socket, child: SupervisedProcess, secret_file: str | None, folder: str
    ) -> None:
        self.socket = socket
        self.child = child
        self.secret_file = secret_file
        self.folder = folder
        self.pid = self.warden = 0
        self.has_ended = False
        self.withheld: frozenset[str] = frozenset()
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)

    @classmethod
    def start(cls, plan: Plan, folder: str = "", door: Connection | None = None) -> Instance:
        """Start the command.

        :param folder: a private folder for it; a new one if not given.
        :param door: where its warden is to accept further lifelines.
        :raises OSError: it cannot be done; nothing is left behind.
        """
        folder = folder or _new_folder()
        with ExitStack() as undo:
            undo.callback(_remove, folder)
            secret_file = plan.secret_file
            if secret_file == "":
                secret_file = _new_secret(folder)
            socket = open_socket(plan.kind, folder, plan.port)
            undo.callback(socket.close)
            child = _child(plan, socket, folder, secret_file, door)
            undo.pop_all()
        run = cls(socket, child, secret_file, folder)
        run.withheld = withheld(plan.inherit_env, plan.variables)
        return run

    @classmethod
    def join(cls, facts: Mapping[str, Any]) -> Instance:
        """Use what another process has started, and keep it alive.

        :param facts: of that process's :meth:`facts`.
        :raises OSError: it is not there any more.
        """
        folder, path = facts["folder"], facts["unix"]
        socket: Socket = Unix(path) if path else Port(facts["port"])
        return cls(
            socket, SupervisedProcess.join(os.path.join(folder, DOOR)), facts["secret_file"], folder
        )

    def facts(self) -> dict[str, Any]:
        """What others need to know to join."""
        origin = self.socket.origin
        return {
            "folder": self.folder,
            "unix": origin.unix,
            "port": origin.port,
            "secret_file": self.secret_file,
        }

    def missing(self) -> str:
        """What is still missing before it can be used; empty if nothing is.

        :raises Taken: somebody else has its address.
        """
        if not self.pid:
            return "it has not begun yet"
        return self.socket.missing(self.warden)

    def kill(self) -> None:
        """After the warden's end: it leaves nothing, unless it was killed itself."""
        if self.pid and self.child.is_ours and not self.has_ended:
            # The number of a group is not given away as long as there is anybody in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def bury(self) -> None:
        """After its end: leave nothing behind."""
        self.socket.close()
        self.child.bury()
        if self.child.is_ours:
            _remove(self.folder)  # should the warden have been killed

    def abandon(self) -> None:
        """In a forked process: it is the parent's, and none of ours."""
        self.socket.close()
        self.child.abandon()


def _new_folder() -> str:
    # Not by mkdtemp: its lock would stay locked in a process that is forked meanwhile.
    path = os.path.join(tempfile.gettempdir(), f"wsgiproxy-{secrets.token_hex(8)}")
    os.mkdir(path, 0o700)
    return path


def _remove(folder: str) -> None:
    """Without a descriptor: there may be none left."""
    for name in ("secret", "socket", DOOR, ALIVE):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _new_secret(folder: str) -> str:
    path = os.path.join(folder, "secret")
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # No other codec: a fork while one is loaded for the first time leaves a process without it.
    with open(number, "w", encoding="utf-8") as file:
        file.write(new_key("spawn") + "\n")
    return path


def _child(
    plan: Plan, socket: Socket, folder: str, secret_file: str | None, door: Connection | None
) -> SupervisedProcess:
    values = socket.values
    more = {name: fill(value, values) for name, value in plan.variables.items()}
    if secret_file is not None:
        more[SECRET_FILE] = secret_file
    if socket.inherited is not None and not plan.names_fd:
        more["LISTEN_FDS"] = "1"  # who is told twice opens it twice (gunicorn)
    if plan.kind == "port":
        more.setdefault("PORT", values["port"])  # what Heroku began, node's programs read
    return SupervisedProcess.start(
        [fill(word, values) for word in plan.command],
        folder=folder,
        cwd=plan.cwd,
        environment=environment(plan.inherit_env, more),
        inherited=socket.inherited,
        door=door,
    )
