"""An inspected application is served as it would be without: whatever it does, or we fail at."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.observe.inspector.test_feed import call_asgi, call_wsgi
from tests.support.in_process import front_environ
from wsgiproxy.asgi.inspected import InspectedASGI
from wsgiproxy.errors import UpstreamLost
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.frames import Frames
from wsgiproxy.observe.inspector.heads import KNOWN
from wsgiproxy.observe.inspector.kept import Limits
from wsgiproxy.observe.inspector.recorder import Recorder
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.secrets import SHOWN
from wsgiproxy.wsgi.inspected import InspectedWSGI


def started(app: Any, ring: Ring) -> tuple[Any, list[Any]]:
    """What a server gets of it."""
    calls: list[Any] = []

    def start(status: Any, headers: Any, exc_info: Any = None) -> Any:
        calls.append((status, headers))
        return calls.append

    environ = front_environ(HTTP_HOST="a.example", PATH_INFO="/")
    return InspectedWSGI(app, ring)(environ, start), calls


class Blocks(list[bytes]):
    """A list of another class."""


@pytest.mark.parametrize("blocks", [[], [b"a"], (b"a",), (), Blocks([b"a", b"b"])])
def test_a_server_sees_how_many_blocks_there_are(blocks: Any) -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return blocks

    ring = Ring()
    found, _ = started(app, ring)
    assert len(found) == len(blocks)
    assert list(found) == list(blocks)
    assert ring[1].ended is not None


def test_what_is_no_answer_reaches_the_server() -> None:
    found, _ = started(lambda environ, start: None, ring := Ring())
    assert found is None
    assert ring[1].ended is not None


def test_a_head_that_the_server_refuses_is_not_shown() -> None:
    def start(status: Any, headers: Any, exc_info: Any = None) -> Any:
        if exc_info is not None:
            raise exc_info[1]
        return lambda block: None

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])(bytes(3))
        error = ValueError("late")
        start("500 Oops", [], (ValueError, error, None))
        return [b""]

    ring = Ring()
    with pytest.raises(ValueError, match="late"):
        InspectedWSGI(app, ring)(front_environ(HTTP_HOST="a.example"), start)
    answer, body = ring[1].answer, ring[1].answer_body
    assert answer is not None
    assert body is not None
    assert (answer.status, body.size) == (200, 3)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (b"200 OK", []),
        ("abc", [("A", "b")]),
        ("9" * 5000, []),
        (None, None),
        ("200 OK", [(b"A", 5)]),
        ("200 OK", [("A",)]),
        ("200 OK", iter([("A", "b")])),
    ],
)
def test_heads_that_no_server_takes_pass_as_they_are(status: Any, headers: Any) -> None:
    def app(environ: Any, start: Any) -> Any:
        start(status, headers)
        return ["text", None]

    found, calls = started(app, ring := Ring())
    assert calls[0][0] is status
    assert calls[0][1] is headers
    assert found == ["text", None]
    if not isinstance(headers, (list, type(None))):
        assert list(headers) == [("A", "b")]
    assert ring[1].ended is not None


@pytest.mark.parametrize(
    "event",
    [
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": "abc", "headers": []},
        {"type": "http.response.start", "status": 200, "headers": [("a", "b")]},
        {"type": "http.response.body", "body": "text"},
        {},
    ],
)
def test_events_that_no_server_takes_pass_as_they_are(event: dict[str, Any]) -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(event)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a"})

    async def seen(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            sent.append(message)
            if message is not event:
                await send(message)

        await InspectedASGI(app, Ring())(scope, receive, sending)

    assert call_asgi(seen, "GET", "/", (), b"") == b"a"
    assert sent[0] is event


def test_a_fault_of_ours_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("ours")

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return iter([environ["wsgi.input"].read()])

    monkeypatch.setattr(Ring, "begin", fail)
    with caplog.at_level(logging.ERROR, "wsgiproxy.inspector"):
        for _ in range(3):
            assert call_wsgi(InspectedWSGI(app, Ring()), "POST", "/", (), b"abc") == b"abc"
    assert len(caplog.records) <= 1


def test_an_error_without_words_is_no_other_error() -> None:
    class Silent(UpstreamLost):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    exchange = Ring().begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
    assert exchange is not None
    exchange.fail(Silent())
    exchange.end()
    assert exchange.ended is not None


def test_frames_that_are_none_fail_nothing() -> None:
    exchange = Ring().begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
    assert exchange is not None
    for extensions in ("permessage-deflate; server_max_window_bits=99", "permessage-deflate", "\0"):
        frames = Frames(exchange, "websocket", [("Sec-WebSocket-Extensions", extensions)])
        for block in (b"\xc1\x7f" + b"\xff" * 8, b"\x00" * 50, b"\xff" * 3000, b""):
            frames.from_client(block)
            frames.from_upstream(block)


def test_many_empty_fragments_take_no_memory() -> None:
    exchange = Ring().begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
    assert exchange is not None
    frames = Frames(exchange, "websocket", [])
    frames.from_upstream(b"\x01\x01a" + b"\x00\x00" * 5000 + b"\x80\x01b")
    assert [(each.data, each.size) for each in exchange.messages] == [(b"ab", 2)]


def test_an_exchange_that_cannot_be_written_ends_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return [b"a"]

    ring, path = Ring(), tmp_path / "a.har"
    recorder = Recorder(ring, str(path), SHOWN, "1.0")
    file = recorder._file

    class Full(io.RawIOBase):
        """A disk with room for some bytes of the second entry."""

        count = 0

        def write(self, data: Any) -> int:
            self.count += 1
            if self.count == 2:
                return file.write(data[:30])
            if self.count == 3:
                raise OSError(28, "full")
            return file.write(data)

        def seek(self, *place: int) -> int:
            return file.seek(*place)

        def truncate(self, size: int | None = None) -> int:
            return file.truncate(size)

    recorder._file = Full()  # type: ignore[assignment]
    for target in ("/1", "/2", "/3"):
        call_wsgi(InspectedWSGI(app, ring), "GET", target, (), b"")
        exchange: Exchange = ring.exchanges()[-1]
        recorder._write({exchange.number})
        json.loads(path.read_bytes())
    recorder._file = file
    recorder.close()
    urls = [each["request"]["url"] for each in json.loads(path.read_bytes())["log"]["entries"]]
    assert [url[-2:] for url in urls] == ["/1", "/3"]


def test_messages_that_do_not_end_are_counted_and_go() -> None:
    ring = Ring(Limits(memory=8 << 20))
    tunnels = []
    for _ in range(20):
        exchange = ring.begin(KNOWN, ("GET", "/", "HTTP/1.1", [], ""), "http")
        assert exchange is not None
        tunnels.append((exchange, Frames(exchange, "websocket", [])))
    for number, (exchange, frames) in enumerate(tunnels):
        frames.from_upstream(b"\x82\x7f" + (3 << 20).to_bytes(8, "big") + bytes(2 << 20))
        if number % 2:
            frames.from_upstream(bytes(1 << 20))
            assert [each.size for each in exchange.messages] == [3 << 20]
    assert ring.memory <= 8 << 20
    assert len(ring) < 20
    for exchange, frames in tunnels:
        frames.from_upstream(b"\x81\x01a")
        held = sum(len(each.reader.buffer) for each in frames._ways.values())
        assert held == 0 if exchange.is_forgotten else held == exchange.held
    ring.clear()


@pytest.mark.parametrize(
    "read",
    [
        lambda source: source.read(),
        lambda source: source.read(3) + source.readline() + b"".join(source.readlines()),
        lambda source: b"".join(source),
        lambda source: next(source) + next(source),
        lambda source: source.read1() + source.read1(),
        lambda source: io.TextIOWrapper(source).read().encode(),
        lambda source: io.BufferedReader(source).read(),
    ],
)
def test_a_body_is_seen_however_it_is_read(read: Any) -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return [read(environ["wsgi.input"])]

    ring = Ring()
    assert call_wsgi(InspectedWSGI(app, ring), "POST", "/", (), b"one\ntwo") == b"one\ntwo"
    body = ring[1].body
    assert body is not None
    assert body.read() == b"one\ntwo"
    assert body.is_whole


def test_what_an_input_does_not_have_is_not_there() -> None:
    class Source:
        def read(self, size: int = -1) -> bytes:
            return b""

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        found = environ["wsgi.input"]
        return [repr([hasattr(found, name) for name in ("read1", "readinto", "peek")]).encode()]

    environ = front_environ(HTTP_HOST="a.example") | {"wsgi.input": Source()}
    found = InspectedWSGI(app, Ring())(environ, lambda status, headers: len)
    assert list(found) == [b"[False, False, False]"]


def test_large_heads_of_answers_are_counted() -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [("A", "b" * 100_000)])
        return [b""]

    ring = Ring(Limits(memory=1 << 20))
    for _ in range(50):
        started(app, ring)
    assert len(ring) <= 11
    assert 100_000 < ring.memory <= 1 << 20
