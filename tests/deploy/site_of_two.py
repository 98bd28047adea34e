"""The site of docs/deploy on two machines behind HAProxy, with one Redis, and users who use it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.deploy.machines import Machine, Network
from tests.support.daemon import Daemon, daemon, program

__all__ = ["DEPLOY", "Site", "User", "behind_haproxy", "eventually", "using"]

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "deploy"
_LIMIT = 30  # seconds until a condition has to be met


def eventually(condition: Callable[[], object], what: Callable[[], str]) -> None:
    """Wait for a condition; AssertionError with *what* if it does not come."""
    deadline = time.monotonic() + _LIMIT
    while not condition():
        assert time.monotonic() < deadline, what()
        threading.Event().wait(0.02)


class Program:
    """A server with its workers, a process group of its own."""

    def __init__(self, command: list[str], env: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115 (kill)
        self._process = subprocess.Popen(
            command,
            cwd=DEPLOY,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        """The end of what it has written."""
        self._log.seek(0)
        return self._log.read()[-3000:]

    def kill(self) -> None:
        """End it and its workers at once, in the middle of whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._log.close()


class Host:
    """A machine with its front and its backend.

    :param asynchronous: the front is the one for ASGI, under uvicorn.
    """

    def __init__(
        self, machine: Machine, folder: Path, env: Mapping[str, str], *, asynchronous: bool
    ) -> None:
        self.name = machine.name
        self.socket = str(folder / f"{machine.name}.sock")
        self._env = {**env, "HOST_NAME": machine.name, "BACKEND": f"unix:{self.socket}"}
        gunicorn = [sys.executable, "-m", "gunicorn", "--no-control-socket", "--workers", "2"]
        gunicorn += ["--threads", "4"]
        uvicorn = [sys.executable, "-m", "uvicorn", "--workers", "2", "--no-access-log"]
        bound = f"{machine.address}:{machine.port}"
        front = [*gunicorn, "--bind", bound, "front:application"]
        if asynchronous:
            address = ["--host", machine.address, "--port", str(machine.port)]
            front = [*uvicorn, *address, "front:asgi"]
        self._front = [*machine.prefix, *front]
        backend = [*gunicorn, "--bind", f"unix:{self.socket}", "backend:application"]
        self._backend = [*machine.prefix, *backend]
        self._running: dict[str, Program] = {}

    def start(self) -> None:
        """Start what does not run."""
        for name, command in (("backend", self._backend), ("front", self._front)):
            if name not in self._running:
                self._running[name] = Program(command, self._env)

    def kill(self, *names: str) -> None:
        """Kill the processes of the front, the backend, or both."""
        for name in names or tuple(self._running):
            self._running.pop(name).kill()

    @property
    def log(self) -> str:
        """What its programs have written."""
        return "\n".join(f"-- {name}\n{each.log}" for name, each in self._running.items())


class Site:
    """Two hosts behind a running HAProxy."""

    def __init__(self, port: int, hosts: dict[str, Host], front: Daemon) -> None:
        self.port = port
        self.hosts = hosts
        self.front = front
        self.silence: Callable[[str, bool], None] | None = None

    def serving(self) -> set[str]:
        """The hosts that answer the users who have been there."""
        return {name for name in self.hosts if self._answers(name)}

    def _answers(self, name: str) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, Refused):
            return bool(self.ask_once(f"MACHINE={name}")["host"] == name)
        return False

    def ask_once(self, cookie: str = "") -> dict[str, Any]:
        """What a user with a cookie, or a new one, is told."""
        user = User(self.port)
        user.cookie = cookie
        try:
            return user.ask()
        finally:
            user.leave()

    def wait_for(self, *names: str) -> None:
        """Return when these hosts answer, and no others."""
        eventually(lambda: self.serving() == set(names), lambda: f"not {names}:\n{self.log}")

    @property
    def log(self) -> str:
        """What HAProxy and the hosts have written."""
        hosts = "\n".join(f"-- {each.name}\n{each.log}" for each in self.hosts.values())
        return f"-- HAProxy\n{self.front.log}\n{hosts}"


