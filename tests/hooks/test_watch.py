"""A body that a hook only looks at is the one that was sent, with all that its head says of it."""

from __future__ import annotations

import pytest

from tests.hooks.both import EDGES, asked
from tests.support.messages import answer, chunked_answer
from tests.support.upstream import RawUpstream
from wsgiproxy.hooks import Response

SAYS = [
    ("ETag", '"a"'),
    ("Content-Digest", "sha-256=:x:"),
    ("Accept-Ranges", "bytes"),
    ("Content-Type", "text/html"),
]


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Watch:
    """A hook that notes what it sees."""

    def __init__(self) -> None:
        self.seen = b""
        self.ends = 0

    def __call__(self, request):
        response = yield request
        response.body.watch(self.block, self.end)

    def block(self, data: bytes) -> None:
        self.seen += data

    def end(self) -> str:
        self.ends += 1
        return "what it returns is not used"


@pytest.mark.parametrize("size", [0, 5, 500_000], ids=["none", "whole", "streamed"])
def test_a_response_that_is_watched_stays_as_it_is(edge: str, size: int, upstream) -> None:
    upstream.behaviour = answer(200, SAYS, b"x" * size)
    watch = Watch()
    found = asked(edge, upstream.url, [watch])
    assert found.body == b"x" * size == watch.seen
    assert watch.ends == 1
    for name, value in [*SAYS, ("Content-Length", str(size))]:
        assert found.values(name) == [value]


def test_a_body_without_length_stays_one(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = chunked_answer(b"a", b"b" * 500_000)
    watch = Watch()
    found = asked(edge, upstream.url, [watch])
    assert found.body == watch.seen == b"a" + b"b" * 500_000
    assert watch.ends == 1 and found.values("Content-Length") == []


def test_head_has_no_body_to_watch(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    watch = Watch()
    assert asked(edge, upstream.url, [watch], method="HEAD").value("Content-Length") == "5"
    assert (watch.seen, watch.ends) == (b"", 0)


def test_a_response_of_a_hook_is_watched(edge: str, upstream: RawUpstream) -> None:
    def pieces(request):
        return Response(200, body=iter([b"a", b"", b"b"]))
        yield

    def whole(request):
        return Response(200, {"ETag": '"a"'}, b"ab")
        yield

    for inner in (pieces, whole):
        watch = Watch()
        assert asked(edge, upstream.url, [watch, inner]).body == b"ab"
        assert (watch.seen, watch.ends) == (b"ab", 1)


@pytest.mark.parametrize("size", [5, 500_000])
def test_each_sees_what_is_there_at_its_place(edge: str, size: int, upstream) -> None:
    def shouts(request):
        response = yield request
        response.body.map(bytes.upper, lambda: b"!")

    upstream.behaviour = answer(200, SAYS, b"x" * size)
    outer, inner = Watch(), Watch()
    found = asked(edge, upstream.url, [outer, shouts, inner])
    assert found.body == outer.seen == b"X" * size + b"!"
    assert inner.seen == b"x" * size
    assert found.value("ETag") == 'W/"a"' and found.value("Accept-Ranges") is None
    assert (outer.ends, inner.ends) == (1, 1)


def test_a_body_that_is_read_is_watched(edge: str, upstream: RawUpstream) -> None:
    def reads(request):
        response = yield request
        assert (yield response.read()) == b"hello"

    upstream.behaviour = answer(200, SAYS, b"hello")
    watch = Watch()
    found = asked(edge, upstream.url, [reads, watch])
    assert (found.body, watch.seen, watch.ends) == (b"hello", b"hello", 1)
    assert found.value("ETag") == '"a"' and found.value("Content-Length") == "5"


def test_a_request_that_is_watched_keeps_its_length(edge: str, upstream: RawUpstream) -> None:
    seen: list[bytes] = []

    def hook(request):
        request.body.watch(seen.append)
        yield request

    asked(edge, upstream.url, [hook], method="POST", body=b"abc")
    assert seen == [b"abc"] and upstream.requests[0].body == b"abc"
    assert upstream.requests[0].values("Content-Length") == ["3"]


def test_a_function_that_fails_is_the_failure_of_its_hook(edge, upstream, caplog) -> None:
    def careless(request):
        response = yield request
        response.body.watch(int)

    upstream.behaviour = answer(200, SAYS, b"hello")
    assert asked(edge, upstream.url, [careless]).status == 500
    assert "careless: body.watch(int): ValueError" in caplog.text


def test_functions_are_given(edge: str) -> None:
    for arguments in ((5,), (len, 5)):
        with pytest.raises(TypeError, match="watch"):
            Response(200).body.watch(*arguments)  # type: ignore[arg-type]
