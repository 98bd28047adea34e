"""Links lead below the mount, and every other byte stays what it was."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hooks.both import EDGES, asked
from tests.support.upstream import RawUpstream, answer, chunked_answer
from wsgiproxy.hooks.rewrite_links import _Page, _Sheet, rewrite_links

PAGE = [
    pytest.param('<a href="/x">', '<a href="/m/x">', id="link"),
    pytest.param("<A HREF='/x'\n>", "<A HREF='/m/x'\n>", id="case-and-space"),
    pytest.param("<img src=/x alt=/x>", "<img src=/m/x alt=/x>", id="bare"),
    pytest.param('<a href="/">', '<a href="/m/">', id="root"),
    pytest.param('<a href="/m/x">', '<a href="/m/x">', id="known"),
    pytest.param('<a href="//cdn/x">', '<a href="//cdn/x">', id="host"),
    pytest.param('<a href="/\\evil">', '<a href="/\\evil">', id="backslash"),
    pytest.param('<a href="x">', '<a href="x">', id="relative"),
    pytest.param('<a href="http://a/x">', '<a href="http://a/x">', id="absolute"),
    pytest.param('<form action="/x"/>', '<form action="/m/x"/>', id="form"),
    pytest.param('<img srcset="/a 1x, /b 2x">', '<img srcset="/m/a 1x, /m/b 2x">', id="srcset"),
    pytest.param('<p style="a:url(/x)">', '<p style="a:url(/m/x)">', id="style-attribute"),
    pytest.param("<style>a{b:url('/x')}</style>", "<style>a{b:url('/m/x')}</style>", id="style"),
    pytest.param(
        '<meta http-equiv="Refresh" content="0; url=/x">',
        '<meta http-equiv="Refresh" content="0; url=/m/x">',
        id="refresh",
    ),
    pytest.param(
        '<img srcset="data:image/jpeg;base64,/9j/4A 1x, /b 2x,">',
        '<img srcset="data:image/jpeg;base64,/9j/4A 1x, /m/b 2x,">',
        id="srcset-data",
    ),
    pytest.param('<img srcset="/a,/b, /c,">', '<img srcset="/m/a,/b, /m/c,">', id="srcset-comma"),
    pytest.param('<img srcset="//a/b, /\\c">', None, id="srcset-host"),
    pytest.param('<a href="&#x2F;x&#x2F;y">', '<a href="/m/x/y">', id="entity"),
    pytest.param('<a href="&#47;&#x2f;cdn">', None, id="entity-host"),
    pytest.param(
        '<p style="a:url(&quot;/x&quot;)">', '<p style="a:url(&quot;/m/x&quot;)">', id="entity-mark"
    ),
    pytest.param(
        '<meta http-equiv=refresh content="0; /x">',
        '<meta http-equiv=refresh content="0; /m/x">',
        id="refresh-alone",
    ),
    pytest.param('a &# b &c <a href="/x">', 'a &# b &c <a href="/m/x">', id="no-entity"),
    pytest.param("<script>\"<a href='/x'>\"</script>", None, id="script"),
    pytest.param('<!-- <a href="/x"> --><!doctype html>&amp;&#1;', None, id="comment"),
    pytest.param('<p title="<a href=/x>">href="/x"', None, id="text"),
    pytest.param('<a href="/x', None, id="unfinished"),
    pytest.param("<script>a", None, id="unfinished-script"),
    pytest.param("\xe9\xff\x00<\xe9 a", None, id="bytes"),
]


def change(link: str) -> str:
    return link if link.startswith("/m/") else "/m" + link


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize(("page", "found"), PAGE)
def test_links_of_a_page(edge: str, page: str, found: str | None, upstream: RawUpstream) -> None:
    body = page.encode("latin-1")
    blocks = [body[at : at + 1] for at in range(len(body))]
    fields = [("Content-Type", "text/html"), ("ETag", '"a"')]
    upstream.behaviour = chunked_answer(*blocks, headers=fields)
    got = asked(edge, upstream.url, [rewrite_links()], mount="/m")
    assert got.body.decode("latin-1") == (page if found is None else found)
    assert got.value("ETag") == 'W/"a"'
    assert upstream.requests[0].values("Accept-Encoding") == ["identity"]


@pytest.mark.parametrize("edge", EDGES)
def test_css_and_fields(edge: str, upstream: RawUpstream) -> None:
    fields = [
        ("Content-Type", "text/css"),
        ("Link", "</a(1).css>; rel=preload, <//cdn/b>"),
        ("Location", "/x"),
        ("Set-Cookie", "a=b; Path=/"),
    ]
    upstream.behaviour = answer(201, fields, b'@import "/a"; p{b:URL( "/c" )} q{d:url(//e)}')
    got = asked(edge, upstream.url, [rewrite_links()], mount="/m")
    assert got.body == b'@import "/m/a"; p{b:URL( "/m/c" )} q{d:url(//e)}'
    assert got.value("Link") == "</m/a(1).css>; rel=preload, <//cdn/b>"
    assert got.value("Location") == "/m/x"
    assert "Path=/m" in (got.value("Set-Cookie") or "")


@pytest.mark.parametrize("edge", EDGES)
def test_a_304_has_the_tag_of_what_was_changed(edge: str, upstream: RawUpstream) -> None:
    upstream.behaviour = b'HTTP/1.1 304 x\r\nETag: "a"\r\n\r\n'
    sent = [("If-None-Match", 'W/"a"')]
    got = asked(edge, upstream.url, [rewrite_links()], headers=sent, mount="/m")
    assert got.status == 304 and got.value("ETag") == 'W/"a"'


@pytest.mark.parametrize(
    ("mount", "kind", "coding"),
    [
        pytest.param("", "text/html", "identity", id="at-the-root"),
        pytest.param("/m", "text/plain", "identity", id="other-type"),
        pytest.param("/m", "text/html", "gzip", id="coded"),
    ],
)
def test_what_is_left_alone(mount: str, kind: str, coding: str, upstream: RawUpstream) -> None:
    fields = [("Content-Type", kind), ("Content-Encoding", coding)]
    upstream.behaviour = answer(200, fields, b'<a href="/x">')
    got = asked("wsgi", upstream.url, [rewrite_links()], mount=mount)
    assert got.body == b'<a href="/x">' and got.value("Content-Length") == "13"


MARKS = st.lists(st.sampled_from([*"<>/=\"'!-&;x ", "<a ", "<style>", "</", "script", "url("]))


@given(MARKS, st.integers(1, 9))
def test_without_a_change_all_bytes_are_the_same_however_they_are_cut(
    marks: list[str], size: int
) -> None:
    data = "".join(marks).encode()
    for reader in (_Page(str), _Sheet(str)):
        blocks = [reader.block(data[at : at + size]) for at in range(0, len(data), size)]
        assert b"".join(blocks) + reader.end() == data


def test_what_never_ends_is_passed_as_it_is() -> None:
    page = _Page(change)
    blocks = [b"<a href='" + b"x" * 2_000_000, b"'><a href='/y'>"]
    assert b"".join(map(page.block, blocks)) + page.end() == b"".join(blocks)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(b"<a " + b"a" * 100_000 + b">", id="name"),
        pytest.param(b"<a " * 100_000, id="tags-without-an-end"),
        pytest.param(b"&#;" * 30_000, id="entities"),
        pytest.param(b"<img srcset='" + b", " * 100_000 + b"'>", id="srcset"),
        pytest.param(b"<p style='" + b"url(  " * 50_000 + b"'>", id="style"),
        pytest.param(
            b"<meta http-equiv=refresh content='0" + b" " * 100_000 + b"x'>", id="refresh"
        ),
    ],
)
def test_no_page_takes_time_by_the_square_of_its_length(page: bytes) -> None:
    reader, start = _Page(change), process_time()
    blocks = [reader.block(page[at : at + 100]) for at in range(0, len(page), 100)]
    assert b"".join(blocks) + reader.end() == page
    assert process_time() - start < 5
