"""What the front application was asked is what the backend is asked, whoever serves it."""

from __future__ import annotations

import datetime
import string
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.in_process import PARSERS, Backend, front_environ, key_file, run
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.target import escapes
from wsgiproxy.secretloader import new_key

FACTS = (
    "REQUEST_METHOD",
    "wsgi.url_scheme",
    "HTTP_HOST",
    "SERVER_PORT",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
)
STRINGS, TEXTS = ("REMOTE_USER", "a.string"), ("a.text",)
JSONS, PICKLES = ("a.json", "another.json"), ("a.pickle",)
DECLARED = (*STRINGS, *TEXTS, *JSONS, *PICKLES)
HREFS = {
    "root": "http://10.0.0.1:8001",
    "base": "http://10.0.0.1:8001/base%20path",
    "base-slash": "http://10.0.0.1/base/",
    "query": "http://backend.example:80/?key=%20&k2",
    "base-and-query": "https://backend.example/caf%C3%A9/x?key=1",
}


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return key_file(tmp_path_factory.mktemp("keys") / "secret", new_key("k1"))


def passed(
    environ: dict[str, Any], href: str, server: str, secret: str, **options: Any
) -> tuple[int, dict[str, Any]]:
    """The status, and the environ of the application behind proxy, server and middleware."""
    seen: dict[str, Any] = {}

    def application(environ, start_response):
        seen.update(environ)
        if environ.get("CONTENT_LENGTH"):
            seen["body"] = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [])
        return []

    restoring = WSGIProxyMiddleware(application, secret, accept_keys=DECLARED, allow_pickle=True)
    proxy = WSGIProxyApp(
        href, secret, STRINGS, TEXTS, JSONS, PICKLES,
        allow_pickle=True, transport=Backend(restoring, server), **options,
    )  # fmt: skip
    return run(proxy, environ).head.status, seen


# -- any request -----------------------------------------------------------------------

#: Pieces of raw paths: what servers decode, resolve, keep, or take for something else.
PIECES = [
    "/", "//", "a", "B", ".", "..", ";", ";p=1", ":", "@", "[", "|", '"', "+", "~", "'", "%20",
    "%2F", "%2f", "%5C", "%25", "%252F", "%3F", "%23", "%3B", "%2e", "%00", "%0A", "%C3%A9",
    "%e2%98%83", "%FF", "%", "%zz",
]  # fmt: skip
raw_paths = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda some: "/" + "".join(some))
# No slash at the end (PEP 3333), no encoded slash: who mounts something there?
mounts = st.just("") | st.sampled_from(["/m", "/m%20n", "/caf%C3%A9/x", "/%FF", "/a+b;c"])
any_bytes = st.binary(max_size=12).map(lambda data: "/" + data.decode("latin-1"))
visible = "".join(map(chr, range(0x21, 0x7F))).replace("#", "")
raw_queries = st.text(visible, max_size=12)
any_queries = st.binary(max_size=12).map(lambda data: data.decode("latin-1"))

methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"])
methods |= st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=9)
names = st.sampled_from(["shop.example", "SHOP.Example", "localhost", "192.0.2.1", "[::1]", "x_y"])
ports = st.integers(1, 65535) | st.sampled_from([80, 443])
hosts = names | st.builds("{}:{}".format, names, ports) | names.map("{}:".format)
addresses = st.ip_addresses().map(str) | st.sampled_from(
    ["::ffff:192.0.2.1", "fe80::1%eth0", "unix:", "localhost", ""]
)

texts = st.text(max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
carried = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(STRINGS, any_bytes),
        **{name: texts | st.text(st.characters(categories=["Cs"]), max_size=1) for name in TEXTS},
        **dict.fromkeys(JSONS, json_values),
        **{name: json_values | st.frozensets(texts) | st.datetimes() for name in PICKLES},
    },
)


def unquote(raw: str) -> str:
    """A path as PEP 3333 has it."""
    return unquote_to_bytes(raw).decode("latin-1")


def _as_cheroot(raw: str) -> str:
    """A path as cheroot decodes it."""
    return "%2F".join(map(unquote, raw.replace("%2f", "%2F").split("%2F")))