@contextlib.contextmanager
def behind_haproxy(network: Network, folder: Path, secret_file: str) -> Iterator[Site]:
    """The site in a network, when both of its hosts serve."""
    env = {
        "SECRET_FILE": secret_file,
        "REDIS_URL": f"unix://{folder}/redis.sock",
        "TRUSTED_PROXIES": " ".join(network.front),
    }
    hosts = [
        Host(machine, folder, env, asynchronous=machine.name == "two")
        for machine in network.machines
    ]
    places = {
        f"HOST_{each.name.upper()}": f"{each.address}:{each.port}" for each in network.machines
    }
    # A socket stays in the network in which it was made, whichever process accepts its connections.
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:
        for host in hosts:
            stack.callback(host.kill)
            host.start()
        os.set_inheritable(listener.fileno(), True)
        settings = {**places, "BIND": f"fd@{listener.fileno()}", "SILENCE": "2s"}
        command = [*network.prefix, program("haproxy"), "-db", "-f", str(DEPLOY / "haproxy.cfg")]
        front = stack.enter_context(daemon(command, env=settings, pass_fds=[listener.fileno()]))
        site = Site(listener.getsockname()[1], {host.name: host for host in hosts}, front)
        site.wait_for("one", "two")
        yield site


class Refused(Exception):
    """An answer that is not the shop's: its status and body."""


_NUMBERS = itertools.count(1)


class User:
    """A browser: it keeps one connection, and its cookie, and repeats a GET that was cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None
        self.cookie = ""
        #: The hosts that answered, each as often in a row as it did.
        self.hosts: list[str] = []
        self.lost: list[str] = []
        self.cut = 0
        #: Orders that were confirmed.
        self.ordered: list[str] = []

    def ask(self, method: str = "GET", path: str = "/shop") -> dict[str, Any]:
        """One request, and what the shop tells.

        :raises Refused: another status than 200.
        """
        number = str(next(_NUMBERS))
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        try:
            headers = {"Cookie": self.cookie} if self.cookie else {}
            self._connection.request(method, f"{path}?number={number}", headers=headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except BaseException:
            self.leave()
            raise
        if answer.status != 200:
            raise Refused(f"{answer.status} {body[:200]!r}")
        self.cookie = (answer.getheader("Set-Cookie") or self.cookie).partition(";")[0]
        told: dict[str, Any] = json.loads(body)
        assert told["number"] == number
        return told

    def leave(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self) -> None:
        """A request that may be repeated. An answer that was cut after its head is asked again."""
        try:
            try:
                told = self.ask()
            except http.client.IncompleteRead:
                self.cut += 1
                told = self.ask()
        except (OSError, http.client.HTTPException, Refused) as error:
            self.lost.append(repr(error))
            return
        self.hosts.append(told["host"])

    def order(self) -> None:
        """A request that may not be repeated, and may fail."""
        with contextlib.suppress(OSError, http.client.HTTPException, Refused):
            told = self.ask("POST", "/orders")
            assert told["times"] == 1, told
            self.ordered.append(told["number"])

    def changes(self) -> int:
        """How often it was sent to another host."""
        return sum(first != second for first, second in itertools.pairwise(self.hosts))


class Crowd:
    """Users who all use the site until they are told to stop."""

    def __init__(self, port: int, count: int) -> None:
        self.users = [User(port) for _ in range(count)]
        self.wrong: list[BaseException] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._use, args=[user]) for user in self.users]
        for thread in self._threads:
            thread.start()

    def _use(self, user: User) -> None:
        try:
            for turn in itertools.count():
                if self._over.is_set():
                    return
                user.order() if turn % 5 == 4 else user.get()
        except BaseException as error:
            self.wrong.append(error)
        finally:
            user.leave()

    def goes_on(self, count: int = 12) -> None:
        """Return when each of them has had so many more answers, or has lost one."""
        wanted = {user: len(user.hosts) + count for user in self.users}
        for user, answers in wanted.items():
            eventually(
                lambda user=user, answers=answers: len(user.hosts) >= answers or user.lost,
                lambda: "a user waits for ever",
            )

    def at(self) -> Counter[str]:
        """How many users were answered last by each host."""
        return Counter(user.hosts[-1] for user in self.users)

    def stop(self) -> None:
        """Let each of them end its request."""
        self._over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@contextlib.contextmanager
def using(site: Site, count: int = 6) -> Iterator[Crowd]:
    """Users who use the site for the time of a block."""
    crowd = Crowd(site.port, count)
    try:
        yield crowd
    finally:
        crowd.stop()
