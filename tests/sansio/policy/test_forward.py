"""What is asked of a browser proxy."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import BadRequest, LoopDetected, NotForProxy
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.message import Inbound, Origin, Request, ResponseHead
from wsgiproxy.sansio.pipeline import client_response, outgoing
from wsgiproxy.sansio.policy.forward import (
    ForwardPolicy,
    absolute_changes,
    basic_credentials,
    requested,
    tunnel_authority,
)


def of_paste(host: str, path: str, query: str = "", scheme: str = "http") -> dict[str, str]:
    """What stock Paste 3.10.1 makes of a target."""
    return {
        "paste.httpserver.proxy.scheme": scheme,
        "paste.httpserver.proxy.host": host,
        "PATH_INFO": path,
        "QUERY_STRING": query,
    }


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"REQUEST_URI": "http://a/x"}, "http://a/x", id="waitress, ours"),
        pytest.param({"RAW_URI": "http://a/x"}, "http://a/x", id="gunicorn"),
        pytest.param({"REQUEST_URI": "/x", "RAW_URI": "http://a/"}, "/x", id="REQUEST_URI first"),
        pytest.param({"PATH_INFO": "/x"}, "", id="a server that does not tell"),
        pytest.param(of_paste("dummy", "/b"), "", id="Paste, an ordinary request"),
        pytest.param(
            of_paste("dummyhttp:", "//example.com:8080/foo/bar", "x=1"),
            "http://example.com:8080/foo/bar?x=1",
            id="Paste, absolute",
        ),
        pytest.param(
            of_paste("dummyHTTP:", "//example.com"), "HTTP://example.com/", id="Paste, no path"
        ),
        pytest.param(
            of_paste("dummyhttps:", "//example.com/"), "https://example.com/", id="Paste, https"
        ),
        pytest.param(of_paste("dummyexample.com:443", "."), "", id="Paste, CONNECT"),
        pytest.param(of_paste("dummyftp:", "//a/b"), "", id="Paste, another scheme"),
        pytest.param(of_paste("dummyhttp:", "/a"), "", id="Paste, no authority"),
        pytest.param(
            of_paste("dummyhttp:", "//a/b c/100%"), "http://a/b%20c/100%25", id="Paste, decoded"
        ),
        pytest.param(of_paste("dummyhttp:", "//a/\xe9"), "http://a/%C3%A9", id="Paste, UTF-8"),
        pytest.param(
            of_paste("example.com:81", "/foo", "x"), "http://example.com:81/foo?x", id="old Paste"
        ),
    ],
)
def test_the_target_is_what_the_server_tells_of_it(environ, expected):
    assert requested(environ) == expected


def test_what_paste_has_lost_is_not_made_up():
    with pytest.raises(BadRequest):
        requested(of_paste("dummyhttp:", "//a/\ufffd"))


def test_the_environ_describes_the_request_to_the_origin():
    absolute, changes = absolute_changes({"REQUEST_URI": "HTTP://Example.com:81/a%2Fb/../c?x=%20"})
    assert absolute.scheme == "http"
    assert changes == {
        "wsgiproxy.origin": "http://Example.com:81",
        "wsgi.url_scheme": "http",
        "REQUEST_URI": "HTTP://Example.com:81/a%2Fb/../c?x=%20",
        "SERVER_NAME": "Example.com",
        "SERVER_PORT": "81",
        "HTTP_HOST": "Example.com:81",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b/../c",
        "QUERY_STRING": "x=%20",
    }


@pytest.mark.parametrize(
    ("raw", "name", "port", "path"),
    [
        ("http://a", "a", "80", "/"),
        ("http://a?x", "a", "80", "/"),
        ("https://a/", "a", "443", "/"),
        ("http://[2001:db8::1]:81/", "2001:db8::1", "81", "/"),
        ("http://a:/", "a", "80", "/"),
    ],
)
def test_what_is_left_out_has_its_usual_meaning(raw, name, port, path):
    _, changes = absolute_changes({"REQUEST_URI": raw})
    found = changes["SERVER_NAME"], changes["SERVER_PORT"], changes["PATH_INFO"]
    assert found == (name, port, path)


@pytest.mark.parametrize("raw", ["", "/", "/x", "*", "a:443", "ftp://a/", "http:/a", "//a/b"])
def test_any_other_form_or_scheme_is_not_for_a_proxy(raw):
    with pytest.raises(NotForProxy):
        absolute_changes({"REQUEST_URI": raw})


@pytest.mark.parametrize(
    "raw",
    [
        "http://u:p@a/",
        "http://u@a/",
        "http:///x",
        "file:///etc/passwd",
        "http://a b/",
        "http://a\\b/",
    ],
)
def test_userinfo_and_no_proper_host_are_refused(raw):
    with pytest.raises(BadRequest):
        absolute_changes({"REQUEST_URI": raw})


def inbound(raw: str, method: str = "GET", **more: str) -> Inbound:
    environ = {"REQUEST_URI": raw, "REQUEST_METHOD": method, "HTTP_HOST": "elsewhere", **more}
    return environs.read({**environ, **absolute_changes(environ)[1]})


def test_the_authority_decides_and_becomes_host():
    origin, request, _, facts = outgoing(
        inbound("http://example.com:81/a%2Fb//c?x&", HTTP_X_FORWARDED_FOR="kept", HTTP_DNT="1"),
        ForwardPolicy("us"),
    )
    assert origin == Origin("http", "example.com", 81)
    assert request.target == "/a%2Fb//c?x&"
    assert request.headers[0] == ("Host", "example.com:81")
    assert sorted(request.headers[1:]) == [
        ("DNT", "1"),
        ("Via", "1.1 us"),
        ("X-Forwarded-For", "kept"),
    ]
    assert facts is None


@pytest.mark.parametrize(
    ("raw", "method", "target"),
    [("http://a", "GET", "/"), ("http://a?x", "GET", "/?x"), ("http://a", "OPTIONS", "*")],
)
def test_a_target_without_path(raw, method, target):
    assert outgoing(inbound(raw, method), ForwardPolicy("us")).request.target == target


def test_what_is_for_the_proxy_stays_here():
    more = {
        "HTTP_PROXY_AUTHORIZATION": "Basic YTpi",
        "HTTP_PROXY_CONNECTION": "keep-alive",
        "HTTP_CONNECTION": "X-Private",
        "HTTP_X_PRIVATE": "1",
        "HTTP_PROXY": "http://evil/",
    }
    headers = outgoing(inbound("http://a/", **more), ForwardPolicy("us")).request.headers
    assert headers == [("Host", "a"), ("Via", "1.1 us")]


def test_a_loop_is_found():
    with pytest.raises(LoopDetected):
        outgoing(inbound("http://a/", HTTP_VIA="1.1 other, 1.1 us"), ForwardPolicy("us"))


@pytest.mark.parametrize(
    ("before", "after"),
    [([], "1.1 us"), ([("via", "1.0 a"), ("Via", "1.1 b")], "1.0 a, 1.1 b, 1.1 us")],
)
def test_via_is_in_the_answer_too(before, after):
    head = ResponseHead(200, "OK", [("Location", "http://a/x"), *before])
    found, _ = client_response(Request("GET", "/", []), head, ForwardPolicy("us"), None)
    assert found.headers == [("Location", "http://a/x"), ("Via", after)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("a:443", ("a", 443)), ("[::1]:1", ("::1", 1)), ("192.0.2.1:65535", ("192.0.2.1", 65535))],
)
def test_a_tunnel_goes_to_an_authority(raw, expected):
    assert tunnel_authority(raw) == expected


@pytest.mark.parametrize(
    "raw",
    ["", "a", "a:", ":443", "a:0", "a:65536", "a:x", "u@a:443", "http://a:443", "/a:443", "a:443/"],
)
def test_a_tunnel_goes_nowhere_else(raw):
    with pytest.raises(BadRequest):
        tunnel_authority(raw)


def basic(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return "Basic " + b64encode(data).decode()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (basic("a:b"), ("a", "b")),
        (basic("a:b").replace("Basic", "bAsIc  "), ("a", "b")),
        (basic(":"), ("", "")),
        (basic("a:b:c"), ("a", "b:c")),
        (basic("jürgen:pässword"), ("jürgen", "pässword")),
    ],
)
def test_credentials_are_user_and_password(field, expected):
    assert basic_credentials(field) == expected


@pytest.mark.parametrize(
    "field",
    [
        "",
        "Basic",
        "Basic !",
        "Basic YTpi YTpi",
        "Basic YTp",
        "Basic YTpi\nYTpi",
        "Digest YTpi",
        basic("no colon"),
        basic("a\n:b"),
        basic("a:\x7f"),
        basic(b"\xff:b"),
    ],
)
def test_anything_else_is_nobody(field):
    assert basic_credentials(field) is None


@given(st.text(), st.text())
def test_whatever_a_client_may_encode_comes_back(user, password):
    found = basic_credentials(basic(f"{user}:{password}".encode("utf-8", "replace")))
    text = f"{user}:{password}".encode("utf-8", "replace").decode()
    if any(ord(each) < 32 or ord(each) == 127 for each in text):
        assert found is None
    else:
        assert found == tuple(text.split(":", 1))
