"""Scopes that are no request: the lifespan, a WebSocket, and types that are not known."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.asgi_calls import Caller, http_scope, judged
from tests.support.messages import answer
from tests.support.upstream import RawUpstream
from wsgiproxy.asgi import ASGIProxyApp
from wsgiproxy.errors import NotSupported

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


def test_the_end_of_the_lifespan_closes_kept_connections(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(body=b"hello")
    app = ASGIProxyApp(upstream.url)

    async def serve() -> None:
        asked = Caller()
        assert await asked(app, scope := http_scope()) is None
        assert judged(asked.sent, scope)
        assert not upstream.accepted[0].ended_by_peer
        life = Caller([STARTUP, SHUTDOWN])
        assert await life(app, {"type": "lifespan"}) is None
        names = [each["type"] for each in life.sent]
        assert names == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        await asyncio.sleep(0)  # the loop closes what was aborted in its next round

    asyncio.run(serve())
    assert upstream.wait_until(lambda: upstream.accepted[0].ended_by_peer, 5)


@pytest.mark.parametrize(
    ("extensions", "types"),
    [
        ({}, ["websocket.close"]),
        (None, ["websocket.close"]),
        (
            {"websocket.http.response": {}},
            ["websocket.http.response.start", "websocket.http.response.body"],
        ),
    ],
)
def test_a_websocket_is_refused(
    extensions: dict[str, object] | None, types: list[str], upstream: RawUpstream
) -> None:
    scope = {**http_scope(extensions=extensions), "type": "websocket", "scheme": "ws"}
    del scope["method"]  # it has none
    caller = Caller([{"type": "websocket.connect"}])
    assert asyncio.run(caller(ASGIProxyApp(upstream.url, upgrade=()), scope)) is None
    assert [each["type"] for each in caller.sent] == types
    assert caller.sent[0].get("status", 501) == 501
    assert upstream.accepted == []


def test_another_type_is_not_served(upstream: RawUpstream) -> None:
    """The specification has an application raise, so that the server knows."""
    caller = Caller()
    error = asyncio.run(caller(ASGIProxyApp(upstream.url), {"type": "webtransport"}))
    assert isinstance(error, NotSupported)
    assert caller.sent == []
