"""Rules about the environ: what servers really hand over, checked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rounds import together
from wsgiproxy.errors import (
    BadRequest,
    ExpectationFailed,
    LengthRequired,
    MethodNotAllowed,
    NotSupported,
    ProxyError,
)
from wsgiproxy.sansio.environ.inbound import read
from wsgiproxy.sansio.fields.framing import body_framing
from wsgiproxy.sansio.message import Inbound


def environ(**changes: Any) -> dict[str, Any]:
    """An environ with *changes*; ``wsgi_x`` stands for ``wsgi.x``, None removes a key."""
    found: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "front.example",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "public.example",
        "wsgi.url_scheme": "http",
    }
    for key, value in changes.items():
        found[key.replace("wsgi_", "wsgi.", 1) if key.startswith("wsgi_") else key] = value
    return {key: value for key, value in found.items() if value is not None}


CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}
TERMINATED = {"wsgi.input_terminated": True}
HTTP2 = {"SERVER_PROTOCOL": "HTTP/2"}


@pytest.mark.parametrize(
    ("given_", "framing"),
    [
        pytest.param({}, (None, False), id="neither-is-no-body"),
        pytest.param({"CONTENT_LENGTH": ""}, (None, False), id="empty-is-absent"),
        pytest.param({"CONTENT_LENGTH": "3"}, (3, False), id="length"),
        pytest.param({"CONTENT_LENGTH": 3}, (3, False), id="length-as-an-int"),
        pytest.param({"CONTENT_LENGTH": "0"}, (0, False), id="zero"),
        pytest.param({"CONTENT_LENGTH": "007"}, (7, False), id="leading-zeros"),
        pytest.param({"CONTENT_LENGTH": "9" * 18}, (10**18 - 1, False), id="18-digits"),
        pytest.param({**CHUNKED, **TERMINATED}, (None, True), id="chunks-server-decodes"),
        pytest.param(
            {**CHUNKED, **TERMINATED, "CONTENT_LENGTH": "3"},
            (None, True),
            id="length-and-chunked-server-decodes",
        ),
        pytest.param(
            {"HTTP_TRANSFER_ENCODING": " Chunked\t", **TERMINATED},
            (None, True),
            id="case-and-blanks",
        ),
        pytest.param({**TERMINATED, "CONTENT_LENGTH": "3"}, (3, False), id="length-known"),
        pytest.param(TERMINATED, (None, False), id="terminated-alone-in-HTTP/1"),
        pytest.param({**HTTP2, **TERMINATED}, (None, True), id="HTTP/2-without-length"),
        pytest.param(
            {"SERVER_PROTOCOL": "HTTP/3", **TERMINATED}, (None, True), id="HTTP/3-without-length"
        ),
        pytest.param(HTTP2, (None, False), id="HTTP/2-without-a-promise"),
        pytest.param(
            {**HTTP2, **TERMINATED, "CONTENT_LENGTH": "3"}, (3, False), id="HTTP/2-with-length"
        ),
    ],
)
def test_body_framing(given_: dict[str, Any], framing: tuple[int | None, bool]) -> None:
    assert body_framing(given_) == framing


@together
@pytest.mark.parametrize(
    ("given_", "error"),
    [
        pytest.param({**CHUNKED, "CONTENT_LENGTH": "3"}, BadRequest, id="length-and-chunked"),
        pytest.param({**CHUNKED, "CONTENT_LENGTH": "0"}, BadRequest, id="zero-and-chunked"),
        pytest.param(CHUNKED, LengthRequired, id="chunks-that-nobody-decodes"),
        pytest.param(
            {**CHUNKED, "CONTENT_LENGTH": ""}, LengthRequired, id="empty-length-and-chunked"
        ),
        *(
            pytest.param(
                {"HTTP_TRANSFER_ENCODING": coding, **more},
                NotSupported,
                id=f"{coding!r}-{which}",
            )
            for coding in (
                "",
                "gzip",
                "identity",
                "gzip, chunked",
                "chunked, chunked",
                "chunked,gzip",
                "chunked;a=b",
                "xchunked",
                '"chunked"',
                "\x0bchunked",
                "chunked\x0c",
                "chunked\x00",
                "chunked\r\n",
                "\xa0chunked",
                "\x85chunked",
            )
            for which, more in {"terminated": TERMINATED, "open": {}}.items()
        ),
        *(
            pytest.param({"CONTENT_LENGTH": length, **TERMINATED}, BadRequest, id=f"{length!r}")
            for length in (
                "+3",
                "-1",
                "0_3",
                "3,3",
                "3, 3",
                "3.0",
                "0x3",
                " 3",
                "3 ",
                "3\n",
                "\u0663",
                "\xb2",
                "a",
                "1" + 30 * "0",
                -1,
                3.0,
            )
        ),
    ],
)
def test_body_framing_refuses(given_: dict[str, Any], error: type[BadRequest]) -> None:
    with pytest.raises(BadRequest) as caught:
        body_framing(given_)
    assert caught.type is error


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PROPFIND"])
def test_framing_never_depends_on_the_method(method: str) -> None:
    """E4, C4, C6 (CVE-2026-29057)."""
    counted = read(environ(REQUEST_METHOD=method, CONTENT_LENGTH="3"))
    assert (counted.content_length, counted.chunked) == (3, False)
    chunked = read(environ(REQUEST_METHOD=method, wsgi_input_terminated=True, **CHUNKED))
    assert (chunked.content_length, chunked.chunked) == (None, True)


def test_read_gives_everything() -> None:
    inbound = read(
        environ(
            REQUEST_METHOD="POST",
            SCRIPT_NAME="/m",
            PATH_INFO="/a/b",
            QUERY_STRING="q=1",
            REQUEST_URI="/m/a%2Fb?q=1",
            CONTENT_TYPE="text/plain",
            CONTENT_LENGTH="5",
            HTTP_X_A="1",
            HTTP_CONNECTION="close",
            wsgi_url_scheme="https",
            SERVER_PROTOCOL="HTTP/1.0",
            REMOTE_PORT=4711,
        )
    )
    assert inbound == Inbound(
        method="POST",
        scheme="https",
        host="public.example",
        server_name="front.example",
        server_port=8080,
        script_name="/m",
        path="/a%2Fb",
        query="?q=1",
        headers=[("Content-Type", "text/plain"), ("X-A", "1"), ("Connection", "close")],
        peer="192.0.2.1",
        peer_port="4711",
        protocol="1.0",
        content_length=5,
        chunked=False,
    )


def test_read_takes_the_usual_meaning_of_what_is_missing() -> None:
    inbound = read({"HTTP_HOST": "a"})
    assert inbound == Inbound(
        "GET", "http", "a", "", 80, "", "", "", [], "", "", "1.1", None, False
    )
    assert read({"HTTP_HOST": "a", "wsgi.url_scheme": "https"}).server_port == 443


def test_read_keeps_order_and_empty_values() -> None:
    """An empty Content-Type is an absent one, any other empty field stays."""
    found = environ(HTTP_B="", HTTP_A="x", CONTENT_TYPE="")
    assert read(found).headers == [("B", ""), ("A", "x")]


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        pytest.param({"PATH_INFO": "/a b%"}, "/a%20b%25", id="rebuilt"),
        pytest.param({"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb"}, "/a%2Fb", id="REQUEST_URI"),
        pytest.param({"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb"}, "/a%2Fb", id="RAW_URI"),
        pytest.param(
            {"PATH_INFO": "/a/b", "REQUEST_URI": "/a%2Fb", "RAW_URI": "/%61/b"},
            "/a%2Fb",
            id="REQUEST_URI-first",
        ),
        pytest.param(
            {"PATH_INFO": "/a/b", "REQUEST_URI": "", "RAW_URI": "/a%2Fb"},
            "/a%2Fb",
            id="empty-REQUEST_URI",
        ),
        pytest.param({"PATH_INFO": "/b", "RAW_URI": "/a"}, "/b", id="middleware-rewrote"),
        pytest.param(
            {"PATH_INFO": "/a", "QUERY_STRING": "b", "RAW_URI": "/a?c"},
            "/a?b",
            id="middleware-rewrote-the-query",
        ),
        pytest.param({"PATH_INFO": "/a", "RAW_URI": "/a?"}, "/a?", id="question-mark-alone"),
        pytest.param({"PATH_INFO": "//h/x", "RAW_URI": "//h/x"}, "//h/x", id="two-slashes"),
        pytest.param(
            {"PATH_INFO": "/\x00\xe9", "RAW_URI": "/%00%e9"}, "/%00%e9", id="escaped-bytes"
        ),
        pytest.param(
            {"PATH_INFO": "/a/b", "REQUEST_URI": "http://e/a%2Fb"}, "/a%2Fb", id="absolute-form"
        ),
        pytest.param(
            {"PATH_INFO": "", "QUERY_STRING": "q", "REQUEST_URI": "http://e?q"},
            "?q",
            id="absolute-form-without-path",
        ),
        pytest.param({"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}, "*", id="asterisk-wsgiref"),
        pytest.param(
            {"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS", "RAW_URI": "*"},
            "*",
            id="asterisk-gunicorn",
        ),
        pytest.param(
            {"PATH_INFO": "/*", "REQUEST_METHOD": "OPTIONS", "REQUEST_URI": "*"},
            "*",
            id="asterisk-cheroot",
        ),
        pytest.param({"PATH_INFO": "/*", "REQUEST_METHOD": "OPTIONS"}, "/*", id="star-of-a-path"),
        pytest.param(
            {"PATH_INFO": "/*", "REQUEST_METHOD": "OPTIONS", "RAW_URI": "/*"},
            "/*",
            id="star-of-a-raw-path",
        ),
        # A slash that the client escaped at the end of a mount: cut from the raw target, the
        # rest would not begin with a slash, and would leave the path of an href.
        pytest.param(
            {"SCRIPT_NAME": "/m", "PATH_INFO": "/x", "RAW_URI": "/m%2Fx"},
            "/x",
            id="escaped-slash-behind-the-mount",
        ),
    ],
)
def test_target(changes: dict[str, Any], target: str) -> None:
    inbound = read(environ(**changes))
    assert inbound.path + inbound.query == target


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        pytest.param({}, "public.example", id="Host"),
        pytest.param({"HTTP_HOST": "h:81"}, "h:81", id="Host-with-port"),
        pytest.param({"REQUEST_URI": "http://e:1/"}, "e:1", id="absolute-form-decides"),
        pytest.param({"HTTP_HOST": None}, "front.example:8080", id="HTTP/1.0-without-Host"),
        pytest.param({"HTTP_HOST": None, "SERVER_PORT": "80"}, "front.example", id="default-port"),
        pytest.param(
            {"HTTP_HOST": None, "SERVER_PORT": 443, "wsgi_url_scheme": "https"},
            "front.example",
            id="default-port-of-tls",
        ),
        pytest.param(
            {"HTTP_HOST": None, "SERVER_NAME": "::1", "SERVER_PORT": ""}, "[::1]", id="ipv6"
        ),
        pytest.param(
            {"HTTP_HOST": None, "SERVER_NAME": "[::1]"}, "[::1]:8080", id="ipv6-with-brackets"
        ),
    ],
)
def test_host(changes: dict[str, Any], host: str) -> None:
    assert read(environ(**changes)).host == host


@together
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"REQUEST_METHOD": "CONNECT"}, MethodNotAllowed, id="CONNECT"),
        pytest.param({"REQUEST_METHOD": "TRACE"}, MethodNotAllowed, id="TRACE"),
        *(
            pytest.param({"REQUEST_METHOD": method}, BadRequest, id=f"{method[:9]!r}")
            for method in ("", "G ET", "GET\r\n", "GET\x00", '"', "G\xe9T", "\u0100", "X" * 33)
        ),
        *(
            pytest.param({"HTTP_HOST": host}, BadRequest, id=f"{host!r}")
            for host in ("", "a,b", "a b", "u@a", "a:99999", "[::1", "a\r\nX: y", "a\x00", "\xe9")
        ),
        pytest.param({"HTTP_HOST": None, "SERVER_NAME": ""}, BadRequest, id="no-name-at-all"),
        pytest.param({"REQUEST_URI": "http://u@e/"}, BadRequest, id="userinfo"),
        pytest.param({"REQUEST_URI": "/#f"}, BadRequest, id="fragment"),
        pytest.param({"RAW_URI": "http://e/#f"}, BadRequest, id="fragment-in-absolute-form"),
        pytest.param({"PATH_INFO": "*"}, BadRequest, id="asterisk-with-GET"),
        pytest.param({"PATH_INFO": "/*", "RAW_URI": "*"}, BadRequest, id="raw-asterisk-GET"),
        pytest.param({"PATH_INFO": "e:80", "RAW_URI": "e:80"}, BadRequest, id="authority-form"),
        pytest.param({"PATH_INFO": "@e", "RAW_URI": "@e"}, BadRequest, id="at"),
        pytest.param({"PATH_INFO": ".e", "RAW_URI": ".e"}, BadRequest, id="dot"),
        pytest.param({"PATH_INFO": "\\e", "RAW_URI": "\\e"}, BadRequest, id="backslash"),
        pytest.param({"PATH_INFO": "http://e/"}, BadRequest, id="absolute-form-of-wsgiref"),
        pytest.param(
            {"SCRIPT_NAME": "/m", "PATH_INFO": "x", "RAW_URI": "/mx"},
            BadRequest,
            id="mount-inside-a-segment",
        ),
        pytest.param(
            {"SCRIPT_NAME": "/m", "PATH_INFO": "http://e/", "RAW_URI": "/mhttp://e/"},
            BadRequest,
            id="absolute-form-behind-a-mount",
        ),
        pytest.param({"PATH_INFO": "/\u0100"}, BadRequest, id="path-is-no-bytes"),
        pytest.param({"HTTP_X A": "1"}, BadRequest, id="space-in-a-name"),
        pytest.param({"HTTP_": "1"}, BadRequest, id="empty-name"),
        pytest.param({"HTTP_X\xdf": "1"}, BadRequest, id="latin-1-in-a-name"),
        pytest.param({"CONTENT_LENGTH": "+3"}, BadRequest, id="length"),
        pytest.param({"HTTP_TRANSFER_ENCODING": "chunked"}, LengthRequired, id="chunked"),
        *(
            pytest.param({"SERVER_PORT": port}, BadRequest, id=f"port-{port!r}")
            for port in ("0", "65536", "-1", "8o", " 80", "80\n", "\u0661", "9" * 30, 70000)
        ),
        *(
            pytest.param({"wsgi_url_scheme": scheme}, BadRequest, id=f"scheme-{scheme!r}")
            for scheme in ("", "ftp", "HTTP", "http\r\n", "unix")
        ),
        *(
            pytest.param({"HTTP_EXPECT": expect}, ExpectationFailed, id=f"{expect!r}")
            for expect in ("y 100-continue", "100-continue, y", "200-ok", "100-continue;a=b")
        ),
    ],
)
def test_read_refuses(changes: dict[str, Any], error: type[BadRequest]) -> None:
    with pytest.raises(BadRequest) as caught:
        read(environ(**changes))
    assert caught.type is error


@pytest.mark.parametrize(
    "method", ["GET", "get", "Trace", "connect", "M-SEARCH", "X" * 32, "!#$%&'*+-.^_`|~"]
)
def test_any_other_method_passes_as_it_is(method: str) -> None:
    """Case kept, unknown ones too."""
    assert read(environ(REQUEST_METHOD=method)).method == method


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"HTTP_EXPECT": "100-continue"}, id="expect"),
        pytest.param({"HTTP_EXPECT": "100-Continue"}, id="expect-in-any-case"),
        pytest.param({"HTTP_EXPECT": ""}, id="no-expectation"),
        pytest.param({"HTTP_EXPECT": " , "}, id="an-empty-list"),
        pytest.param({"HTTP_UPGRADE": "h2c"}, id="h2c"),
    ],
)
def test_what_is_served_without(changes: dict[str, Any]) -> None:
    assert read(environ(**changes)).method == "GET"


@pytest.mark.parametrize(
    ("protocol", "version"),
    [
        pytest.param("HTTP/1.1", "1.1", id="1.1"),
        pytest.param("HTTP/1.0", "1.0", id="1.0"),
        pytest.param("HTTP/2", "2", id="2"),
        pytest.param("HTTP/3.0", "3.0", id="3.0"),
        pytest.param("INCLUDED", "1.1", id="not-http"),
        pytest.param("", "1.1", id="empty"),
        pytest.param("HTTP/1.1\r\nX: y", "1.1", id="line-break"),
    ],
)
def test_protocol(protocol: str, version: str) -> None:
    assert read(environ(SERVER_PROTOCOL=protocol)).protocol == version


@pytest.mark.parametrize("port", ["8080", 8080])
def test_port_as_text_or_number(port: object) -> None:
    assert read(environ(SERVER_PORT=port)).server_port == 8080


def test_no_peer() -> None:
    """Unix sockets."""
    assert read(environ(REMOTE_ADDR=None)).peer == ""
    assert read(environ(REMOTE_ADDR="")).peer == ""


texts = st.text(max_size=12) | st.text("/%.@*?#\r\n\x00 a\xe9:", max_size=8)
KEYS = """
    REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING REQUEST_URI RAW_URI SERVER_NAME SERVER_PORT
    SERVER_PROTOCOL REMOTE_ADDR HTTP_HOST HTTP_EXPECT HTTP_UPGRADE HTTP_TRANSFER_ENCODING
    CONTENT_LENGTH CONTENT_TYPE wsgi.url_scheme wsgi.input_terminated
