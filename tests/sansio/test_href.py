"""Rules about the address of an upstream: what may stand in href, and what is put behind it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.href import Base, join, parse_href, without_password
from wsgiproxy.sansio.message import Origin

ROOT = "http://h"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://user:secret@host:80/", "http://***@host:80/"),
        ("user:secret@host", "***@host"),
        ("http://u:pa ss@host/", "http://***@host/"),
        ("http://u:pa\tss@h/", "http://***@h/"),
        ("u:p w@x:1", "***@x:1"),
        ("http://u:12345/x@host", "http://***@host"),
        ("http://u@host/", "http://***@host/"),
        ("['http://a/b', 'http://u:p@c/']", "['http://a/b', 'http://***@c/']"),
        ("http://host/a@b", "http://host/a@b"),
        ("http://host:80/", "http://host:80/"),
    ],
)
def test_the_userinfo_of_an_address_is_masked(text: str, masked: str) -> None:
    assert without_password(text) == masked
    assert without_password(repr(text)) == repr(masked)


def test_a_hint_repeats_no_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_href("admin:12345/x@host")
    assert "12345" not in str(caught.value)


_PIECES = ["/", "a", "b.c", ";", "..", "%2F", "%2f", "%25", "%zz", "%", "%C3%A9", "%00", "|", "+"]
raw_paths = st.lists(st.sampled_from(_PIECES), max_size=10).map(lambda p: "/" + "".join(p))
queries = st.sampled_from([None, "", "a=1", "a=%2F&b", "?", "/;"])


@pytest.mark.parametrize(
    ("href", "path", "query", "target"),
    [
        pytest.param(f"{ROOT}", "/", "", "/", id="root"),
        pytest.param(f"{ROOT}", "", "", "/", id="root-for-nothing"),
        pytest.param(f"{ROOT}/", "/x", "", "/x", id="slash-and-slash"),
        pytest.param(f"{ROOT}/app", "/x", "", "/app/x", id="no-slash-and-slash"),
        pytest.param(f"{ROOT}/app/", "/x", "", "/app/x", id="exactly-one-slash"),
        pytest.param(f"{ROOT}/app/", "//x", "", "/app//x", id="nothing-collapsed"),
        pytest.param(f"{ROOT}/app", "/", "", "/app/", id="slash-alone"),
        pytest.param(f"{ROOT}/app", "", "", "/app", id="as-href-was-written"),
        pytest.param(f"{ROOT}/app/", "", "", "/app/", id="as-href-was-written-with-slash"),
        pytest.param(f"{ROOT}/a%2Fb/", "/%2F", "", "/a%2Fb/%2F", id="on-the-encoded-form"),
        pytest.param(f"{ROOT}/app", "/./a/../b", "", "/app/./a/../b", id="no-urljoin"),
        pytest.param(f"{ROOT}/app", "/http://e/", "", "/app/http://e/", id="no-urljoin-of-urls"),
        pytest.param(f"{ROOT}", "/x", "?", "/x?", id="question-mark-alone"),
        pytest.param(f"{ROOT}", "/x", "?a", "/x?a", id="client's-query"),
        pytest.param(f"{ROOT}?k=1", "/x", "", "/x?k=1", id="href's-query"),
        pytest.param(f"{ROOT}?k=1", "/x", "?", "/x?k=1", id="href's-query-and-question-mark"),
        pytest.param(f"{ROOT}?k=1", "/x", "?a;b&c", "/x?k=1&a;b&c", id="href's-query-first"),
        pytest.param(f"{ROOT}/a?k", "", "?b", "/a?k&b", id="no-path"),
    ],
)
def test_join(href: str, path: str, query: str, target: str) -> None:
    assert join(parse_href(href), path, query) == target


@given(st.sampled_from(["/app", "/app/", "/a/b", ""]), raw_paths, queries)
def test_a_joined_target_is_below_href(base: str, path: str, query: str | None) -> None:
    """What is joined begins with the base, and the client's path and query follow unchanged."""
    end = "" if query is None else f"?{query}"
    target = join(parse_href(ROOT + base), path, end)
    assert target == base.rstrip("/") + path + end


