"""What a page is told of messages, events, bodies and times."""

from __future__ import annotations

import gzip
import json
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.observe.inspector.filled import ORIGIN, add
from wsgiproxy.observe.inspector.bodies import body_named
from wsgiproxy.observe.inspector.decoded import SHOWN, decoded
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.pretty import pretty_json
from wsgiproxy.observe.inspector.preview import preview
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.observe.inspector.shown import detail
from wsgiproxy.observe.inspector.timing import bars
from wsgiproxy.sansio.message import Request
from wsgiproxy.sansio.secrets import Secrets

SECRETS = Secrets()
STREAM = [("Content-Type", "text/event-stream; charset=utf-8")]
RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(b"abc") + RAW.flush()
BOMB = bytes(SHOWN * 8)


@pytest.mark.parametrize(
    ("coding", "data", "plain"),
    [
        pytest.param("", b"abc", b"abc", id="none"),
        pytest.param("Identity", b"abc", b"abc", id="identity"),
        pytest.param("gzip", gzip.compress(b"ab") + gzip.compress(b"c"), b"abc", id="members"),
        pytest.param("x-gzip", gzip.compress(b"abc") + b"\0\0", b"abc", id="padded"),
        pytest.param("gzip", gzip.compress(b"abc")[:-8], b"abc", id="cut"),
        pytest.param("deflate", zlib.compress(b"abc"), b"abc", id="deflate"),
        pytest.param("deflate", DEFLATED, b"abc", id="raw-deflate"),
        pytest.param("br", brotli.compress(b"abc"), b"abc", id="brotli"),
        pytest.param("zstd", zstandard.compress(b"abc"), b"abc", id="zstd"),
        pytest.param("deflate, gzip", gzip.compress(zlib.compress(b"abc")), b"abc", id="two"),
    ],
)
def test_codings_are_undone(coding, data, plain):
    assert decoded(data, coding) == (plain, False, "")


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(BOMB)),
        ("gzip", gzip.compress(b"") * 100 + gzip.compress(BOMB)),
        ("deflate", zlib.compress(BOMB)),
        ("br", brotli.compress(BOMB)),
        ("zstd", zstandard.compress(BOMB)),
    ],
    ids=["gzip", "members", "deflate", "brotli", "zstd"],
)
def test_bombs_do_not_grow(coding, data):
    found = decoded(data, coding)
    assert len(found.data) == SHOWN and found.is_cut and not found.note


def test_a_form_in_parts_is_masked():
    body = b"".join(
        b'--x y\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % part
        for part in [
            (b"user", b"", "é".encode()),
            (b"password", b"", b"pl4nted"),
            (b"password", b"; filename=a.bin", bytes(100)),
        ]
    )
    headers = [("Content-Type", 'multipart/form-data; boundary="x y"')]
    found = body_named(add(Ring(), "/", headers, body + b"--x y--\r\n"), "request")
    assert found is not None
    assert found.preview(SECRETS).fields == (
        ("user", "é"),
        ("password", "***"),
        ("password", "a.bin (100 bytes)"),
    )
    assert found.masked(SECRETS) == (body + b"--x y--\r\n").replace(b"pl4nted", b"***")


def test_a_million_members_are_not_read():
    assert decoded(gzip.compress(b"a") * 40_000, "gzip").data.startswith(b"aaa")


def test_a_form_in_a_coding_is_masked_and_a_long_one_stays_whole():
    form = ("Content-Type", "application/x-www-form-urlencoded")
    coded = [form, ("Content-Encoding", "gzip")]
    long = b"a=" + b"b" * SHOWN + b"&password=x"
    for headers, body in ((coded, gzip.compress(b"password=x&c=1")), ([form], long)):
        found = body_named(add(Ring(), "/", headers, body), "request")
        assert found is not None
        plain = body if headers is not coded else b"password=x&c=1"
        assert found.masked(SECRETS) == plain.replace(b"password=x", b"password=***")


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd", "", "x"]))
def test_any_bytes_have_a_preview(data, coding):
    shown = preview(data, "application/json", coding, SECRETS)
    assert json.loads(json.dumps(shown)) is not None


NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBER | st.text()
VALUES = st.recursive(LEAVES, lambda e: st.lists(e) | st.dictionaries(st.text(), e), max_leaves=20)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.booleans())
def test_pretty_json_is_the_same_value(value, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii)
    pretty = pretty_json(text)
    assert pretty is not None and json.loads(pretty) == value


def test_pretty_json_changes_no_number_and_no_name():
    text = '{"a":1.10,"a":1E400,"b":12345678901234567890}'
    assert (pretty_json(text) or "").split() == [
        *("{", '"a":', "1.10,", '"a":', "1E400,", '"b":', "12345678901234567890", "}")
    ]


def test_pretty_json_does_not_grow_by_indentation():
    assert pretty_json("[" * 500 + "1," * 200_000 + "1" + "]" * 500) is None


def test_messages_of_a_websocket():
    exchange = add(Ring())
    exchange.message("text", b"hi" + b"x" * 20_000, is_from_client=True)
    exchange.message("binary", b"\0\1", is_from_client=False)
    found = detail(exchange, SECRETS)
    text, binary = found["messages"]
    assert found["kind"] == "websocket" and found["messages_dropped"] == 0
    assert (text["from"], text["size"], text["cut"]) == ("client", 20_002, True)
    assert text["text"].startswith("hix") and text["hex"] is None
    assert (binary["from"], binary["text"], binary["hex"]) == ("upstream", None, "00 01")


def test_events_have_the_time_at_which_they_came():
    exchange = add(Ring())
    exchange.begin_answer("200 OK", STREAM)
    times = iter([1.0, 2.0, 3.0])
    exchange.now = lambda: next(times)  # type: ignore[method-assign]
    for block in (b"data: a\n", b"\ndata: b\n\nevent: x\nid: 1\n", b"data: c\n\ndata: half"):
        exchange.add_answer(block)
    found = detail_at(exchange, 4.0)["events"]
    assert [(each["seconds"], each["event"], each["data"]) for each in found] == [
        (2.0, "message", "a"),
        (2.0, "message", "b"),
        (3.0, "x", "c"),
    ]


def detail_at(exchange: Exchange, seconds: float) -> dict:
    exchange.now = lambda: seconds  # type: ignore[method-assign]
    return detail(exchange, SECRETS)


def test_bars_of_retries_lie_behind_each_other():
    exchange = add(Ring())
    request = Request("GET", "/", [])
    first = exchange.attempt(ORIGIN, request, is_changed=False)
    first.began, first.connected, first.ended = 1.0, 2.0, 3.0
    second = exchange.attempt(ORIGIN, request, is_changed=False)
    second.began, second.sent, second.answered, second.ended = 4.0, 5.0, 6.0, 7.0
    exchange.ended = 8.0
    assert [tuple(bar) for bar in bars(exchange)] == [
        ("in the proxy", 0.0, 1.0),
        ("attempt 1: connecting", 1.0, 2.0),
        ("attempt 1: waiting", 2.0, 3.0),
        ("in the proxy", 3.0, 4.0),
        ("attempt 2: sending", 4.0, 5.0),
        ("attempt 2: waiting", 5.0, 6.0),
        ("attempt 2: receiving", 6.0, 7.0),
        ("in the proxy", 7.0, 8.0),
    ]


def test_bars_of_what_goes_on_end_now():
    exchange = add(Ring())
    exchange.now = lambda: 3.0  # type: ignore[method-assign]
    assert [tuple(bar) for bar in bars(exchange)] == [("waiting for the response", 0.0, 3.0)]
    attempt = exchange.attempt(ORIGIN, Request("GET", "/", []), is_changed=False)
    # A response that comes before the body has gone, and a time that lies behind the end.
    attempt.began, attempt.answered, attempt.sent = 1.0, 1.5, 2.0
    assert [bar.end for bar in bars(exchange)] == [1.0, 2.0, 2.0, 3.0]
