"""A second upstream gets copies; the log says what differs, and the client notices nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.hooks.both import EDGES
from tests.hooks.edges import held
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.comparison import Answer, Comparison
from wsgiproxy.hooks.mirror import Difference, mirror

HTML = [("Content-Type", "text/html"), ("ETag", '"a"')]


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def other() -> Any:
    with RawUpstream() as server:
        yield server


def is_quiet() -> bool:
    """Whether nothing runs beside requests."""
    names = [each.name for each in threading.enumerate()]
    with contextlib.suppress(RuntimeError):  # no event loop
        names += [each.get_name() for each in asyncio.all_tasks()]
    return not any(each.startswith("beside ") for each in names)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "wsgiproxy.mirror"]


def test_the_copy_is_that_of_the_request(edge: str, upstream, other, caplog) -> None:
    upstream.behaviour = other.behaviour = answer(200, HTML, b"hello")
    fields = [("Cookie", "a=b"), ("Authorization", "Basic eDp5"), ("X-Forwarded-For", "6.6.6.6")]
    hooks = [mirror(f"{other.url}/new/")]
    found = held(edge, upstream.url, hooks, is_quiet, target="/%41?b=c", headers=fields)
    assert found[::2] == (200, b"hello")
    assert found[1]["etag"] == '"a"' and found[1]["content-length"] == "5"
    copy = other.requests[0]
    assert copy.line == "GET /new/%41?b=c HTTP/1.1"
    assert copy.values("Cookie") == ["a=b"] and copy.values("Authorization") == ["Basic eDp5"]
    assert copy.values("Host") == [other.netloc]
    assert "6.6.6.6" not in copy.values("X-Forwarded-For")
    assert copy.values("X-Forwarded-Host") == upstream.requests[0].values("X-Forwarded-Host")
    assert logged(caplog) == []


DIFFERENCES: list[Any] = [
    pytest.param(
        answer(200, HTML, b"hello"),
        answer(404, HTML, b"no"),
        "status 200, mirror 404",
        id="status",
    ),
    pytest.param(
        answer(200, HTML, b"hello"),
        answer(200, HTML, b"hallo"),
        "body of 5 bytes, as long as that of the mirror",
        id="body",
    ),
    pytest.param(
        answer(200, HTML, b"x" * 100_000),
        chunked_answer(b"x" * 100_001, headers=HTML),
        "body of 100000 bytes, mirror 100001",
        id="length",
    ),
    pytest.param(
        answer(200, HTML, b"x" * 3_000_000),
        answer(200, HTML, b"y" * 3_000_001),
        "body of 3000000 bytes, mirror 3000001",
        id="larger-than-the-limit",
    ),
    pytest.param(
        answer(200, [("Content-Type", "text/html"), ("X-Key", "s3cr3t")], b"hello"),
        answer(200, [("X-Key", "0ther")], b"hello"),
        "Content-Type 'text/html', mirror None; X-Key",
        id="fields",
    ),
]


@pytest.mark.parametrize(("ours", "theirs", "text"), DIFFERENCES)
def test_what_differs_is_logged_once(edge, ours, theirs, text, upstream, other, caplog) -> None:
    upstream.behaviour, other.behaviour = ours, theirs
    hooks = [mirror(other.url, headers=["X-Key"])]

    def is_done() -> bool:
        return bool(logged(caplog)) and is_quiet()

    found = held(edge, upstream.url, hooks, is_done, target="/a?token=s3cr3t")
    assert found[0] == 200 and found[1]["content-length"] == str(len(found[2]))
    assert logged(caplog) == [f"GET /a: {text}"]
    assert "s3cr3t" not in caplog.text.replace("?token=s3cr3t", "")
    (record,) = (each for each in caplog.records if each.name == "wsgiproxy.mirror")
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(
            answer(302, [("Location", "http://front.example/m/a")]),
            answer(302, [("Location", "{url}/new/m/a")]),
            id="each-its-own",
        ),
        pytest.param(
            answer(302, [("Location", "/a?b")]),
            answer(302, [("Location", "/new/a?b")]),
            id="relative",
        ),
        pytest.param(
            answer(200, [("Content-Encoding", "gzip")], b"1"),
            answer(200, [("Content-Encoding", "gzip")], b"2"),
            id="coded",
        ),
        pytest.param(
            answer(200, HTML, b"x" * 3_000_000), answer(200, HTML, b"y" * 3_000_000), id="too-large"
        ),
        pytest.param(
            answer(200, HTML, b"x"), chunked_answer(b"y" * 3_000_000, headers=HTML), id="endless"
        ),
        pytest.param(answer(204, HTML), answer(204, HTML), id="no-content"),
    ],
)
def test_what_is_no_difference(edge: str, ours, theirs, upstream, other, caplog) -> None:
    upstream.behaviour = ours
    other.behaviour = theirs.replace(b"{url}", other.url.encode())
    assert held(edge, upstream.url, [mirror(other.url + "/new")], is_quiet)[0] in (200, 204, 302)
    assert len(other.requests) == 1 and logged(caplog) == []


def test_head_is_compared_without_bodies(edge: str, upstream, other, caplog) -> None:
    upstream.behaviour = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    other.behaviour = b"HTTP/1.1 404 No\r\nContent-Length: 6\r\n\r\n"
    hooks = [mirror(other.url)]
    held(edge, upstream.url, hooks, lambda: logged(caplog), method="HEAD")
    assert logged(caplog) == ["HEAD /x: status 200, mirror 404"]


def test_the_client_does_not_wait(edge: str, upstream: RawUpstream, other, caplog) -> None:
    may_answer = threading.Event()

    def late(connection):
        connection.read()
        connection.wait(may_answer)
        connection.send(answer(500))

    other.behaviour = late

    def after_the_answer() -> bool:
        may_answer.set()
        return bool(logged(caplog))

    assert held(edge, upstream.url, [mirror(other.url)], after_the_answer)[0] == 200
    assert "status 200, mirror 500" in logged(caplog)[0]


def test_a_mirror_that_fails_is_said_once(edge: str, upstream: RawUpstream, caplog) -> None:
    hook = mirror("http://127.0.0.1:1")
    for _ in range(2):
        assert held(edge, upstream.url, [hook], is_quiet)[0] == 200
    (line,) = logged(caplog)
    assert line.startswith("not compared: ConnectFailed: ")


@pytest.mark.parametrize(
    ("options", "more"),
    [
        pytest.param({}, {"method": "POST"}, id="post"),
        pytest.param({}, {"headers": [("If-None-Match", '"a"')]}, id="condition"),
        pytest.param({"ignore": ["/y", "/x"]}, {}, id="prefix"),
        pytest.param({"ignore": [re.compile(r"\.png$")]}, {"target": "/x.png"}, id="pattern"),
        pytest.param({"ignore": [lambda request: request.path == "/x"]}, {}, id="function"),
        pytest.param({"ignore": [lambda request: 1 / 0]}, {}, id="function-that-fails"),
    ],
)
def test_what_is_not_copied(edge: str, options, more, upstream, other) -> None:
    assert held(edge, upstream.url, [mirror(other.url, **options)], is_quiet, **more)[0] == 200
    assert other.requests == [] and len(upstream.requests) == 1


def test_a_prefix_ends_where_a_segment_ends(edge: str, upstream, other) -> None:
    hook = mirror(other.url, ignore=["/xy"])
    held(edge, upstream.url, [hook], is_quiet, target="/xyz")
    assert len(other.requests) == 1


def test_a_share_is_by_chance(upstream, other, monkeypatch) -> None:
    hook = mirror(other.url, share=0.5)
    for chance in (0.4, 0.6):
        monkeypatch.setattr(random, "random", lambda chance=chance: chance)
        held("wsgi", upstream.url, [hook], is_quiet, target=f"/{chance}")
    assert [each.target for each in other.requests] == ["/0.4"]


def test_a_function_gets_what_differs(edge: str, upstream, other, caplog) -> None:
    found: list[Difference] = []

    def note(difference: Difference) -> None:
        found.append(difference)
        raise ValueError("as functions do")

    upstream.behaviour = answer(200, [("X-A", "1"), ("X-A", "2")], b"hello")
    other.behaviour = answer(200, [("X-A", "1")], b"hell")
    hook = mirror(other.url, headers=["x-a"], on_difference=note)
    status, _, body = held(edge, upstream.url, [hook], lambda: len(logged(caplog)) == 2)
    assert (status, body) == (200, b"hello")
    (each,) = found
    assert each[:3] == ("GET", "/x", ("x-a", "body"))
    assert each.upstream.fields == {"x-a": "1, 2"} and each.mirror.fields == {"x-a": "1"}
    assert (each.upstream.length, each.mirror.length) == (5, 4)
    assert "on_difference= has failed: ValueError" in logged(caplog)[1]


@pytest.mark.parametrize("order", [("upstream", "mirror"), ("mirror", "upstream")])
def test_the_last_answer_is_compared(order: tuple[str, str]) -> None:
    found: list[Any] = []
    answers = {"upstream": Answer(200, {}), "mirror": Answer(404, {})}
    comparison = Comparison([], lambda *each: found.append(each))
    comparison.take(order[0], answers[order[0]])
    assert found == []
    comparison.take(order[1], answers[order[1]])
    assert found == [(answers["upstream"], answers["mirror"], ("status",))]


async def waits(difference: object) -> None: ...


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"url": "/x"}, "url="),
        ({"url": "http://a/?b"}, "url="),
        ({"share": 0}, "share=0"),
        ({"limit": True}, "limit=True"),
        ({"limit": -1}, "limit=-1"),
        ({"ignore": "/x"}, "ignore="),
        ({"ignore": ["x"]}, "ignore="),
        ({"ignore": [5]}, "ignore=5"),
        ({"ignore": [re.compile(b"x")]}, "ignore="),
        ({"share": True}, "share=True"),
        ({"ignore": [waits]}, "ignore="),
        ({"headers": ["a b"]}, "headers="),
        ({"on_difference": 5}, "on_difference=5"),
        ({"on_difference": waits}, "on_difference="),
    ],
)
def test_settings_are_checked(options: dict[str, Any], word: str) -> None:
    call: Callable[..., Any] = mirror
    with pytest.raises(ConfigurationError, match=word):
        call(**{"url": "http://localhost:4000", **options})


@pytest.mark.parametrize("host", ["localhost", "a b", ""])
def test_a_password_in_the_address_is_not_shown(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"url='http://\*\*\*@.*without user") as caught:
        mirror(f"http://user:s3cret@{host}")
    assert "s3cret" not in repr(caught.value)
