"""The rules of WSGIProxy2's proxies."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import BadRequest, BadResponse, ConfigurationError, LoopDetected, ProxyError
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.fields.host import is_host
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.message import Origin
from wsgiproxy.sansio.policy.wsgiproxy2 import (
    Proxied,
    address_of,
    check_answer,
    outgoing,
    parse_uri,
    rewrite_location,
    split_uri,
    with_location,
)

ASKED = Proxied(parse_uri("http://a:81/base"), "a:81", [], True, "")
TEXT = st.text(st.characters(codec="latin-1"), max_size=30)
#: Texts that are nearly addresses.
NEARLY = st.lists(
    st.sampled_from(
        [
            "http:",
            "https:",
            "//",
            "/",
            "\\",
            "a",
            "evil.example",
            ":81",
            "@",
            "?",
            "#",
            "..",
            "[",
            "]",
        ]
    ),
    max_size=8,
).map("".join)


# -- where to --------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["unix:/run/x", "http://a/?b", "http://a b", "a", "http://u@a"])
def test_an_address_is_no_more_than_scheme_host_port_and_path(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="uri="):
        parse_uri(uri)
    assert parse_uri("HTTP://a/b/").origin == Origin("http", "a", 80)


@pytest.mark.parametrize(
    ("uri", "origin", "target"),
    [
        pytest.param("http://a", Origin("http", "a", 80), "/", id="nothing"),
        pytest.param("https://a?x", Origin("https", "a", 443), "/?x", id="a query alone"),
        pytest.param("http://[::1]:81//b?", Origin("http", "::1", 81), "//b?", id="as it is"),
    ],
)
def test_an_address_is_split_into_server_and_target(uri: str, origin: Origin, target: str) -> None:
    base, found = split_uri(uri)
    assert (base.origin, found) == (origin, target)


@pytest.mark.parametrize("uri", ["/x", "ftp://a/", "http://a@b/", "http:///x", "http://a/#x"])
def test_what_is_no_address_is_not_split(uri: str) -> None:
    with pytest.raises(ConfigurationError):
        split_uri(uri)


@given(NEARLY)
def test_a_target_never_changes_the_server(path: str) -> None:
    """Whatever follows the slash after the authority, the server is the one before it."""
    try:
        base, target = split_uri(f"http://a:81/{path}")
    except ConfigurationError:
        return
    assert base.origin == Origin("http", "a", 81)
    assert target.startswith("/")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(("http", "a"), "http://a:80", id="http"),
        pytest.param(("https", "a", ""), "https://a:443", id="https"),
        pytest.param(("http", "a:81", "82"), "http://a:81", id="the host's port wins"),
        pytest.param(("http", "a:", 82), "http://a:82", id="an empty port is none"),
        pytest.param(("http", "::1"), "http://[::1]:80", id="IPv6"),
        pytest.param(("http", "[::1]:81"), "http://[::1]:81", id="IPv6 with a port"),
    ],
)
def test_the_address_of_a_server(arguments: tuple[Any, ...], expected: str) -> None:
    assert address_of(*arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("ftp", "a"), id="scheme"),
        pytest.param(("http", ""), id="no host"),
        pytest.param(("http", "a/b"), id="a path"),
        pytest.param(("http", "u@a"), id="userinfo"),
        pytest.param(("http", "a", "99999"), id="port"),
        pytest.param(("http", "a", "8x"), id="no number"),
        pytest.param(("http", "a", "0"), id="port 0"),
        pytest.param(("http", "a", "81/evil"), id="a path in the port"),
    ],
)
def test_what_an_environ_may_not_name(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(BadRequest):
        address_of(*arguments)


@given(TEXT | NEARLY, st.none() | TEXT | st.integers())
def test_an_address_is_good_or_there_is_none(host: str, port: object) -> None:
    """An address made of an environ names a scheme, a host and a port, and nothing else."""
    try:
        address = address_of("http", host, port)
    except BadRequest:
        return
    scheme, mark, authority = address.partition("://")
    assert (scheme, mark) == ("http", "://")
    assert is_host(authority)
    assert split_uri(address)[1] == "/"


# -- the request -----------------------------------------------------------------------


def sent(asked: Proxied = ASKED, headers: Any = (), **more: Any) -> Any:
    environ = {"PATH_INFO": "/x", "HTTP_HOST": "public.example", **more}
    return outgoing(asked, environs.read(environ), list(headers))


def test_the_request_goes_to_the_base() -> None:
    found = sent(QUERY_STRING="q", SCRIPT_NAME="/m")
    assert found.origin == Origin("http", "a", 81)
    assert found.request.target == found.context == "/base/x?q"
    assert found.request.headers == [("Host", "a:81")]


def test_the_mount_stays_if_it_is_not_to_be_stripped() -> None:
    assert sent(ASKED._replace(strips=False), SCRIPT_NAME="/m").request.target == "/base/m/x"


def test_what_is_announced_replaces_what_is_there() -> None:
    asked = ASKED._replace(announced=[("X-Forwarded-For", "192.0.2.1")])
    found = sent(asked, [("X-A", "1"), ("X_Forwarded-FOR", "6.6.6.6")])
    assert found.request.headers[1:] == [("X-A", "1"), ("X-Forwarded-For", "192.0.2.1")]


def test_a_relay_names_itself_and_knows_itself() -> None:
    asked = ASKED._replace(pseudonym="us")
    assert sent(asked, [("Via", "1.0 you")]).request.headers[1:] == [("Via", "1.0 you, 1.1 us")]
    with pytest.raises(LoopDetected):
        sent(asked, [("Via", "1.1 us")])


@pytest.mark.parametrize(
    ("asked", "environ"),
    [
        pytest.param(ASKED, {"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}, id="asterisk"),
        pytest.param(ASKED, {"PATH_INFO": "/../x"}, id="out of the base"),
        pytest.param(
            ASKED._replace(base=parse_uri("http://a")),
            {"PATH_INFO": "/../x", "SCRIPT_NAME": "/m"},
            id="out of the mount",
        ),
        pytest.param(ASKED._replace(host="a b"), {}, id="Host"),
    ],
)
def test_what_is_not_sent(asked: Proxied, environ: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        sent(asked, **environ)


def test_dots_pass_where_there_is_no_wall() -> None:
    asked = ASKED._replace(base=parse_uri("http://a"), strips=False)
    assert sent(asked, PATH_INFO="/../x", SCRIPT_NAME="/m").request.target == "/m/../x"


# -- Location --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host_uri", "location", "prefix", "expected"),
    [
        pytest.param("http://h:80", "/foo", None, "http://h:80/foo", id="a path"),
        pytest.param("http://h:80", "foo", None, "http://h:80/foo", id="no slash"),
        pytest.param("http://h:80", "/foo", "/m/", "http://h:80/m/foo", id="with the mount"),
        pytest.param("http://h:80", "/?q#f", "/m", "http://h:80/m/?q#f", id="query, fragment"),
        pytest.param("http://h/base", "/base/x", None, "http://h/base/x", id="with a base"),
        pytest.param("http://h", "http://h/foo", "", "http://h/foo", id="as it is"),
        pytest.param("http://h", "http://h", "/m", "http://h/m/", id="no path"),
        pytest.param("http://h:80", "http://H/foo", "/m", "http://H/m/foo", id="the usual port"),
        pytest.param("http://h", "https://h/foo", "/m", "https://h/foo", id="another scheme"),
        pytest.param("http://h", "http://h:81/foo", "/m", "http://h:81/foo", id="another port"),
        pytest.param("http://h", "http://h.evil/", "/m", "http://h.evil/", id="a longer host"),
        pytest.param("http://h", "//h/foo", "/m", "http://h/m/foo", id="no scheme"),
        pytest.param("http://h", "//evil/foo", "/m", "//evil/foo", id="no scheme, another host"),
        pytest.param("http://h", "///evil", "/m", "http://h/m/evil", id="three slashes"),
        pytest.param("http://h", "mailto:a@b", "/m", "mailto:a@b", id="another kind"),
        pytest.param("http://h", "http://h:x/", "/m", "http://h:x/", id="no port"),
        pytest.param("http://h", "http://[/", "/m", "http://[/", id="no address"),
    ],
)
def test_location(host_uri: str, location: str, prefix: str | None, expected: str) -> None:
    assert rewrite_location(host_uri, location, prefix) == expected


@given(TEXT | NEARLY, st.sampled_from(["", "/m"]))
def test_a_location_leads_to_the_server_or_is_left_alone(location: str, prefix: str) -> None:
    """What is changed is an address of that very server."""
    found = rewrite_location("http://h:80", location, prefix)
    if found != location:
        parts = urlsplit(found)
        assert (parts.scheme, parts.hostname, parts.port or 80) == ("http", "h", 80)


@pytest.mark.parametrize(
    ("location", "target", "expected"),
    [
        pytest.param("next", "/a/b?c", "http://h:80/m/a/next", id="relative"),
        pytest.param("../x", "/a/b?c=/", "http://h:80/m/a/../x", id="up"),
        pytest.param("#d", "/a?c", "http://h:80/m/a?c#d", id="a fragment"),
        pytest.param("mailto:a@b", "/a", "mailto:a@b", id="another kind"),
        pytest.param("?d", "/a/b?c", "http://h:80/m/a/b?d", id="another query"),
        pytest.param("next", "//evil/b", "http://h:80/m//evil/next", id="below two slashes"),
        pytest.param("http://[", "/a", "http://[", id="no address"),
        pytest.param("/x", "/a", "http://h:80/m/x", id="a path"),
    ],
)
def test_a_location_is_relative_to_what_was_asked_for(
    location: str, target: str, expected: str
) -> None:
    headers = [("X-A", "1"), ("location", location)]
    found = with_location(headers, location, "http://h:80/base", target, "/m")
    assert found == [("X-A", "1"), ("location", expected)]


# -- what a client returns -------------------------------------------------------------


def test_a_good_answer() -> None:
    body = [b"x"]
    found = check_answer(["404 Not Found", "", [["A", "1"], ("content-length", "1")], body])
    assert found.head == (404, "Not Found", [("A", "1"), ("content-length", "1")])
    assert (found.location, found.body, found.length) == (None, body, 1)
    assert check_answer(("200", "/x", [], body)).head.reason == ""


def test_chunks_have_no_length() -> None:
    headers = [("Transfer-Encoding", "chunked"), ("Content-Length", "5")]
    found = check_answer(("200 OK", None, headers, []))
    assert found.head.headers == headers[:1]
    assert found.length is None


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(None, id="nothing"),
        pytest.param(("200 OK", None, []), id="three"),
        pytest.param((b"200 OK", None, [], []), id="status in bytes"),
        pytest.param(("100 Continue", None, [], []), id="interim"),
        pytest.param(("200OK", None, [], []), id="no blank"),
        pytest.param(("200 OK", b"/x", [], []), id="location in bytes"),
        pytest.param(("200 OK", None, 5, []), id="headers"),
        pytest.param(("200 OK", None, [("a",)], []), id="no pair"),
        pytest.param(("200 OK", None, [(b"a", b"b")], []), id="bytes"),
        pytest.param(("200 OK", None, [("a:", "b")], []), id="name"),
        pytest.param(("200 OK", None, [("a", "b\r\nc: d")], []), id="line end"),
        pytest.param(("200 OK", None, [("a", "\u20ac")], []), id="no latin-1"),
        pytest.param(("200 OK", None, [("Content-Length", "-1")], []), id="length"),
        pytest.param(("200 OK", None, [], "x"), id="text"),
        pytest.param(("200 OK", None, [], 5), id="a number"),
    ],
)
def test_what_is_no_answer(result: Any) -> None:
    with pytest.raises(BadResponse, match="expected"):
        check_answer(result)


THING = st.none() | st.integers() | TEXT | st.binary(max_size=9) | st.lists(TEXT, max_size=4)
RESULTS = THING | st.tuples(
    THING | st.just("200 OK"), THING, THING | st.lists(st.tuples(TEXT, TEXT), max_size=3), THING
)


@given(RESULTS)
def test_anything_is_a_good_answer_or_an_error(result: Any) -> None:
    """What is let through has a final status, and lines that can stand in a head."""
    try:
        found = check_answer(result)
    except ProxyError:
        return
    assert 200 <= found.head.status <= 599
    assert all(is_token(name) for name, _ in found.head.headers)
    assert not any(set(value) & set("\r\n\0") for _, value in found.head.headers)