@pytest.mark.parametrize(
    ("href", "base"),
    [
        pytest.param("http://h", Base(Origin("http", "h", 80), "", False, ""), id="bare"),
        pytest.param("http://h/", Base(Origin("http", "h", 80), "", True, ""), id="slash"),
        pytest.param(
            "https://h:8/a/b/?k=v", Base(Origin("https", "h", 8), "/a/b", True, "k=v"), id="all"
        ),
        pytest.param("https://h", Base(Origin("https", "h", 443), "", False, ""), id="tls"),
        pytest.param("HTTP://h", Base(Origin("http", "h", 80), "", False, ""), id="upper-case"),
        pytest.param("http://[::1]:8", Base(Origin("http", "::1", 8), "", False, ""), id="ipv6"),
        pytest.param("http://h?k", Base(Origin("http", "h", 80), "", False, "k"), id="query-only"),
        pytest.param(
            "http://h/a%2Fb", Base(Origin("http", "h", 80), "/a%2Fb", False, ""), id="raw"
        ),
        pytest.param(
            "unix:/run/s", Base(Origin("http", "localhost", 80, "/run/s"), "", False, ""), id="unix"
        ),
        pytest.param(
            "unix:@name:/b/",
            Base(Origin("http", "localhost", 80, "@name"), "/b", True, ""),
            id="unix-abstract-with-base",
        ),
        pytest.param(
            "unix:/s:/b?k",
            Base(Origin("http", "localhost", 80, "/s"), "/b", False, "k"),
            id="unix-with-base-and-query",
        ),
    ],
)
def test_parse_href(href: str, base: Base) -> None:
    assert parse_href(href) == base


def test_location_is_the_base_as_it_was_written() -> None:
    assert [parse_href(ROOT + path).location for path in ("", "/", "/a", "/a/")] == [
        "",
        "/",
        "/a",
        "/a/",
    ]


@together
@pytest.mark.parametrize(
    "href",
    [
        pytest.param("", id="empty"),
        pytest.param("h", id="no-scheme"),
        pytest.param("/path", id="path"),
        pytest.param("//h/", id="no-scheme-but-slashes"),
        pytest.param("ftp://h/", id="other-scheme"),
        pytest.param("http:h", id="no-slashes"),
        pytest.param("http:///x", id="no-host"),
        pytest.param("http://u:p@h/", id="userinfo"),
        pytest.param("http://h:0/", id="port-0"),
        pytest.param("http://h:65536/", id="port-too-high"),
        pytest.param("http://h:x/", id="port-no-number"),
        pytest.param("http://h/#f", id="fragment"),
        pytest.param("http://h/a b", id="space"),
        pytest.param("http://h/\xe9", id="non-ascii-path"),
        pytest.param("http://h/a\n", id="newline"),
        pytest.param("http://h/a\tb", id="tab-that-urlsplit-removes"),
        pytest.param(" http://h/", id="space-in-front"),
        pytest.param("http://h/../x", id="dot-dot"),
        pytest.param("http://h/%252e%252e/x", id="dot-dot-escaped"),
        pytest.param("http://[::1/", id="bracket-open"),
        pytest.param("http://ex\u2100mple.com/", id="NFKC"),
        pytest.param("unix:", id="unix-without-path"),
        pytest.param("unix:/", id="unix-root"),
        pytest.param("unix:s", id="unix-relative"),
        pytest.param("unix:/s:b", id="unix-base-without-slash"),
        pytest.param("unix:/s://h/b", id="unix-base-with-authority"),
        pytest.param("unix:/s:http:/b", id="unix-base-with-scheme"),
        pytest.param("unix:/s://[b", id="unix-base-with-open-bracket"),
    ],
)
def test_parse_href_refuses(href: str) -> None:
    with pytest.raises(ConfigurationError, match="^href="):
        parse_href(href)


_HREF = ["http", "unix", ":", "//", "/", "[", "]", "::1", "h", "@", "?", "#", "..", "\u2100", " "]


@given(st.text(max_size=20) | st.lists(st.sampled_from(_HREF), max_size=8).map("".join))
def test_an_href_is_read_or_refused(href: str) -> None:
    """Any text is either an address with a printable base or a ConfigurationError."""
    try:
        base = parse_href(href)
    except ConfigurationError as error:
        assert repr(without_password(href)) in str(error)
    else:
        assert re.fullmatch("[!-~]*", base.path + base.query)
        assert base.path[:1] in ("", "/")
        assert 0 < base.origin.port <= 65535
        assert base.origin.host
