"""Two machines behind a third one: network namespaces, or addresses of this machine.

Namespaces have a network of their own, in which a machine can fall silent; they need root, and
the program ``ip``. Files are the same for all, and so are Unix sockets.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.daemon import program
from tests.support.ports import free_port

__all__ = ["Machine", "Network", "in_namespaces", "no_namespaces", "on_loopback"]


@dataclass(frozen=True)
class Machine:
    """One of the two: its name, where its front listens, and what runs a command there."""

    name: str
    address: str
    port: int
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """Both machines, and the one before them, where HAProxy runs.

    :param front: the address of HAProxy, as the machines see it.
    :param prefix: what runs a command beside HAProxy.
    :param silence: ``silence("one", True)`` cuts a machine off: no packet comes or goes. None
        where this cannot be done.
    """

    machines: tuple[Machine, ...]
    front: tuple[str, ...]
    prefix: tuple[str, ...] = ()
    silence: Callable[[str, bool], None] | None = None


@contextlib.contextmanager
def on_loopback() -> Iterator[Network]:
    """Machines at 127.0.0.2 and 127.0.0.3."""
    addresses = {"one": "127.0.0.2", "two": "127.0.0.3"}
    machines = [Machine(name, address, free_port()) for name, address in addresses.items()]
    yield Network(tuple(machines), ("127.0.0.1",))


def _ip(*words: str) -> None:
    """:raises OSError: it cannot be done here."""
    done = subprocess.run([program("ip"), *words], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextlib.contextmanager
def _namespace(name: str) -> Iterator[str]:
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        _ip("netns", "del", name)


@contextlib.contextmanager
def in_namespaces() -> Iterator[Network]:
    """Machines at 198.18.1.2 and 198.18.2.2, a range for tests (RFC 2544) that only they see.

    :raises OSError: namespaces cannot be made here.
    """
    ours = f"wsgiproxy-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        middle = stack.enter_context(_namespace(ours))
        machines = []
        for number, name in enumerate(("one", "two"), 1):
            there = stack.enter_context(_namespace(f"{ours}-{name}"))
            net = f"198.18.{number}"
            peer = ("type", "veth", "peer", "name", "eth0", "netns", there)
            _ip("-n", middle, "link", "add", name, *peer)
            for space, link, address in ((middle, name, f"{net}.1"), (there, "eth0", f"{net}.2")):
                _ip("-n", space, "address", "add", f"{address}/30", "dev", link)
                _ip("-n", space, "link", "set", link, "up")
            prefix = (program("ip"), "netns", "exec", there)
            machines.append(Machine(name, f"{net}.2", 8000, prefix))

        def silence(name: str, silent: bool) -> None:
            # At their end: at ours the kernel would know that there is no way.
            state = "down" if silent else "up"
            _ip("-n", f"{ours}-{name}", "link", "set", "eth0", state)

        prefix = (program("ip"), "netns", "exec", middle)
        yield Network(tuple(machines), ("198.18.1.1", "198.18.2.1"), prefix, silence)


@functools.cache
def no_namespaces() -> str:
    """Why namespaces cannot be made here; nothing, if they can."""
    try:
        with in_namespaces():
            return ""
    except OSError as error:
        return str(error)
