"""What a tunnel costs: 256 MiB down (GET) and up (PUT) through CONNECT, by ``wsgiproxy forward``.

Beside it are tinyproxy and squid, the programs of Debian, in turns in the same run; ratios are to
the faster of both in that round. Figures are those of ``streaming``: throughput, the proxy's CPU,
and how much its memory grew at the peak over what was resident before. Client and upstream speak
plain text, since nobody in between could tell; the upstream is nginx, which writes an upload to a
file, so the throughput of an upload has that price in it, the same for everyone.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path

from tests.benchmarks import load
from tests.benchmarks.processes import Process, Unavailable, wait_until_ready
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from tests.benchmarks.servers import Server, Skip, in_turns
from tests.benchmarks.streaming import transfer
from tests.benchmarks.upstream import BIG, SMALL, running_upstream
from tests.support.ports import free_port

TITLE = "Tunnels of 256 MiB through browser proxies"
OURS = "wsgiproxy forward"
PEERS = ("tinyproxy", "squid")
FASTER = "the faster of " + " and ".join(PEERS)
_BLOCK = 256 * 1024
_LIMIT = 60.0  # seconds for one step
_CONFIGS = {
    "tinyproxy": """\
Port {port}
Listen 127.0.0.1
Timeout 600
Allow 127.0.0.1
LogLevel Error
""",
    # Nothing is kept, written or asked for: what is left is the proxy.
    "squid": """\
http_port 127.0.0.1:{port}
http_access allow localhost
http_access deny all
cache deny all
access_log none
cache_log stdio:/dev/stderr
cache_store_log none
pid_filename none
netdb_filename none
coredump_dir /tmp
pinger_enable off
visible_hostname localhost
shutdown_lifetime 0 seconds
""",
}
_FLAGS = {"tinyproxy": ("-d", "-c"), "squid": ("-N", "-f")}


def path_of(name: str) -> str:
    """Where a program is; Debian keeps daemons outside of a user's PATH."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path


def version_of(name: str) -> str:
    """What a program says of itself, or that there is none."""
    try:
        answer = subprocess.run([path_of(name), "-v"], capture_output=True, text=True, check=False)
    except Unavailable as error:
        return str(error)
    found = re.search(r"\d+(\.\d+)+", answer.stdout)
    return f"{name} {found[0] if found else 'of an unknown version'}"


def command_of(name: str, place: Path, port: int, upstream: int) -> list[str]:
    """The command of one proxy at *port*, its files in *place*."""
    if name == OURS:
        command = [sys.executable, "-m", "wsgiproxy", "forward", "--no-access-log"]
        return [*command, "--listen", f"127.0.0.1:{port}", "--allow", f"127.0.0.1:{upstream}"]
    config = place / "config"
    config.write_text(_CONFIGS[name].format(port=port))
    return [path_of(name), *_FLAGS[name], str(config)]


def start(name: str, directory: Path, upstream: int) -> Server:
    """One proxy, ready; raises Unavailable with the reason."""
    port = free_port()
    place = directory / f"proxy-{port}"
    place.mkdir()
    process = Process(command_of(name, place, port, upstream), place / "log")
    try:
        wait_until_ready(process, port, f"http://127.0.0.1:{upstream}/1k", SMALL)
    except BaseException:
        process.stop()
        raise
    return Server(name, process, port)


@contextmanager
def running(directory: Path, upstream: int, skip: Skip) -> Iterator[list[Server]]:
    """Those proxies that start; *skip* is told the name and the reason of the others."""
    with ExitStack() as stack:
        servers = []
        for name in (OURS, *PEERS):
            try:
                server = start(name, directory, upstream)
            except Unavailable as reason:
                skip(name, str(reason))
                continue
            stack.callback(server.process.stop)
            servers.append(server)
        yield servers


