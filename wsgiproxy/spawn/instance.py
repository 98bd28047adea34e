"""An instance of the command: its folder, keys, socket, process and output."""

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

__all__ = ["ALIVE", "CONTROL", "Instance", "Plan"]

#: The control socket in the folder of an instance: its supervisor accepts connections there.
CONTROL = "control"
#: A file in the same folder, which exists while the instance may be used.
ALIVE = "alive"

_LAST_LINES = 20


class Plan(NamedTuple):
    """The settings by which an instance is started.

    :param command: words, with placeholders.
    :param cwd: its working directory; None for that of this process.
    :param variables: environment variables, with placeholders.
    :param inherit_env: names of further variables of this process to pass on.
    :param kind: one of :data:`wsgiproxy.sansio.process.command.KINDS`.
    :param port: its port; None for any free one.
    :param names_fd: whether a placeholder stands for the inherited descriptor.
    :param secret_file: path of the shared keys; empty for a new key, None for no key.
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
    """A child process from its start to its end.

    :param socket: its listening socket.
    :param child: the connection to its supervisor.
    :param secret_file: path of the keys that it shares with this process; None for none.
    :param folder: the folder that is removed at the end.
    :ivar withheld: names of variables of this process that were not passed on.
    :ivar has_ended: the command has ended, and the supervisor ends its descendants.
    """

    def __init__(
        self, socket: Socket, child: SupervisedProcess, secret_file: str | None, folder: str
    ) -> None:
        self.socket = socket
        self.child = child
        self.secret_file = secret_file
        self.folder = folder
        self.pid = self.supervisor = 0
        self.has_ended = False
        self.withheld: frozenset[str] = frozenset()
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)

    @classmethod
    def start(cls, plan: Plan, folder: str = "", control: Connection | None = None) -> Instance:
        """Start the command.

        :param folder: a private folder; a new one if empty.
        :param control: the listening socket by which other processes may join it.
        :raises OSError: it cannot be started; no file is left behind.
        """
        folder = folder or _new_folder()
        with ExitStack() as undo:
            undo.callback(_remove, folder)
            secret_file = plan.secret_file
            if secret_file == "":
                secret_file = _new_secret(folder)
            socket = open_socket(plan.kind, folder, plan.port)
            undo.callback(socket.close)
            child = _child(plan, socket, folder, secret_file, control)
            undo.pop_all()
        instance = cls(socket, child, secret_file, folder)
        instance.withheld = withheld(plan.inherit_env, plan.variables)
        return instance

    @classmethod
    def join(cls, facts: Mapping[str, Any]) -> Instance:
        """Use an instance that another process has started, and keep it alive.

        :param facts: what :meth:`facts` has returned in that process.
        :raises OSError: it has ended.
        """
        folder, path = facts["folder"], facts["unix"]
        socket: Socket = Unix(path) if path else Port(facts["port"])
        child = SupervisedProcess.join(os.path.join(folder, CONTROL))
        return cls(socket, child, facts["secret_file"], folder)

    def facts(self) -> dict[str, Any]:
        """What another process needs for :meth:`join`."""
        origin = self.socket.origin
        return {
            "folder": self.folder,
            "unix": origin.unix,
            "port": origin.port,
            "secret_file": self.secret_file,
        }

    def missing(self) -> str:
        """Why the instance cannot be used yet; empty if it can.

        :raises Taken: a foreign process listens at its address.
        """
        if not self.pid:
            return "it has not begun yet"
        return self.socket.missing(self.supervisor)

    def kill(self) -> None:
        """Kill the process group of the command, should its supervisor have been killed."""
        if self.pid and self.child.is_own and not self.has_ended:
            # No other group gets this number while there is a process in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Release descriptors and files, and reap the supervisor, which has ended."""
        self.socket.close()
        self.child.close()
        if self.child.is_own:
            _remove(self.folder)  # should the supervisor have been killed

    def abandon(self) -> None:
        """Close the copies of its descriptors, in a forked process."""
        self.socket.close()
        self.child.abandon()


def _new_folder() -> str:
    # Not by mkdtemp, which has a lock: a process that is forked meanwhile could not use it.
    path = os.path.join(tempfile.gettempdir(), f"wsgiproxy-{secrets.token_hex(8)}")
    os.mkdir(path, 0o700)
    return path


def _remove(folder: str) -> None:
    """Remove a folder of an instance. Unlike shutil.rmtree, this needs no descriptor."""
    for name in ("secret", "socket", CONTROL, ALIVE):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _new_secret(folder: str) -> str:
    path = os.path.join(folder, "secret")
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # In UTF-8, which is loaded: a process forked while a codec is being loaded never gets it.
    with open(number, "w", encoding="utf-8") as file:
        file.write(new_key("spawn") + "\n")
    return path


def _child(
    plan: Plan, socket: Socket, folder: str, secret_file: str | None, control: Connection | None
) -> SupervisedProcess:
    values = socket.values
    more = {name: fill(value, values) for name, value in plan.variables.items()}
    if secret_file is not None:
        more[SECRET_FILE] = secret_file
    if socket.inherited is not None and not plan.names_fd:
        more["LISTEN_FDS"] = "1"  # with {fd} as well, gunicorn would open it twice
    if plan.kind == "port":
        more.setdefault("PORT", values["port"])  # the convention of Heroku and of Node.js
    return SupervisedProcess.start(
        [fill(word, values) for word in plan.command],
        folder=folder,
        cwd=plan.cwd,
        environment=environment(plan.inherit_env, more),
        inherited=socket.inherited,
        control=control,
    )
