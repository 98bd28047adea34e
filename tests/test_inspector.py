"""The inspector around applications of others: how it is one of their kind, replay, archives."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen
from wsgiref.validate import validator

import pytest
import webtest
from webob import Request, Response, dec
from webtest.lint import middleware as lint

from tests.spawn.children import until
from tests.support import loops
from tests.support.asgi_calls import LAST, Caller, http_scope
from wsgiproxy.errors import BadRequest, ConfigurationError
from wsgiproxy.inspector import Inspector
from wsgiproxy.observe.inspector.edited import Replayed, edited
from wsgiproxy.observe.inspector.exchange import Exchange


@dec.wsgify
def told(request: Request) -> Response:
    """Answers with what it was asked."""
    return Response(
        json=[
            request.method,
            request.script_name,
            request.path_info,
            request.query_string,
            request.headers.get("X-Who", ""),
            request.client_addr,
            request.body.decode("latin-1"),
        ]
    )


async def asgi_told(scope: Any, receive: Any, send: Any) -> None:
    """The same, with what the lifespan gave."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    event = await receive()
    headers = dict(scope["headers"])
    body = [
        scope["method"],
        scope["root_path"],
        scope["path"],
        scope["query_string"].decode(),
        headers.get(b"x-who", b"").decode(),
        scope["client"][0],
        event.get("body", b"").decode("latin-1"),
        scope.get("state"),
    ]
    start = {"status": 200, "headers": [(b"content-type", b"application/json")]}
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def made(application: Any, **options: Any) -> Inspector:
    """Without a page."""
    return Inspector(application, listen=None, **options)


def again(inspector: Inspector, exchange: Exchange, **changes: Any) -> int:
    """Send it again, with what the form of the page would send."""
    return inspector.send_again(exchange, edited(exchange, changes, inspector.secrets))


def of(exchange: Exchange) -> Any:
    """What the application told."""
    assert exchange.answer_body is not None
    return json.loads(exchange.answer_body.read())


def replayed(inspector: Inspector, exchange: Exchange, **changes: Any) -> Exchange:
    """The exchange of it, when it has ended."""
    new = inspector.ring[again(inspector, exchange, **changes)]
    until(lambda: new.ended is not None, "the end of the replay")
    return new


# -- of the kind of the application -----------------------------------------------------


def test_wsgi_judges_find_nothing_around_it_and_in_it():
    inspector = made(validator(lint(told)))
    client = webtest.TestApp(validator(inspector), lint=True)
    assert client.get("/a?b").json[:4] == ["GET", "", "/a", "b"]
    assert client.post("/a", b"body").json[-1] == "body"
    assert client.head("/a").body == b""
    # What is sent again is a good environ as well.
    first = inspector.ring.exchanges()[0]
    new = replayed(inspector, first, headers=[["Host", "a.example"], ["X-Who", "me"]])
    assert not new.errors
    assert of(new)[4] == "me"


def test_asgi_servers_see_what_they_have():
    uvicorn = pytest.importorskip("uvicorn")
    compatibility = pytest.importorskip("asgiref.compatibility")
    config = uvicorn.Config(made(asgi_told), log_config=None)
    config.load()
    assert config.interface == "asgi3"
    inspector = made(asgi_told)
    assert compatibility.guarantee_single_callable(inspector) is inspector


def test_what_is_no_application_is_refused():
    with pytest.raises(ConfigurationError, match="application='x': expected one of WSGI or ASGI"):
        Inspector("x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exchanges": 0}, "exchanges=0: expected a whole number from 1 on"),
        ({"memory": "many"}, "memory='many'"),
        ({"hide": "a b:"}, "hide="),
        ({"exchange": 5}, "exchange=5: no such setting; did you mean exchanges?"),
        ({"listen": "0.0.0.0:4040"}, "listen='0.0.0.0:4040': expected a loopback address"),
        ({"listen": "example.com:4040"}, "listen='example.com:4040': expected a loopback address"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ConfigurationError) as caught:
        Inspector(told, **options)
    assert str(caught.value).startswith(message)


