"""What may be compressed is, in the way that the client takes; the rest is left alone."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from typing import Any

import pytest

from tests.hooks.both import EDGES, Answer, asked
from tests.support.upstream import RawUpstream, answer, chunked_answer
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.hooks.compress import accepted_coding, compress
from wsgiproxy.hooks.messages import Request, Response

TEXT = b"<p>hello</p>" * 1000
HTML = ("Content-Type", "text/html; charset=utf-8")
GZIP = ("Accept-Encoding", "gzip")


def decoded(got: Answer) -> bytes:
    coding = got.value("Content-Encoding")
    if coding == "gzip":
        return zlib.decompress(got.body, 31)
    if coding == "br":
        whole: bytes = pytest.importorskip("brotli").decompress(got.body)
        return whole
    zstandard = pytest.importorskip("zstandard")
    one: bytes = zstandard.ZstdDecompressor().decompressobj().decompress(got.body)
    return one


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("coding", "module"), [("gzip", "zlib"), ("br", "brotli"), ("zstd", "zstandard")]
)
def test_it_is_compressed(edge: str, coding: str, module: str, upstream: RawUpstream) -> None:
    pytest.importorskip(module)
    upstream.behaviour = answer(200, [HTML, ("ETag", '"a"'), ("Accept-Ranges", "bytes")], TEXT)
    got = asked(edge, upstream.url, [compress([coding])], headers=[("Accept-Encoding", coding)])
    assert got.value("Content-Encoding") == coding and decoded(got) == TEXT
    assert len(got.body) < len(TEXT) / 10
    assert got.value("ETag") == 'W/"a"' and got.value("Vary") == "Accept-Encoding"
    assert got.value("Content-Length") in (None, str(len(got.body)))
    assert got.value("Accept-Ranges") is None


@pytest.mark.parametrize("edge", EDGES)
def test_a_stream_is_compressed_block_by_block(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = chunked_answer(b"one", b"two", headers=[HTML])
    assert decoded(asked(edge, upstream.url, [compress()], headers=[GZIP])) == b"onetwo"


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param([HTML, ("Content-Encoding", "br")], 200, id="coded"),
        pytest.param(
            [HTML, ("Content-Encoding", "identity"), ("Content-Encoding", "br")],
            200,
            id="coded-too",
        ),
        pytest.param([HTML, ("Cache-Control", "public, no-transform")], 200, id="no-transform"),
        pytest.param([HTML, ("Content-Range", "bytes 0-11999/20000")], 206, id="range"),
        pytest.param([("Content-Type", "text/event-stream")], 200, id="events"),
        pytest.param([("Content-Type", "image/png")], 200, id="picture"),
        pytest.param([], 200, id="no-type"),
    ],
)
def test_it_is_left_alone(edge: str, fields: Any, status: int, upstream: RawUpstream) -> None:
    upstream.behaviour = answer(status, fields, TEXT)
    got = asked(edge, upstream.url, [compress()], headers=[GZIP])
    assert got.body == TEXT and got.value("Content-Length") == str(len(TEXT))
    assert got.value("Vary") is None


@pytest.mark.parametrize(
    ("headers", "coding"),
    [
        pytest.param([("Cookie", "a=b"), ("Sec-Fetch-Site", "cross-site")], None, id="cross-site"),
        pytest.param([("Cookie", "a=b"), ("Sec-Fetch-Site", "same-origin")], "gzip", id="own"),
        pytest.param([("Cookie", "a=b"), ("Referer", "http://evil.example/")], None, id="referer"),
        pytest.param([("Cookie", "a=b")], "gzip", id="typed"),
        pytest.param([("Sec-Fetch-Site", "cross-site")], "gzip", id="anonymous"),
    ],
)
def test_what_another_site_asks_for_is_not_compressed(
    headers: Any, coding: str | None, upstream: RawUpstream
) -> None:
    upstream.behaviour = answer(200, [HTML], TEXT)
    got = asked("wsgi", upstream.url, [compress()], headers=[GZIP, *headers])
    assert got.value("Content-Encoding") == coding and got.value("Vary") == "Accept-Encoding"


def test_a_head_has_the_fields_of_a_get(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [HTML, ("Content-Length", "12000")])
    got = asked("wsgi", upstream.url, [compress()], headers=[GZIP], method="HEAD")
    assert got.value("Content-Encoding") == "gzip" and got.value("Content-Length") is None


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(
    ("known", "accepted", "tag", "vary"),
    [
        pytest.param('"b", W/"a"', "gzip", 'W/"a"', "Accept-Encoding", id="compressed"),
        pytest.param('"a"', "gzip", '"a"', None, id="not-compressed"),
        pytest.param('"a", W/"a"', "br", '"a"', None, id="other-coding"),
        pytest.param('W/"A"', "gzip", '"a"', None, id="letter-case"),
    ],
)
def test_a_304_has_the_tag_of_what_the_client_has(
    edge: str, known: str, accepted: str, tag: str, vary: str | None, upstream: RawUpstream
) -> None:
    upstream.behaviour = b'HTTP/1.1 304 x\r\nETag: "a"\r\n\r\n'
    sent = [("Accept-Encoding", accepted), ("If-None-Match", known)]
    got = asked(edge, upstream.url, [compress()], headers=sent)
    assert (got.status, got.value("ETag"), got.value("Vary")) == (304, tag, vary)


def test_a_cookie_that_a_hook_before_has_removed_counts(upstream: RawUpstream) -> None:
    def login(request: Request) -> Generator[Any, Any, None]:
        del request.headers["Cookie"]
        yield request

    upstream.behaviour = answer(200, [HTML], TEXT)
    sent = [GZIP, ("Cookie", "a=b"), ("Sec-Fetch-Site", "cross-site")]
    got = asked("wsgi", upstream.url, [login, compress()], headers=sent)
    assert got.value("Content-Encoding") is None


def test_what_is_short_stays_as_it_is(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, [HTML], b"short")
    assert asked("wsgi", upstream.url, [compress()], headers=[GZIP]).body == b"short"


def test_what_a_hook_has_made_and_is_short_stays_as_it_is(upstream: RawUpstream) -> None:
    def closed(request: Request) -> Generator[Any, Any, Response]:
        yield request
        return Response(503, body="closed")

    got = asked("wsgi", upstream.url, [compress(), closed], headers=[GZIP])
    assert (got.body, got.value("Content-Encoding")) == (b"closed", None)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("gzip, br", "br", id="ours-first"),
        pytest.param("gzip;q=1.0, br;q=0.9", "gzip", id="weight"),
        pytest.param("GZIP", "gzip", id="case"),
        pytest.param("x-gzip", "gzip", id="old-name"),
        pytest.param("*", "br", id="any"),
        pytest.param("*, br;q=0", "gzip", id="any-but"),
        pytest.param("gzip;q=0", "", id="refused"),
        pytest.param("gzip;q=0.5, identity", "", id="identity-preferred"),
        pytest.param("gzip;q=x", "", id="no-number"),
        pytest.param("gzip;q=nan", "", id="not-a-number"),
        pytest.param("gzip;q=0.000, *;q=0", "", id="zeros"),
        pytest.param("identity;q=0, gzip;q=0.1", "gzip", id="identity-refused"),
        pytest.param("*;q=0", "", id="none-at-all"),
        pytest.param("gzip ; Q=0", "", id="blanks-and-case"),
        pytest.param("deflate", "", id="other"),
    ],
)
def test_the_coding(accepted: str, coding: str) -> None:
    assert accepted_coding(accepted, ["br", "gzip"]) == coding


@pytest.mark.parametrize(
    "options",
    [
        {"codings": "gzip"},
        {"codings": []},
        {"codings": ["lzma"]},
        {"codings": [["gzip"]]},
        {"minimum": -1},
        {"minimum": True},
        {"types": "a/b"},
        {"types": None},
        {"types": [1]},
        {"types": ["text/html; charset=utf-8"]},
    ],
)
def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        compress(**options)