class Tunnel(load.Client):
    """A client of one request through CONNECT, to be run once.

    :param upload: bytes of its body, which are zeros.
    """

    def __init__(self, server: Server, upstream: int, request: bytes, upload: int = 0) -> None:
        self._address = ("127.0.0.1", server.port)
        self._upstream = upstream
        self._request = request
        self._upload = upload

    def run(self, requests: int = 1, seconds: float = _LIMIT) -> load.Answered:
        """Open the tunnel, and count what comes out of it until it ends."""
        start = time.monotonic()
        try:
            with socket.create_connection(self._address, seconds) as sock:
                self._open(sock)
                sock.sendall(self._request)
                self._send(sock)
                good, size = _answer(sock)
        except OSError as error:
            raise Unavailable(f"the tunnel broke: {error}") from error
        return load.Answered(1, int(not good), size, 0, time.monotonic() - start)

    def _open(self, sock: socket.socket) -> None:
        authority = f"127.0.0.1:{self._upstream}"
        sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = b""
        # Byte by byte: what follows the head is the tunnel's.
        while not head.endswith(b"\r\n\r\n") and (byte := sock.recv(1)):
            head += byte
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise Unavailable(f"no tunnel: {head[:100]!r}")

    def _send(self, sock: socket.socket) -> None:
        zeros = memoryview(bytes(_BLOCK))
        left = self._upload
        while left:
            left -= sock.send(zeros[:left])


def _answer(sock: socket.socket) -> tuple[bool, int]:
    """Whether it was a 2xx, and the size of its body, which ends with the connection."""
    block = memoryview(bytearray(_BLOCK))
    head = b""
    while b"\r\n\r\n" not in head and (size := sock.recv_into(block)):
        head += block[:size]
    head, _, first = head.partition(b"\r\n\r\n")
    total = len(first)
    while size := sock.recv_into(block):
        total += size
    return head.startswith(b"HTTP/1.1 2"), total


def download(upstream: int, server: Server) -> tuple[float, float, float]:
    """MiB a second, CPU milliseconds and MiB of growth of one download."""
    request = load.head("GET /big", [*load.BROWSER, ("Connection", "close")])
    return transfer(server, Tunnel(server, upstream, request), answer=BIG)


def upload(directory: Path, upstream: int, server: Server) -> tuple[float, float, float]:
    """The same of one upload, which has to arrive whole."""
    fields = [*load.BROWSER, ("Content-Length", str(BIG)), ("Connection", "close")]
    arrived = directory / "upstream" / "root" / "upload" / "big"
    arrived.unlink(missing_ok=True)
    found = transfer(server, Tunnel(server, upstream, load.head("PUT /upload/big", fields), BIG))
    size = arrived.stat().st_size if arrived.exists() else 0
    if size != BIG:
        raise Unavailable(f"{size} of {BIG} bytes arrived")
    arrived.unlink()
    return found


def one_way(session: Session, way: str, upstream: int, servers: Sequence[Server]) -> None:
    """The three figures of one direction."""
    speed: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    grown: dict[str, list[float]] = defaultdict(list)
    report = session.report
    turn = partial(download, upstream)
    if way == "up":
        turn = partial(upload, session.directory, upstream)

    def skip(name: str, reason: str) -> None:
        report.skip(f"{name}, {way}", reason)

    for name, found in in_turns(servers, session.rounds_or(5, 2), turn, skip):
        for samples, value in zip((speed, cpu, grown), found, strict=True):
            samples[name].append(value)
    # In each round: a machine that slows down for a while slows all of them.
    both = zip_longest(*(speed[name] for name in PEERS), fillvalue=0.0)
    speed[FASTER] = [max(pair) for pair in both]
    report.add(f"{way}, MiB/s", speed, against=FASTER, aims={OURS: Aim(">=", 0.5)})
    report.add(f"{way}, CPU ms", cpu)
    limit = Aim("<", 16, of="max", unit=" MiB")
    report.add(f"{way}, growth MiB", grown, aims={OURS: limit})


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    place, report = session.directory, session.report
    with (
        running_upstream(place) as upstream,
        running(place, upstream, report.skip) as servers,
    ):
        one_way(session, "down", upstream, servers)
        one_way(session, "up", upstream, servers)
    paste = f"Paste {importlib.metadata.version('Paste')}"
    report.notes.append(", ".join([paste, *map(version_of, PEERS)]))


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
