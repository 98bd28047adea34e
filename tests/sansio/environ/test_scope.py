"""Rules about the scope of ASGI: what servers and frameworks really hand over, checked."""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.judges import h11_requests, llhttp_requests
from tests.support.rounds import together
from wsgiproxy.errors import (
    BadRequest,
    ExpectationFailed,
    MethodNotAllowed,
    NotSupported,
    ProxyError,
)
from wsgiproxy.sansio.environ import inbound as environs
from wsgiproxy.sansio.environ.scope import read, target_of
from wsgiproxy.sansio.fields.names import normalized_name
from wsgiproxy.sansio.h1 import Limits, request_head
from wsgiproxy.sansio.h1.chunks import LAST_CHUNK
from wsgiproxy.sansio.href import parse_href
from wsgiproxy.sansio.message import Inbound
from wsgiproxy.sansio.pipeline import outgoing
from wsgiproxy.sansio.policy.reverse import ReversePolicy
from wsgiproxy.sansio.target import escapes, under
from wsgiproxy.settings import APP, resolve


def scope(*headers: tuple[bytes, bytes], **changes: Any) -> dict[str, Any]:
    """A scope with *changes*, and with Host unless it is among the headers; None removes."""
    found: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("192.0.2.1", 40000),
        "server": ("front.example", 8080),
        **changes,
    }
    if not any(name.lower() == b"host" for name, _ in headers) and "host" not in changes:
        found["headers"].insert(0, (b"host", b"public.example"))
    return {key: value for key, value in found.items() if value is not None and key != "host"}


# -- the target ----------------------------------------------------------------------


@together
@pytest.mark.parametrize(
    ("path", "raw", "root", "script_name", "rest"),
    [
        # path and raw_path with root_path (the specification) or without, in all four readings.
        ("/app/a b", b"/app/a%20b", "/app", "/app", "/a%20b"),
        ("/a b", b"/a%20b", "/app", "/app", "/a%20b"),
        ("/app/a b", b"/a%20b", "/app", "/app", "/a%20b"),
        ("/a b", b"/app/a%20b", "/app", "/app", "/a%20b"),
        # No raw path.
        ("/app/a b", None, "/app", "/app", "/a%20b"),
        ("/a b", b"", "/app", "/app", "/a%20b"),
        ("/a/b", None, "", "", "/a/b"),
        ("", None, "", "", ""),
        ("", None, "/app", "/app", ""),
        # At the mount, and with slashes at its end.
        ("/app", b"/app", "/app", "/app", ""),
        ("/app/", b"/app/", "/app/", "/app", "/"),
        ("/app/", b"/app/", "/app", "/app", "/"),
        ("//a", b"//a", "/", "", "//a"),
        ("/application", b"/application", "/app", "/app", "/application"),
        ("/app/app/x", b"/app/app/x", "/app", "/app", "/app/x"),
        # A middleware has rewritten the path: it decides.
        ("/new", b"/old", "", "", "/new"),
        ("/new%", b"/old", "", "", "/new%25"),
        ("/app/new", b"/app/old", "/app", "/app", "/new"),
        ("/new", b"/app/old", "/app", "/app", "/new"),
        # Encodings stay, in the mount too.
        ("/a/b", b"/a%2Fb", "", "", "/a%2Fb"),
        ("/a/b", b"/a%2fb", "", "", "/a%2fb"),
        ("/app/a/b", b"/app/a%2Fb", "/app", "/app", "/a%2Fb"),
        ("/m/x", b"/%6D/x", "/m", "/%6D", "/x"),
        ("/m n/x", b"/m%20n/x", "/m n", "/m%20n", "/x"),
        ("/m n/x", None, "/m n", "/m%20n", "/x"),
        ("/a\0b", b"/a%00b", "", "", "/a%00b"),
        ("/a\0b", None, "", "", "/a%00b"),
        ("/a%2Fb", b"/a%252Fb", "", "", "/a%252Fb"),
        ("/a;b=1", b"/a;b=1", "", "", "/a;b=1"),
        ("/a;b", b"/a%3Bb", "", "", "/a%3Bb"),
        ("/a?b", b"/a%3Fb", "", "", "/a%3Fb"),
        ("/a?b", None, "", "", "/a%3Fb"),
        ("//a//b", b"//a//b", "", "", "//a//b"),
        ("/app//b", b"/app//b", "/app", "/app", "//b"),
        # The raw rest would be no path: what is encoded anew is.
        ("/app/x", b"/app%2Fx", "/app", "/app", "/x"),
        # Text that is no ASCII, and octets that are no UTF-8, which most servers replace.
        ("/caf\xe9/x", b"/caf%C3%A9/x", "/caf\xe9", "/caf%C3%A9", "/x"),
        ("/caf\xe9", None, "", "", "/caf%C3%A9"),
        ("/\u20ac", None, "", "", "/%E2%82%AC"),
        ("/caf\ufffd/x", b"/caf%E9/x", "", "", "/caf%E9/x"),
        ("/m/caf\ufffd/x", b"/m/caf%E9/x", "/m", "/m", "/caf%E9/x"),
        ("/caf\ufffd/x", b"/caf%E9/x", "/caf\ufffd", "/caf%E9", "/x"),
        ("/a\udcff", None, "", "", "/a%FF"),
        # Raw octets that no target may have are encoded.
        ("/caf\xe9", b"/caf\xc3\xa9", "", "", "/caf%C3%A9"),
        # A raw path may hold the query against the specification.
        ("/a", b"/a?q", "", "", "/a"),
    ],
)
def test_the_target_is_cut_at_the_mount(
    path: str, raw: bytes | None, root: str, script_name: str, rest: str
) -> None:
    found, absolute = target_of({"path": path, "raw_path": raw, "root_path": root})
    assert (found, absolute) == ((script_name, rest, ""), None)