def test_limits_hold():
    inspector = made(told, exchanges=2, body="1k", disk="1M")
    client = webtest.TestApp(inspector)
    for number in range(5):
        client.post(f"/{number}", b"x" * 2000)
    kept = inspector.ring.exchanges()
    assert [each.request.target for each in kept] == ["/3", "/4"]
    assert kept[0].body and (len(kept[0].body.read()), kept[0].body.size) == (1024, 2000)


# -- sent again ------------------------------------------------------------------------


def below_a_mount(inspector: Inspector, path: str, **options: Any) -> Exchange:
    request = Request.blank(path, environ={"REMOTE_ADDR": "192.0.2.9"}, **options)
    request.script_name, request.path_info = "/m", request.path_info.removeprefix("/m")
    request.get_response(inspector)
    return inspector.ring.exchanges()[-1]


def test_a_request_is_sent_again_below_its_mount():
    inspector = made(told)
    exchange = below_a_mount(inspector, "/m/a%20b?c=d", method="PUT", body=b"old")
    assert exchange.request.target == "/m/a%20b?c=d"
    same = replayed(inspector, exchange)
    assert of(same) == of(exchange) == ["PUT", "/m", "/a b", "c=d", "", "192.0.2.9", "old"]
    assert (same.replay_of, exchange.replay_of) == (exchange.number, 0)
    changed = replayed(
        inspector,
        exchange,
        method="POST",
        target="/m/x?token=1",
        headers=[["Host", "localhost"], ["x-who", "me"], ["Content-Length", "3"]],
        body="new body",
    )
    assert of(changed) == ["POST", "/m", "/x", "token=1", "me", "192.0.2.9", "new body"]
    # A second one, of the second.
    assert of(replayed(inspector, changed, body="")) == [*of(changed)[:-1], ""]


def test_a_masked_value_is_sent_as_it_was():
    inspector = made(told, hide="x-who")
    exchange = below_a_mount(inspector, "/m/", headers={"X-Who": "secret"})
    headers = [["Host", "localhost"], ["X-Who", inspector.secrets.value("X-Who", "secret")]]
    assert "secret" not in str(headers)
    assert of(replayed(inspector, exchange, headers=headers))[4] == "secret"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "CONNECT"},
        {"target": "http://elsewhere/"},
        {"target": "/a#b"},
        {"headers": [("Host", "a b")]},
        {"headers": [("Host", "a"), ("Upgrade", "websocket"), ("Connection", "upgrade")]},
    ],
    ids=["connect", "absolute", "fragment", "host", "handshake"],
)
def test_what_cannot_be_sent_again_is_refused(change):
    inspector = made(told)
    exchange = below_a_mount(inspector, "/m/")
    request = Replayed("GET", "/m/", [("Host", "localhost")], b"")
    with pytest.raises(BadRequest):
        inspector.send_again(exchange, request._replace(**change))
    assert len(inspector.ring) == 1


def test_a_body_that_was_kept_in_part_is_not_sent_again():
    inspector = made(told, body=2)
    exchange = below_a_mount(inspector, "/m/", method="PUT", body=b"body")
    with pytest.raises(ValueError, match="kept only in part"):
        again(inspector, exchange)
    new = replayed(inspector, exchange, body="b")
    assert new.body is not None and new.body.read() == b"b"


def test_an_application_that_fails_says_so_in_the_replay():
    def fails(environ: Any, start_response: Any) -> list[bytes]:
        raise LookupError("no such thing")

    inspector = made(fails)
    with pytest.raises(LookupError):
        Request.blank("/").get_response(inspector)
    (first,) = inspector.ring.exchanges()
    assert replayed(inspector, first).errors == first.errors == ["LookupError: no such thing"]


