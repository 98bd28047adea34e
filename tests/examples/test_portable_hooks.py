"""The hooks of one module, under waitress and under uvicorn."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.examples.mounted import Mount, Mounted
from tests.examples.running import EXAMPLES, needs, running
from tests.support.connection import Script
from tests.support.echo import by_case
from tests.support.upstream import RawUpstream, answer, chunks

NAME = "portable_hooks.py"
EDGES = {
    "WSGI": ("waitress", "waitress-serve --listen 127.0.0.1:8080", "portable_hooks:wsgi_app"),
    "ASGI": ("uvicorn", "uvicorn --no-proxy-headers --port 8080", "portable_hooks:asgi_app"),
}
TEXT = ("Content-Type", "text/plain; charset=utf-8")


@pytest.fixture(scope="module", params=EDGES)
def example(request: pytest.FixtureRequest) -> Iterator[Mounted]:
    package, server, application = EDGES[request.param]
    needs(package)
    scripts: dict[str, Script] = {}
    with (
        RawUpstream(by_case(scripts)) as upstream,
        running(NAME, upstream.netloc, {}, server, application) as (port, _),
    ):
        yield Mounted(Mount(NAME, "", ()), port, upstream, scripts)
        assert upstream.errors == []


def test_the_docstring_names_both_commands() -> None:
    text = re.sub(r"\s+", " ", (EXAMPLES / NAME).read_text().split('"""')[1])
    for _, server, application in EDGES.values():
        assert f"{server} {application}" in text


def test_the_token_is_ours_alone(example: Mounted) -> None:
    got = example.get("/json", {"Authorization": "Bearer theirs"})
    assert got.received("Authorization") == ["Bearer secret"]


def test_text_is_changed_as_it_streams(example: Mounted) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    go_on = threading.Event()
    first, second = chunks(b"one ", last=False), chunks(b"two")
    script = [("send", head + first), ("wait", go_on), ("send", second)]
    with example.stream(script) as response:
        assert response.read(4) == b"ONE "
        go_on.set()
        assert response.read() == b"TWO"


def test_a_text_that_breaks_off_breaks_the_connection(example: Mounted) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    script = [("send", head + chunks(b"one", last=False)), ("close",)]
    with (
        pytest.raises((OSError, http.client.HTTPException)),
        example.stream(script) as response,
    ):
        response.read()


def test_a_whole_text_keeps_no_promise_of_its_old_bytes(example: Mounted) -> None:
    fields = [TEXT, ("ETag", '"x"'), ("Accept-Ranges", "bytes"), ("Content-Digest", "sha-256=:x:")]
    got = example.play([("send", answer(headers=fields, body=b"whole"))])
    assert (got.body, got.headers["ETag"]) == (b"WHOLE", 'W/"x"')
    assert got.headers["Accept-Ranges"] is got.headers["Content-Digest"] is None


def test_the_upstream_is_not_asked_for_what_cannot_be_changed(example: Mounted) -> None:
    got = example.get("/json", {"Accept-Encoding": "gzip", "Range": "bytes=0-1"})
    assert got.received("Accept-Encoding") == got.received("Range") == []


def test_what_is_no_text_and_two_cookies_stay(example: Mounted) -> None:
    fields = [("Content-Type", "image/png"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    got = example.play([("send", answer(headers=fields, body=b"one"))])
    assert (got.body, got.headers.get_all("Set-Cookie")) == (b"one", ["a=1", "b=2"])
    assert got.headers["Content-Length"] == "3"


def test_both_sides_are_told_times(example: Mounted) -> None:
    got = example.get("/json", {"X-Proxy-Start": "the client's"})
    start, end = got.headers["X-Proxy-Start"], got.headers["X-Proxy-End"]
    assert got.received("X-Proxy-Start") == [start]
    assert datetime.fromisoformat(start) <= datetime.fromisoformat(end)
    assert 0 < float(got.headers["X-Process-Time"]) < 20


def test_fields_of_one_name_are_all_there(example: Mounted) -> None:
    with example.connection() as connection:
        connection.putrequest("GET", "/json")
        for value in ("1", "2"):
            connection.putheader("X-Twice", value)
        connection.endheaders()
        fields = json.loads(connection.getresponse().read())["headers"]
    # PEP 3333 has one key for all fields of a name, so that waitress joins them.
    assert ", ".join(each for name, each in fields if name.lower() == "x-twice") == "1, 2"