@pytest.mark.parametrize("absent", ["raw_path", "root_path", "query_string"])
def test_members_may_be_absent(absent: str) -> None:
    given_ = {"path": "/a", "raw_path": b"/a", "root_path": "", "query_string": b""}
    del given_[absent]
    assert target_of(given_)[0] == ("", "/a", "")


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (b"", ""),
        (b"a=1&b[]=|^", "?a=1&b[]=|^"),
        (b"a?b", "?a?b"),
        (b"%zz", "?%zz"),
        (b"caf\xe9", "?caf%E9"),
    ],
)
@pytest.mark.parametrize("root", ["", "/app"])
def test_the_query(query: bytes, sent: str, root: str) -> None:
    raw = f"{root}/a".encode()
    found, _ = target_of(
        {"path": f"{root}/a", "raw_path": raw, "root_path": root, "query_string": query}
    )
    assert found == (root, "/a", sent)


@pytest.mark.parametrize(
    ("path", "raw", "root", "expected"),
    [
        # As uvicorn's form with h11 and hypercorn hand it over.
        ("http://h:81/a/b", b"http://h:81/a%2Fb", "", ("", "/a%2Fb", "?q")),
        ("http://h:81", b"http://h:81", "", ("", "/", "?q")),
        # By a mount that the server is told of, and one that it puts before.
        ("http://h:81/app/a", b"http://h:81/app/a", "/app", ("/app", "/a", "?q")),
        # Rewritten, or cut by the server already.
        ("/new", b"http://h:81/old", "", ("", "/new", "?q")),
        ("/a", b"http://h:81/a", "", ("", "/a", "?q")),
        ("http://h:81/a", b"http://h:81/a?q", "", ("", "/a", "?q")),
    ],
)
def test_absolute_form(path: str, raw: bytes, root: str, expected: tuple[str, str, str]) -> None:
    given_ = scope(path=path, raw_path=raw, root_path=root, query_string=b"q")
    assert target_of(given_)[0] == expected
    assert read(given_).host == "h:81", "it decides over Host (RFC 9112, 3.2.2)"