def in_a_loop(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def test_asgi_sends_again_with_the_state_of_the_lifespan():
    inspector = made(asgi_told)

    async def test() -> None:
        scope = http_scope(
            (b"x-who", b"you"),
            path="/m/x",
            raw_path=b"/m/x",
            root_path="/m",
            query_string=b"c",
            state={"pool": 1},
        )
        assert await Caller()(inspector, scope) is None
        (first,) = inspector.ring.exchanges()
        assert of(first) == ["GET", "/m", "/m/x", "c", "you", "192.0.2.1", "", {"pool": 1}]
        headers = [["Host", "a"], ["X-Who", "me"]]
        number = await loops.in_thread(
            lambda: again(inspector, first, method="PUT", headers=headers, body="ü")
        )
        new = inspector.ring[number]
        assert await loops.until(lambda: new.ended is not None)
        body = "ü".encode().decode("latin-1")
        assert of(new) == ["PUT", "/m", "/m/x", "c", "me", "192.0.2.1", body, {"pool": 1}]
        assert new.answer is not None and new.answer.status == 200
        assert new.replay_of == first.number

    in_a_loop(test)


def test_asgi_handshakes_that_were_refused_are_seen_and_not_sent_again():
    inspector = made(asgi_told)

    async def test() -> None:
        fields = [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
        scope = {**http_scope(*fields), "type": "websocket", "scheme": "ws"}
        del scope["method"]
        assert await Caller([{"type": "websocket.connect"}])(inspector, scope) is None
        (first,) = inspector.ring.exchanges()
        assert first.is_websocket and first.answer is not None
        assert (first.answer.status, first.scheme) == (403, "http")
        with pytest.raises(BadRequest, match="handshake"):
            again(inspector, first)

    in_a_loop(test)


def test_asgi_sends_nothing_again_without_a_loop_that_serves():
    inspector = made(asgi_told)
    inspector.add_har(made(told).har())
    source = made(told)
    Request.blank("/").get_response(source)
    inspector.add_har(source.har())
    (first,) = inspector.ring.exchanges()
    with pytest.raises(BadRequest, match="nothing has been served yet"):
        again(inspector, first)

    async def serve() -> None:
        await Caller([LAST])(inspector, http_scope())

    in_a_loop(serve)
    with pytest.raises(BadRequest):  # its loop has ended
        again(inspector, first)
    assert len(inspector.ring) == 2


# -- archives --------------------------------------------------------------------------


def test_archives_come_back_and_are_served_again():
    source = made(told)
    client = webtest.TestApp(source)
    client.put("/a", b"body", headers={"Authorization": "Bearer s3cret", "X-Who": "i"})
    text = source.har()
    assert "s3cret" not in text and json.loads(text)["log"]["version"] == "1.2"
    assert json.loads(source.har([]))["log"]["entries"] == []
    other = made(told)
    assert other.add_har(text, "old.har") == 1
    (entry,) = other.ring.exchanges()
    assert (entry.source, entry.request.method, of(entry)) == (
        "old.har",
        "PUT",
        of(source.ring.exchanges()[0]),
    )
    new = replayed(other, entry)
    assert (new.source, of(new)[0], of(new)[4], of(new)[-1]) == ("", "PUT", "i", "body")
    with pytest.raises(ConfigurationError):
        other.add_har("{}")


# -- the page --------------------------------------------------------------------------


@contextlib.contextmanager
def shown(application: Any) -> Iterator[Inspector]:
    inspector = Inspector(application, listen="127.0.0.1:0", title="the <title>")
    try:
        yield inspector
    finally:
        inspector.close()


def test_the_page_is_logged_and_ends_with_close(caplog):
    with caplog.at_level(logging.WARNING, "wsgiproxy.inspector"), shown(told) as inspector:
        (record,) = caplog.records
        url = inspector.url
        assert record.getMessage() == f"inspector of the <title>: {url}"
        Request.blank("/seen").get_response(inspector)
        with urlopen(f"{url}api/exchanges", timeout=10) as response:
            assert "/seen" in response.read().decode()
    assert inspector.url == ""
    with pytest.raises(URLError):
        urlopen(f"{url}api/exchanges", timeout=10)
    inspector.close()
    # The application goes on.
    assert Request.blank("/").get_response(inspector).status_code == 200


@pytest.mark.parametrize("application", [told, asgi_told], ids=["wsgi", "asgi"])
def test_an_inspector_that_is_garbage_keeps_nothing(application):
    before = len(os.listdir("/proc/self/fd"))
    with shown(application) as inspector:
        inspector.add_har(_long_har())
        assert inspector.ring.disk > 1 << 17
    rings = weakref.ref(inspector), weakref.ref(inspector.ring)
    del inspector
    gc.collect()
    assert [ring() for ring in rings] == [None, None]
    assert len(os.listdir("/proc/self/fd")) <= before


def _long_har() -> str:
    source = made(told)
    Request.blank("/", method="PUT", body=b"x" * (1 << 17)).get_response(source)
    return source.har()
