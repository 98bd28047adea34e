"""The variables that a server makes of a request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.environ.server import variables
from wsgiproxy.sansio.h1 import ArrivingHead
from wsgiproxy.sansio.message import Headers


def of(target: str, method: str = "GET", headers: Headers | None = None) -> dict[str, str]:
    return variables(ArrivingHead(method, target, "1.1", headers or [("Host", "h")]))


@pytest.mark.parametrize(
    ("method", "target", "path", "query", "host"),
    [
        pytest.param("GET", "/a", "/a", "", "h", id="origin-form"),
        pytest.param("GET", "/a?b?c=%20", "/a", "b?c=%20", "h", id="query-as-it-came"),
        pytest.param("GET", "/a%2Fb%C3%A9", "/a/b\xc3\xa9", "", "h", id="decoded-once"),
        pytest.param("GET", "/%252e%252e/", "/%2e%2e/", "", "h", id="not-decoded-twice"),
        pytest.param("GET", "/a/../b//./c", "/a/../b//./c", "", "h", id="not-normalised"),
        pytest.param("GET", "//x/y", "//x/y", "", "h", id="two-slashes-are-a-path"),
        pytest.param("GET", "/100%", "/100%", "", "h", id="percent-alone"),
        pytest.param("GET", "http://o:81/a%20?b", "/a ", "b", "o:81", id="absolute-form"),
        pytest.param("GET", "http://o", "/", "", "o", id="absolute-without-path"),
        pytest.param("GET", "http://o?q", "/", "q", "o", id="absolute-with-a-query-alone"),
        pytest.param("GET", "https://o/x", "/x", "", "o", id="absolute-https"),
        pytest.param("OPTIONS", "*", "*", "", "h", id="asterisk-form"),
        pytest.param("OPTIONS", "http://o", "*", "", "o", id="OPTIONS-of-a-server"),
        pytest.param("OPTIONS", "http://o/", "/", "", "o", id="OPTIONS-of-a-path"),
        pytest.param("CONNECT", "o.example:443", "", "", "h", id="authority-form"),
        pytest.param("CONNECT", "[::1]:443", "", "", "h", id="authority-form-of-IPv6"),
    ],
)
def test_target(method: str, target: str, path: str, query: str, host: str) -> None:
    found = of(target, method)
    assert (found["PATH_INFO"], found["QUERY_STRING"], found["HTTP_HOST"]) == (path, query, host)
    assert (found["REQUEST_URI"], found["REQUEST_METHOD"]) == (target, method)
    assert (found["SCRIPT_NAME"], found["SERVER_PROTOCOL"]) == ("", "HTTP/1.1")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        pytest.param("GET", "/a#b", id="fragment"),
        pytest.param("GET", "*", id="asterisk-form-of-GET"),
        pytest.param("GET", "h:443", id="authority-form-of-GET"),
        pytest.param("GET", "http://u:p@h/", id="userinfo"),
        pytest.param("GET", "http:///a", id="no-authority"),
        pytest.param("GET", "a/b", id="no-form"),
        pytest.param("CONNECT", "h", id="CONNECT-without-port"),
        pytest.param("CONNECT", "http://h:443", id="CONNECT-of-an-address"),
        pytest.param("CONNECT", "/", id="CONNECT-of-a-path"),
        pytest.param("CONNECT", "u@h:443", id="CONNECT-with-userinfo"),
    ],
)
def test_target_without_a_form(method: str, target: str) -> None:
    with pytest.raises(BadRequest):
        of(target, method)


@pytest.mark.parametrize(
    ("headers", "key", "value"),
    [
        pytest.param([("Content-Type", "text/plain")], "CONTENT_TYPE", "text/plain", id="type"),
        pytest.param([("content-length", "3")], "CONTENT_LENGTH", "3", id="length"),
        pytest.param([], "CONTENT_LENGTH", None, id="no-length"),
        pytest.param([], "CONTENT_TYPE", None, id="no-type"),
        pytest.param([("Content-Type", "a")], "HTTP_CONTENT_TYPE", None, id="one-key-each"),
        pytest.param([("x-Auth-user", "a")], "HTTP_X_AUTH_USER", "a", id="name"),
        pytest.param([("X_Auth_User", "a")], "HTTP_X_AUTH_USER", None, id="underscore"),
        pytest.param(
            [("X-Auth-User", "good"), ("X_Auth-User", "evil")],
            "HTTP_X_AUTH_USER",
            "good",
            id="underscore-beside",
        ),
        pytest.param([("Content_Length", "3")], "CONTENT_LENGTH", None, id="underscored-length"),
        pytest.param([("A", "b"), ("a", ""), ("A", "c")], "HTTP_A", "b, , c", id="several"),
        pytest.param(
            [("Cookie", "a=b"), ("Cookie", "c=d")], "HTTP_COOKIE", "a=b; c=d", id="cookie"
        ),
    ],
)
def test_fields(headers: Headers, key: str, value: str | None) -> None:
    assert of("/", headers=[("Host", "h"), *headers]).get(key) == value


targets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"))


@given(targets.map("/".__add__))
def test_the_raw_target_comes_out_again(target: str) -> None:
    """What a proxy reads of these variables is the target, byte for byte."""
    inbound = environs.read(of(target))
    assert inbound.path + inbound.query == target


@given(st.sampled_from(["GET", "OPTIONS", "CONNECT"]), targets)
def test_any_target_has_variables_or_is_refused(method: str, target: str) -> None:
    """Every target has a path that begins with a slash, or it is one of the two others."""
    try:
        found = of(target or "x", method)
    except BadRequest:
        return
    path = found["PATH_INFO"]
    assert (
        path == "" if method == "CONNECT" else path[0] == "/" or (path, method) == ("*", "OPTIONS")
    )
