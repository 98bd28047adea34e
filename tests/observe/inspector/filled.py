"""Rings that are filled by hand, and a client of the page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.heads import KNOWN
from wsgiproxy.observe.inspector.page import Page
from wsgiproxy.observe.inspector.page_server import PageServer
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.message import Headers, Origin, Request, ResponseHead
from wsgiproxy.sansio.secrets import Secrets

ORIGIN = Origin("http", "127.0.0.1", 9000)


def add(
    ring: Ring,
    target: str = "/",
    headers: Headers | None = None,
    body: bytes = b"",
    *,
    method: str = "GET",
    answer: tuple[int, Headers, bytes] | None = None,
) -> Exchange:
    """An exchange, ended if there is an answer."""
    fields = [("Host", "app.example"), *(headers or [])]
    exchange = ring.new(KNOWN, (method, target, "HTTP/1.1", fields, "192.0.2.1"), "http")
    if body:
        exchange.body = exchange.new_body()
        exchange.body.add(body)
        exchange.body.end()
    ring.add(exchange)
    if answer is not None:
        status, answer_headers, answer_body = answer
        exchange.begin_answer(f"{status} Some Reason", answer_headers)
        exchange.add_answer(answer_body)
        exchange.end()
    return exchange


def attempt(exchange: Exchange, headers: Headers, answer: ResponseHead | None = None) -> Any:
    """What one upstream got, and answered."""
    head = exchange.request
    tried = exchange.attempt(ORIGIN, Request(head.method, head.target, headers), is_changed=False)
    if answer is not None:
        tried.take(answer, is_reused=False)
        tried.end(is_whole=True)
    return tried


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


class Client:
    """Asks for paths below the token."""

    def __init__(self, server: PageServer) -> None:
        self.server = server
        self.url = urlsplit(server.url)
        self.origin = f"http://{self.url.netloc}"

    @contextlib.contextmanager
    def opened(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> Iterator[HTTPResponse]:
        """A response, read by the test; *path* is below the token, or begins with a slash."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST":
            fields = {"Origin": self.origin, "Content-Type": "application/json", **fields}
        whole = path if path.startswith("/") else self.url.path + path
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = HTTPConnection(self.url.hostname or "", self.url.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, whole, data, fields)
            with connection.getresponse() as response:
                yield response

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Got:
        """A whole response."""
        with self.opened(path, method, body, **headers) as response:
            return Got(response.status, dict(response.getheaders()), response.read())

    def json(self, path: str) -> Any:
        """JSON of the API."""
        got = self.ask(f"api/{path}")
        assert got.status == 200, got
        return got.json

    def post(self, path: str, value: Any, **headers: str) -> Got:
        """Something to do."""
        return self.ask(f"api/{path}", "POST", value, **headers)


@contextlib.contextmanager
def served(ring: Ring, secrets: Secrets | None = None, **options: Any) -> Iterator[Client]:
    """A page of a ring, on a free port."""
    server = PageServer(
        lambda token: Page(ring, token, secrets or Secrets(), **options), "127.0.0.1:0"
    )
    try:
        yield Client(server)
    finally:
        server.close()