@st.composite
def environs(draw: st.DrawFn) -> dict[str, Any]:
    """An environ as some server makes it: with the raw target, as cheroot, or without."""
    front = draw(st.sampled_from(["raw", "cheroot", "decoded"]))
    script_name = draw(mounts)
    if front == "decoded":
        path, query = draw(any_bytes), draw(any_queries)
        target = {}
    else:
        raw, query = draw(raw_paths), draw(raw_queries)
        raw = "" if script_name and draw(st.booleans()) else raw
        path = _as_cheroot(raw) if front == "cheroot" else unquote(raw)
        mark = "?" if query or draw(st.booleans()) else ""
        name = draw(st.sampled_from(["REQUEST_URI", "RAW_URI"]))
        target = {name: f"{script_name}{raw}{mark}{query}"}
    return front_environ(
        REQUEST_METHOD=draw(methods.filter(lambda method: method not in ("CONNECT", "TRACE"))),
        SERVER_PORT=str(draw(ports)),
        SCRIPT_NAME=unquote(script_name),
        PATH_INFO=path,
        QUERY_STRING=query,
        HTTP_HOST=draw(hosts),
        REMOTE_ADDR=draw(addresses),
        **{"wsgi.url_scheme": draw(st.sampled_from(["http", "https"]))},
        **target,
        **draw(carried),
    )


def _is_refused(environ: dict[str, Any], href: str, server: str) -> bool:
    """What never comes to the middleware: dots at a wall, and what cheroot does not take."""
    path, raw = environ["PATH_INFO"], environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    has_base = href in (HREFS["base"], HREFS["base-slash"], HREFS["base-and-query"])
    written = raw.partition("?")[0] or quote(path, encoding="latin-1")
    if (has_base or environ["SCRIPT_NAME"]) and escapes(written):
        return True
    is_upper = environ["REQUEST_METHOD"].isupper()
    return server == "cheroot" and (not is_upper or (not has_base and path.startswith("//")))


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("server", PARSERS)
def test_any_method_comes_to_any_path(server, secret, method):
    """Cheroot does not decode the path of OPTIONS."""
    environ = front_environ(REQUEST_METHOD=method, PATH_INFO="/a b/caf\xc3\xa9")
    status, after = passed(environ, HREFS["root"], server, secret)
    assert (status, after["PATH_INFO"]) == (200, "/a b/caf\xc3\xa9")


@pytest.mark.parametrize("server", PARSERS)
@given(environ=environs(), href=st.sampled_from(list(HREFS.values())), preserves=st.booleans())
def test_the_environ_after_is_the_environ_before(server, secret, environ, href, preserves):
    """Every fact and every declared key of a signed request is the same at both ends."""
    assume(not _is_refused(environ, href, server))
    before = dict(environ)
    status, after = passed(environ, href, server, secret, preserve_host=preserves)
    assert status == 200
    assert {name: after.get(name) for name in FACTS} == {name: before.get(name) for name in FACTS}
    assert {name: after[name] for name in DECLARED if name in after} == {
        name: before[name] for name in DECLARED if name in before
    }
    assert environ == before
    raw = before.get("REQUEST_URI") or before.get("RAW_URI")
    if raw:
        # A "?" with nothing behind it is lost where href puts its own query there.
        lost = "?" in href and not before["QUERY_STRING"]
        assert after["REQUEST_URI"] == (raw.removesuffix("?") if lost else raw)
    assert after["wsgiproxy.verified"] == "k1"


# -- requests that have gone wrong elsewhere -------------------------------------------