@pytest.mark.parametrize(
    ("path", "raw", "root"),
    [
        ("*", b"*", ""),
        ("*", b"*", "/app"),
        ("*", None, ""),
        ("/app*", b"/app*", "/app"),
        ("http://h", b"http://h", ""),
    ],
)
def test_the_server_as_a_whole(path: str, raw: bytes | None, root: str) -> None:
    found = read(scope(method="OPTIONS", path=path, raw_path=raw, root_path=root))
    assert (found.script_name, found.path) == ("", "*")


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "a", "raw_path": b"a"},
        {"path": "elsewhere:443", "raw_path": b"elsewhere:443"},
        {"path": "/a", "root_path": "a"},
        {"path": "/a\ud800", "raw_path": None},
        {"path": "/a b", "raw_path": b"/a b"},
        {"path": "/a\r\nX: y", "raw_path": b"/a\r\nX: y"},
        {"path": "/a#b", "raw_path": b"/a#b"},
        {"path": "/", "query_string": b"a b"},
        {"path": "/", "query_string": b"a\r\nX: y"},
        {"path": "/", "query_string": b"a#b"},
        {"path": "/app/a", "root_path": "/app", "raw_path": b"/app/a", "query_string": b"a b"},
        {"path": "http://h/a b", "raw_path": b"http://h/a b"},
        {"path": "http://h/\r\nX: y", "raw_path": b"http://h/\r\nX: y"},
        {"path": "http://u@h/a", "raw_path": b"http://u@h/a"},
        {"path": "http:///a", "raw_path": b"http:///a"},
        {"path": "*", "raw_path": b"*"},  # not OPTIONS
    ],
)
def test_targets_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read(scope(**changes))


# -- the ends, the fields and the framing --------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("192.0.2.1", "40000", "front.example", 8080)),
        ({"client": ["::1", 1], "server": ["::2", 2]}, ("::1", "1", "::2", 2)),
        ({"client": None, "server": None}, ("", "", "", 80)),
        ({"client": ("", 0), "server": ("/run/a.sock", None)}, ("", "0", "", 80)),
        ({"server": None, "scheme": "https"}, ("192.0.2.1", "40000", "", 443)),
    ],
)
def test_both_ends(changes: dict[str, Any], expected: tuple[str, str, str, int]) -> None:
    found = read(scope(**changes))
    assert (found.peer, found.peer_port, found.server_name, found.server_port) == expected


@pytest.mark.parametrize(
    ("server", "scheme", "host"),
    [
        (("front.example", 8080), "http", "front.example:8080"),
        (("front.example", 443), "https", "front.example"),
        (["::1", 8080], "http", "[::1]:8080"),
    ],
)
def test_without_host_the_server_has_a_name(server: Any, scheme: str, host: str) -> None:
    assert read(scope(host=None, server=server, scheme=scheme)).host == host


@together
@pytest.mark.parametrize(
    ("headers", "changes", "error"),
    [
        ([(b"host", b"a"), (b"host", b"a")], {}, BadRequest),
        ([(b"host", b"")], {}, BadRequest),
        ([(b"host", b"a b")], {}, BadRequest),
        ([], {"host": None, "server": None}, BadRequest),
        ([], {"host": None, "server": ("/run/a.sock", None)}, BadRequest),
        ([], {"scheme": "ws"}, BadRequest),
        ([], {"method": "CONNECT"}, MethodNotAllowed),
        ([], {"method": "TRACE"}, MethodNotAllowed),
        ([], {"method": "GET /x HTTP/1.1\r\nX:"}, BadRequest),
        ([(b"content-length", b"5"), (b"content-length", b"5")], {}, BadRequest),
        ([(b"Content-Length", b"+5")], {}, BadRequest),
        ([(b"content-length", b"")], {}, BadRequest),
        ([(b"content-length", b" 5")], {}, BadRequest),
        ([(b"transfer-encoding", b"gzip, chunked")], {}, NotSupported),
        ([(b"transfer-encoding", b"chunked")] * 2, {}, NotSupported),
        ([(b"expect", b"200-maybe")], {}, ExpectationFailed),
        ([(b"x a", b"1")], {}, BadRequest),
        ([(b"", b"1")], {}, BadRequest),
        ([(b":authority", b"a")], {}, BadRequest),
        ([(b"x\r\na", b"1")], {}, BadRequest),
        ([(b"caf\xe9", b"1")], {}, BadRequest),
    ],
)
def test_refused(
    headers: list[tuple[bytes, bytes]], changes: dict[str, Any], error: type[ProxyError]
) -> None:
    with pytest.raises(ProxyError) as caught:
        read(scope(*headers, **changes))
    assert caught.type is error


