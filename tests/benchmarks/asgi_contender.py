"""`ASGIProxyApp` in one process: as it is, with access lines, and the pure rules of it alone.

``python -m tests.benchmarks.asgi_contender LOOP PORT FIELDS FILE`` with LOOP uvloop or asyncio
checks all of them against the upstream at PORT, prints "ready", and answers every line with a
number of requests by one line of JSON: the CPU microseconds that each of them took, for each of
PARTS (``time.process_time_ns`` of this process, all of its threads). Access lines go to FILE.
"""

from __future__ import annotations

import asyncio
import json
import logging
import select
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.apps import write_access_lines
from tests.benchmarks.contender import SMALL, WARM_UP, fields

OURS, LOGGED, RULES, WAITING = PARTS = (
    "ours",
    "ours, access lines",
    "pure rules",
    "pure rules, and waiting",
)
AT_ONCE = 16
FIELDS_SENT = 16  # those of a browser, and what the rules add
Scope = dict[str, Any]
Rules = Callable[[Scope], tuple[int, int]]


def new_scope(port: int, count: int) -> Callable[[], Scope]:
    """What makes a scope as uvicorn does, with `count` fields of a browser."""
    headers = [(name.lower().encode(), value.encode()) for name, value in fields(count)]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", port),
        "client": ("127.0.0.1", 54321),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": "/1k",
        "raw_path": b"/1k",
        "query_string": b"",
    }
    return lambda: {**scope, "headers": list(headers), "state": {}}


class Exchange:
    """The server's side of one request without a body: what it is asked, and what it is sent."""

    __slots__ = ("asked", "done", "size", "status")

    def __init__(self) -> None:
        self.asked = False
        self.done: asyncio.Event | None = None
        self.status = 0
        self.size = -1

    async def receive(self) -> dict[str, Any]:
        """The empty body, and when the answer is whole, the end."""
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self.done is None:
            self.done = asyncio.Event()
        await self.done.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self.status, self.size = message["status"], 0
            return
        self.size += len(message.get("body", b""))
        if not message.get("more_body", False) and self.done is not None:
            self.done.set()


