"""What `site.py` is, as an ASGI application: for uvicorn."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["site"]

Event = dict[str, Any]

_go = asyncio.Event()


async def site(
    scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
) -> None:
    assert scope["type"] == "http"

    async def start(kind: bytes) -> None:
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def block(body: bytes, more: bool = False) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})

    if scope["path"] == "/stream":
        await start(b"text/event-stream")
        await block(b"first\n", True)
        await asyncio.wait_for(_go.wait(), 30)
        await block(b"last\n")
        return
    if scope["path"] == "/go":
        _go.set()
    digest = hashlib.sha256()
    more = True
    while more:
        event = await receive()
        digest.update(event.get("body", b""))
        more = event.get("more_body", False)
    told = {"PATH_INFO": scope["path"], "body_sha256": digest.hexdigest()}
    await start(b"application/json")
    await block(json.dumps(told).encode())
