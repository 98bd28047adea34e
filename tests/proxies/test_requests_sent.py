"""What goes upstream: one request, to where the proxy says, whatever the client wrote."""

from __future__ import annotations

import io
from typing import Any, NoReturn

import pytest
from webob import Request
from webtest import TestApp  # type: ignore[import-untyped]

from tests.proxies.asking import CLIENTS, asked, call, only, served
from tests.support.upstream import RawUpstream, answer
from wsgiproxy import HostProxy, Proxy, TransparentProxy


class Bottomless(io.RawIOBase):
    """An input as wsgiref's: a read beyond the body would wait for ever."""

    def read(self, size: int = -1) -> NoReturn:
        raise AssertionError(f"it reads {size} bytes of nothing")


def bottomless() -> dict[str, Any]:
    return {"wsgi.input": Bottomless()}


@pytest.mark.parametrize("client", CLIENTS)
def test_nothing_is_added_but_what_is_announced(upstream: RawUpstream, client: str) -> None:
    environ = asked("/x", QUERY_STRING="a=%7e", HTTP_X_A="1", **bottomless())
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 200
    request = only(upstream)
    # urllib3 and requests write escapes as they think best.
    assert request.target == "/x?a=%7e" or client != "httplib"
    assert sorted(request.headers) == [
        ("Host", upstream.netloc),
        ("X-A", "1"),
        ("X-Forwarded-Scheme", "http"),
        ("X-Forwarded-Server", "public.example"),
    ]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_bodyless_post_says_so_and_reads_nothing(upstream: RawUpstream, client: str) -> None:
    environ = served(REQUEST_METHOD="POST", **bottomless())
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 200
    assert only(upstream).values("Content-Length") == ["0"]
    assert only(upstream).values("Transfer-Encoding") == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_length_of_zero_is_sent(upstream: RawUpstream, client: str) -> None:
    environ = served(CONTENT_LENGTH="0", **bottomless())
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 200
    assert only(upstream).values("Content-Length") == ["0"]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("length", [1, 5, 300_000])
def test_a_body_goes_out_as_it_came(upstream: RawUpstream, client: str, length: int) -> None:
    body = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    stream = io.BytesIO(body + b"the next request")
    environ = served(REQUEST_METHOD="PUT", CONTENT_LENGTH=str(length), CONTENT_TYPE="a/b")
    environ["wsgi.input"] = stream
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 200
    request = only(upstream)
    assert request.body == body
    assert request.values("Content-Length") == [str(length)]
    assert request.values("Content-Type") == ["a/b"]
    assert stream.read() == b"the next request"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_body_without_a_length_goes_out_in_chunks(upstream: RawUpstream, client: str) -> None:
    environ = served(REQUEST_METHOD="POST", HTTP_TRANSFER_ENCODING="chunked")
    environ |= {"wsgi.input": io.BytesIO(b"hello"), "wsgi.input_terminated": True}
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 200
    request = only(upstream)
    assert request.body == b"hello"
    assert request.values("Transfer-Encoding") == ["chunked"]
    assert request.values("Content-Length") == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_body_that_is_cut_is_no_request(upstream: RawUpstream, client: str) -> None:
    upstream.behaviour = [("read_head",), ("wait_ended",)]
    environ = served(REQUEST_METHOD="POST", CONTENT_LENGTH="10")
    environ["wsgi.input"] = io.BytesIO(b"short")
    assert call(HostProxy(upstream.url, client=client), environ)[0] == 400
    assert not any(request.complete for request in upstream.requests)


@pytest.mark.parametrize(
    ("more", "body"),
    [
        pytest.param({"CONTENT_LENGTH": "5"}, b"hello", id="with a length"),
        pytest.param({}, b"hello", id="without"),
    ],
)
def test_a_body_in_memory_may_be_called_chunked(
    upstream: RawUpstream, more: dict[str, str], body: bytes
) -> None:
    """WebTest lets a test set Transfer-Encoding, and decodes nothing."""
    environ = asked(REQUEST_METHOD="POST", HTTP_TRANSFER_ENCODING="chunked", **more)
    environ["wsgi.input"] = io.BytesIO(body)
    assert call(HostProxy(upstream.url), environ)[0] == 200
    assert only(upstream).body == body