@pytest.mark.parametrize(
    ("headers", "version", "framing"),
    [
        ([], "1.0", (None, False)),
        ([], "1.1", (None, False)),
        ([], "2", (None, True)),
        ([], "3", (None, True)),
        ([(b"content-length", b"5")], "1.1", (5, False)),
        ([(b"content-length", b"5")], "2", (5, False)),
        ([(b"content-length", b"0")], "2", (0, False)),
        ([(b"Transfer-Encoding", b"Chunked")], "1.1", (None, True)),
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], "1.1", (None, True)),
        ([(b"content_length", b"5")], "1.1", (None, False)),
        ([(b"transfer_encoding", b"chunked")], "1.1", (None, False)),
    ],
)
def test_framing(
    headers: list[tuple[bytes, bytes]], version: str, framing: tuple[int | None, bool]
) -> None:
    found = read(scope(*headers, http_version=version))
    assert (found.content_length, found.chunked) == framing


@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "3"])
def test_versions(version: str) -> None:
    assert read(scope(http_version=version)).protocol == version


def test_http_1_0_as_granian_has_it() -> None:
    """By another name, and with an empty Host where there is none."""
    found = read(scope((b"host", b""), http_version="1", server=("127.0.0.1", "8080")))
    assert (found.protocol, found.host, found.server_port) == ("1.0", "127.0.0.1:8080", 8080)


def test_a_version_that_is_none_is_the_usual_one() -> None:
    assert read(scope(http_version="1.1\r\nX: y")).protocol == "1.1"


POLICY = ReversePolicy(parse_href("http://up.example"), resolve(APP, {}), "me")


def sent(given_: dict[str, Any], policy: ReversePolicy = POLICY) -> bytes:
    """What goes upstream of a request, without the blocks of its body."""
    inbound = read(given_)
    return request_head(outgoing(inbound, policy).request, Limits())


def names(head: bytes) -> list[bytes]:
    return [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line]


@pytest.mark.parametrize(
    "name",
    [
        b"content_length",
        b"Content-LENGTH_",
        b"transfer_encoding",
        b"transfer.encoding",
        b"host_",
        b"x_forwarded_for",
        b"X_Forwarded-For",
        b"x.forwarded.for",
        b"forwarded",
        b"wsgiproxy",
        b"x_wsgiproxy_str_0",
        b"remote_user",
        b"script_name",
        b"proxy",
        b"x_real_ip",
    ],
)
def test_no_name_is_taken_for_another_one(name: bytes) -> None:
    """What servers behind us could read as ours, or as a framing, is not sent."""
    head = sent(scope((name, b"6.6.6.6")))
    if name in (b"host_", b"Content-LENGTH_"):  # others, however one reads them
        assert names(head).count(name.lower()) == 1
    else:
        assert b"6.6.6.6" not in head
    assert names(head).count(b"host") == 1


def test_cookies_are_one_field() -> None:
    """HTTP/2 cuts them apart (RFC 9113, 8.2.3)."""
    found = read(scope((b"cookie", b"a=1"), (b"x-a", b"1"), (b"Cookie", b"b=2"), http_version="2"))
    assert [value for name, value in found.headers if name == "Cookie"] == ["a=1; b=2"]


