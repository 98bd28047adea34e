"""The handshake of a WebSocket: what the upstream is asked, and what its answer becomes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.asgi.sockets import LIMIT, SWITCH, TEXT, Client, frame, run, scope_of, serving
from tests.support.in_process import key_file
from tests.support.loops import LOOPS, connecting, until
from tests.support.rounds import rounds
from wsgiproxy import WSGIProxyMiddleware
from wsgiproxy.asgi import ASGIProxyApp, ASGIProxyMiddleware
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.environ.scope_environ import environ_of
from wsgiproxy.secretloader import new_key

NO_DENIAL: dict[str, Any] = {"extensions": {}}


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fields(peer: Any) -> dict[str, list[str]]:
    names = {line.partition(":")[0].lower() for line in peer.head[1:]}
    return {name: peer.values(name) for name in names}


# What the upstream is asked


def test_the_request_for_the_upstream(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            ours = [(b"cookie", b"a=b"), (b"origin", b"http://front.example"), (b"x-own", b"1")]
            scope = scope_of(*ours, scheme="wss", subprotocols=["chat", "v2.chat"])
            scope["headers"] += [(b"sec-websocket-protocol", b"chat, v2.chat")]
            scope["headers"] += [(b"sec-websocket-extensions", b"permessage-deflate")]
            client = Client(app, {**scope, "query_string": b"q=%2F"})
            peer = await upstream.peer(switches=False)
            assert peer.head[0] == "GET /x?q=%2F HTTP/1.1"
            found = fields(peer)
            assert found["upgrade"] == ["websocket"]
            assert found["connection"] == ["Upgrade"]
            assert found["sec-websocket-version"] == ["13"]
            assert found["sec-websocket-protocol"] == ["chat, v2.chat"]
            assert "sec-websocket-extensions" not in found
            (key,) = found["sec-websocket-key"]
            assert len(key) == 24 and key != "dGhlIHNhbXBsZSBub25jZQ=="
            assert found["cookie"] == ["a=b"] and found["x-own"] == ["1"]
            assert found["x-forwarded-proto"] == ["https"]
            peer.switch("Sec-WebSocket-Protocol: v2.chat")
            assert (await client.accepted())["subprotocol"] == "v2.chat"
            client.close()
            await client.ended()

    run(loop, main())


@pytest.mark.parametrize("preserve_host", [False, True])
def test_the_host_is_that_of_a_plain_request(preserve_host: bool) -> None:
    async def main() -> None:
        async with serving(preserve_host=preserve_host) as (app, upstream):
            client = Client(app)
            peer = await upstream.peer()
            expected = "front.example" if preserve_host else f"127.0.0.1:{upstream.port}"
            assert peer.values("host") == [expected]
            await client.accepted()
            client.close()
            await client.ended()

    run("asyncio", main())


@pytest.mark.parametrize(
    "subprotocols", [[], [""], ["not a token"]], ids=["none", "empty", "no-token"]
)
def test_no_empty_list_of_subprotocols(subprotocols: list[str]) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app, scope_of(subprotocols=subprotocols))
            peer = await upstream.peer()
            assert not peer.values("sec-websocket-protocol")
            assert (await client.accepted())["subprotocol"] is None
            client.close()
            await client.ended()

    run("asyncio", main())


def test_a_subprotocol_that_stands_in_the_headers_alone() -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            scope = scope_of((b"sec-websocket-protocol", b"chat"))
            del scope["subprotocols"]
            client = Client(app, scope)
            peer = await upstream.peer(switches=False)
            assert peer.values("sec-websocket-protocol") == ["chat"]
            peer.switch("Sec-WebSocket-Protocol: chat")
            assert (await client.accepted())["subprotocol"] == "chat"
            client.close()
            await client.ended()

    run("asyncio", main())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client": None, "server": None}, id="no-addresses"),
        pytest.param({"http_version": "2", "scheme": "wss"}, id="http2"),
        pytest.param({"http_version": "2", "headers": [(b"host", b"a")]}, id="http2-bare"),
        pytest.param({"root_path": "/m", "path": "/m/x", "raw_path": b"/m/x"}, id="mounted"),
    ],
)
def test_scopes_of_other_servers(changes: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app, scope_of(**changes))
            peer = await upstream.peer()
            assert peer.head[0] == "GET /x HTTP/1.1"
            assert peer.values("upgrade") == ["websocket"]
            if "root_path" in changes:
                assert peer.values("x-forwarded-prefix") == ["/m"]
            await client.accepted()
            client.say("a")
            assert await peer.next(TEXT) == b"a"
            client.close()
            await client.ended()

    run("asyncio", main())


def test_compression_is_offered_where_it_is_wanted(loop: str) -> None:
    async def main() -> None:
        async with serving(deflate=True) as (app, upstream):
            client = Client(app)
            peer = await upstream.peer(switches=False)
            (offer,) = peer.values("sec-websocket-extensions")
            assert offer.startswith("permessage-deflate")
            peer.switch("Sec-WebSocket-Extensions: permessage-deflate")
            headers = (await client.accepted())["headers"]
            assert not [name for name, _ in headers if name.startswith(b"sec-websocket")]
            client.say("a" * 1000)
            opcode, data = await asyncio.wait_for(peer.frame(), LIMIT)
            assert opcode == TEXT | 0x40 and len(data) < 50
            client.close()
            await client.ended()

    run(loop, main())


def test_a_handshake_with_a_body_is_400() -> None:
    async def main() -> None:
        async with serving() as (app, _):
            client = Client(app, scope_of((b"content-length", b"5")))
            await client.ended()
            assert client.status == 400

    run("asyncio", main())


# The answer


def test_the_headers_of_the_answer(loop: str) -> None:
    async def main() -> None:
        async with serving(scope_cookies=True) as (app, upstream):
            client = Client(app, scope_of(root_path="/m", path="/m/x", raw_path=b"/m/x"))
            peer = await upstream.peer(switches=False)
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.switch(
                f"Set-Cookie: a=b; Path=/; Domain=127.0.0.1:{upstream.port}",
                "Set-Cookie: c=d; Path=/x",
                "X-Own: 1",
                "Keep-Alive: timeout=5",
                "Content-Length: 0",
            )
            headers = (await client.accepted())["headers"]
            cookies = [value for name, value in headers if name == b"set-cookie"]
            assert len(cookies) == 2
            assert b"Path=/m/x" in cookies[1]
            assert (b"x-own", b"1") in headers
            names = {name for name, _ in headers}
            hop = {b"upgrade", b"connection", b"keep-alive", b"content-length"}
            assert not names & {*hop, b"sec-websocket-accept"}
            client.close()
            await client.ended()

    run(loop, main())


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(b"HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nno!", 401, id="401"),
        pytest.param(
            b"HTTP/1.1 426 U\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nno!", 426, id="426"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno!", 200, id="200"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nno!", 200, id="until-the-end"),
        pytest.param(b"HTTP/1.1 526 Own\r\nContent-Length: 3\r\n\r\nno!", 500, id="no-name"),
        pytest.param(b"HTTP/1.1 498 Own\r\nContent-Length: 3\r\n\r\nno!", 400, id="no-name-4xx"),
    ],
)
def test_a_refusal_is_relayed(loop: str, answer: bytes, status: int) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app)
            peer = await upstream.peer(switches=False)
            peer.send(answer.replace(b"\r\n", b"\r\nX-Why: z\r\n", 1))
            peer.cut()
            await client.ended()
            assert (client.status, client.body) == (status, b"no!")
            assert (b"x-why", b"z") in client.sent[0]["headers"]
            assert not client.sent[-1].get("more_body")
            client = Client(app, scope_of(**NO_DENIAL))
            peer = await upstream.peer(switches=False)
            peer.send(answer)
            peer.cut()
            await client.ended()
            assert client.sent == [{"type": "websocket.close", "code": 1008}]

    run(loop, main())


def test_a_redirect_is_mapped() -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app, scope_of(root_path="/m", path="/m/x", raw_path=b"/m/x"))
            peer = await upstream.peer(switches=False)
            peer.send(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
            await client.ended()
            assert client.status == 302
            (location,) = [v for name, v in client.sent[0]["headers"] if name == b"location"]
            assert location.endswith(b"/m/login")

    run("asyncio", main())


def test_a_refusal_that_breaks_off_has_no_end(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app)
            peer = await upstream.peer(switches=False)
            peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nno")
            assert (await client.next())["status"] == 403
            peer.cut()
            await client.ended()
            assert all(each.get("more_body", True) for each in client.sent)

    with caplog.at_level(logging.WARNING):
        run(loop, main())
    assert len([each for each in caplog.records if each.name == "wsgiproxy.error"]) == 1
    assert "Traceback" not in caplog.text


def test_a_refusal_without_end_breaks_off(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app)
            peer = await upstream.peer(switches=False)
            peer.send(b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n")
            block = b"10000\r\n" + b"a" * 65536 + b"\r\n"
            peer.send(block * 15)
            assert await until(lambda: len(client.body) == 15 * 65536)
            peer.send(block * 5)
            await client.ended()
            assert await peer.lost() == b""
            assert len(client.body) <= 1 << 20
            assert all(each.get("more_body", True) for each in client.sent)

    with caplog.at_level(logging.WARNING):
        run(loop, main())
    assert "more than 1048576 bytes" in caplog.text


GOOD = "Sec-WebSocket-Accept: {key}\r\n"
BAD_ANSWERS = [
    pytest.param(SWITCH + "Sec-WebSocket-Accept: wrong=\r\n\r\n", id="wrong-key"),
    pytest.param(SWITCH + "\r\n", id="no-key"),
    pytest.param(SWITCH + GOOD + GOOD + "\r\n", id="two-keys"),
    pytest.param(
        SWITCH.replace("Upgrade: websocket\r\n", "") + GOOD + "\r\n", id="101-without-upgrade"
    ),
    pytest.param(
        SWITCH.replace("Connection: Upgrade\r\n", "") + GOOD + "\r\n", id="101-without-connection"
    ),
    pytest.param(SWITCH.replace(": websocket", ": h2c") + GOOD + "\r\n", id="other-protocol"),
    pytest.param(SWITCH.replace(": websocket", ": websocket, x") + GOOD + "\r\n", id="two"),
    pytest.param(SWITCH + GOOD + "Sec-WebSocket-Protocol: other\r\n\r\n", id="other-subprotocol"),
    pytest.param(SWITCH + GOOD + "Sec-WebSocket-Protocol: a, b\r\n\r\n", id="two-subprotocols"),
    pytest.param(SWITCH + GOOD + "Sec-WebSocket-Extensions: x\r\n\r\n", id="extension"),
    pytest.param(
        SWITCH + GOOD + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", id="not-offered"
    ),
    pytest.param(SWITCH + GOOD + "X: \0\r\n\r\n", id="nul"),
    pytest.param("HTTP/1.1 999 Much\r\n\r\n", id="999"),
    pytest.param("SSH-2.0-OpenSSH\r\n\r\n", id="another-service"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
@pytest.mark.parametrize("denial", [True, False])
def test_a_hostile_answer_is_502(loop: str, answer: str, denial: bool) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app, scope_of(**({} if denial else NO_DENIAL)))
            peer = await upstream.peer(switches=False)
            peer.send(answer.replace("{key}", peer.accept_key()).encode())
            if not answer:
                peer.cut()
            await client.ended()
            if denial:
                assert client.status == 502
            else:
                (closed,) = client.sent
                assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
            assert await peer.lost() == b""  # the connection is closed

    run(loop, main())


def test_an_upstream_that_is_silent_is_504(loop: str) -> None:
    async def main() -> None:
        async with serving(head_timeout=0.3) as (app, upstream):
            client = Client(app)
            peer = await upstream.peer(switches=False)
            await client.ended()
            assert client.status == 504
            assert await peer.lost() == b""

    run(loop, main())


def test_no_upstream_is_502(loop: str) -> None:
    async def main() -> None:
        async with serving() as (_, upstream):
            port = upstream.port
        client = Client(ASGIProxyApp(f"http://127.0.0.1:{port}"))
        await client.ended()
        assert client.status == 502
        assert b"127.0.0.1" not in client.body

    run(loop, main())


# The client leaves, or the server gives up


def test_a_client_that_leaves_during_the_handshake_frees_the_upstream(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app)
            peer = await upstream.peer(switches=False)
            client.close(1006)
            before = asyncio.get_running_loop().time()
            assert await peer.lost() == b""
            assert asyncio.get_running_loop().time() - before < 1
            with pytest.raises(OSError, match="gone"):  # which its server takes in silence
                await client.ended()

    run(loop, main())


def test_a_client_that_has_left_when_it_is_accepted(loop: str) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app)
            peer = await upstream.peer(switches=False)
            client.is_gone = True
            peer.switch()
            with pytest.raises(OSError, match="gone"):
                await client.ended()
            assert await peer.lost() == b""

    run(loop, main())


# Limits


def test_a_limit_by_number(loop: str) -> None:
    async def main() -> None:
        async with serving(max_websockets=1) as (app, upstream):
            first = Client(app)
            peer = await upstream.peer()
            await first.accepted()
            second = Client(app)
            await second.ended()
            assert second.status == 503
            first.close()
            await first.ended()
            assert await peer.lost()
            third = Client(app)
            await upstream.peer()
            await third.accepted()
            third.close()
            await third.ended()

    run(loop, main())


def test_a_limit_by_client() -> None:
    async def main() -> None:
        async with serving(max_websockets_per_client="1") as (app, upstream):
            first = Client(app)
            await upstream.peer()
            await first.accepted()
            same = Client(app)
            await same.ended()
            assert same.status == 503
            other = Client(app, scope_of(client=("192.0.2.2", 1)))
            await upstream.peer()
            await other.accepted()
            for client in (first, other):
                client.close()
                await client.ended()
            assert not app._upgrades._open

    run("asyncio", main())


def test_a_websocket_that_is_not_allowed_is_501() -> None:
    async def main() -> None:
        async with serving(upgrade=()) as (app, _):
            client = Client(app)
            await client.ended()
            assert client.status == 501

    run("asyncio", main())


@pytest.mark.parametrize("name", ["messages_from_client", "messages_from_upstream"])
def test_a_hook_that_cannot_be_called(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}=5: expected an async generator"):
        ASGIProxyApp("http://127.0.0.1:1", **{name: 5})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("upgrade", "chat"),
        ("max_message", 0),
        ("max_message", "x"),
        ("ping_interval", -1),
        ("websocket_lifetime", 0),
        ("deflate", "x"),
    ],
)
def test_options_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ASGIProxyApp("http://127.0.0.1:1", **{name: value})


# What is written down


def test_the_records_of_websockets(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            client = Client(app)
            peer = await upstream.peer()
            await client.accepted()
            peer.send(frame(TEXT, b"abc"))
            assert await client.heard() == "abc"
            client.close()
            await client.ended()
            client = Client(app)
            peer = await upstream.peer()
            await client.accepted()
            peer.reset()
            await client.closed()
            await client.ended()
            client = Client(app)
            peer = await upstream.peer(switches=False)
            peer.send((SWITCH + "\r\n").encode())
            await client.ended()

    with caplog.at_level(logging.INFO, "wsgiproxy"):
        run("asyncio", main())
    access = [each.getMessage() for each in caplog.records if each.name == "wsgiproxy.access"]
    assert [" GET '/x' 101 3 bytes" in access[0], "Error" in access[0]] == [True, False]
    assert "101 0 bytes" in access[1] and "UpstreamLost" in access[1]
    assert " 502 " in access[2] and "BadResponse" in access[2]
    errors = [each.getMessage() for each in caplog.records if each.name == "wsgiproxy.error"]
    assert len(errors) == 2 and "UpstreamLost" in errors[0] and "BadResponse" in errors[1]


# A signed handshake


@pytest.mark.parametrize("world", ["asgi", "wsgi"])
@pytest.mark.parametrize("is_forged", [False, True])
def test_a_signed_handshake_is_verified(tmp_path: Any, world: str, is_forged: bool) -> None:
    path = key_file(tmp_path / "secret", new_key("k1"))
    seen: list[Any] = []
    said: list[Any] = []

    async def backend(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    def old_backend(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ)
        return []

    async def main() -> None:
        async with serving(secret_file=path, string_keys="user") as (app, upstream):
            signed = {"wsgiproxy": {"user": "ann"}, "scheme": "wss", "root_path": "/m"}
            client = Client(app, scope_of(path="/m/x", raw_path=b"/m/x", **signed))
            peer = await upstream.peer()
            await client.accepted()
            client.close()
            await client.ended()
        pairs = [line.split(": ", 1) for line in peer.head[1:]]
        headers = [(name.lower().encode(), value.encode()) for name, value in pairs]
        scope = {**scope_of(client=("127.0.0.1", 1)), "headers": headers}
        if is_forged:
            scope = {**scope, "path": "/y", "raw_path": b"/y"}

        async def send(message: Any) -> None:
            said.append(message)

        if world == "asgi":
            await ASGIProxyMiddleware(backend, path)(scope, asyncio.Queue[Any]().get, send)
        else:
            environ = {**environ_of(scope), "wsgi.url_scheme": "http"}
            app_of_wsgi = WSGIProxyMiddleware(old_backend, path, accept_keys=["user"])
            list(app_of_wsgi(environ, lambda status, *_: said.append(status)))

    run("asyncio", main())
    if is_forged:
        assert not seen
        assert said[0]["status"] == 403 if world == "asgi" else said[0].startswith("403")
    elif world == "asgi":
        (view,) = seen
        assert (view["type"], view["scheme"], view["root_path"]) == ("websocket", "wss", "/m")
        assert view["client"][0] == "192.0.2.1"
    else:
        (view,) = seen
        assert (view["wsgi.url_scheme"], view["SCRIPT_NAME"]) == ("https", "/m")
        assert (view["REMOTE_ADDR"], view["user"]) == ("192.0.2.1", "ann")


# Nothing is left


async def _before(app: Any, upstream: Any, how: str) -> None:
    client = Client(app)
    client.task.cancel()


async def _paired(app: Any, upstream: Any, **more: Any) -> tuple[Client, Any]:
    """A client, and the upstream's end of its connection."""
    async with upstream.pairing:
        client = Client(app)
        return client, await upstream.peer(**more)


