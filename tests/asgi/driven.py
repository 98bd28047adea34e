"""One request to an ASGI application, as a server makes it, in an event loop of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from wsgiproxy.asgi.body import Message, Scope

__all__ = ["Client", "ask", "scope_of"]

App = Callable[..., Awaitable[None]]
Fields = Iterable[tuple[str, str]]


def scope_of(method: str, target: str, headers: Fields = (), **more: Any) -> Scope:
    """The scope of a request, as uvicorn makes it."""
    from urllib.parse import unquote

    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode())
            for name, value in [("Host", "front.example"), *headers]
        ],
        "client": ("192.0.2.1", 40000),
        "server": ("127.0.0.1", 8080),
        "state": {},
        **more,
    }


@dataclass
class Client:
    """What one client sends, and what it gets.

    :param blocks: of the body.
    :param sent: the messages of the application.
    :param leaves: told of each message; the client leaves when it returns true.
    """

    scope: Scope
    blocks: list[bytes] = field(default_factory=list)
    leaves: Callable[[Message], bool] = lambda message: False
    sent: list[Message] = field(default_factory=list)

    async def run(self, app: App) -> None:
        """Have *app* serve the request.

        What it raises comes out, as in a server, which breaks the connection then.
        """
        blocks = list(self.blocks) or [b""]
        left = asyncio.Event()

        async def receive() -> Message:
            if blocks:
                block = blocks.pop(0)
                return {"type": "http.request", "body": block, "more_body": bool(blocks)}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)
            if self.leaves(message):
                left.set()
            await asyncio.sleep(0)

        await app(self.scope, receive, send)

    @property
    def status(self) -> int:
        starts = [each for each in self.sent if each["type"] == "http.response.start"]
        assert len(starts) == 1, self.sent
        return int(starts[0]["status"])

    def values(self, name: str) -> list[str]:
        """The values of the fields of the answer under *name*."""
        (start,) = [each for each in self.sent if each["type"] == "http.response.start"]
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in start["headers"] if key == wanted]

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.sent)

    @property
    def is_whole(self) -> bool:
        """Whether the answer has an end."""
        last = self.sent[-1]
        return last["type"] == "http.response.body" and not last.get("more_body")

    @property
    def told(self) -> dict[str, Any]:
        """What an echoing upstream says that it received."""
        assert self.status == 200, self.sent
        told: dict[str, Any] = json.loads(self.body)
        return told

    def received(self, name: str) -> list[str]:
        """The values of the fields that an echoing upstream received under *name*."""
        return [value for key, value in self.told["headers"] if key.lower() == name.lower()]


def ask(
    app: App,
    method: str,
    target: str,
    headers: Fields = (),
    body: bytes | None = None,
    *,
    close: Callable[[], None] = lambda: None,
    leaves: Callable[[Message], bool] = lambda message: False,
    **more: Any,
) -> Client:
    """One exchange.

    :param close: called at its end, in the event loop.
    :param more: other members of the scope.
    """
    fields = list(headers)
    if body is not None:
        fields.append(("Content-Length", str(len(body))))
    blocks = [body] if body else []
    client = Client(scope_of(method, target, fields, **more), blocks, leaves)

    async def exchange() -> None:
        try:
            await client.run(app)
        finally:
            close()
            await asyncio.sleep(0)  # connections close in the next turn of the loop

    asyncio.run(exchange())
    return client