def test_repeated_fields_stay_apart_and_in_order() -> None:
    found = read(scope((b"x-a", b"1"), (b"X-B", b"2"), (b"x-a", b"3")))
    assert [(name.lower(), value) for name, value in found.headers] == [
        ("x-a", "1"),
        ("x-b", "2"),
        ("x-a", "3"),
    ]


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\0b", b"a\nb", b"a\rb", b"\x7f"])
def test_no_field_is_injected(value: bytes) -> None:
    with pytest.raises(BadRequest):
        sent(scope((b"x-a", value)))


# -- properties ----------------------------------------------------------------------

paths = st.text(st.sampled_from("/ab%.;*\\ #?\r\n\0\ufffd\xe9\udcff:2F"), max_size=12)
raws = st.binary(max_size=12) | paths.map(lambda text: text.encode("utf-8", "surrogateescape"))
known = st.sampled_from(
    b"host content-length transfer-encoding connection cookie expect x_forwarded_for te "
    b"content_length forwarded upgrade trailer proxy x-a".split()
)
values = st.sampled_from(
    [b"", b"5", b"5, 5", b"chunked", b"close, host", b"x-a", b"a", b"h:1", b"trailers", b"a\r\nb"]
)
headers = st.lists(st.tuples(known | st.binary(max_size=6), values | st.binary(max_size=6)))
scopes = st.fixed_dictionaries(
    {"headers": headers, "path": paths.map("/".__add__) | paths},
    optional={
        "raw_path": st.none() | raws | raws.map(b"http://h".__add__),
        "root_path": paths | st.just("/app"),
        "query_string": raws,
        "http_version": st.sampled_from(["1.0", "1.1", "2", "3", "\r\n"]),
        "method": st.sampled_from(["GET", "POST", "OPTIONS", "get", "G T"]) | st.text(max_size=4),
        "scheme": st.sampled_from(["http", "https", "ws", ""]),
        "client": st.none() | st.tuples(st.text(max_size=6), st.integers(0, 65535)),
        "server": st.none() | st.tuples(st.text(max_size=6), st.integers(0, 65535) | st.none()),
    },
)


@given(scopes)
def test_what_goes_upstream_is_nothing_or_one_request(changes: dict[str, Any]) -> None:
    """Promise 1, and 7: the scope stays as it is. h11 and llhttp judge."""
    given_ = {**scope(), **changes}
    before = copy.deepcopy(given_)
    try:
        inbound = read(given_)
        request = outgoing(inbound, POLICY).request
        raw = request_head(request, Limits())
    except ProxyError:
        return
    finally:
        assert given_ == before
    raw += LAST_CHUNK if request.chunked else b"x" * (request.content_length or 0)
    (found,) = h11_requests(raw)
    assert found.target == request.target
    assert [name for name, _ in found.headers].count("host") == 1
    if request.method in ("GET", "POST", "OPTIONS"):
        (again,) = llhttp_requests(raw)
        assert again.target == found.target
        assert again.body == found.body


BASED = ReversePolicy(parse_href("http://up.example/base"), resolve(APP, {}), "me")
NAMESPACE = [b"X-Forwarded-For", b"x_forwarded_for", b"X-Forwarded.For", b"forwarded", b"x-real-ip"]


@given(scopes, st.lists(st.sampled_from(NAMESPACE)), st.sampled_from(NAMESPACE))
def test_no_client_leaves_the_base_or_forges_the_namespace(
    changes: dict[str, Any], forged: list[bytes], named: bytes
) -> None:
    """Promises 5 and 6; Connection removes nothing of ours either."""
    fields = [*((name, b"6.6.6.6") for name in forged), (b"connection", named)]
    given_ = {**scope(), **changes, "client": ("192.0.2.1", 1)}
    given_["headers"] = [*given_["headers"], *fields]
    try:
        request = outgoing(read(given_), BASED).request
        request_head(request, Limits())
    except ProxyError:
        return
    assert under(request.target.partition("?")[0], "/base")
    assert not escapes(request.target.partition("?")[0])
    ours = [value for name, value in request.headers if normalized_name(name) == "x-forwarded-for"]
    assert ours == ["192.0.2.1"]
    assert not any("6.6.6.6" in value for _, value in request.headers)