async def _handshake(app: Any, upstream: Any, how: str) -> None:
    client, peer = await _paired(app, upstream, switches=False)
    await _cut(client, peer, how)


async def _accepted(app: Any, upstream: Any, how: str) -> None:
    client, peer = await _paired(app, upstream)
    await client.accepted()
    await _cut(client, peer, how)


async def _in_a_message(app: Any, upstream: Any, how: str) -> None:
    client, peer = await _paired(app, upstream, first=frame(TEXT, b"whole") + b"\x81\x05ab")
    await client.accepted()
    client.reads.clear()
    client.say("a")
    await _cut(client, peer, how)


async def _closing(app: Any, upstream: Any, how: str) -> None:
    client, peer = await _paired(app, upstream)
    await client.accepted()
    client.close(1000)
    await peer.frame()
    await _cut(client, peer, how)


async def _cut(client: Client, peer: Any, how: str) -> None:
    if how == "client":
        client.close(1006)
    elif how == "upstream":
        peer.reset()
        client.reads.set()  # it is waited for as long as it may still read
    else:
        client.task.cancel()
    await asyncio.wait([client.task], timeout=LIMIT)
    assert client.task.done()
    if not client.task.cancelled():
        client.task.exception()
    peer.cut()


@pytest.mark.parametrize("stage", [_before, _handshake, _accepted, _in_a_message, _closing])
def test_connects_and_cuts_leave_nothing(loop: str, stage: Any) -> None:
    async def main() -> None:
        async with serving() as (app, upstream):
            for how in ("client", "upstream", "task"):
                many = rounds(4, 35)  # by stages, ways and loops: a thousand in the long form
                await asyncio.gather(*[stage(app, upstream, how) for _ in range(many)])
            assert await until(lambda: not connecting(upstream.port), LIMIT)
            assert not app._upgrades._open
            (place,) = app.transport._places.values() or [None]
            assert place is None or not place.ticker._due

    run(loop, main())
