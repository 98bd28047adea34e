"""Lines of the access log that are written together: the same as those of the logger."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.cli.command import request_bytes, running
from tests.spawn.children import until
from tests.support.client import RawClient
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.cli.accesslines import LINES, AccessLines
from wsgiproxy.cli.logformat import FORMATS
from wsgiproxy.errors import ClientGone, UpstreamLost
from wsgiproxy.observe.accesslog import Record, asked_in_scope, send_to
from wsgiproxy.sansio.message import Origin

pytest.importorskip("uvicorn")

EXCHANGES = [
    pytest.param({}, None, None, id="plain"),
    pytest.param({"query_string": b"page=2"}, None, None, id="query"),
    pytest.param({"query_string": b"token=x&%74icket=y"}, None, None, id="credentials"),
    pytest.param({"raw_path": b"/it's/\\x\x1b[2J"}, None, None, id="characters"),
    pytest.param({"raw_path": b"/" + b"x" * 3000}, None, None, id="long"),
    pytest.param({"client": None, "method": "\"\x07'"}, None, None, id="odd-method"),
    pytest.param({}, None, UpstreamLost("it's over\n"), id="failed"),
    pytest.param({}, None, ClientGone("max_head=1 was \u65e5"), id="named-by-its-flag"),
    pytest.param({}, Origin("http", "::1", 80), None, id="upstream"),
    pytest.param({}, Origin("http", "h", 81, "/a\x1b'.sock"), None, id="unix"),
]


@pytest.mark.parametrize("request_id", ["", "a1/b2<c>"])
@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(("scope", "origin", "error"), EXCHANGES)
def test_a_line_is_that_of_the_logger(style, scope, origin, error, request_id, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1.7e9 + 0.25)
    monkeypatch.setattr("wsgiproxy.observe.accesslog.time", lambda: 1.7e9 + 0.25)
    monkeypatch.setattr("wsgiproxy.observe.accesslog.monotonic", lambda: 5.0)
    whole = {"method": "GET", "raw_path": b"/a", "client": ("10.0.0.1", 1), **scope}
    ended: list = []
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("wsgiproxy.access")
    monkeypatch.setattr(logger, "handlers", [handler])
    logger.setLevel(logging.INFO)
    for sink in (None, ended.append):
        send_to(sink)
        record = Record(whole, 4.75, asked_in_scope)
        record.origin, record.reused, record.request_id = origin, True, request_id
        if error:
            record.fail(error)
        record.end(200, 5, sent=7)
    (of_the_logger,) = records
    of_the_logger.created = 1.7e9 + 0.25  # Python 3.13 has another clock
    expected = FORMATS[style](io.StringIO()).format(of_the_logger)
    assert LINES[style]()(ended[0]) == expected + "\n"


def test_a_second_end_is_none():
    ended: list = []
    send_to(ended.append)
    record = Record({}, None, asked_in_scope)
    record.end(200)
    record.end(500)
    discarded = Record({}, None, asked_in_scope)
    discarded.discard()
    discarded.end(200)
    assert len(ended) == 1


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What a handler and the lines of exchanges are written to."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("wsgiproxy.error")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    lines = AccessLines(stream, lambda ended: f"{ended[6]}\n")
    lines.begin(handler)
    stream.lines = lines  # type: ignore[attr-defined]
    yield stream
    logger.removeHandler(handler)


def end(status: int) -> None:
    Record({}, None, asked_in_scope).end(status)


def test_other_lines_stand_behind_exchanges_that_ended_before(stream):
    end(200)
    end(201)
    assert stream.getvalue() == ""
    logging.getLogger("wsgiproxy.error").warning("broken")
    end(202)
    stream.lines.flush()
    stream.lines.flush()
    assert stream.getvalue().split() == ["200", "201", "broken", "202"]


def test_a_closed_stream_ends_no_exchange(stream):
    end(200)
    stream.close()
    stream.lines.flush()
    end(201)
    stream.lines.flush()


def test_exchanges_of_many_threads_are_written_once(stream):
    def work() -> None:
        for number in range(200):
            end(number)
            if number % 7 == 0:
                stream.lines.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.lines.flush()
    found = sorted(map(int, stream.getvalue().split()))
    assert found == sorted(list(range(200)) * 4)


# In the command


def test_lines_are_written_soon_and_all_of_them_at_the_end(upstream: RawUpstream):
    upstream.behaviour = answer(body=b"x")
    words = ("serve", upstream.url, "--listen", "127.0.0.1:0", "--server", "uvicorn")
    for number in (signal.SIGTERM, signal.SIGINT):
        with running(*words) as command:
            port = int(command.url().split(":")[2].strip("/"))
            with RawClient(port) as client:
                client.send(request_bytes("GET /0"))
                assert client.response().status == 200
                until(lambda: "GET '/0' 200" in command.stderr, "a line, without an end")
                for each in range(1, 30):
                    client.send(request_bytes(f"GET /{each}"))
                    assert client.response().status == 200
                assert command.end(number) == 0
            found = [int(each) for each in re.findall(r"'/(\d+)'", command.stderr)]
            assert found == list(range(30))


def test_lines_in_json(upstream: RawUpstream):
    upstream.behaviour = answer(body=b"x")
    options = ("--listen", "127.0.0.1:0", "--server", "uvicorn", "--log-format", "json")
    with running("serve", upstream.url, *options) as command:
        port = int(command.url().split(":")[2].strip("/"))
        with RawClient(port) as client:
            client.send(request_bytes("GET /a?key=b"))
            assert client.response().status == 200
        assert command.end() == 0
        assert json.loads(command.stderr)["path"] == "/a?key=***"