wsgi_names = st.sampled_from(["X-A", "Accept", "Cookie", "Te", "Connection", "X-Forwarded-For"])
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=6)


@given(
    path=st.text(st.sampled_from("/ab%;2Fe9C3A.~"), max_size=10).map("/".__add__),
    query=st.text(st.sampled_from("ab%=&?/"), max_size=6),
    fields=st.dictionaries(wsgi_names, texts, max_size=4),
    mount=st.sampled_from(["", "/m", "/m%20n", "/caf%C3%A9"]),
    method=st.sampled_from(["GET", "POST", "OPTIONS"]),
    length=st.none() | st.sampled_from(["0", "5", "x"]),
    version=st.sampled_from(["1.0", "1.1", "2"]),
    host=st.sampled_from(["h", "h:81", "", "h h"]),
)
def test_both_edges_read_the_same(
    path: str,
    query: str,
    fields: dict[str, str],
    mount: str,
    method: str,
    length: str | None,
    version: str,
    host: str,
) -> None:
    """An equal request gives an equal Inbound, but for the order and the spelling of names."""
    assume(host or version != "1.0")
    raw = mount + path
    whole = [("host", host), *fields.items()] + ([("content-length", length)] if length else [])
    given_ = scope(
        *((name.lower().encode(), value.encode("latin-1")) for name, value in whole),
        method=method,
        path=unquote(raw, errors="replace"),
        raw_path=raw.encode(),
        root_path=unquote(mount),
        query_string=query.encode(),
        http_version=version,
    )
    asked = f"{raw}?{query}" if query else raw
    decoded = [unquote(part, "latin-1") for part in (mount, path)]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": decoded[0],
        "PATH_INFO": decoded[1],
        "QUERY_STRING": query,
        "REQUEST_URI": asked,
        "SERVER_NAME": "front.example",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": f"HTTP/{version}",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "40000",
        "HTTP_HOST": host,
        "wsgi.input_terminated": True,
        **({"CONTENT_LENGTH": length} if length else {}),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()},
    }
    assert outcome(read, given_) == outcome(environs.read, environ)


def outcome(reader: Any, given_: dict[str, Any]) -> object:
    try:
        found: Inbound = reader(given_)
    except ProxyError as error:
        return type(error)
    return found._replace(headers=sorted((name.lower(), value) for name, value in found.headers))


@pytest.mark.parametrize("raw", [b"/apphttp://evil/admin", b"/apphttp://front.example/admin"])
def test_a_url_right_behind_the_root_is_refused(raw: bytes) -> None:
    """A server may put the root before absolute-form; so may a client, which means another path."""
    with pytest.raises(BadRequest, match="behind the root"):
        read(scope(path=raw.decode(), raw_path=raw, root_path="/app"))


@pytest.mark.parametrize(
    ("path", "raw", "expected"),
    [
        ("/app/x", b"/app/app/x", "/app/x"),
        ("/app/x", b"/app/x", "/x"),
        ("/app/app/x", b"/app/app/x", "/app/x"),
    ],
)
def test_a_path_that_begins_with_the_name_of_its_mount(
    path: str, raw: bytes, expected: str
) -> None:
    found = read(scope(path=path, raw_path=raw, root_path="/app"))
    assert (found.script_name, found.path) == ("/app", expected)


def test_members_that_servers_may_write_in_another_way() -> None:
    members = {"client": ("::1", 5, 0, 0), "server": ["::1", 80, 0, 0], "root_path": None}
    found = read(scope(**members))
    assert (found.peer, found.peer_port, found.server_port) == ("::1", "5", 80)