"""
keys = st.sampled_from(KEYS.split())


@given(st.dictionaries(keys | texts.map("HTTP_".__add__), texts, max_size=6))
def test_any_environ_is_read_or_refused_and_never_changed(changes: dict[str, str]) -> None:
    """Promise 7: whatever is in it, the environ stays as it is; all errors are our own."""
    found = {**environ(), **changes}
    before = dict(found)
    try:
        inbound = read(found)
    except ProxyError as error:
        assert 400 <= error.status <= 501
    else:
        assert inbound.path[:1] in ("", "/", "*")
    assert list(found.items()) == list(before.items())


@pytest.mark.parametrize(
    ("raw", "path_info", "method", "target"),
    [
        pytest.param("http://h", "/", "OPTIONS", "*", id="options-of-an-authority"),
        pytest.param("http://h", "", "OPTIONS", "*", id="empty-path-info"),
        pytest.param("http://h/", "/", "OPTIONS", "/", id="options-of-the-root"),
        pytest.param("http://h", "/", "GET", "/", id="get-of-an-authority"),
        pytest.param("http://h?q", "/", "GET", "/?q", id="query-without-path"),
    ],
)
def test_absolute_form_without_a_path(raw: str, path_info: str, method: str, target: str) -> None:
    environ = {"REQUEST_METHOD": method, "REQUEST_URI": raw, "PATH_INFO": path_info}
    environ["QUERY_STRING"] = raw.partition("?")[2]
    inbound = read(environ)
    assert inbound.path + inbound.query == target


def test_an_asterisk_has_no_query() -> None:
    with pytest.raises(BadRequest):
        read(
            {
                "REQUEST_METHOD": "OPTIONS",
                "PATH_INFO": "*",
                "QUERY_STRING": "x",
                "REQUEST_URI": "*?x",
                "HTTP_HOST": "h",
            }
        )


@pytest.mark.parametrize(
    ("script_name", "path_info", "raw"),
    [
        ("", "/caf\xe9", "/caf%C3%A9"),
        ("", "/\u65e5", "/%E6%97%A5"),
        ("/\u65e5", "/\xe9/x", "/%E6%97%A5/%c3%a9/x"),
        ("", "/\udcff", "/%FF"),
    ],
)
def test_what_a_framework_has_decoded_as_utf_8_is_still_the_raw_target(script_name, path_info, raw):
    """Bottle in a mount, and Django in a view."""
    environ = {"REQUEST_URI": raw, "SCRIPT_NAME": script_name, "PATH_INFO": path_info}
    found = read({**environ, "HTTP_HOST": "a"})
    assert found.script_name + found.path == raw


def test_a_path_of_no_bytes_at_all_is_refused():
    with pytest.raises(BadRequest):
        read({"REQUEST_URI": "/a", "PATH_INFO": "/\ud800", "HTTP_HOST": "a"})


def test_a_path_that_somebody_has_changed_is_what_he_says():
    environ = {"REQUEST_URI": "/caf%C3%A9", "PATH_INFO": "/th\xe9", "HTTP_HOST": "a"}
    assert read(environ).path == "/th%E9"
