"""Rules about header fields: names, hop-by-hop, the forwarding namespace, validity."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.fields.connection import connection_options, end_to_end, for_client
from wsgiproxy.sansio.fields.host import is_host, split_host
from wsgiproxy.sansio.fields.names import (
    environ_field,
    list_members,
    normalized_name,
    values,
    without,
)
from wsgiproxy.sansio.fields.signature_members import cleaned
from wsgiproxy.sansio.grammar import is_token

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=20)


@together
@pytest.mark.parametrize("character", sorted(set(TOKEN_CHARACTERS)))
def test_token_character(character: str) -> None:
    assert is_token(character)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a b", id="space"),
        pytest.param("a\n", id="newline-at-the-end"),
        pytest.param("a\r\nb", id="line-break"),
        pytest.param("a\x00", id="nul"),
        pytest.param("a\x7f", id="del"),
        pytest.param("a:b", id="colon"),
        pytest.param("a/b", id="slash"),
        pytest.param("(a)", id="comment"),
        pytest.param('"a"', id="quotes"),
        pytest.param("a,b", id="comma"),
        pytest.param("caf\xe9", id="latin-1"),
        pytest.param("Acce\xdf", id="sharp-s"),
        pytest.param("\u212a", id="kelvin-sign"),
    ],
)
def test_no_token(text: str) -> None:
    assert not is_token(text)


@pytest.mark.parametrize(
    ("name", "bone"),
    [
        pytest.param("X-Forwarded-For", "x-forwarded-for", id="lower-case"),
        pytest.param("X_Forwarded_For", "x-forwarded-for", id="underscores"),
        pytest.param("X.Forwarded.For", "x-forwarded-for", id="dots"),
        pytest.param("X~Forwarded|For", "x-forwarded-for", id="any-other-token-character"),
        pytest.param("X-1", "x-1", id="digits-stay"),
        pytest.param("\xdf", "-", id="non-ascii"),
        pytest.param("", "", id="empty"),
    ],
)
def test_skeleton(name: str, bone: str) -> None:
    assert normalized_name(name) == bone


@pytest.mark.parametrize(
    ("key", "name"),
    [
        pytest.param("HTTP_ACCEPT", "Accept", id="title-case"),
        pytest.param("HTTP_X_FORWARDED_FOR", "X-Forwarded-For", id="underscores-are-hyphens"),
        pytest.param("HTTP_ETAG", "ETag", id="etag"),
        pytest.param("HTTP_TE", "TE", id="te"),
        pytest.param("HTTP_DNT", "DNT", id="dnt"),
        pytest.param("HTTP_WWW_AUTHENTICATE", "WWW-Authenticate", id="www-authenticate"),
        pytest.param("HTTP_SEC_WEBSOCKET_KEY", "Sec-WebSocket-Key", id="sec-websocket"),
        pytest.param("HTTP_X.A", "X.a", id="dot-is-a-token-character"),
        pytest.param("CONTENT_TYPE", "Content-Type", id="content-type-has-its-own-key"),
        pytest.param("CONTENT_LENGTH", None, id="content-length-is-no-header"),
        pytest.param("HTTP_CONTENT_LENGTH", None, id="second-content-length"),
        pytest.param("HTTP_content_LENGTH", None, id="second-content-length-in-any-case"),
        pytest.param("HTTP_CONTENT_TYPE", None, id="second-content-type"),
        pytest.param("HTTP_HOST", None, id="host-is-the-policy's"),
        pytest.param("HTTP_hOST", None, id="host-in-any-case"),
        pytest.param("wsgi.input", None, id="wsgi-key"),
        pytest.param("REMOTE_USER", None, id="cgi-key"),
        pytest.param("http_accept", None, id="lower-case-prefix"),
        pytest.param("", None, id="empty-key"),
    ],
)
def test_environ_field(key: str, name: str | None) -> None:
    assert environ_field(key) == name


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("HTTP_X A", id="space"),
        pytest.param("HTTP_", id="empty"),
        pytest.param("HTTP_X\r\nEVIL", id="line-break"),
        pytest.param("HTTP_X\x00", id="nul"),
        pytest.param("HTTP_X:", id="colon"),
        pytest.param("HTTP_ACCE\xdf", id="latin-1"),
        pytest.param("HTTP_\u0100", id="no-byte"),
    ],
)
def test_environ_field_refuses(key: str) -> None:
    with pytest.raises(BadRequest):
        environ_field(key)


@given(st.text(max_size=30))
def test_an_environ_field_is_a_token_or_none_or_refused(rest: str) -> None:
    """Whatever follows HTTP_, the name is a token, or none, or a BadRequest."""
    try:
        name = environ_field(f"HTTP_{rest}")
    except BadRequest:
        return
    assert name is None or is_token(name)


@pytest.mark.parametrize(
    ("value", "members"),
    [
        pytest.param("", [], id="empty"),
        pytest.param(" , ,", [], id="empty-members"),
        pytest.param("Close, X-Foo", ["close", "x-foo"], id="lower-case"),
        pytest.param(",a", ["a"], id="empty-first"),
        pytest.param("\ta\t,b ", ["a", "b"], id="tabs"),
        pytest.param("a;q=1, b", ["a;q=1", "b"], id="parameters-stay"),
    ],
)
def test_list_members(value: str, members: list[str]) -> None:
    assert list_members(value) == members


def test_values_are_those_of_one_name_in_order() -> None:
    headers = [("A", "1"), ("B", "2"), ("a", "3")]
    assert values(headers, "A") == values(headers, "a") == ["1", "3"]
    assert values(headers, "C") == []


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        pytest.param([], set(), id="no-connection"),
        pytest.param(["close"], {"close"} - {"close"}, id="close-alone-names-nothing"),
        pytest.param(["Keep-Alive"], set(), id="keep-alive-alone-names-nothing"),
        pytest.param(["x-a"], {"x-a"}, id="one"),
        pytest.param(["X-A", "x_b"], {"x-a", "x-b"}, id="all-lines"),
        pytest.param(["", "x-a"], {"x-a"}, id="first-line-empty-CVE-2021-33197"),
        pytest.param([", ,x-a,"], {"x-a"}, id="empty-members"),
        pytest.param(["close, X-A"], {"close", "x-a"}, id="behind-close"),
        pytest.param(["Host, Content-Length, X-A"], {"x-a"}, id="never-host-nor-length"),
        pytest.param(["hOST, content_length"], set(), id="never-by-skeleton-either"),
    ],
)
def test_nominated(lines: list[str], names: set[str]) -> None:
    assert connection_options([("Connection", line) for line in lines]) == names


def test_nominated_whatever_the_case_of_connection() -> None:
    assert connection_options([("cONNECTION", "x-a")]) == {"x-a"}


HOP_BY_HOP = [
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Trailers",
    "Transfer-Encoding",
    "Upgrade",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Authentication-Info",
    "HTTP2-Settings",
    "ALPN",
    "Close",
    "Security-Scheme",
    "Proxy-Features",
    "Proxy-Instruction",
]
CLEANERS = [
    pytest.param(end_to_end, id="exact"),
    pytest.param(cleaned, id="reverse"),
    pytest.param(for_client, id="response"),
]


@together
@pytest.mark.parametrize("clean", CLEANERS)
@pytest.mark.parametrize("name", [pytest.param(name, id=f"{name}") for name in HOP_BY_HOP])
@pytest.mark.parametrize("mangle", [str, str.lower, str.upper, lambda n: n.replace("-", "_")])
def test_hop_by_hop_is_removed(clean, name, mangle) -> None:
    """In whatever case and with whatever separators."""
    assert clean([("A", "1"), (mangle(name), "x"), ("B", "2")]) == [("A", "1"), ("B", "2")]


@pytest.mark.parametrize("clean", CLEANERS)
@pytest.mark.parametrize(
    ("headers", "left"),
    [
        pytest.param(
            [("Connection", "close, X-A"), ("X-A", "1"), ("B", "2")],
            [("B", "2")],
            id="nominated-is-removed",
        ),
        pytest.param(
            [("X-A", "1"), ("Connection", "x_a"), ("x.a", "2")],
            [],
            id="by-skeleton-before-and-behind",
        ),
        pytest.param(
            [("Connection", "Host, Content-Length, Cookie"), ("Host", "a"), ("Cookie", "b")],
            [("Host", "a")],
            id="host-stays",
        ),
        pytest.param(
            [("Connection", "Content-Length"), ("Content-Length", "1")],
            [("Content-Length", "1")],
            id="framing-is-never-removable",
        ),
        pytest.param(
            [("A", "1"), ("B", ""), ("A", "2")],
            [("A", "1"), ("B", ""), ("A", "2")],
            id="order-repeats-and-empty-values-stay",
        ),
        pytest.param([("Proxy", "http://evil/")], [], id="httpoxy"),
    ],
)
def test_cleaners(clean, headers, left) -> None:
    assert clean(headers) == left


KEPT = [
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Early-Data",
    "If-Range",
    "Range",
    "Traceparent",
    "User-Agent",
    "Via",
    "X-Forward",
    "X-Request-Id",
]


@together
@pytest.mark.parametrize("clean", [end_to_end, cleaned])
@pytest.mark.parametrize("name", [pytest.param(name, id=f"{name}") for name in KEPT])
def test_the_rest_passes(clean, name) -> None:
    """Untouched, and nothing is invented."""
    assert clean([(name, "x")]) == [(name, "x")]


NAMESPACE = [
    "X-Forwarded-For",
    "X_Forwarded_For",
    "X.Forwarded.For",
    "X-Forwarded-Prefix",
    "X-Forwarded-Anything-New",
    "X-WSGIProxy-STR-0",
    "X-WSGIProxy",
    "X-Traversal-Path",
    "WSGIProxy",
    "WSGIProxy-Whatever",
    "Forwarded",
    "X-Real-IP",
    "X-Script-Name",
    "Script-Name",
    "Script_Name",
    "Path-Info",
    "Remote-User",
    "Remote.User",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-URL-Scheme",
    "Front-End-Https",
    "Proxy",
    "X-Forwarded",
    "Forwarded-For",
    "Client-IP",
    "X-Client-IP",
    "True-Client-IP",
    "X-Cluster-Client-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "CF-Pseudo-IPv4",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "WL-Proxy-Client-IP",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-AppEngine-User-IP",
    "Ali-CDN-Real-IP",
    "X-Original-Forwarded-For",
    "X-Originating-IP",
    "X-Remote-IP",
    "X-Remote-Addr",
    "X-NF-Client-Connection-IP",
    "CDN-Src-IP",
    "CloudFront-Viewer-Address",
    "CloudFront-Forwarded-Proto",
    "X-Envoy-External-Address",
    "X-Original-Host",
    "X-Host",
    "X-Scheme",
    "X-HTTP-Host-Override",
    "X-Sendfile-Type",
    "X-Accel-Mapping",
]


@together
@pytest.mark.parametrize("name", [pytest.param(name, id=f"{name}") for name in NAMESPACE])
def test_namespace_is_removed(name: str) -> None:
    assert cleaned([("A", "1"), (name, "evil"), ("B", "2")]) == [("A", "1"), ("B", "2")]


@together
@pytest.mark.parametrize("name", [name for name in NAMESPACE if name != "Proxy"])
def test_exact_keeps_the_namespace(name: str) -> None:
    """What the client says about forwarding is part of the request that it describes."""
    assert end_to_end([(name, "x")]) == [(name, "x")]


@given(st.sampled_from(NAMESPACE), st.data())
def test_no_spelling_of_the_namespace_survives(name: str, data: st.DataObject) -> None:
    """A name of the namespace is removed whatever its case and its separators."""
    separators = "!#$%&'*+-.^_`|~"
    spelt = "".join(
        data.draw(st.sampled_from([character.lower(), character.upper()]))
        if character.isalnum()
        else data.draw(st.sampled_from(separators))
        for character in name
    )
    assert cleaned([(spelt, "evil")]) == []


fields = st.lists(st.tuples(tokens | st.sampled_from(HOP_BY_HOP + KEPT), tokens), max_size=8)


@pytest.mark.parametrize("clean", CLEANERS)
@given(fields)
def test_cleaning_only_ever_removes(clean, headers) -> None:
    """What is left is a part of what was there, in order, and cleaning it again changes nothing."""
    left = clean(headers)
    rest = iter(headers)
    assert all(field in rest for field in left)
    assert clean(left) == left


def test_arguments_are_not_changed() -> None:
    headers = [("Connection", "x-a"), ("X-A", "1"), ("X-Forwarded-For", "2"), ("Alt-Svc", "3")]
    before = list(headers)
    for clean in (end_to_end, cleaned, for_client, lambda found: without(found, ["X-A"])):
        clean(headers)
        assert headers == before


@pytest.mark.parametrize(
    ("names", "left"),
    [
        pytest.param([], [("X-Auth", "1"), ("B", "2")], id="nothing"),
        pytest.param(["x_auth"], [("B", "2")], id="by-skeleton"),
        pytest.param(["b", "X-AUTH"], [], id="several"),
    ],
)
def test_without(names, left) -> None:
    assert without([("X-Auth", "1"), ("B", "2")], names) == left


def test_commands_for_a_server_in_front_pass_on_demand() -> None:
    headers = [("X-Accel-Redirect", "/a"), ("Connection", "close"), ("X-Sendfile", "/b")]
    left = [("X-Accel-Redirect", "/a"), ("X-Sendfile", "/b")]
    assert for_client(headers, commands=True) == left


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        pytest.param([("Alt-Svc", 'h3=":443"')], [], id="alt-svc"),
        pytest.param(
            [("Set-Cookie", "a=1"), ("X", "y"), ("Set-Cookie", "b=2")],
            [("Set-Cookie", "a=1"), ("X", "y"), ("Set-Cookie", "b=2")],
            id="every-set-cookie",
        ),
        pytest.param(
            [("Server", "s"), ("Date", "d"), ("Content-Encoding", "gzip")],
            [("Server", "s"), ("Date", "d"), ("Content-Encoding", "gzip")],
            id="server-date-and-coding",
        ),
        pytest.param([("Connection", "X-A"), ("X-A", "1")], [], id="nominated"),
        *(
            pytest.param([(name, "/etc/passwd")], [], id=name)
            for name in [
                "X-Accel-Redirect",
                "X-Accel-Limit-Rate",
                "x_accel.redirect",
                "X-Sendfile",
                "X-SENDFILE-TEMPORARY",
                "X-Sendfile2",
                "X-LIGHTTPD-send-file",
                "X-LIGHTTPD-send-tempfile",
                "X-LIGHTTPD-KBytes-per-second",
                "X-Reproxy-URL",
                "X-LiteSpeed-Location",
                "X-LiteSpeed-Purge",
            ]
        ),
        pytest.param(
            [("X-Accel-Buffering", "no")], [("X-Accel-Buffering", "no")], id="X-Accel-Buffering"
        ),
        pytest.param([("Trailer", "X"), ("Upgrade", "h2c")], [], id="trailer"),
        pytest.param(
            [("X-Forwarded-For", "1")], [("X-Forwarded-For", "1")], id="namespace-is-for-requests"
        ),
    ],
)
def test_for_wsgi(headers, left) -> None:
    assert for_client(headers) == left


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("example.com", id="name"),
        pytest.param("example.com:8080", id="port"),
        pytest.param("example.com:", id="empty-port"),
        pytest.param("127.0.0.1:65535", id="highest-port"),
        pytest.param("[::1]", id="ipv6"),
        pytest.param("[::ffff:1.2.3.4]:80", id="ipv6-with-port"),
        pytest.param("a_b.example", id="underscore"),
        pytest.param("xn--caf-dma.example.", id="punycode-and-root"),
    ],
)
def test_is_host(text: str) -> None:
    assert is_host(text)


@together
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a,b", id="two-joined"),
        pytest.param("a, b", id="two-joined-with-space"),
        pytest.param("a b", id="space"),
        pytest.param("user@a", id="userinfo"),
        pytest.param("a:99999", id="port-too-high"),
        pytest.param("a:-1", id="port-negative"),
        pytest.param("a:80:80", id="two-ports"),
        pytest.param("a:\u0661", id="port-in-other-digits"),
        pytest.param("[::1", id="bracket-open"),
        pytest.param("::1", id="ipv6-without-brackets"),
        pytest.param("[a]", id="name-in-brackets-too-short"),
        pytest.param("[::1%eth0]", id="zone"),
        pytest.param("a/b", id="slash"),
        pytest.param("a?b", id="query"),
        pytest.param("a#b", id="fragment"),
        pytest.param("a\\b", id="backslash"),
        pytest.param('a"b', id="quote"),
        pytest.param("a%2eb", id="percent"),
        pytest.param("a\n", id="newline-at-the-end"),
        pytest.param("a\r\nX: y", id="line-break"),
        pytest.param("a\x00", id="nul"),
        pytest.param("caf\xe9", id="latin-1"),
    ],
)
def test_is_no_host(text: str) -> None:
    assert not is_host(text)


@given(st.text(max_size=12) | st.from_regex(r"[a.:\[\]0-9@]{1,12}", fullmatch=True))
def test_a_host_is_printable_and_splits(text: str) -> None:
    """Whatever passes as host[:port] holds no delimiter and splits into a name and a port."""
    if is_host(text):
        assert re.fullmatch(r"[A-Za-z0-9._~:\[\]-]+", text)
        name, port = split_host(text, 80)
        assert name
        assert 0 <= port <= 65535


@pytest.mark.parametrize("name", ["Sec-WebSocket-Key", "sec-websocket-version", "Host"])
def test_a_handshake_is_not_the_clients_to_break(name: str) -> None:
    headers = [("Connection", f"upgrade, {name}, X-A"), (name, "1"), ("X-A", "2")]
    assert end_to_end(headers) == [(name, "1")]