async def ask(application: Any, make: Callable[[], Scope], requests: int) -> None:
    """So many requests, AT_ONCE of them at a time."""

    async def client(number: int) -> None:
        for _ in range(number):
            exchange = Exchange()
            await application(make(), exchange.receive, exchange.send)
            if (exchange.status, exchange.size) != (200, SMALL):
                sys.exit(f"status and length are {(exchange.status, exchange.size)}")

    await asyncio.gather(*(client(requests // AT_ONCE) for _ in range(AT_ONCE)))


def pure_rules(port: int) -> Rules:
    """What :func:`ask` has done with one request, but for the connections and the waiting.

    The answer is one that the upstream has really given.
    """
    from wsgiproxy.sansio.environ import scope as scopes
    from wsgiproxy.sansio.h1 import Limits, ResponseReader, request_head
    from wsgiproxy.sansio.href import parse_href
    from wsgiproxy.sansio.message import Request
    from wsgiproxy.sansio.pipeline import client_response, outgoing
    from wsgiproxy.sansio.policy.reverse import ReversePolicy
    from wsgiproxy.settings import APP, resolve
    from wsgiproxy.settings.parts import PARTS as ALL

    values = resolve(ALL["WSGIProxyApp"], {})
    options = {row.name: values[row.name] for row in APP}
    policy = ReversePolicy(parse_href(f"http://127.0.0.1:{port}"), options, "wsgiproxy-bench")
    limits = Limits()

    def answer_to(scope: Scope) -> tuple[ResponseReader, bytes, Any]:
        inbound = scopes.read(scope)
        _, request, context, _ = outgoing(inbound, policy)
        return ResponseReader(inbound.method, limits), request_head(request, limits), context

    def rules(scope: Scope) -> tuple[int, int]:
        reader, _, context = answer_to(scope)
        body = reader.feed(answer)
        assert reader.head is not None
        head, _ = client_response(Request("GET", "/", []), reader.head, policy, context)
        start = {
            "type": "http.response.start",
            "status": head.status,
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in head.headers
            ],
        }
        return start["status"], len(body)

    answer = _answer(port, answer_to(new_scope(port, 12)())[1])
    return rules


def _answer(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < SMALL:
            block = connection.recv(65536)
            if not block:
                sys.exit(f"the upstream answers {answer[:80]!r}")
            answer += block
    return answer


class Bare(asyncio.Protocol):
    """The least that waits for an answer: one write, one future, and the poll before reuse."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._answer: asyncio.Future[bytes] | None = None

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Write a request; what its answer will be."""
        if self._poll.poll(0):
            sys.exit("the upstream has closed a kept connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._sock.send(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """A whole answer, since it is small."""
        assert self._answer is not None
        self._answer.set_result(data)


async def ask_bare(port: int, rules: Rules, make: Callable[[], Scope], requests: int) -> None:
    """As :func:`ask`, but with the pure rules and :class:`Bare` alone."""
    loop, kept = asyncio.get_running_loop(), []
    request = "".join(f"{name}: {value}\r\n" for name, value in fields(FIELDS_SENT))
    data = f"GET /1k HTTP/1.1\r\n{request}\r\n".encode()
    for _ in range(AT_ONCE):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        kept.append((await loop.create_connection(partial(Bare, sock), sock=sock))[1])

    async def client(number: int) -> None:
        for _ in range(number):
            rules(make())
            connection = kept.pop()
            answer = await connection.ask(data)
            kept.append(connection)
            if len(answer) <= SMALL:
                sys.exit(f"the answer is {answer!r}")

    await asyncio.gather(*(client(requests // AT_ONCE) for _ in range(AT_ONCE)))
    for connection in kept:
        connection._sock.shutdown(socket.SHUT_RDWR)


class Contender:
    """All of PARTS, ready to be measured."""

    def __init__(self, port: int, count: int, file: Path) -> None:
        from wsgiproxy.asgi import ASGIProxyApp
        from wsgiproxy.observe import accesslog

        self._port = port
        self._send_to = accesslog.send_to
        self._application = ASGIProxyApp(f"http://127.0.0.1:{port}")
        self._make = new_scope(port, count)
        self._rules = pure_rules(port)
        self._log = logging.getLogger("wsgiproxy.access")
        self._write = write_access_lines(file)
        self._sink = accesslog._sink

    async def measure(self, requests: int) -> dict[str, float]:
        """CPU microseconds for a request of each part, one after the other."""
        found = {}
        for part in PARTS:
            self._log.setLevel(logging.INFO if part == LOGGED else logging.WARNING)
            self._send_to(self._sink if part == LOGGED else None)
            begun = time.process_time_ns()
            if part == RULES:
                for _ in range(requests):
                    self._rules(self._make())
            elif part == WAITING:
                await ask_bare(self._port, self._rules, self._make, requests)
            else:
                await ask(self._application, self._make, requests)
                self._write()
            found[part] = (time.process_time_ns() - begun) / 1000 / requests
        return found

    async def check(self) -> None:
        """Warm up, and see that all of them answer what they should."""
        await self.measure(WARM_UP)
        if (found := self._rules(self._make())) != (200, SMALL):
            sys.exit(f"the rules alone: status and length are {found}")


async def serve(contender: Contender) -> None:
    """Answer each line of stdin."""
    await contender.check()
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await contender.measure(int(line))), flush=True)


def main(kind: str, port: int, count: int, file: Path) -> None:
    """Measure as often as stdin asks for it, in a loop of that kind."""
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
    if kind == "uvloop":
        import uvloop

        run = uvloop.run

    async def whole() -> None:
        await serve(Contender(port, count, file))

    run(whole())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