@pytest.mark.parametrize("server", PARSERS)
@pytest.mark.parametrize("href", HREFS.values(), ids=HREFS)
@pytest.mark.parametrize(
    ("path_info", "more"),
    [
        pytest.param("", {"SCRIPT_NAME": "/m"}, id="empty-under-a-mount"),
        pytest.param("", {"SCRIPT_NAME": "/m", "REQUEST_URI": "/m?"}, id="empty-with-a-mark"),
        pytest.param("/", {"SCRIPT_NAME": "/m", "REQUEST_URI": "/m/"}, id="slash-under-a-mount"),
        pytest.param("/a/b", {"REQUEST_URI": "/a%2Fb"}, id="encoded-slash-kept-raw"),
        pytest.param("/a%2Fb", {"REQUEST_URI": "/a%2fb"}, id="encoded-slash-from-cheroot"),
        pytest.param("/a%2Fb", {}, id="encoded-percent"),
        pytest.param("/caf\xc3\xa9/\xff", {}, id="not-ascii-and-not-utf-8"),
        pytest.param("/x;y=1/;/z;", {}, id="path-parameters"),
        pytest.param("/a//b///", {}, id="empty-segments"),
        pytest.param("/a\r\nX-Evil: 1\0", {}, id="line-ends-and-nul"),
        pytest.param("/rewritten", {"REQUEST_URI": "/as/sent"}, id="rewritten-by-a-middleware"),
        pytest.param("/x", {"QUERY_STRING": "a b=#\xe9&c=%20"}, id="query-that-must-be-quoted"),
        pytest.param("/x", {"QUERY_STRING": "key=1"}, id="query-like-that-of-href"),
        pytest.param("/x", {"QUERY_STRING": "&&?&"}, id="query-of-separators"),
        pytest.param("/x", {"HTTP_HOST": "[2001:db8::1]:8443", "SERVER_PORT": "1"}, id="ipv6-host"),
        pytest.param("/x", {"REMOTE_ADDR": ""}, id="unix-peer"),
        pytest.param("/x", {"a.json": None, "a.pickle": None}, id="carried-none"),
        pytest.param("/x", {"a.text": "", "a.json": [], "REMOTE_USER": ""}, id="carried-empty"),
    ],
)
def test_named_requests(server, secret, href, path_info, more):
    environ = front_environ(PATH_INFO=path_info, **more)
    status, after = passed(environ, href, server, secret)
    assert status == 200
    names = [name for name in (*FACTS, *DECLARED) if name in environ]
    assert {name: after.get(name, "gone") for name in names} == {
        name: environ[name] for name in names
    }


@pytest.mark.parametrize("server", PARSERS)
def test_the_request_around_it_is_the_same_too(server, secret):
    body = b"a\0b\r\n" * 100
    environ = front_environ(
        body, CONTENT_TYPE="text/plain", HTTP_COOKIE="a=b; c=d", HTTP_X_CUSTOM="caf\xe9"
    )
    _, after = passed(environ, HREFS["base-and-query"], server, secret, sign_body=True)
    assert after["body"] == body
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_COOKIE", "HTTP_X_CUSTOM"):
        assert after[name] == environ[name]


def test_a_request_without_host_gets_the_servers_name(secret):
    environ = front_environ(SERVER_NAME="front.example", SERVER_PORT="8080")
    del environ["HTTP_HOST"]
    _, after = passed(environ, HREFS["base"], "wsgiref", secret)
    assert (after["HTTP_HOST"], after["SERVER_PORT"]) == ("front.example:8080", "8080")


@pytest.mark.parametrize("name", DECLARED)
def test_a_key_that_the_front_does_not_have_is_absent(secret, name):
    """Not None, and not what the server of the backend has put there."""
    _, after = passed(front_environ(), HREFS["root"], "wsgiref", secret)
    assert name not in after


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("REMOTE_USER", "caf\xe9\0\r\n", id="string-of-bytes"),
        pytest.param("a.text", "\u2603\U0001f600", id="text-beyond-latin-1"),
        pytest.param("a.json", {"a": [1, 2.5, None, True, {"": "\ud800"}]}, id="nested-json"),
        pytest.param("a.json", 10**300, id="large-integer"),
        pytest.param("a.pickle", datetime.datetime(2010, 6, 10, 12, 0), id="datetime"),
        pytest.param("a.pickle", {frozenset([1]): (b"x", 1j)}, id="what-json-cannot-hold"),
    ],
)
def test_named_values(secret, name, value):
    _, after = passed(front_environ(**{name: value}), HREFS["query"], "wsgiref", secret)
    assert after[name] == value
    assert type(after[name]) is type(value)
