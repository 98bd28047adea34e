"""Servers of Debian packages, started by a test with a configuration of its own.

They listen on a free port, keep nothing, and end with the block.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.ports import free_port

__all__ = ["Daemon", "daemon", "haproxy", "nginx", "program", "redis_server"]

_START_LIMIT = 30  # seconds
_ROOT = Path(__file__).resolve().parents[2]

Address = tuple[str, int] | str


def program(name: str) -> str:
    """The path of a program; daemons are often where only root looks."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path) or name


class Daemon:
    """A running process, and what it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[str]) -> None:
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def wait_for(self, address: Address) -> None:
        """Return when it listens; AssertionError if it ends before, or takes too long."""
        deadline = time.monotonic() + _START_LIMIT
        while not _listens(address):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                raise AssertionError(f"it ended before it listened; its output:\n{self.log}")
            assert time.monotonic() < deadline, f"it does not listen; its output:\n{self.log}"

    def stop(self) -> None:
        """End it; more than once does no harm."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def _listens(address: Address) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


@contextlib.contextmanager
def daemon(
    command: Sequence[str],
    *listens: Address,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[Daemon]:
    """Run *command* until the end of the block, which begins when it listens."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), **(env or {})}
    with tempfile.TemporaryFile("a+", errors="replace") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=_ROOT,
            pass_fds=pass_fds,
        )
        running = Daemon(process, log)
        try:
            for address in listens:
                running.wait_for(address)
            yield running
        finally:
            running.stop()


_NGINX = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
{server}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, server: str) -> Iterator[int]:
    """The port of an nginx with *server* in its server block."""
    port = free_port()
    # As root it would give up the rights that its workers need for our folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(user=user, folder=folder, port=port, server=server))
    command = [program("nginx"), "-p", str(folder), "-c", str(config), "-e", "stderr"]
    with daemon(command, ("127.0.0.1", port)):
        yield port


_HAPROXY = """
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
"""


@contextlib.contextmanager
def haproxy(folder: Path, sections: str) -> Iterator[int]:
    """The port of an HAProxy with *sections*, of which one has ``bind :80``."""
    port = free_port()
    config = folder / "haproxy.cfg"
    assert sections.count("bind :80\n") == 1, sections
    config.write_text(_HAPROXY + sections.replace("bind :80\n", f"bind 127.0.0.1:{port}\n"))
    with daemon([program("haproxy"), "-db", "-f", str(config)], ("127.0.0.1", port)):
        yield port


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[Daemon]:
    """A Redis at the socket ``redis.sock`` of a folder, with nothing on disk."""
    path = str(folder / "redis.sock")
    settings = {"port": "0", "unixsocket": path, "save": "", "appendonly": "no"}
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    with daemon([program("redis-server"), *options, "--dir", str(folder)], path) as running:
        yield running