def test_chunks_that_the_server_has_not_decoded_are_refused(upstream: RawUpstream) -> None:
    environ = served(REQUEST_METHOD="POST", HTTP_TRANSFER_ENCODING="chunked")
    environ["wsgi.input"] = Bottomless()
    assert call(HostProxy(upstream.url), environ)[0] == 411
    assert upstream.requests == []


def test_a_body_that_webob_has_parsed_is_a_500_with_advice(upstream: RawUpstream) -> None:
    request = Request.blank("/")
    request.content_length = -1
    response = request.get_response(HostProxy(upstream.url))
    assert response.status_int == 500
    assert "content_length = len(request.body)" in response.text
    assert upstream.requests == []


# -- forwarding ------------------------------------------------------------------------


def test_a_server_announces_its_client_and_removes_the_clients_fields(
    upstream: RawUpstream,
) -> None:
    environ = served(
        "/x",
        SCRIPT_NAME="/mount",
        HTTP_X_FORWARDED_FOR="6.6.6.6",
        HTTP_X_FORWARDED_HOST="evil.example",
        HTTP_X_REAL_IP="6.6.6.6",
        HTTP_CONNECTION="X-Forwarded-Server",
        HTTP_PROXY="http://evil.example",
    )
    assert call(HostProxy(upstream.url), environ)[0] == 200
    headers = only(upstream).headers
    assert [field for field in headers if field[0] not in ("Host", "Via")] == [
        ("X-Forwarded-Server", "public.example"),
        ("X-Forwarded-Script-Name", "/mount"),
        ("X-Forwarded-Scheme", "http"),
        ("X-Forwarded-For", "203.0.113.9"),
    ]
    assert only(upstream).values("Via")[0].startswith("1.1 wsgiproxy-")


def test_a_subclass_maps_other_keys(upstream: RawUpstream) -> None:
    class Other(HostProxy):
        header_map = {
            "REMOTE_USER": "X_FORWARDED_USER",
            "nothing": "X_NOTHING",
            "HTTP_X_TYPE": "CONTENT_TYPE",  # has a key of its own
        }

    assert call(Other(upstream.url), served(REMOTE_USER="alice", HTTP_X_TYPE="a/b"))[0] == 200
    assert only(upstream).values("Content-Type") == []
    assert only(upstream).values("X-Forwarded-User") == ["alice"]
    assert only(upstream).values("X-Forwarded-For") == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_proxy_to_itself_is_a_loop_and_ends(upstream: RawUpstream, client: str) -> None:
    proxy = HostProxy(upstream.url, client=client)
    call(proxy, served())
    trace = only(upstream).values("Via")[0]
    assert call(proxy, served(HTTP_VIA=trace))[0] == 508
    assert len(upstream.requests) == 1


# -- targets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "target"),
    [
        pytest.param({"PATH_INFO": "/a/b", "RAW_URI": "/a%2Fb"}, "/a%2Fb", id="raw"),
        pytest.param(
            {"SCRIPT_NAME": "/m", "PATH_INFO": "/a/b", "REQUEST_URI": "/m/a%2Fb"},
            "/a%2Fb",
            id="raw, under a mount",
        ),
        pytest.param(
            {"PATH_INFO": "/edited", "RAW_URI": "/original"}, "/edited", id="a view has edited it"
        ),
        pytest.param(
            {"PATH_INFO": "/x", "REQUEST_URI": "http://evil.example/x"}, "/x", id="absolute"
        ),
        pytest.param({"PATH_INFO": "//evil.example/x"}, "//evil.example/x", id="two slashes"),
        pytest.param({"PATH_INFO": "/@evil.example"}, "/@evil.example", id="at"),
        pytest.param({"PATH_INFO": "", "SCRIPT_NAME": "/m"}, "/", id="the mount itself"),
    ],
)
def test_the_target_is_never_where_to_connect(
    upstream: RawUpstream, environ: dict[str, Any], target: str
) -> None:
    assert call(HostProxy(upstream.url), served(**environ))[0] == 200
    assert only(upstream).target == target
    assert only(upstream).values("Host") == [upstream.netloc]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("path", ["//evil.example/x", "/@evil.example", "/\\@evil.example/"])
