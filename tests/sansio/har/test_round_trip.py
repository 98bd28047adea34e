"""An archive gives the exchanges again from which it was written, each byte of their bodies."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.sansio.har.coding import as_bytes, undone
from wsgiproxy.sansio.har.entry import Answer, Body, Entry, Message, Timings
from wsgiproxy.sansio.har.moment import as_moment, as_seconds
from wsgiproxy.sansio.har.read import entries_of
from wsgiproxy.sansio.har.write import har, har_text
from wsgiproxy.sansio.secrets import Secrets

_TYPES = ["", "text/html", "text/plain; charset=latin-1", "application/json", "image/png"]
_TYPES += ["text/plain; charset=utf-16", "text/plain; charset=idna", 'text/css;charset="shift_jis"']
_CODERS = {"gzip": gzip.compress, "deflate": zlib.compress}

values = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=8).map(
    lambda text: text.strip(" \t")
)
names = st.sampled_from(["Accept", "X-A", "x-a", "Cookie", "Set-Cookie", "Location", "Via"])
fields = st.lists(st.tuples(names, values), max_size=3)
octets = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from([b"\xff\xfea\0", "ä".encode("latin-1"), b"\0", b"\x1f\x8b\x08", b"a" * 300]),
)
times = st.floats(0, 1e6).map(lambda number: round(number, 3))
cut = st.builds(
    lambda data, more: Body(data, True, None if more is None else len(data) + more),
    octets,
    st.none() | st.integers(1, 9),
)


@st.composite
def heads(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[str]]:
    """Field lines, and the content codings that they name."""
    mime, codings = draw(st.sampled_from(_TYPES)), draw(st.sampled_from([[], ["gzip"], ["br"]]))
    codings = draw(st.sampled_from([codings, [], ["deflate", "gzip"]]))
    found = draw(fields) + ([("Content-Type", mime)] if mime else [])
    return found + ([("Content-Encoding", ", ".join(codings))] if codings else []), codings


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    headers, codings = draw(heads())
    data = draw(octets)
    if draw(st.booleans()):  # what the field says is so
        for coding in codings:
            data = _CODERS.get(coding, bytes)(data)
    unknown = st.builds(Body, st.none(), st.just(False), st.none() | st.integers(1, 99))
    body = draw(st.one_of(st.just(Body(data)), st.just(Body(data)), cut, unknown))
    status = draw(st.integers(100, 999).filter(lambda number: number not in (204, 304)))
    return Answer(status, draw(values), "HTTP/1.1", headers, body)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    answer = draw(st.none() | answers())
    given_times = draw(st.tuples(*[st.none() | times] * 4, *[times] * 3))
    text = st.builds(Message, times, st.just("send"), st.just(1), st.text().map(_utf8))
    octet = st.builds(Message, times, st.just("receive"), st.just(2), octets)
    return Entry(
        draw(st.integers(0, 4_000_000_000_000)) / 1000,
        draw(st.sampled_from(["GET", "POST", "X-METHOD"])),
        draw(st.sampled_from(["http://a.example/", "https://[::1]:8443/a%2Fb?c=%20d&e#f"])),
        draw(st.sampled_from(["HTTP/1.1", "h2", ""])),
        draw(heads())[0],
        draw(st.one_of(octets.map(Body), cut, st.just(Body(None)), st.just(Body(None, size=7)))),
        answer,
        "" if answer else "refused",
        Timings(*given_times),
        draw(st.sampled_from(["", "127.0.0.1", "2001:db8::1"])),
        draw(st.sampled_from(["", "17"])),
        tuple(draw(st.lists(text | octet, max_size=2))),
        draw(st.sampled_from(["", "why"])),
    )


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@given(st.lists(entries(), max_size=3))
def test_what_is_read_is_what_was_written(recorded: list[Entry]) -> None:
    text = "".join(har_text(recorded, version="1.0"))
    assert json.loads(text) == har(recorded, version="1.0")
    assert entries_of(text) == recorded
    assert entries_of(b"\xef\xbb\xbf" + text.encode("ascii")) == recorded


@given(answers())
def test_a_text_for_readers_is_the_decoded_body(answer: Answer) -> None:
    entry = Entry(0.0, "GET", "http://a.example/", "HTTP/1.1", [], answer=answer)
    content = har([entry], version="1")["log"]["entries"][0]["response"]["content"]
    if "_coded" in content:
        applied = [each.strip() for each in dict(answer.headers)["Content-Encoding"].split(",")]
        assert content["size"] == len(undone(answer.body.data or b"", applied) or b"")
        assert content["compression"] == content["size"] - len(answer.body.data or b"")
    assert ("text" in content) is (answer.body.data is not None)


def test_a_text_that_was_edited_counts_more_than_the_bytes_beside_it() -> None:
    headers = [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")]
    answer = Answer(200, "OK", "HTTP/1.1", headers, Body(gzip.compress(b"old")))
    entry = Entry(0.0, "GET", "http://a.example/", "HTTP/1.1", [], answer=answer)
    made = har([entry], version="1")
    assert made["log"]["entries"][0]["response"]["content"]["text"] == "old"
    made["log"]["entries"][0]["response"]["content"]["text"] = "new"
    (found,) = entries_of(json.dumps(made))
    assert found.answer is not None
    assert found.answer.body == Body(b"new")
    assert found.answer.headers == [("Content-Type", "text/plain")]


@pytest.mark.parametrize(
    ("data", "coding"),
    [
        pytest.param(gzip.compress(b"a")[:-1], "gzip", id="cut"),
        pytest.param(gzip.compress(b"a") + b"x", "gzip", id="more-behind-it"),
        pytest.param(zlib.compress(b"a") + b"x", "deflate", id="more-behind-deflate"),
        pytest.param(gzip.compress(bytes(65 * 1024 * 1024), 1), "gzip", id="bomb"),
        pytest.param(b"\x07", "deflate", id="no-deflate"),
        pytest.param(b"a", "br", id="unknown"),
        pytest.param(b"", "gzip", id="empty"),
    ],
)
def test_what_does_not_decode_completely_is_not_decoded(data: bytes, coding: str) -> None:
    assert undone(data, [coding]) is None


def test_what_decodes_is_decoded() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert undone(raw.compress(b"ab") + raw.flush(), ["deflate"]) == b"ab"
    assert undone(gzip.compress(b"a") + gzip.compress(b"b"), ["x-gzip"]) == b"ab"
    assert undone(b"a", []) == b"a"


def test_a_text_beyond_its_charset_is_utf_8() -> None:
    assert as_bytes("€", "text/plain; charset=latin-1") == "€".encode()
    assert as_bytes("\ud800", "text/plain") == b"?"
    assert as_bytes("\udcff", "text/plain") == b"\xff"


def test_cookies_are_listed_beside_their_fields() -> None:
    line = "a=b; Path=/; Domain=.a.example; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Secure; X"
    lines = [
        line,
        "c=d; HttpOnly; Expires=soon",
        "no pair",
        "e=; expires=21 Oct 2026 07:28:00 -0000",
    ]
    answer = Answer(200, "OK", "HTTP/1.1", [("set-cookie", each) for each in lines])
    sent = [("Cookie", "a=b; c; d=e"), ("Cookie", "f=g")]
    entry = Entry(0.0, "GET", "http://a.example/", "HTTP/1.1", sent, answer=answer)
    (made,) = har([entry], version="1")["log"]["entries"]
    assert made["request"]["cookies"] == [
        {"name": name, "value": value} for name, value in ("ab", "de", "fg")
    ]
    assert made["response"]["cookies"] == [
        {
            **{"name": "a", "value": "b", "path": "/", "domain": ".a.example"},
            **{"expires": "2026-10-21T07:28:00.000Z", "secure": True},
        },
        {"name": "c", "value": "d", "httpOnly": True},
        {"name": "e", "value": "", "expires": "2026-10-21T07:28:00.000Z"},
    ]


def test_what_is_hidden_is_hidden_in_each_place() -> None:
    secret = "s3cret"
    headers = [("Authorization", f"Bearer {secret}"), ("Cookie", f"id={secret}")]
    answer = Answer(
        *(302, "Found", "HTTP/1.1"),
        [("Location", f"/?token={secret}"), ("Set-Cookie", f"id={secret}; Path=/")],
    )
    url = f"http://a.example/?key={secret}&b=1"
    text = "".join(
        har_text([Entry(0.0, "GET", url, "1", headers, answer=answer)], version="1", mask=Secrets())
    )
    assert secret not in text
    assert text.count("***") == 9


@given(st.integers(0, 4_000_000_000_000))
def test_a_moment_is_read_as_it_was_written(milliseconds: int) -> None:
    assert as_seconds(as_moment(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize("text", ["2024-13-01T00:00:00Z", "9999-12-31T23:59:60", 5, None, ""])
def test_what_is_no_moment_is_the_beginning(text: object) -> None:
    assert as_seconds(text) in (0.0, 253402300799.0)