def test_no_client_takes_a_path_for_an_authority(
    upstream: RawUpstream, client: str, path: str
) -> None:
    assert call(HostProxy(upstream.url, client=client), served(path))[0] == 200
    assert "evil.example" in only(upstream).target
    assert only(upstream).values("Host") == [upstream.netloc]


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        pytest.param({"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}, 400, id="asterisk"),
        pytest.param({"PATH_INFO": "@evil.example/"}, 400, id="a path without a slash"),
        pytest.param({"PATH_INFO": "/../admin", "SCRIPT_NAME": "/m"}, 400, id="out of the mount"),
        pytest.param({"HTTP_X_A": "1\r\nX-B: 2"}, 400, id="a line end in a field"),
        pytest.param({"HTTP_X_A": "x" * 9000}, 431, id="a long line"),
        pytest.param({"PATH_INFO": "/" + "x" * 9000}, 414, id="a long target"),
        pytest.param({"REQUEST_METHOD": "TRACE"}, 405, id="trace"),
        pytest.param(
            {
                "HTTP_CONNECTION": "Upgrade",
                "HTTP_UPGRADE": "websocket",
                "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
            },
            501,
            id="an upgrade",
        ),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_no_good_request_is_not_sent(
    upstream: RawUpstream, client: str, environ: dict[str, Any], status: int
) -> None:
    assert call(HostProxy(upstream.url, client=client), served(**environ))[0] == status
    assert upstream.connections == 0


def test_the_base_is_a_wall(upstream: RawUpstream) -> None:
    proxy = HostProxy(f"{upstream.url}/base/")
    assert call(proxy, served("/x"))[0] == 200
    assert call(proxy, served("/%2e%2e/admin", RAW_URI="/..%2fadmin"))[0] == 400
    assert only(upstream).target == "/base/x"


def test_the_mount_may_stay_in_the_path(upstream: RawUpstream) -> None:
    proxy = HostProxy(upstream.url, strip_script_name=False)
    assert call(proxy, served("/x", SCRIPT_NAME="/mount"))[0] == 200
    assert only(upstream).target == "/mount/x"


@pytest.mark.parametrize(
    "host",
    ["", "user@evil.example", "a/b", "a b", "a,b", "a:99999", "[::1", "http://a", "a\r\nX: y"],
)
def test_a_bad_host_is_nowhere_to_go(upstream: RawUpstream, host: str) -> None:
    assert call(TransparentProxy(), served(HTTP_HOST=host))[0] == 400
    assert upstream.connections == 0


def test_the_plain_proxy_connects_by_name_and_keeps_the_host(upstream: RawUpstream) -> None:
    environ = served(SERVER_NAME="127.0.0.1", SERVER_PORT=str(upstream.port))
    assert call(Proxy(), environ)[0] == 200
    assert only(upstream).values("Host") == ["public.example"]


def test_the_environ_stays_as_it_was(upstream: RawUpstream) -> None:
    environ = served("/x", SCRIPT_NAME="/m", HTTP_TRANSFER_ENCODING="chunked")
    environ["wsgi.input"] = io.BytesIO(b"")
    before = dict(environ)
    assert call(HostProxy(upstream.url), environ)[0] == 200
    assert environ == before
    assert only(upstream).target == "/x"


def test_an_environ_with_almost_nothing_is_enough(upstream: RawUpstream) -> None:
    assert call(HostProxy(upstream.url), {})[0] == 200
    assert only(upstream).line == "GET / HTTP/1.1"


def test_all_methods_pass_if_none_is_named(upstream: RawUpstream) -> None:
    upstream.behaviour = answer()
    assert (
        call(HostProxy(upstream.url, allowed_methods=None), asked(REQUEST_METHOD="FOO"))[0] == 200
    )
    assert call(HostProxy(upstream.url), asked(REQUEST_METHOD="FOO"))[0] == 405
    app = TestApp(HostProxy(upstream.url, allowed_methods=("GET",)))
    assert app.post("/", status=405).headers["Allow"] == "GET"
